/* SPDX-License-Identifier: BSD-2-Clause */
/* A qcow2 image's metadata: tables in memory, refcounts, and the order of writing them. */
#include "backend/disk/qcow2_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "vmm/log.h"

/* -- tables ---------------------------------------------------------------------------------- */

int qcow2_pread(const struct qcow2 *q, void *buf, size_t len, uint64_t off)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = TEMP_FAILURE_RETRY(pread(q->fd, p, len, (off_t)off));

		if (n < 0)
			return -errno;
		if (n == 0 && off < q->len)
			return -ENODATA;
		if (n == 0) {
			memset(p, 0, len);
			return 0;
		}
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int qcow2_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = TEMP_FAILURE_RETRY(pwrite(fd, p, len, (off_t)off));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

void qcow2_touch(struct qcow2_table *t, size_t off, size_t len)
{
	if (t->dirty_from == t->dirty_to) {
		t->dirty_from = off;
		t->dirty_to = off + len;
		return;
	}
	t->dirty_from = min(t->dirty_from, off);
	t->dirty_to = max(t->dirty_to, off + len);
}

void qcow2_set_entry(struct qcow2_table *t, uint64_t i, uint64_t value)
{
	uint64_t raw = htobe64(value);

	memcpy(t->data + i * sizeof(raw), &raw, sizeof(raw));
	qcow2_touch(t, i * sizeof(raw), sizeof(raw));
}

static bool is_dirty(const struct qcow2_table *t)
{
	return t->dirty_from != t->dirty_to;
}

/* Returns 1 if there was something to write, 0 if not, or -errno. */
static int write_table(struct qcow2 *q, struct qcow2_table *t)
{
	int rc;

	if (!t->off || !is_dirty(t))
		return 0;
	rc = qcow2_pwrite(q->fd, t->data + t->dirty_from, t->dirty_to - t->dirty_from,
			  t->off + t->dirty_from);
	if (rc < 0)
		return rc;
	q->len = max(q->len, t->off + t->dirty_to);
	t->dirty_from = t->dirty_to = 0;
	return 1;
}

static int write_tables(struct qcow2 *q, struct qcow2_table *t, size_t nr)
{
	int wrote = 0;

	for (size_t i = 0; i < nr; i++) {
		int rc = write_table(q, &t[i]);

		if (rc < 0)
			return rc;
		wrote |= rc;
	}
	return wrote;
}

bool qcow2_is_cluster(const struct qcow2 *q, uint64_t off)
{
	return off && off % q->cluster == 0 && off >> q->cluster_bits < q->file_end;
}

/* Returns the slot of the table at off; if it has none, the slot to use for it, a clean one if
 * possible. */
static struct qcow2_table *find_slot(struct qcow2_table *t, size_t nr, uint64_t off)
{
	struct qcow2_table *best = t;

	for (struct qcow2_table *end = t + nr; t < end; t++) {
		if (t->off == off)
			return t;
		if (is_dirty(t) == is_dirty(best) ? t->used < best->used : is_dirty(best))
			best = t; /* a free one is clean, and its used is 0 */
	}
	return best;
}

/* Reads the table at off into t, unless it is there; fresh: makes one of zeroes, which is dirty.
 * The caller has written a dirty table that was there before. */
static int fill_slot(struct qcow2 *q, struct qcow2_table *t, uint64_t off, bool fresh)
{
	int rc = 0;

	t->used = ++q->clock;
	if (t->off == off && !fresh)
		return 0;
	t->off = 0;
	t->len = q->cluster;
	t->dirty_from = t->dirty_to = 0;
	if (!t->data)
		t->data = malloc(t->len);
	if (!t->data)
		rc = -ENOMEM;
	else if (fresh)
		memset(t->data, 0, t->len);
	else if (t->len > q->len || off > q->len - t->len)
		rc = -EUCLEAN; /* cut off: what is missing must not be taken for zeroes */
	else
		rc = qcow2_pread(q, t->data, t->len, off);
	if (rc < 0) {
		t->used = 0;
		return rc;
	}
	t->off = off;
	if (fresh)
		qcow2_touch(t, 0, t->len);
	return 0;
}

/* -- refcounts ------------------------------------------------------------------------------- */

/* Finds the block that counts cluster n, or sets *t to NULL. A dirty block may be written, to make
 * room in the cache, at any time: a flush writes blocks before all other tables. */
static int get_block(struct qcow2 *q, uint64_t n, struct qcow2_table **t)
{
	const uint64_t i = n >> q->block_bits;
	uint64_t off;
	int rc;

	*t = NULL;
	if (i >= qcow2_entries(&q->reftable))
		return 0;
	off = qcow2_entry(&q->reftable, i) & QCOW2_OFFSET;
	if (!off)
		return 0;
	if (!qcow2_is_cluster(q, off))
		return -EUCLEAN;
	*t = find_slot(q->block, QCOW2_NR_BLOCKS, off);
	if ((*t)->off != off) {
		rc = write_table(q, *t);
		if (rc < 0)
			return rc;
	}
	return fill_slot(q, *t, off, false);
}

static size_t count_at(const struct qcow2 *q, uint64_t n)
{
	return (n & ((1ull << q->block_bits) - 1)) * sizeof(uint16_t);
}

static unsigned get_count(const struct qcow2 *q, const struct qcow2_table *t, uint64_t n)
{
	const uint8_t *p = t->data + count_at(q, n);

	return (unsigned)p[0] << 8 | p[1];
}

static void set_count(struct qcow2 *q, struct qcow2_table *t, uint64_t n, unsigned count)
{
	uint8_t *p = t->data + count_at(q, n);

	p[0] = (uint8_t)(count >> 8);
	p[1] = (uint8_t)count;
	qcow2_touch(t, count_at(q, n), sizeof(uint16_t));
}

/* Makes cluster n the block that counts it and its neighbours. */
static int new_block(struct qcow2 *q, uint64_t n)
{
	const uint64_t off = n << q->cluster_bits;
	struct qcow2_table *t = find_slot(q->block, QCOW2_NR_BLOCKS, off);
	int rc = write_table(q, t);

	if (rc >= 0)
		rc = fill_slot(q, t, off, true);
	if (rc < 0)
		return rc;
	set_count(q, t, n, 1);
	qcow2_set_entry(&q->reftable, n >> q->block_bits, off);
	q->nr_blocks = max(q->nr_blocks, (n >> q->block_bits) + 1);
	return 0;
}

/* -- taking clusters and giving them back ---------------------------------------------------- */

/* Takes cluster n unless it is counted: what is not counted is not used (qcow2_check.c). Returns 1:
 * it is ours; 0: it became a refcount block, or is counted, as clusters beyond the file's end are
 * after a crash; or -errno. */
static int take(struct qcow2 *q, uint64_t n)
{
	struct qcow2_table *t;
	int rc;

	if (n >> q->block_bits >= qcow2_entries(&q->reftable) ||
	    n > QCOW2_OFFSET >> q->cluster_bits)
		return -ENOSPC;
	rc = get_block(q, n, &t);
	if (rc == 0 && t && get_count(q, t, n)) {
		q->file_end = max(q->file_end, n + 1);
		return 0;
	}
	if (rc == 0 && t)
		set_count(q, t, n, 1);
	else if (rc == 0)
		rc = new_block(q, n);
	if (rc < 0)
		return rc;
	q->file_end = max(q->file_end, n + 1);
	return t != NULL;
}

/* The number of refcount blocks that are searched while a guest waits: 8 GiB of a usual file. */
#define SEARCH_BLOCKS 4ull

/* Finds a cluster that is not counted, from next on, or the file's end if none is near. The next
 * search goes on where this one ended, and begins once more if some were given back. */
static int find_unused(struct qcow2 *q, uint64_t *n)
{
	if (q->next >= q->file_end && q->unused_before) {
		q->next = 1;
		q->unused_before = false;
	}
	for (uint64_t ttl = SEARCH_BLOCKS; ttl && q->next < q->file_end; ttl--) {
		const uint64_t region = q->next >> q->block_bits;
		const uint64_t end = min(q->file_end, (region + 1) << q->block_bits);
		struct qcow2_table *t;
		int rc = get_block(q, q->next, &t);

		if (rc < 0)
			return rc;
		while (t && q->next < end && get_count(q, t, q->next))
			q->next++;
		if (q->next < end) {
			*n = q->next++;
			return 0;
		}
	}
	*n = q->file_end;
	if (q->next == *n)
		q->next++;
	return 0;
}

int qcow2_alloc(struct qcow2 *q, uint64_t *off)
{
	uint64_t n = 0; /* gcc at -O3 doesn't see that it is set */
	uint64_t ttl = SEARCH_BLOCKS << q->block_bits;
	int rc;

	do {
		rc = find_unused(q, &n);
		if (rc == 0)
			rc = take(q, n);
	} while (rc == 0 && --ttl);
	*off = n << q->cluster_bits;
	return rc > 0 ? 0 : rc < 0 ? rc : -ENOSPC;
}

/* Subtracts one from the count of a cluster. Returns whether it is unused now. */
static bool put(struct qcow2 *q, uint64_t n)
{
	struct qcow2_table *t;
	unsigned count;

	if (get_block(q, n, &t) < 0 || !t)
		return false; /* the cluster leaks, at worst */
	count = get_count(q, t, n);
	if (count)
		set_count(q, t, n, count - 1);
	if (count != 1)
		return false;
	if (n + 1 == q->next)
		q->next = n;
	q->unused_before |= n < q->next;
	return true;
}

void qcow2_unalloc(struct qcow2 *q, uint64_t off)
{
	(void)put(q, off >> q->cluster_bits);
}

void qcow2_free(struct qcow2 *q, uint64_t off)
{
	if (!q->freed)
		q->freed = malloc(QCOW2_NR_FREED * sizeof(*q->freed));
	if (q->freed && q->nr_freed == QCOW2_NR_FREED && qcow2_flush(q) < 0)
		return; /* it leaks, and so does what the flush could not free */
	if (q->freed && q->nr_freed < QCOW2_NR_FREED)
		q->freed[q->nr_freed++] = off >> q->cluster_bits;
}

/* Frees what the tables in the file have given up. Failures leak clusters. */
static void apply_freed(struct qcow2 *q)
{
	while (q->nr_freed) {
		const uint64_t n = q->freed[--q->nr_freed];

		if (put(q, n))
			(void)fallocate(q->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)(n << q->cluster_bits), (off_t)q->cluster);
	}
	(void)!write_tables(q, q->block, QCOW2_NR_BLOCKS);
}

/* -- L2 tables and the order of things ------------------------------------------------------- */

/* Called before the table at off is changed (0: a new one): makes sure that a slot is clean, so
 * that another table can be read even when nothing can be written because the host is full. */
static int make_room(struct qcow2 *q, uint64_t off)
{
	unsigned dirty = 0;

	for (size_t i = 0; i < QCOW2_NR_L2; i++)
		dirty += is_dirty(&q->l2[i]) && q->l2[i].off != off;
	return dirty < QCOW2_NR_L2 - 1 ? 0 : qcow2_flush(q);
}

static int new_l2(struct qcow2 *q, uint64_t i, struct qcow2_table **t)
{
	uint64_t off;
	int rc = make_room(q, 0);

	if (rc == 0)
		rc = qcow2_alloc(q, &off);
	if (rc < 0)
		return rc;
	*t = find_slot(q->l2, QCOW2_NR_L2, off);
	rc = fill_slot(q, *t, off, true);
	if (rc < 0)
		qcow2_unalloc(q, off);
	else
		qcow2_set_entry(&q->l1, i, off | QCOW2_COPIED);
	return rc;
}

int qcow2_l2(struct qcow2 *q, uint64_t off, bool make, struct qcow2_table **t)
{
	const uint64_t i = off >> (q->cluster_bits + q->l2_bits);
	const uint64_t entry = qcow2_entry(&q->l1, i), at = entry & QCOW2_OFFSET;
	int rc = 0;

	*t = NULL;
	if (!at)
		return make ? new_l2(q, i, t) : 0;
	/* A table that is not ours alone belongs to a snapshot, and those were refused. */
	if (!qcow2_is_cluster(q, at) || (make && !(entry & QCOW2_COPIED)))
		return -EUCLEAN;
	if (make)
		rc = make_room(q, at);
	*t = find_slot(q->l2, QCOW2_NR_L2, at);
	return rc == 0 ? fill_slot(q, *t, at, false) : rc;
}

int qcow2_check_length(struct qcow2 *q)
{
	struct stat st;

	if (q->failed)
		return -EIO;
	if (fstat(q->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size >= q->len)
		return 0;
	q->failed = true;
	return log_ret(
		-EIO,
		"--disk %s: somebody cut the file short while it was in use: nothing more is written to it",
		q->name);
}

/* After a failure the kernel forgets what was not stable, and would call the next try a success. */
int qcow2_barrier(struct qcow2 *q)
{
	if (q->scratch || TEMP_FAILURE_RETRY(fdatasync(q->fd)) == 0)
		return 0;
	q->failed = true;
	return -errno;
}

/*
 * What refers to what, and the step in which it is written:
 *
 *   header --> L1 table (4) ---------> L2 tables (3) --------> data (before: as the guest writes)
 *   header --> refcount table (2) ---> refcount blocks (1): count all clusters, their own included
 *
 * So each is written after what it refers to, and a cluster is counted before others refer to it.
 * After a step that wrote something, and always after the first one, there is a barrier: what was
 * written before it is stable before the next step begins. If a flush ends early,
 *
 *   after step   the file has
 *   none, 1, 2   what the last flush left; clusters of this one may be counted, and are lost
 *   3            also what was written where an L2 table had been before
 *   4            all of it; clusters that were given up are still counted, and are lost
 *
 * (5) Only then are clusters that nothing refers to any more punched, and their counts written. The
 * next flush's first barrier makes that stable.
 */
int qcow2_flush(struct qcow2 *q)
{
	const struct {
		struct qcow2_table *t;
		size_t nr;
	} order[] = {
		{ q->block, QCOW2_NR_BLOCKS }, /* the data are there already */
		{ &q->reftable, 1 },
		{ q->l2, QCOW2_NR_L2 },
		{ &q->l1, 1 },
	};
	int rc;

	if (q->failed)
		return -EIO;
	if (q->readonly)
		return 0;
	rc = qcow2_check_length(q);
	for (size_t i = 0; i < ARRAY_SIZE(order) && rc == 0; i++) {
		rc = write_tables(q, order[i].t, order[i].nr);

		if (rc > 0 || (rc == 0 && i == 0))
			rc = qcow2_barrier(q);
	}
	if (rc == 0)
		apply_freed(q);
	return rc;
}
