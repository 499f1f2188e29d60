/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kinds of requests whose instructions are counted: requests.c runs them, one file for each device
 * has them, and the test `instructions` compares.
 *
 * Only what the functions called counted_*() call is counted, so that the driver's work and the
 * host's other end cost nothing. A file calls its device by them and by nothing else, once its
 * requests have begun.
 */
#pragma once

#include "ring.h"
#include "vmm/bus.h"

struct kind {
	const char *name;
	unsigned batch; /* requests that ask() makes */

	/* Makes the device and its driver. False: this host can't. */
	bool (*up)(void);
	/* The driver makes so many requests, kicks once and takes the answers. */
	void (*ask)(unsigned batch);
	/* Removes what up() left on the host; or NULL. */
	void (*down)(void);
};

#define KINDS_MAX 12
/* One list for each file; a kind without a name ends it. */
extern const struct kind virtq_kinds[KINDS_MAX], blk_kinds[KINDS_MAX], net_kinds[KINDS_MAX],
	vsock_kinds[KINDS_MAX], fs_kinds[KINDS_MAX], console_kinds[KINDS_MAX],
	serial_kinds[KINDS_MAX], loop_kinds[KINDS_MAX];

/* The device serves queue i of its driver. */
void counted_kick(struct driver *d, unsigned i);
/* The device is called for each source of its loop that is ready, until none is. */
void turn_loop(struct loop *l);
/* The loop runs on its thread, until the device stops it; which is not counted. */
void counted_loop(struct loop *l);
void uncounted_stop(struct loop *l);
/* A vCPU's thread accesses a register of one byte. */
void counted_write(struct bus *b, uint64_t addr, uint8_t value);
uint8_t counted_read(struct bus *b, uint64_t addr);
/* Pops and pushes all that is in q. */
void counted_virtq(struct virtq *q);

/* Fails unless what was asked for has happened: otherwise its instructions mean nothing. */
static inline void must(bool ok)
{
	if (!ok)
		abort();
}

/* The driver offers buf[0..nr), and wants an interrupt when it is used. */
static inline void offer(struct ring *r, const struct ring_buf *buf, unsigned nr)
{
	ring_send(r, buf, nr);
	ring_set_used_event(r, r->last_used);
}

/* The driver takes nr elements that the device has used. Returns the bytes in the last one. */
static inline uint32_t take(struct ring *r, unsigned nr)
{
	struct ring_elem e = { 0 };

	while (nr-- > 0)
		must(ring_take(r, &e));
	return e.len;
}
