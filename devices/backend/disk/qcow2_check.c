/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks whether a qcow2 image is in order. Before the first write all of its tables are looked at:
 * every cluster that something refers to must lie within the file, be referred to once, and be
 * counted. Then a cluster that is not counted is free, and taking it, writing it and giving it back
 * makes nothing worse. Clusters that are counted and not used do no harm: a crash may leave some.
 *
 * The check takes one bit of memory for each cluster of the file. It reads each L2 table and each
 * refcount block that the file needs, but not holes: 8 MiB of tables for 64 GiB of data.
 */
#include "backend/disk/qcow2_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_READ_TABLES 256 /* L2 tables that are looked at when nothing is to be written */
#define MAX_CLUSTERS    (2 * QCOW2_MAX_SIZE >> QCOW2_MIN_CLUSTER_BITS)

struct check {
	struct qcow2 *q;
	uint64_t *used;  /* a bit for each cluster of the file; NULL: nothing is to be written */
	uint64_t *table; /* has room for a cluster */
	struct qcow2_damage first;
};

static void wrong(struct check *c, const char *what)
{
	if (!c->first.what)
		c->first.what = what;
}

static void wrong_counts(struct check *c, const char *what)
{
	if (!c->first.what)
		c->first = (struct qcow2_damage){ .what = what, .counts = true };
}

/* Cluster n of the file is in use. */
static inline void use(struct check *c, uint64_t n)
{
	const uint64_t bit = 1ull << n % 64;

	if (!c->used)
		return;
	if (c->used[n / 64] & bit)
		wrong(c, "two of its tables have the same place in the file");
	c->used[n / 64] |= bit;
}

/* A table refers to the cluster at off. This may be called millions of times. */
static inline void refer(struct check *c, uint64_t off)
{
	const uint64_t n = off >> c->q->cluster_bits;

	if (off & (c->q->cluster - 1))
		wrong(c, "a table refers to a place within a cluster");
	else if (n >= c->q->file_end)
		wrong(c, "it ends before what its tables refer to");
	else
		use(c, n);
}

/* Reads the whole table at off, to which another one refers. Returns 0 or -errno. */
static int read_cluster(struct check *c, uint64_t off)
{
	const struct qcow2 *q = c->q;

	if (c->first.what)
		return 0;
	if (q->cluster > q->len || off > q->len - q->cluster) {
		wrong(c, "it ends within a table");
		return 0;
	}
	return qcow2_pread(q, c->table, q->cluster, off);
}

/* Is the table at off a hole in the file? Then it is all zeroes and needs no check; a small file
 * can have millions of them. */
static bool is_hole(const struct qcow2 *q, uint64_t off)
{
	const off_t data = lseek(q->fd, (off_t)off, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data >= off + q->cluster;
}

/* Checks the L2 table that was read. Returns -ENOTSUP if it has compressed clusters. */
static int check_l2(struct check *c)
{
	const uint64_t unknown = ~(QCOW2_OFFSET | QCOW2_COPIED | QCOW2_ZERO);
	const uint64_t nr = c->q->cluster / sizeof(uint64_t), mask = c->q->cluster - 1;
	const uint64_t end = c->q->file_end << c->q->cluster_bits;
	const uint64_t *const table = c->table;
	const bool writes = c->used;

	for (uint64_t i = 0; i < nr; i++) {
		const uint64_t entry = be64toh(table[i]), off = entry & QCOW2_OFFSET;

		if (entry & QCOW2_COMPRESSED)
			return -ENOTSUP;
		if (entry & unknown)
			wrong(c, "an entry of an L2 table makes no sense");
		if (off && (writes || off & mask || off >= end))
			refer(c, off);
	}
	return 0;
}

static int check_l1(struct check *c)
{
	const struct qcow2_table *l1 = &c->q->l1;
	unsigned ttl = MAX_READ_TABLES;
	int rc = 0;

	for (uint64_t i = 0; i < qcow2_entries(l1) && rc == 0 && !c->first.what; i++) {
		const uint64_t entry = qcow2_entry(l1, i);

		if (!entry)
			continue;
		if (!c->used && !ttl--)
			break;
		if (entry & ~(QCOW2_OFFSET | QCOW2_COPIED) || !(entry & QCOW2_OFFSET))
			wrong(c, "an entry of its L1 table makes no sense");
		else if (c->used &&
			 !(entry & QCOW2_COPIED)) /* a snapshot can't have it: those were refused */
			wrong_counts(c, "its refcounts are wrong for an L2 table");
		refer(c, entry & QCOW2_OFFSET);
		if (c->first.what || is_hole(c->q, entry & QCOW2_OFFSET))
			continue;
		rc = read_cluster(c, entry & QCOW2_OFFSET);
		if (rc == 0 && !c->first.what)
			rc = check_l2(c);
	}
	return rc;
}

/* Marks the header, L1 or refcount table as used. Their places were checked. */
static void use_table(struct check *c, uint64_t off, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += c->q->cluster)
		use(c, (off + at) >> c->q->cluster_bits);
}

static void use_blocks(struct check *c)
{
	struct qcow2 *q = c->q;

	for (uint64_t i = 0; i < qcow2_entries(&q->reftable) && !c->first.what; i++) {
		const uint64_t entry = qcow2_entry(&q->reftable, i);

		if (!entry)
			continue;
		if (entry & ~QCOW2_OFFSET)
			wrong(c, "an entry of its refcount table makes no sense");
		refer(c, entry);
		q->nr_blocks = i + 1;
	}
}

static bool any_used(const struct check *c, uint64_t begin, uint64_t end)
{
	for (uint64_t word = begin / 64; word * 64 < end; word++)
		if (c->used[word])
			return true;
	return false;
}

/* Checks the block that counts clusters begin to end: does it count all that are in use? */
static int check_block(struct check *c, uint64_t begin, uint64_t end)
{
	const struct qcow2 *q = c->q;
	const uint64_t i = begin >> q->block_bits;
	const uint64_t off = i < qcow2_entries(&q->reftable) ? qcow2_entry(&q->reftable, i) : 0;
	const uint16_t *count = (const uint16_t *)c->table;
	int rc = 0;

	if (off)
		rc = read_cluster(c, off);
	if (rc < 0 || c->first.what)
		return rc;
	for (uint64_t word = begin / 64; word * 64 < end; word++)
		for (uint64_t left = c->used[word]; left; left &= left - 1)
			if (!off || !count[word * 64 + (uint64_t)__builtin_ctzll(left) - begin])
				wrong_counts(c, "its refcounts leave out clusters that are in use");
	return rc;
}

static int check_counts(struct check *c)
{
	const struct qcow2 *q = c->q;
	const uint64_t step = 1ull << q->block_bits;
	int rc = 0;

	for (uint64_t n = 0; n < q->file_end && rc == 0 && !c->first.what; n += step) {
		const uint64_t end = min(n + step, q->file_end);

		if (any_used(c, n, end))
			rc = check_block(c, n, end);
	}
	return rc;
}

static int check_all(struct check *c)
{
	struct qcow2 *q = c->q;
	int rc;

	if (q->file_end > MAX_CLUSTERS) {
		wrong(c, "it is longer than any disk needs");
		return 0;
	}
	c->used = calloc(q->file_end / 64 + 1, sizeof(*c->used));
	if (!c->used)
		return -ENOMEM;
	use_table(c, 0, 1);
	use_table(c, q->l1.off, q->l1.len);
	use_table(c, q->reftable.off, q->reftable.len);
	use_blocks(c);
	rc = check_l1(c);
	if (rc == 0)
		rc = check_counts(c);
	free(c->used);
	return rc;
}

int qcow2_check(struct qcow2 *q, bool writes, struct qcow2_damage *damage)
{
	struct check c = { .q = q, .table = malloc(q->cluster) };
	int rc = !c.table ? -ENOMEM : writes ? check_all(&c) : check_l1(&c);

	free(c.table);
	*damage = c.first;
	return rc;
}
