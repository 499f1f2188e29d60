/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split virtqueues, the device's side (virtio 1.2 §2.7), with indirect descriptors and EVENT_IDX.
 *
 * virtq_pop() turns what the driver made available into a chain of validated host iovecs; a device
 * never sees a descriptor. Everything is read from the ring once, checked, and used from the copy;
 * what the device publishes is never read back. Packed rings are not supported
 * (docs/architecture.md).
 *
 * One thread at a time: the caller holds the device's lock.
 */
#pragma once

#include <sys/uio.h>

#include "vmm/mem.h"
#include "vmm/types.h"

#define VIRTQ_MAX_SIZE 256 /* descriptors; also the longest chain (virtio 1.2 §2.7.5.3.1) */

struct virtq {
	uint16_t max_size; /* descriptors; constant */

	/* All that a snapshot needs: virtq_enable() derives the rest from it. */
	struct virtq_state {
		/* Set by the transport while the queue is not ready. */
		uint16_t size;
		gpa_t desc_gpa, avail_gpa, used_gpa;

		/* Our own positions; they are never read back from the ring. */
		uint16_t next_avail, next_used;
		uint16_t signalled; /* next_used when virtq_wants_interrupt() was last asked */

		bool ready; /* set by virtq_enable() */
	} state;

	/* Set by virtq_enable(). */
	bool event_idx, indirect; /* negotiated features */
	const struct gmem *mem;
	const void *desc, *avail; /* host views, inside guest RAM */
	void *used;

	bool quiet;         /* set by a device in kick: it asks for the next kick itself */
	bool awaited;       /* we serve it, and wait for the driver to make more available */
	uint16_t avail_end; /* the driver's index when virtq_begin() last looked */
};

/* A request: the iovecs that the device may read come first, then those that it may write. */
struct virtq_chain {
	uint16_t head;
	unsigned nr_out, nr_in;           /* iovecs readable, writable by the device */
	uint64_t out_len, in_len;         /* bytes, their sums */
	struct iovec iov[VIRTQ_MAX_SIZE]; /* iov[0..nr_out) readable, then nr_in writable */
};

/* Checks size (a power of two, 1 to max_size), alignment (16/2/4) and that all three areas lie in
 * RAM, then makes the queue ready. Returns 0, or -EINVAL with the queue untouched. */
int virtq_enable(struct virtq *q, const struct gmem *mem, bool event_idx,
		 bool indirect) __must_check;

/* Brings it back to the state after reset: not ready, and size = max_size. max_size stays. */
void virtq_reset(struct virtq *q);

/* Reads the driver's index once. virtq_pop() goes no further than that, so that a driver which
 * refills the ring for ever can't keep a device's loop busy. Returns how many chains are available,
 * or -EPROTO (more than size). */
int virtq_begin(struct virtq *q) __must_check;

/* Returns 1, and fills *c; 0 when all that virtq_begin() saw is popped; -EPROTO when the ring is
 * malformed: a chain is too long, loops, has a writable part before a readable one, has a bad
 * indirect table, or points outside RAM. A descriptor of zero bytes is as good as absent: no iovec
 * is made of it, and its address is not looked at. So a chain may have no iovec at all. */
int virtq_pop(struct virtq *q, struct virtq_chain *c) __must_check;

/* Leaves what virtq_begin() saw and virtq_pop() has not returned for another round. */
void virtq_leave(struct virtq *q);

/* Undoes the last nr virtq_pop(): their chains are available again, and are read from the ring anew
 * when they are popped again. None of them may have been pushed or filled. No kick comes for them,
 * so the caller must have the queue looked at again. */
void virtq_unpop(struct virtq *q, unsigned nr);

/* Something other than us has served the queue, and stopped before buffer next_avail. The ring says
 * which ones it has used. */
void virtq_take_over(struct virtq *q, uint16_t next_avail);

/* Hands a popped chain back, with len bytes written to it. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);

/* The same for several chains that the driver must see at once: virtq_fill() for number 0, 1, …,
 * each popped before, then virtq_publish() with how many there are. */
void virtq_fill(struct virtq *q, unsigned nr, uint16_t head, uint32_t len);
void virtq_publish(struct virtq *q, unsigned nr);

/* Asks the driver for a kick at its next buffer after those that virtq_begin() saw, popped or not.
 * Returns true if it made more available meanwhile: then the caller begins again, because that kick
 * may have been suppressed (virtio 1.2 §2.7.10). */
bool virtq_want_kick(struct virtq *q);

/* Without EVENT_IDX, asks the driver for no kick until virtq_want_kick(). With it a driver never
 * kicks unless it was asked to. */
void virtq_mute(struct virtq *q);

/* Has the driver made more available than virtq_begin() saw? This has no barrier: virtq_begin()
 * comes before anything that was made available is read. */
bool virtq_has_more(const struct virtq *q);

/* Returns whether the driver wants to be interrupted for what was pushed since this was last called
 * (virtio 1.2 §2.7.7). It is called once after a batch of virtq_push(). */
bool virtq_wants_interrupt(struct virtq *q);

/* These copy between buf and the readable or writable part of a chain, from off bytes into that
 * part. They return how many bytes were there to copy, at most len. */
size_t chain_read(const struct virtq_chain *c, uint64_t off, void *buf, size_t len);
size_t chain_write(const struct virtq_chain *c, uint64_t off, const void *buf, size_t len);

/* Makes dst, which has room for VIRTQ_MAX_SIZE, the iovecs that cover [skip, skip + len) of src,
 * which reaches that far. Those that are adjacent become one: a guest's pages often are, and the
 * host's kernel has some work for each. Returns how many. */
unsigned iov_cut(struct iovec *dst, const struct iovec *src, uint64_t skip, uint64_t len);
