/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections of a virtio-vsock device: what the guest's packets and the host's sockets do to
 * them. Inside, see vsock_conn.c; the packets and queues are vsock.c's.
 *
 * All is called with the device's lock held.
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

enum vsock_state {
	VSOCK_FREE,
	VSOCK_CLIENT,    /* a client on the host, which has not said what it wants yet */
	VSOCK_REQUESTED, /* it has; the guest is asked */
	VSOCK_DIALLING,  /* the guest asked, and the host's listener is too busy: tried again */
	VSOCK_OPEN,
	VSOCK_CLOSING,  /* the host's end is gone, the guest is told; it confirms by RST */
	VSOCK_RESET,    /* gone, but for the RST that the guest is yet to get */
	VSOCK_DRAINING, /* gone for the guest, while the host still reads what it sent */
};

struct vsock_conn {
	/* Of the slot, whatever connection is in it. */
	struct virtio_vsock *v;
	struct loop_source src;        /* fd -1: none */
	struct vsock_conn *next_ready; /* in v->ready, while queued */
	bool queued;
	struct vsock_conn *next; /* in its bucket, or in v->idle */

	/* From here on cleared when a connection moves in. */
	enum vsock_state state;
	bool hashed; /* found by its ports */
	uint32_t guest_port, host_port;
	uint64_t deadline_ns;      /* 0: none */
	unsigned pending;          /* packets to send: a mask of 1 << VIRTIO_VSOCK_OP_* */
	bool readable;             /* the socket, as far as is known */
	bool ended;                /* the socket is told that the guest sends no more */
	bool counted;              /* the socket, in v->fds */
	bool undelivered;          /* of an offered one: its owner waits for the end */
	struct vsock_offer *offer; /* NULL: it is none of those */
	/* Who said what: VIRTIO_VSOCK_SHUTDOWN_*, each from its sender's point of view. */
	unsigned guest_shut, host_shut;

	/* From the guest (§5.10.6.3): bytes received; of those, bytes that the socket took; and
	 * the number of those that the guest was last told. What the socket didn't take is in
	 * buffer[head..head + len), a ring of VSOCK_BUFFER bytes. */
	uint32_t rx_cnt, fwd_cnt, fwd_told;
	uint8_t *buffer;
	uint32_t head, len;

	/* To the guest: bytes sent, and what it last said. */
	uint32_t tx_cnt, peer_fwd_cnt, peer_buf_alloc;
	bool credit_asked; /* since the credit ran out */
};

/* A packet of that kind, in vsock_conn.pending. */
#define OP(name) (1u << VIRTIO_VSOCK_OP_##name)

/* -- the table (vsock_table.c) -- */

/* May another socket be opened? If not, that is said. */
bool vsock_may_open(struct virtio_vsock *v);
/* A free slot, or NULL. */
struct vsock_conn *vsock_conn_new(struct virtio_vsock *v, enum vsock_state state);
/* Closes the socket, forgets what is in the buffer. Any thread. */
void vsock_conn_close(struct vsock_conn *c);
/* The same, and the slot is free. Nothing if it is. */
void vsock_conn_free(struct vsock_conn *c);
/* Its events are looked for from now on; fd is owned, also after a failure. 0 or -errno. */
int vsock_conn_watch(struct vsock_conn *c, int fd) __must_check;
/* Puts the bytes of iov behind those in the buffer, which has room for them. 0 or -ENOMEM. */
int vsock_conn_keep(struct vsock_conn *c, const struct iovec *iov, unsigned nr) __must_check;
/* Takes the descriptor that is offered at the connection's port of the host's: that, or
 * -ECONNREFUSED: none, or none any more. */
int vsock_take_offer(struct vsock_conn *c);
/* All that the guest sends has been delivered: tells the owner of an offered one, once. */
void vsock_conn_delivered(struct vsock_conn *c);
/* Gives it a deadline. */
void vsock_conn_expect(struct vsock_conn *c, uint64_t within_ns);
/* The next tick comes. */
void vsock_start_timer(struct virtio_vsock *v);

/* The connection of that pair of ports that the guest may know of, or NULL. */
struct vsock_conn *vsock_conn_find(struct virtio_vsock *v, uint32_t guest_port, uint32_t host_port);
void vsock_conn_hash(struct vsock_conn *c, uint32_t guest_port, uint32_t host_port);
/* From here on its ports are free. Nothing if they are. */
void vsock_conn_unhash(struct vsock_conn *c);

/* How many bytes the guest has room for. */
uint32_t vsock_conn_credit(const struct vsock_conn *c);
/* Takes what a packet of the guest's says of that. False: more was received than was sent. */
bool vsock_conn_take_credit(struct vsock_conn *c, const struct vsock_header *h);
/* May there be data that the guest wants? */
bool vsock_conn_has_data(const struct vsock_conn *c);
/* After every change: queues what has something to send. */
void vsock_conn_settle(struct vsock_conn *c);

/* -- their life (vsock_conn.c) -- */

/* Ends all connections for the guest, without a word to it. What it sent before is still delivered,
 * unless all: then nothing is left. Any thread. */
void vsock_conns_drop(struct virtio_vsock *v, bool all);

/* The guest sends no more on those that answer an offered port. */
void vsock_conns_end_offered(struct virtio_vsock *v);

/* After vsock_conns_drop(), at the end: waits a little for those who read what the guest sent. The
 * loop isn't running. */
void vsock_conns_flush(struct virtio_vsock *v);

/* The guest asks for a connection to h's port. False: refused. */
bool vsock_conn_request(struct virtio_vsock *v, const struct vsock_header *h);
/* A client waits at the listener. False: there is no room for it, or no descriptor. */
bool vsock_conn_accept(struct virtio_vsock *v);
/* A packet of the guest's for a connection that is there; iov[0..nr) are its data. */
void vsock_conn_packet(struct vsock_conn *c, const struct vsock_header *h, const struct iovec *iov,
		       unsigned nr);

/* The next packet to the guest, its data read into the buffer to, behind the header. Fills op,
 * flags and len of *h. False: it turns out that there is none. */
bool vsock_conn_next(struct vsock_conn *c, struct vsock_header *h, const struct virtq_chain *to);

/* A slot's, of whatever is in it by now. */
void vsock_conn_event(struct loop_source *src, uint32_t events);
/* What should have happened by now ends; calls that failed for now are tried again. */
void vsock_conns_expire(struct virtio_vsock *v, uint64_t now_ns);

/* vsock.c: sends what is in v->ready, as far as the guest has buffers. */
void vsock_send(struct virtio_vsock *v);
/* vsock.c: is the driver up? */
bool vsock_live(const struct virtio_vsock *v);
