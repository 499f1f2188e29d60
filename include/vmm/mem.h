/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory as the monitor sees it: a few sorted, disjoint regions of RAM, each mapped in one
 * piece on the host. gmem_slice(), gmem_read() and gmem_write() are the only ways to guest RAM.
 *
 * The table is filled before the first vCPU runs and constant after that, so any thread may read it
 * without a lock. What the slices point at is shared with the guest, which may change it at any
 * moment: copy once, check the copy, use the copy (LOAD_ONCE, gmem_read).
 */
#pragma once

#include "vmm/types.h"

#define GMEM_MAX_REGIONS 8

struct gmem_region {
	gpa_t base;
	uint64_t size; /* bytes */
	uint8_t *host; /* not owned */
};

struct gmem {
	struct gmem_region region[GMEM_MAX_REGIONS]; /* sorted by base, disjoint */
	size_t nr;
};

/* Adds a region. Returns 0, -EINVAL (it is empty, wraps or overlaps another) or -ENOSPC. */
int gmem_add(struct gmem *m, gpa_t base, uint64_t size, void *host) __must_check;

/* Returns the host's view of [gpa, gpa + len), or NULL unless one region holds all of it. */
void *gmem_slice(const struct gmem *m, gpa_t gpa, uint64_t len);

/* These copy len bytes out of or into guest RAM. They return 0, or -EFAULT with nothing copied. */
int gmem_read(const struct gmem *m, gpa_t gpa, void *dst, uint64_t len) __must_check;
int gmem_write(const struct gmem *m, gpa_t gpa, const void *src, uint64_t len) __must_check;
