/* SPDX-License-Identifier: BSD-2-Clause */
/* A qcow2 image's data: where a range of the disk is, and what requests do to it. */
#include "backend/disk/qcow2_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/virtq.h"

/* -- where things are ------------------------------------------------------------------------ */

/* A range of the disk that is of one kind, within one L2 table. */
struct extent {
	enum { IN_BASE, IS_ZERO, IN_FILE } kind;
	uint64_t host, len; /* IN_FILE: its place, in one piece; bytes */
	bool ours;          /* IN_FILE: it may be written in place */
};

static int decode(const struct qcow2 *q, uint64_t entry, struct extent *e)
{
	e->host = entry & QCOW2_OFFSET;
	e->ours = entry & QCOW2_COPIED;
	if (entry & QCOW2_COMPRESSED)
		return -ENOTSUP;
	if (e->host && !qcow2_is_cluster(q, e->host))
		return -EUCLEAN;
	e->kind = entry & QCOW2_ZERO ? IS_ZERO : e->host ? IN_FILE : IN_BASE;
	return 0;
}

/* Finds what the disk has at off, and for how many of len bytes. */
static int locate(struct qcow2 *q, uint64_t off, uint64_t len, struct extent *e)
{
	const uint64_t mask = (1ull << q->l2_bits) - 1, in = off % q->cluster;
	uint64_t i = off >> q->cluster_bits & mask;
	struct qcow2_table *t;
	int rc = qcow2_l2(q, off, false, &t);

	if (rc < 0)
		return rc;
	if (!t) {
		*e = (struct extent){ .kind = IN_BASE };
		e->len = min(len, ((mask + 1 - i) << q->cluster_bits) - in);
		return 0;
	}
	rc = decode(q, qcow2_entry(t, i), e);
	e->len = q->cluster - in;
	while (rc == 0 && e->len < len && ++i <= mask) {
		struct extent next;

		if (decode(q, qcow2_entry(t, i), &next) < 0 || next.kind != e->kind ||
		    next.ours != e->ours ||
		    (e->kind == IN_FILE && next.host != e->host + in + e->len))
			break;
		e->len += q->cluster;
	}
	e->len = min(e->len, len);
	e->host += in;
	return rc;
}

/* -- reading --------------------------------------------------------------------------------- */

/* Returns a part of a request: its first len bytes. */
static struct disk_request first_part(const struct disk_request *r, uint64_t len,
				      struct iovec iov[VIRTQ_MAX_SIZE])
{
	return (struct disk_request){
		.op = r->op,
		.off = r->off,
		.len = len,
		.iov = iov,
		.nr_iov = iov_cut(iov, r->iov, 0, len),
	};
}

static void clear(struct disk_request *r)
{
	for (unsigned i = 0; i < r->nr_iov; i++)
		memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
	r->len = 0;
}

/* Reads all of r, from off on, in a file of len bytes; beyond those it reads zeroes. r is used
 * up. */
static int read_file(int fd, uint64_t len, uint64_t off, struct disk_request *r)
{
	while (r->len) {
		ssize_t n = TEMP_FAILURE_RETRY(preadv(fd, r->iov, (int)r->nr_iov, (off_t)off));

		if (n < 0)
			return -errno;
		if (n == 0 && off < len)
			return -ENODATA; /* somebody cut the file */
		if (n == 0)
			clear(r);
		else
			disk_advance(r, (size_t)n);
		off += (uint64_t)n;
	}
	return 0;
}

static int read_disk(struct qcow2 *q, struct disk_request *r);

static int read_base(const struct qcow2_base *b, struct disk_request *r)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	const uint64_t len = r->off < b->size ? min(r->len, b->size - r->off) : 0;
	struct disk_request part = first_part(r, len, iov);
	int rc = 0;

	if (len)
		rc = b->image ? read_disk(b->image, &part)
			      : read_file(b->fd, b->size, r->off, &part);
	if (rc < 0)
		return rc;
	disk_advance(r, len);
	if (r->len)
		clear(r);
	return 0;
}

static int read_disk(struct qcow2 *q, struct disk_request *r)
{
	while (r->len) {
		struct iovec iov[VIRTQ_MAX_SIZE];
		struct disk_request part;
		struct extent e;
		int rc = locate(q, r->off, r->len, &e);

		if (rc < 0)
			return rc;
		part = first_part(r, e.len, iov);
		if (e.kind == IN_FILE)
			rc = read_file(q->fd, q->len, e.host, &part);
		else if (e.kind == IN_BASE)
			rc = read_base(&q->base, &part);
		else
			clear(&part);
		if (rc < 0)
			return rc;
		disk_advance(r, e.len);
	}
	return 0;
}

/* -- writing --------------------------------------------------------------------------------- */

static int write_file(struct qcow2 *q, uint64_t off, struct disk_request *r)
{
	while (r->len) {
		ssize_t n = TEMP_FAILURE_RETRY(pwritev(q->fd, r->iov, (int)r->nr_iov, (off_t)off));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		disk_advance(r, (size_t)n);
		off += (uint64_t)n;
		q->len = max(q->len, off);
	}
	return 0;
}

/* Sets entry i of an L2 table to a new value. What the old value had is given up, unless the new
 * one has it, too. */
static void replace(struct qcow2 *q, struct qcow2_table *t, uint64_t i, uint64_t value)
{
	const uint64_t was = qcow2_entry(t, i) & QCOW2_OFFSET;

	qcow2_set_entry(t, i, value);
	if (was && was != (value & QCOW2_OFFSET))
		qcow2_free(q, was);
}

/* Writes a whole cluster of the file, host, for a request that covers a part of it: r, and around
 * it what the disk has there now. */
static int write_around(struct qcow2 *q, uint64_t host, struct disk_request *r)
{
	const uint64_t in = r->off % q->cluster, begin = r->off - in;
	const uint64_t len = min(q->cluster, q->size - begin);
	uint8_t *p;
	int rc;

	if (!q->bounce)
		q->bounce = aligned_alloc(4096, q->cluster); /* as write_zeroes() needs it */
	if (!q->bounce)
		return -ENOMEM;
	struct iovec iov = { q->bounce, len };
	struct disk_request old = {
		.op = DISK_READ, .off = begin, .len = len, .iov = &iov, .nr_iov = 1
	};

	rc = read_disk(q, &old);
	if (rc < 0)
		return rc;
	memset(q->bounce + len, 0, q->cluster - len);
	p = q->bounce + in;
	for (unsigned i = 0; i < r->nr_iov; p += r->iov[i++].iov_len)
		memcpy(p, r->iov[i].iov_base, r->iov[i].iov_len);
	iov = (struct iovec){ q->bounce, q->cluster };

	struct disk_request all = { .len = q->cluster, .iov = &iov, .nr_iov = 1 };

	return write_file(q, host, &all);
}

/* Allocates up to want consecutive clusters of the file, and sets *nr to their number. */
static int alloc_run(struct qcow2 *q, uint64_t want, uint64_t *host, uint64_t *nr)
{
	int rc = qcow2_alloc(q, host);

	for (*nr = 1; rc == 0 && *nr < want; ++*nr) {
		uint64_t off;

		if (qcow2_alloc(q, &off) < 0)
			break;
		if (off != *host + *nr * q->cluster) {
			qcow2_unalloc(q, off);
			break;
		}
	}
	return rc;
}

/* Returns how many clusters from entry i on r covers completely and can't write in place. */
static uint64_t count_new(const struct qcow2 *q, const struct qcow2_table *t, uint64_t i,
			  const struct disk_request *r)
{
	const uint64_t most = min(r->len >> q->cluster_bits, (1ull << q->l2_bits) - i);
	struct extent e;
	uint64_t n = 0;

	while (n < most && decode(q, qcow2_entry(t, i + n), &e) == 0 && !e.ours)
		n++;
	return n;
}

/* Writes clusters that can't be written in place: as many as are of the same kind as the first. */
static int write_new(struct qcow2 *q, struct disk_request *r)
{
	const uint64_t in = r->off % q->cluster;
	const uint64_t i = r->off >> q->cluster_bits & ((1ull << q->l2_bits) - 1);
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct disk_request part;
	struct qcow2_table *t;
	uint64_t entry, host, whole, len, nr = 1;
	int rc = qcow2_l2(q, r->off, true, &t);

	if (rc < 0)
		return rc;
	entry = qcow2_entry(t, i);
	host = entry & QCOW2_OFFSET;
	whole = in ? 0 : count_new(q, t, i, r);
	/* A cluster of zeroes that already has a place, which nobody sees yet, is filled there. */
	const bool has_place = (entry & QCOW2_COPIED) && host;

	if (!has_place)
		rc = alloc_run(q, max(whole, 1ull), &host, &nr);
	if (rc < 0)
		return rc;
	len = whole ? nr << q->cluster_bits : min(r->len, q->cluster - in);
	part = first_part(r, len, iov);
	rc = whole ? write_file(q, host, &part) : write_around(q, host, &part);
	for (uint64_t k = 0; k < nr; k++) {
		if (rc == 0)
			replace(q, t, i + k, (host + (k << q->cluster_bits)) | QCOW2_COPIED);
		else if (!has_place)
			qcow2_unalloc(q, host + (k << q->cluster_bits));
	}
	if (rc == 0)
		disk_advance(r, len);
	return rc;
}

static int write_disk(struct qcow2 *q, struct disk_request *r)
{
	while (r->len) {
		struct extent e;
		int rc = locate(q, r->off, r->len, &e);

		if (rc < 0)
			return rc;
		if (e.kind == IN_FILE && e.ours) {
			struct iovec iov[VIRTQ_MAX_SIZE];
			struct disk_request part = first_part(r, e.len, iov);

			rc = write_file(q, e.host, &part);
			if (rc == 0)
				disk_advance(r, e.len);
		} else {
			rc = write_new(q, r);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* -- discarding, zeroing --------------------------------------------------------------------- */

static int write_zeroes(struct qcow2 *q, uint64_t off, uint64_t len)
{
	/* Aligned as sectors are: a kill may cut a write at the end of a page that was not in
	 * memory yet. */
	static _Alignas(4096) const uint8_t zeroes[64 * KIB];
	struct iovec iov[(1u << QCOW2_MAX_CLUSTER_BITS) / sizeof(zeroes)];
	struct disk_request w = { .op = DISK_WRITE, .off = off, .len = len, .iov = iov };

	for (; len; len -= iov[w.nr_iov++].iov_len)
		iov[w.nr_iov] = (struct iovec){ (void *)zeroes, min(len, sizeof(zeroes)) };
	return write_disk(q, &w);
}

/* Zeroes the whole clusters at the beginning of e, which is what the disk has at r->off. Returns
 * their number of bytes. Entries are never merely cleared: the base would show again. */
static int zero_clusters(struct qcow2 *q, const struct disk_request *r, const struct extent *e,
			 uint64_t *len)
{
	const bool to_end = r->off + e->len == q->size;
	const uint64_t first = r->off >> q->cluster_bits & ((1ull << q->l2_bits) - 1);
	const uint64_t nr = (e->len + (to_end ? q->cluster - 1 : 0)) >> q->cluster_bits;
	struct qcow2_table *t;
	int rc = qcow2_l2(q, r->off, true, &t);

	if (rc < 0)
		return rc;
	for (uint64_t i = first; i < first + nr; i++) {
		uint64_t place = qcow2_entry(t, i) & (QCOW2_OFFSET | QCOW2_COPIED);

		if (r->op == DISK_DISCARD || r->unmap || !(place & QCOW2_COPIED))
			place = 0;
		replace(q, t, i, place | QCOW2_ZERO);
	}
	*len = min(nr << q->cluster_bits, e->len);
	return 0;
}

/* True if it already reads as zeroes and has no storage to give back; or if it is the base's, which
 * a discard (a hint) need not hide. */
static bool nothing_to_zero(const struct qcow2 *q, const struct disk_request *r,
			    const struct extent *e)
{
	if (e->kind == IN_BASE)
		return r->op == DISK_DISCARD || r->off >= q->base.size;
	return e->kind == IS_ZERO && (!e->ours || (r->op == DISK_ZERO && !r->unmap));
}

/* Zeroes a part of one cluster, the first *len bytes of e. A part that already reads as zeroes does
 * not change, and neither does any other if r is a discard, which is a hint. */
static int zero_part(struct qcow2 *q, const struct disk_request *r, const struct extent *e,
		     uint64_t *len)
{
	*len = min(e->len, q->cluster - r->off % q->cluster);
	if (r->op != DISK_ZERO || e->kind == IS_ZERO)
		return 0;
	return write_zeroes(q, r->off, *len);
}

static int zero_disk(struct qcow2 *q, struct disk_request *r)
{
	while (r->len) {
		const uint64_t in = r->off % q->cluster;
		struct extent e;
		uint64_t len;
		int rc = locate(q, r->off, r->len, &e);

		if (rc < 0)
			return rc;
		len = e.len;
		if (nothing_to_zero(q, r, &e))
			rc = 0;
		else if (!in && (len >= q->cluster || r->off + len == q->size))
			rc = zero_clusters(q, r, &e, &len);
		else
			rc = zero_part(q, r, &e, &len);
		if (rc < 0)
			return rc;
		r->off += len;
		r->len -= len;
	}
	return 0;
}

int qcow2_do(struct qcow2 *q, struct disk_request *r)
{
	if (r->op == DISK_READ)
		return read_disk(q, r);
	if (r->op == DISK_FLUSH)
		return qcow2_flush(q);
	if (q->readonly)
		return -EBADF;
	int rc = qcow2_check_length(q);

	if (rc == 0 && q->autoclear)
		rc = qcow2_clear_autoclear(q);
	if (rc < 0)
		return rc;
	return r->op == DISK_WRITE ? write_disk(q, r) : zero_disk(q, r);
}

uint32_t qcow2_cluster_size(const struct qcow2 *q)
{
	return (uint32_t)q->cluster;
}
