/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-vsock: the guest's AF_VSOCK sockets, joined to UNIX sockets of the host. See vsock.c. */
#pragma once

#include "backend/kept.h"
#include "backend/unix/vsock.h"
#include "vmm/fd_budget.h"
#include "vmm/virtio.h"

#define VSOCK_HOST_CID   2u
#define VSOCK_MAX_CONNS  1024 /* at once, including half-made and draining ones */
#define VSOCK_CLIENTS    32   /* those that have not finished their CONNECT line */
#define VSOCK_BUFFER     (256 * KIB)
#define VSOCK_MAX_RSTS   64 /* answers waiting for a buffer, about connections that don't exist */
#define VSOCK_BUCKETS    256
#define VSOCK_MAX_OFFERS 8

/* The queues, and the configuration space: what vhost serves looks the same (vsock_vhost.c). */
enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_NR_QUEUES };
static inline uint64_t vsock_read_config(uint32_t cid, uint32_t off, unsigned size)
{
	const le64_t guest_cid = to_le64(cid);

	/* The core has checked the range against config_size. */
	return load_le((const uint8_t *)&guest_cid + off, size);
}

struct vsock_conn;

/* The answer to a packet for a connection that doesn't exist. */
struct vsock_rst {
	uint32_t guest_port, host_port;
	uint16_t type;
};

/* A port of the host that is answered by a descriptor. */
struct vsock_offer {
	uint32_t port;
	int fd;                        /* -1: it was taken */
	uint64_t to_guest, from_guest; /* bytes */
};

struct virtio_vsock {
	struct virtio_dev vd;
	uint32_t cid;
	char *path; /* NULL: there are no UNIX sockets, all connections are refused */

	struct loop *loop;           /* not owned */
	struct unix_dir dir;         /* the directory of path */
	struct loop_source listener; /* at path */
	struct unix_file file;       /* its own; none if it is kept */
	struct loop_source timer;    /* runs while something has a deadline */
	struct loop_source work;     /* an eventfd: the queues need another round */
	bool watched;                /* they are on the loop */
	bool ticking;                /* the timer is set */
	bool paused;                 /* the listener is, until the next tick */

	/* Connections. A slot stays while the loop may run, whatever happens to the connection in
	 * it: see vsock_conn.c. */
	struct vsock_conn *conn; /* VSOCK_MAX_CONNS of them */
	unsigned nr_touched;     /* conn[nr_touched..] were never used */
	unsigned nr_clients;
	struct fd_share fds;     /* for their sockets, but not for those that were offered */
	struct vsock_conn *idle; /* a list of the free ones among conn[0..nr_touched) */
	struct vsock_conn *bucket[VSOCK_BUCKETS]; /* by ports */
	struct vsock_conn *ready, *last_ready;    /* a queue of those with packets to send */

	struct vsock_offer offer[VSOCK_MAX_OFFERS];
	unsigned nr_offers;
	void (*delivered)(void *ctx, uint32_t port); /* or NULL */
	void *delivered_ctx;

	/* All that a snapshot can keep, once virtio_quiesce() has given rx back. Connections are not
	 * among it, because nothing can save their sockets. */
	struct virtio_vsock_state {
		struct vsock_rst rst[VSOCK_MAX_RSTS]; /* what waits to be sent to the guest */
		unsigned nr_rsts;
		uint32_t next_port; /* the last one that a client of the host's got */
	} state;
	bool stalled; /* packets of the guest's wait for room in state.rst */
	bool has_rx;  /* rx is a buffer of the guest's that was popped and not used yet */
	struct virtq_chain rx;
};

struct vsock_options {
	uint32_t cid;          /* 3 to 2^32 - 2 */
	const char *path;      /* copied; NULL: neither listens nor connects */
	bool dry;              /* doesn't listen yet, and never starts */
	struct fd_budget *fds; /* its sockets count in this; NULL: in none; not owned */
	struct kept *kept;     /* outlives the device: the listener goes on; or NULL */
};

/* Returns 0; or -errno, logged, with *v safe to destroy. */
int virtio_vsock_init(struct virtio_vsock *v, const struct vsock_options *o,
		      struct loop *loop) __must_check;

/* The guest's first connection to that port of the host is joined to fd, a stream socket that v
 * owns from here on, also after a failure; further ones are refused. Called before the loop runs.
 * Returns 0 or -errno, logged. */
int virtio_vsock_offer(struct virtio_vsock *v, uint32_t port, int fd) __must_check;

/* fn is called once for each offered port, when all that the guest will ever send to it has been
 * written to its descriptor, or is lost because that is closed; with the device's lock held, on any
 * thread. Set before the loop runs. */
void virtio_vsock_on_delivered(struct virtio_vsock *v, void (*fn)(void *ctx, uint32_t port),
			       void *ctx);

/* The guest never runs again. What it has sent is taken, and every offered port comes to its end as
 * if the guest had closed it, also a port that it never connected to. Readers may take their time
 * with the rest. Takes the device's lock. Any thread, while the loop runs. */
void virtio_vsock_guest_stopped(struct virtio_vsock *v);

/* Ends all connections, but waits a little for readers of what the guest sent. The loop isn't
 * running and will not run again. */
void virtio_vsock_finish(struct virtio_vsock *v);

/* The loop isn't running. Safe also after a failure, a second time, and when all of *v is zero. */
void virtio_vsock_destroy(struct virtio_vsock *v);
