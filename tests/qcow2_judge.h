/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds what is wrong with a qcow2 image without any of the code under test, in this process: for
 * fuzzing, where qemu-img would be too slow. It knows images without snapshots whose counts are 16
 * bits wide. */
#pragma once

#include <endian.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vmm/types.h"

struct judge {
	const uint8_t *file;
	uint64_t len, cluster, nr; /* bytes, bytes, clusters of the file */
	uint32_t *refs;            /* how many references each cluster has */
	long errors;
};

/* Returns a number of size bytes; beyond the end of the file there are zeroes. */
static inline uint64_t judge_get(const struct judge *j, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v = v << 8 | (off + i < j->len ? j->file[off + i] : 0);
	return v;
}

static inline void judge_refer(struct judge *j, uint64_t off, uint64_t len)
{
	j->errors += off % j->cluster != 0;
	for (uint64_t n = off / j->cluster; n * j->cluster < off + len; n++) {
		if (n < j->nr)
			j->refs[n]++;
		else
			j->errors++;
	}
}

static inline unsigned judge_count(const struct judge *j, uint64_t n)
{
	const uint64_t reftable = judge_get(j, 48, 8), per_block = j->cluster / 2;
	const uint64_t end = judge_get(j, 56, 4) * j->cluster / 8;
	uint64_t block;

	if (n / per_block >= end)
		return 0;
	block = judge_get(j, reftable + n / per_block * 8, 8) & ~0x1ffull;
	return block ? (unsigned)judge_get(j, block + n % per_block * 2, 2) : 0;
}

/* An entry of L1 or L2: it may be written in place if nothing else has that cluster. */
static inline void judge_entry(struct judge *j, uint64_t entry)
{
	const uint64_t off = entry & 0x00fffffffffffe00ull;

	if (!off)
		return;
	judge_refer(j, off, j->cluster);
	j->errors += (judge_count(j, off / j->cluster) == 1) != entry >> 63;
}

/* Judges L1 and all L2 tables. False: there are compressed clusters. */
static inline bool judge_tables(struct judge *j)
{
	const uint64_t l1 = judge_get(j, 40, 8), reftable = judge_get(j, 48, 8);
	const uint64_t nr_l1 = judge_get(j, 36, 4), len = judge_get(j, 56, 4) * j->cluster;

	judge_refer(j, 0, j->cluster);
	judge_refer(j, l1, nr_l1 * 8);
	judge_refer(j, reftable, len);
	for (uint64_t i = 0; i < len / 8; i++) {
		const uint64_t block = judge_get(j, reftable + i * 8, 8) & ~0x1ffull;

		if (block)
			judge_refer(j, block, j->cluster);
	}
	for (uint64_t i = 0; i < nr_l1; i++) {
		const uint64_t entry = judge_get(j, l1 + i * 8, 8);
		const uint64_t l2 = entry & 0x00fffffffffffe00ull;

		judge_entry(j, entry);
		for (uint64_t k = 0; l2 && k < j->cluster / 8; k++) {
			const uint64_t data = judge_get(j, l2 + k * 8, 8);

			if (data >> 62 & 1)
				return false;
			judge_entry(j, data);
		}
	}
	return true;
}

/* Returns how many errors the image has, as qemu-img check counts them; -1: this can't be told. */
static inline long judge_image(int fd)
{
	struct judge j = { 0 };
	struct stat st;
	uint64_t bits;
	bool told;
	void *p;

	if (fstat(fd, &st) < 0 || st.st_size < 104 || st.st_size > (off_t)(8 * GIB))
		return -1;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	j.file = p;
	j.len = (uint64_t)st.st_size;
	bits = judge_get(&j, 20, 4);
	told = bits >= 16 && bits <= 21 && judge_get(&j, 96, 4) == 4 &&
	       judge_get(&j, 36, 4) <= MIB && judge_get(&j, 56, 4) <= 128;
	if (told) {
		j.cluster = 1ull << bits;
		j.nr = (j.len + j.cluster - 1) >> bits;
		j.refs = calloc(j.nr, sizeof(*j.refs));
		told = j.refs && judge_tables(&j);
	}
	for (uint64_t n = 0; told && n < j.nr; n++)
		j.errors += j.refs[n] > judge_count(&j, n);
	free(j.refs);
	munmap(p, j.len);
	return told ? j.errors : -1;
}
