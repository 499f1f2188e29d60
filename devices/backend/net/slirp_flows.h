/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sockets that libslirp has made for a guest, of which there are so many and no more. What
 * would make another is dropped before libslirp sees it: the first segment of a connection, the
 * first datagram from a port, an echo request to the outside. What belongs to a socket that is
 * there goes on. See slirp_flows.c for when libslirp 4.7 makes one.
 */
#pragma once

#include <netinet/in.h>

#include "vmm/fd_budget.h"

#define SLIRP_MAX_FLOWS    1024 /* libslirp walks all of them whenever anything happens */
#define SLIRP_MAX_FORWARDS 64

/* The guest's end and, for TCP, the other. IPv4: in the first four bytes. */
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
	} * socket; /* SLIRP_MAX_FLOWS of them and a few, for those that the host's clients make */
	unsigned nr;
	/* The guest's ports whose datagrams have a socket. */
	struct slirp_key forward[SLIRP_MAX_FORWARDS];
	unsigned nr_forwards;
	int listener[SLIRP_MAX_FORWARDS]; /* where the host's clients come */
	unsigned nr_listeners;
	const uint8_t *frame; /* of the guest's, that libslirp is working on; or NULL */
	size_t len;
};

/* 0 or -ENOMEM, not logged. budget may be NULL. slirp_flows_destroy() is safe after either, and on
 * zeroes. */
int slirp_flows_init(struct slirp_flows *f, struct fd_budget *budget) __must_check;
void slirp_flows_destroy(struct slirp_flows *f);

/* The guest's answers from that UDP port use the socket of a forward. */
void slirp_flows_add_forward(struct slirp_flows *f, struct in_addr guest, uint16_t port);

/* libslirp may have this frame of the guest's, which stays where it is until slirp_flows_end().
 * False: it must not, for want of a socket. */
bool slirp_flows_begin(struct slirp_flows *f, const uint8_t *frame, size_t len);
void slirp_flows_end(struct slirp_flows *f);

/* libslirp has opened one, or is about to close it. */
void slirp_flows_opened(struct slirp_flows *f, int fd);
void slirp_flows_closed(struct slirp_flows *f, int fd);

/* Before anything else: libslirp waits for fd, perhaps to listen there. */
void slirp_flows_add_listener(struct slirp_flows *f, int fd);
/* Shall the clients at fd wait in the host's kernel, because the next would be one too many? */
bool slirp_flows_hold(const struct slirp_flows *f, int fd);
