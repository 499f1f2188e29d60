/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a qcow2 image, for qcow2*.c only. */
#pragma once

#include "backend/disk/qcow2.h"

#define QCOW2_MIN_CLUSTER_BITS 16
#define QCOW2_MAX_CLUSTER_BITS 21
#define QCOW2_MAX_REFTABLE     (8 * MIB)
#define QCOW2_MAX_L1           (32 * MIB) /* the same as in QEMU */

/* L1 and L2 entries. The low 9 bits are not part of an offset: they are flags or reserved. */
#define QCOW2_COPIED     (1ull << 63) /* the refcount is 1: may be written in place */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_OFFSET     0x00fffffffffffe00ull
#define QCOW2_ZERO       1ull /* L2: reads as zeroes, whatever is there */

/* A table of big-endian numbers that is kept in memory: L1 and the refcount table completely, L2
 * tables and refcount blocks in a cache. */
struct qcow2_table {
	uint64_t off;  /* in the file; 0: this slot is free */
	uint8_t *data; /* len bytes */
	size_t len;
	size_t dirty_from, dirty_to; /* bytes that the file does not have yet */
	uint64_t used;               /* q->clock at the last use */
};

#define QCOW2_NR_L2     32 /* for 16 GiB of a disk with clusters of 64 KiB */
#define QCOW2_NR_BLOCKS 8  /* for 16 GiB of the file */
#define QCOW2_NR_FREED  16384

struct qcow2 {
	int fd;
	char *name; /* for messages: PATH, or "BASE,overlay=FILE" */
	bool readonly, scratch;
	bool autoclear; /* has autoclear bits: a writer that does not know them clears them */
	bool failed;    /* a sync failed, so it isn't known what the disk has: write no more */
	unsigned cluster_bits, l2_bits, block_bits; /* block_bits: clusters that a block counts */
	uint64_t cluster;                           /* bytes */
	uint64_t size;                              /* of the disk, bytes */
	uint64_t file_end; /* of what the file holds, or will hold when all is written; clusters */
	uint64_t len;      /* of the file, bytes: if it is shorter, somebody cut it */
	struct qcow2_base base;

	struct qcow2_table l1, reftable;
	struct qcow2_table l2[QCOW2_NR_L2], block[QCOW2_NR_BLOCKS];
	uint64_t clock;

	/* New clusters come first from those at next and after it that are not counted, then from
	 * the file's end. */
	uint64_t next;
	bool unused_before; /* some clusters before next are not counted any more */
	uint64_t nr_blocks; /* entries of reftable, up to the last used one */
	/* Given up by L2 tables that the file does not have yet. */
	uint64_t *freed;
	size_t nr_freed;

	uint8_t *bounce; /* a cluster; allocated by the first write that needs it */
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

/* Reads all of len bytes at off; beyond the end of the file there are zeroes. Returns 0; -ENODATA:
 * the file was cut; or another -errno. */
int qcow2_pread(const struct qcow2 *q, void *buf, size_t len, uint64_t off) __must_check;
int qcow2_pwrite(int fd, const void *buf, size_t len, uint64_t off) __must_check;

/* Is there a whole cluster for a table or data at off? */
bool qcow2_is_cluster(const struct qcow2 *q, uint64_t off);

/* Finds a new cluster and counts it in memory. Returns 0 and its offset in *off, or -errno. */
int qcow2_alloc(struct qcow2 *q, uint64_t *off) __must_check;
/* Gives back a cluster to which nothing refers, nor ever did. */
void qcow2_unalloc(struct qcow2 *q, uint64_t off);
/* Gives the cluster at off back after the next flush, which writes the table that gave it up. */
void qcow2_free(struct qcow2 *q, uint64_t off);

/* Finds the L2 table for the cluster of the disk at off; if there is none, makes one if make is
 * set, or sets *t to NULL. The table stays in memory until the next call. Returns 0 or -errno. */
int qcow2_l2(struct qcow2 *q, uint64_t off, bool make, struct qcow2_table **t) __must_check;

/* Called before the first write: clears the autoclear bits, as this writer does not know their
 * meaning. Returns 0 or -errno. */
int qcow2_clear_autoclear(struct qcow2 *q) __must_check;

/* Checks that the file is as long as it was. One that somebody cut must not be written: the gap
 * would read as zeroes. Returns 0; or -EIO, logged the first time. */
int qcow2_check_length(struct qcow2 *q) __must_check;

/* Makes what was written stable before what follows is written. Returns 0 or -errno. */
int qcow2_barrier(struct qcow2 *q) __must_check;

/* Puts everything that was done on stable storage. Returns 0 or -errno. */
int qcow2_flush(struct qcow2 *q) __must_check;

/* What is wrong with an image. */
struct qcow2_damage {
	const char *what; /* NULL: nothing */
	bool counts;      /* it is in the refcounts or the flags about them: it can be repaired */
};

/* Checks the tables of an image that was just opened: all of them if it is to be written; otherwise
 * only that the first ones refer to what exists. Returns 0 and fills *damage; -ENOTSUP: it has
 * compressed clusters; or -errno of the host. (qcow2_check.c) */
int qcow2_check(struct qcow2 *q, bool writes, struct qcow2_damage *damage) __must_check;
