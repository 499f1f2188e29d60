/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/mem.h"

#include <errno.h>

int gmem_add(struct gmem *m, gpa_t base, uint64_t size, void *host)
{
	size_t at = 0;

	if (!size || !host || base + (size - 1) < base)
		return -EINVAL;
	if (m->nr == GMEM_MAX_REGIONS)
		return -ENOSPC;
	while (at < m->nr && m->region[at].base < base)
		at++;
	if (at > 0 && base - m->region[at - 1].base < m->region[at - 1].size)
		return -EINVAL;
	if (at < m->nr && m->region[at].base - base < size)
		return -EINVAL;
	memmove(&m->region[at + 1], &m->region[at], (m->nr - at) * sizeof(m->region[0]));
	m->region[at] = (struct gmem_region){ .base = base, .size = size, .host = host };
	m->nr++;
	return 0;
}

void *gmem_slice(const struct gmem *m, gpa_t gpa, uint64_t len)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct gmem_region *r = &m->region[i]; /* sorted by base, disjoint */

		if (gpa < r->base)
			return NULL;
		uint64_t off = gpa - r->base; /* cannot wrap */

		if (off < r->size)
			return len <= r->size - off ? r->host + off : NULL;
	}
	return NULL;
}

int gmem_read(const struct gmem *m, gpa_t gpa, void *dst, uint64_t len)
{
	const void *src = gmem_slice(m, gpa, len);

	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int gmem_write(const struct gmem *m, gpa_t gpa, const void *src, uint64_t len)
{
	void *dst = gmem_slice(m, gpa, len);

	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}
