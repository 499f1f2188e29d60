/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-vsock: the guest's AF_VSOCK sockets, joined to UNIX sockets of the host. See vsock.c. */
#pragma once

#include "backend/kept.h"
#include "backend/unix/vsock.h"
#include "vmm/fd_budget.h"
#include "vmm/virtio.h"

#define VSOCK_HOST_CID   2u
#define VSOCK_MAX_CONNS  1024 /* at once; half-made and draining ones included */
#define VSOCK_CLIENTS    32   /* that have not finished their CONNECT line */
#define VSOCK_BUFFER     (256 * KIB)
#define VSOCK_MAX_RSTS   64 /* waiting for a buffer, for connections that don't exist */
#define VSOCK_BUCKETS    256
#define VSOCK_MAX_OFFERS 8

struct vsock_conn;

/* What a packet to a connection that isn't there is answered with. */
struct vsock_rst {
	uint32_t guest_port, host_port;
	uint16_t type;
};

/* A port of the host's that a descriptor answers. */
struct vsock_offer {
	uint32_t port;
	int fd;                        /* -1: taken */
	uint64_t to_guest, from_guest; /* bytes */
};

struct virtio_vsock {
	struct virtio_dev vd;
	uint32_t cid;
	char *path; /* NULL: no UNIX sockets, all are refused */

	struct loop *loop;           /* not owned */
	struct unix_dir dir;         /* that path is in */
	struct loop_source listener; /* at path */
	struct unix_file file;       /* its own; none when it is kept */
	struct loop_source timer;    /* while something has a deadline */
	struct loop_source work;     /* an eventfd: the queues need another round */
	bool watched;                /* they are on the loop */
	bool ticking;                /* the timer is set */
	bool paused;                 /* the listener, until the next tick */

	/* Connections. A slot stays while the loop may run, whatever becomes of the connection in
	 * it: see vsock_conn.c. */
	struct vsock_conn *conn; /* VSOCK_MAX_CONNS of them */
	unsigned nr_touched;     /* conn[nr_touched..] were never used */
	unsigned nr_clients;
	struct fd_share fds;     /* for their sockets, but for those that were offered */
	struct vsock_conn *idle; /* a list of free ones among the touched */
	struct vsock_conn *bucket[VSOCK_BUCKETS]; /* by ports */
	struct vsock_conn *ready, *last_ready;    /* a queue of those with packets to send */
	uint32_t next_port;

	struct vsock_offer offer[VSOCK_MAX_OFFERS];
	unsigned nr_offers;
	void (*delivered)(void *ctx, uint32_t port); /* or NULL */
	void *delivered_ctx;

	/* Towards the guest. */
	struct vsock_rst rst[VSOCK_MAX_RSTS];
	unsigned nr_rsts;
	bool stalled; /* packets of the guest's wait for room in rst */
	bool has_rx;  /* rx is a buffer of the guest's, popped and not used yet */
	struct virtq_chain rx;
};

struct vsock_options {
	uint32_t cid;          /* 3 to 2^32 - 2 */
	const char *path;      /* copied; NULL: listen nowhere, connect to nobody */
	struct fd_budget *fds; /* what its sockets come from, or NULL; not owned */
	struct kept *kept;     /* outlives the device: the listener goes on; or NULL */
};

/* 0; or -errno, logged, with *v safe to destroy. */
int virtio_vsock_init(struct virtio_vsock *v, const struct vsock_options *o,
		      struct loop *loop) __must_check;

/* The first connection of the guest's to that port of the host's is joined to fd, a stream socket
 * that is owned from here on, also after a failure; further ones are refused. Before the loop runs.
 * 0 or -errno, logged. */
int virtio_vsock_offer(struct virtio_vsock *v, uint32_t port, int fd) __must_check;

/* Who wants to know when all that the guest will ever send to an offered port has been written to
 * its descriptor, or is lost because that is closed. Called once a port, with the device's lock
 * held, on any thread. Before the loop runs. */
void virtio_vsock_on_delivered(struct virtio_vsock *v, void (*fn)(void *ctx, uint32_t port),
			       void *ctx);

/* The guest never runs again. What it has sent is taken, and every offered port is at its end, as
 * if the guest had said so, one that it never connected to as well; their readers may take their
 * time with the rest. Takes the device's lock. Any thread, while the loop runs. */
void virtio_vsock_guest_stopped(struct virtio_vsock *v);

/* Ends all connections, but waits a little for those who read what the guest sent. The loop isn't
 * running and will not run again. */
void virtio_vsock_finish(struct virtio_vsock *v);

/* The loop isn't running. Safe also after a failure, a second time, and when all of *v is zero. */
void virtio_vsock_destroy(struct virtio_vsock *v);
