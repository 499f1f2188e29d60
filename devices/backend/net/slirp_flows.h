/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sockets that libslirp has made for a guest, whose number is limited. A frame that would make
 * another is dropped before libslirp sees it: the first segment of a connection, the first datagram
 * from a port, an echo request to the outside. Frames of existing sockets go on. See slirp_flows.c
 * for when libslirp 4.7 makes a socket.
 */
#pragma once

#include <netinet/in.h>

#include "vmm/fd_budget.h"

#define SLIRP_MAX_FLOWS    1024 /* libslirp walks all of them whenever anything happens */
#define SLIRP_MAX_FORWARDS 64

/* The guest's end and, for TCP, the other end. IPv4 addresses are in the first four bytes. */
struct slirp_key {
	struct in6_addr guest, other;
	uint16_t guest_port, other_port;
	uint8_t version, protocol; /* 0: not known */
};

struct slirp_flows {
	struct fd_share fds;
	struct slirp_socket {
		int fd;
		struct slirp_key key;
	} * socket; /* SLIRP_MAX_FLOWS of them, and some for clients on the host */
	unsigned nr;
	/* The guest's ports whose datagrams have a socket. */
	struct slirp_key forward[SLIRP_MAX_FORWARDS];
	unsigned nr_forwards;
	int listener[SLIRP_MAX_FORWARDS]; /* sockets at which the host's clients arrive */
	unsigned nr_listeners;
	const uint8_t *frame; /* the guest's frame that libslirp is working on; or NULL */
	size_t len;
};

/* Returns 0, or -ENOMEM, not logged. budget may be NULL. slirp_flows_destroy() is safe after
 * either, and on zeroes. */
int slirp_flows_init(struct slirp_flows *f, struct fd_budget *budget) __must_check;
void slirp_flows_destroy(struct slirp_flows *f);

/* The guest's datagrams from that UDP port use the socket of a forward. */
void slirp_flows_add_forward(struct slirp_flows *f, struct in_addr guest, uint16_t port);

/* Asks whether libslirp may have this frame of the guest's, which must stay where it is until
 * slirp_flows_end(). False: it must not, for lack of a socket. */
bool slirp_flows_begin(struct slirp_flows *f, const uint8_t *frame, size_t len);
void slirp_flows_end(struct slirp_flows *f);

/* opened: libslirp has opened fd. closed: it is about to close it. */
void slirp_flows_opened(struct slirp_flows *f, int fd);
void slirp_flows_closed(struct slirp_flows *f, int fd);

/* libslirp waits for fd, perhaps because it listens there. Called before anything else. */
void slirp_flows_add_listener(struct slirp_flows *f, int fd);
/* Must clients at fd wait in the host's kernel, because the next would be one too many? */
bool slirp_flows_hold(const struct slirp_flows *f, int fd);
