/* SPDX-License-Identifier: BSD-2-Clause */
/* The set of clusters of a qcow2 image that hold L2 tables and refcount blocks, whatever their
 * counts say. With it, a new cluster need not be compared with all of L1 and the refcount table. */
#include "backend/disk/qcow2_impl.h"

#include <errno.h>
#include <search.h>

static const void *key_of(const struct qcow2 *q, uint64_t off)
{
	return (const void *)(uintptr_t)((off & QCOW2_OFFSET) >> q->cluster_bits);
}

static int compare(const void *a, const void *b)
{
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

int qcow2_claim(struct qcow2 *q, uint64_t off)
{
	const void *key = key_of(q, off);

	/* The first cluster is the header's anyway. */
	return !key || tsearch(key, &q->claims, compare) ? 0 : -ENOMEM;
}

bool qcow2_is_claimed(const struct qcow2 *q, uint64_t off)
{
	return tfind(key_of(q, off), &q->claims, compare);
}

int qcow2_claim_all(struct qcow2 *q, const struct qcow2_table *t)
{
	int rc = 0;

	for (uint64_t i = 0; i < qcow2_entries(t) && rc == 0; i++)
		rc = qcow2_claim(q, qcow2_entry(t, i));
	return rc;
}

static void keep(void *key __unused) {}

void qcow2_forget_claims(struct qcow2 *q)
{
	tdestroy(q->claims, keep);
	q->claims = NULL;
}
