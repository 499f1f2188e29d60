/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections of a virtio-vsock device: what the guest's packets and the host's sockets do to
 * them. See vsock_conn.c; vsock.c has the packets and queues.
 *
 * All functions are called with the device's lock held.
 */
#pragma once

#include <linux/virtio_vsock.h>

#include "virtio/vsock.h"

/* The wire format, with types that need a conversion. */
struct vsock_header {
	le64_t src_cid, dst_cid;
	le32_t src_port, dst_port;
	le32_t len;
	le16_t type, op;
	le32_t flags;
	le32_t buf_alloc, fwd_cnt;
} __attribute__((packed));
_Static_assert(sizeof(struct vsock_header) == sizeof(struct virtio_vsock_hdr),
	       "virtio 1.2 §5.10.6");

/*
 * What becomes of a connection:
 *
 *   a client connects ----> CLIENT --its line--> REQUESTED --the guest's RESPONSE--> OPEN
 *   the guest's REQUEST --> DIALLING --------the host's listener has room----------> OPEN
 *
 *   OPEN --the host is gone---> CLOSING --the guest confirms--> RESET --RST is sent--> FREE
 *   OPEN --the guest is gone--> DRAINING --the host has read the rest----------------> FREE
 *
 * The guest is gone when it says RST, in any state, or SHUTDOWN of both directions, which is
 * answered by RST. Without a rest to read, DRAINING is left out. An error, or a deadline that
 * passes, leads to RESET, or to FREE where the guest need not be told.
 *
 *              socket    found by ports   deadline   the guest may say     we may say
 *   CLIENT     open      no               10 s       nothing               nothing
 *   REQUESTED  open      yes              10 s       RESPONSE              REQUEST
 *   DIALLING   none      yes              10 s       nothing               nothing
 *   OPEN       open      yes              none       RW, SHUTDOWN,         RESPONSE, RW, SHUTDOWN,
 *                                                    CREDIT_*              CREDIT_*
 *   CLOSING    none      yes              10 s       anything; it counts   what was pending,
 *                                                    if it is SHUTDOWN     SHUTDOWN
 *   RESET      none      yes              none       anything              RST
 *   DRAINING   open      until RST is     60 s from  anything              RST, unless the guest
 *                        sent             last byte                        said it
 *
 * What the guest may not say resets the connection; RST it may always say. The buffer is filled in
 * OPEN, and emptied in OPEN and DRAINING. guest_shut and host_shut say which half of an OPEN one is
 * over.
 */
enum vsock_state {
	VSOCK_FREE,
	VSOCK_CLIENT,    /* a client on the host that has not said yet what it wants */
	VSOCK_REQUESTED, /* the client has said it; the guest is asked */
	VSOCK_DIALLING,  /* the guest asked, but the host's listener is too busy: tried again */
	VSOCK_OPEN,
	VSOCK_CLOSING,  /* the host's end is gone and the guest is told; it confirms by RST */
	VSOCK_RESET,    /* ended, but the RST for the guest is not sent yet */
	VSOCK_DRAINING, /* ended for the guest; the host still reads what the guest sent */
};

struct vsock_conn {
	/* These belong to the slot, whatever connection is in it. */
	struct virtio_vsock *v;
	struct loop_source src;        /* fd -1: there is none */
	struct vsock_conn *next_ready; /* in v->ready, while queued */
	bool queued;
	struct vsock_conn *next; /* in its bucket, or in v->idle */

	/* The fields from here on are cleared when a connection moves in. */
	enum vsock_state state;
	bool hashed; /* it is found by its ports */
	uint32_t guest_port, host_port;
	uint64_t deadline_ns;      /* 0: none */
	unsigned pending;          /* packets to send: a mask of 1 << VIRTIO_VSOCK_OP_* */
	bool readable;             /* the socket is readable, as far as is known */
	bool awaits_room;          /* vsock_conn_await_room() */
	bool ended;                /* the socket has been told that the guest sends no more */
	bool counted;              /* the socket is counted in v->fds */
	bool undelivered;          /* it answers an offered port, whose owner waits for the end */
	struct vsock_offer *offer; /* the offer that it answers, or NULL */
	/* The ends of each side's sending and receiving: VIRTIO_VSOCK_SHUTDOWN_*, from its own
	 * point of view. */
	unsigned guest_shut, host_shut;

	/* From the guest (§5.10.6.3): the number of bytes received; of those, the number that the
	 * socket took; and that number as the guest was last told it. The bytes that the socket did
	 * not take are in buffer[head..head + len), a ring of VSOCK_BUFFER bytes. */
	uint32_t rx_cnt, fwd_cnt, fwd_told;
	uint8_t *buffer;
	uint32_t head, len;

	/* To the guest: bytes sent, and what the guest last said. */
	uint32_t tx_cnt, peer_fwd_cnt, peer_buf_alloc;
	bool credit_asked; /* the guest was asked for credit since it ran out */
};

/* The bit of such a packet in vsock_conn.pending. */
#define OP(name) (1u << VIRTIO_VSOCK_OP_##name)

/* -- the table (vsock_table.c) --------------------------------------------------------------- */

/* May another socket be opened? If not, this is logged. */
bool vsock_may_open(struct virtio_vsock *v);
/* What the loop calls, with the lock held, when something happened to a connection's socket. */
typedef void vsock_event_fn(struct loop_source *src, uint32_t events);
/* Takes a free slot and returns it, or NULL. Its events go to fn, the same for all slots. */
struct vsock_conn *vsock_conn_new(struct virtio_vsock *v, enum vsock_state state,
				  vsock_event_fn *fn);
/* Closes the socket and forgets the buffer's contents. Any thread. */
void vsock_conn_close(struct vsock_conn *c);
/* Also frees the slot. No effect if it is free. */
void vsock_conn_free(struct vsock_conn *c);
/* Watches fd's events from now on; owns fd, also after a failure. Returns 0 or -errno. */
int vsock_conn_watch(struct vsock_conn *c, int fd) __must_check;
/* Says whether the loop is to tell when the socket has room: while something is in the buffer.
 * Otherwise each read at the host's end would make an event. Returns 0 or -errno. */
int vsock_conn_await_room(struct vsock_conn *c, bool on);
/* Appends the bytes of iov to the buffer, which has room for them. Returns 0 or -errno. */
int vsock_conn_keep(struct vsock_conn *c, const struct iovec *iov, unsigned nr) __must_check;
/* Takes the descriptor that is offered at the connection's port of the host. Returns it, or
 * -ECONNREFUSED: there is none (any more). */
int vsock_take_offer(struct vsock_conn *c);
/* All that the guest sends has been delivered: if the port was offered, tells its owner, once. */
void vsock_conn_delivered(struct vsock_conn *c);
/* Gives the connection a deadline. */
void vsock_conn_expect(struct vsock_conn *c, uint64_t within_ns);
/* Makes sure that the next tick comes. */
void vsock_start_timer(struct virtio_vsock *v);

/* Returns the connection of that pair of ports that the guest may know of, or NULL. */
struct vsock_conn *vsock_conn_find(struct virtio_vsock *v, uint32_t guest_port, uint32_t host_port);
void vsock_conn_hash(struct vsock_conn *c, uint32_t guest_port, uint32_t host_port);
/* Makes the connection's ports free. No effect if they are. */
void vsock_conn_unhash(struct vsock_conn *c);

/* Returns how many bytes the guest has room for. */
uint32_t vsock_conn_credit(const struct vsock_conn *c);
/* Takes the credit from a packet of the guest's. False: the guest claims to have received more than
 * was sent. */
bool vsock_conn_take_credit(struct vsock_conn *c, const struct vsock_header *h);
/* May there be data that the guest wants? */
bool vsock_conn_has_data(const struct vsock_conn *c);
/* Called after every change: queues the connection if it has something to send. */
void vsock_conn_settle(struct vsock_conn *c);

/* -- their life (vsock_conn.c) --------------------------------------------------------------- */

/* Ends all connections for the guest, without telling it. What it sent before is still delivered,
 * unless all is set: then nothing is left. Any thread. */
void vsock_conns_drop(struct virtio_vsock *v, bool all);

/* The guest sends no more on connections that answer an offered port. */
void vsock_conns_end_offered(struct virtio_vsock *v);

/* Called at the end, after vsock_conns_drop(): waits a little for readers of what the guest sent.
 * The loop isn't running. */
void vsock_conns_flush(struct virtio_vsock *v);

/* The guest asks for a connection to h's port. False: it is refused. */
bool vsock_conn_request(struct virtio_vsock *v, const struct vsock_header *h, vsock_event_fn *fn);
/* A client waits at the listener. False: there is no room or no descriptor for it. */
bool vsock_conn_accept(struct virtio_vsock *v, vsock_event_fn *fn);
/* Handles a packet of the guest's for an existing connection; iov[0..nr) are its data. */
void vsock_conn_packet(struct vsock_conn *c, const struct vsock_header *h, const struct iovec *iov,
		       unsigned nr);

/* Makes the next packet to the guest: fills op, flags and len of *h, and reads its data into the
 * buffer to, after the header. False: it turns out that there is none. */
bool vsock_conn_next(struct vsock_conn *c, struct vsock_header *h, const struct virtq_chain *to);

/* Something happened to a slot's socket, whatever connection is in the slot by now. The caller then
 * calls vsock_send(). */
void vsock_conn_event(struct vsock_conn *c);
/* Ends what has missed its deadline, and tries again the calls that failed temporarily. */
void vsock_conns_expire(struct virtio_vsock *v, uint64_t now_ns);
