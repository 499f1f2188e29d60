/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a qcow2 image, for qcow2*.c only. */
#pragma once

#include "backend/disk/qcow2.h"

#define QCOW2_MIN_CLUSTER_BITS 16
#define QCOW2_MAX_CLUSTER_BITS 21
#define QCOW2_MAX_REFTABLE     (8 * MIB)
#define QCOW2_MAX_L1           (32 * MIB) /* as in QEMU */

/* L1 and L2 entries. The low 9 bits of an offset are used otherwise or reserved. */
#define QCOW2_COPIED     (1ull << 63) /* the refcount is 1: may be written in place */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_OFFSET     0x00fffffffffffe00ull
#define QCOW2_ZERO       1ull /* L2: reads as zeroes, whatever is there */

/* A table of big-endian numbers that is kept in memory: L1 and the refcount table as a whole, L2
 * tables and refcount blocks in a cache. */
struct qcow2_table {
	uint64_t off;  /* in the file; 0: this slot is free */
	uint8_t *data; /* len bytes */
	size_t len;
	size_t dirty_from, dirty_to; /* bytes that the file does not have yet */
	uint64_t used;               /* q->clock when it was last used */
};

#define QCOW2_NR_L2     32 /* 16 GiB of a disk with clusters of 64 KiB */
#define QCOW2_NR_BLOCKS 8  /* 16 GiB of the file */
#define QCOW2_NR_FREED  16384

struct qcow2 {
	int fd;
	char *name;
	bool readonly, scratch;
	bool autoclear; /* the header has bits that who writes and does not know them clears */
	bool failed;    /* a sync did: what is on the disk is unknown, so nothing more is written */
	unsigned cluster_bits, l2_bits, block_bits; /* block_bits: clusters that a block counts */
	uint64_t cluster;                           /* bytes */
	uint64_t size;                              /* of the disk, bytes */
	uint64_t file_end; /* of what the file holds, or will when all is written; clusters */
	uint64_t len;      /* of the file, bytes: less was cut off */
	struct qcow2_base base;

	struct qcow2_table l1, reftable;
	struct qcow2_table l2[QCOW2_NR_L2], block[QCOW2_NR_BLOCKS];
	uint64_t clock;

	/* Where clusters come from: those from next on that are not counted, then the file's end.
	 */
	uint64_t next;
	bool unused_behind; /* some before next are not counted any more */
	uint64_t nr_blocks; /* entries of reftable, to the last that is used */
	void *claims;       /* qcow2_claims.c */
	/* Given up by L2 tables that the file does not have yet. */
	uint64_t *freed;
	size_t nr_freed;

	uint8_t *bounce; /* a cluster, from the first write that needs it on */
};

/* Entry i of a table of 64-bit numbers. */
static inline uint64_t qcow2_entry(const struct qcow2_table *t, uint64_t i)
{
	uint64_t raw;

	memcpy(&raw, t->data + i * sizeof(raw), sizeof(raw));
	return be64toh(raw);
}

static inline uint64_t qcow2_entries(const struct qcow2_table *t)
{
	return t->len / sizeof(uint64_t);
}

/* len bytes at off of t were or will be changed. */
void qcow2_touch(struct qcow2_table *t, size_t off, size_t len);
void qcow2_set_entry(struct qcow2_table *t, uint64_t i, uint64_t value);

/* All of len bytes at off; what lies beyond the end of the file reads as zeroes. 0; -ENODATA: it
 * was cut off; or -errno. */
int qcow2_pread(const struct qcow2 *q, void *buf, size_t len, uint64_t off) __must_check;
int qcow2_pwrite(int fd, const void *buf, size_t len, uint64_t off) __must_check;

/* Is there a whole cluster for a table or data at off? */
bool qcow2_is_cluster(const struct qcow2 *q, uint64_t off);

/* A new cluster: its offset, counted in memory. 0 or -errno. */
int qcow2_alloc(struct qcow2 *q, uint64_t *off) __must_check;
/* Gives one back that nothing refers to, nor ever did. */
void qcow2_unalloc(struct qcow2 *q, uint64_t off);
/* Gives the cluster at off back once the next flush has written the table that gave it up. */
void qcow2_free(struct qcow2 *q, uint64_t off);

/* The L2 table for the cluster of the disk at off, or *t NULL; with make it is made when there is
 * none. It stays until the next call. 0 or -errno. */
int qcow2_l2(struct qcow2 *q, uint64_t off, bool make, struct qcow2_table **t) __must_check;

/* Before the first write: says that who writes does not know what those bits stand for. 0 or
 * -errno. */
int qcow2_clear_autoclear(struct qcow2 *q) __must_check;

/* Is the file as long as it was? One that somebody cut must not be written: the gap would read as
 * zeroes. 0; or -EIO, logged the first time. */
int qcow2_check_length(struct qcow2 *q) __must_check;

/* What was written is stable before what follows is written. 0 or -errno. */
int qcow2_barrier(struct qcow2 *q) __must_check;

/* Everything that was done is on stable storage. 0 or -errno. */
int qcow2_flush(struct qcow2 *q) __must_check;

/* What is wrong with an image. */
struct qcow2_damage {
	const char *what; /* NULL: nothing */
	bool counts;      /* counts and what is said of them, which can be repaired */
};

/* Looks at the tables of an image that was just opened: all of them when it is to be written, else
 * whether the first ones refer to what is there. 0 and *damage filled; -ENOTSUP: it has compressed
 * clusters; or -errno of the host. (qcow2_check.c) */
int qcow2_check(struct qcow2 *q, bool writes, struct qcow2_damage *damage) __must_check;

/* -- qcow2_claims.c: a set of clusters, unless the image is readonly -- */

/* The cluster at off, an entry of L1 or the refcount table, holds an L2 table or a refcount block
 * from now on. 0, also when it was known; or -ENOMEM. */
int qcow2_claim(struct qcow2 *q, uint64_t off) __must_check;
/* The same for all entries of t. */
int qcow2_claim_all(struct qcow2 *q, const struct qcow2_table *t) __must_check;
/* Takes some 20 steps at most, however large the image is. */
bool qcow2_is_claimed(const struct qcow2 *q, uint64_t off);
void qcow2_forget_claims(struct qcow2 *q);
