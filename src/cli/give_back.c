/* SPDX-License-Identifier: BSD-2-Clause */
#include "give_back.h"

#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* An entry of /proc/PID/pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_OF_A_FILE (1ull << 61)
#define PAGE_SWAPPED   (1ull << 62)
#define PAGE_PRESENT   (1ull << 63)

#define START_MS 1000

/* Has this process written to none of those pages? */
static bool is_as_in_the_file(int pagemap, uintptr_t page, size_t nr)
{
	uint64_t entry[64];

	for (size_t i = 0, n; i < nr; i += n) {
		n = nr - i < 64 ? nr - i : 64;
		if (pread(pagemap, entry, n * sizeof(*entry),
			  (off_t)((page + i) * sizeof(*entry))) != (ssize_t)(n * sizeof(*entry)))
			return false;
		for (size_t k = 0; k < n; k++)
			if (entry[k] & (PAGE_PRESENT | PAGE_SWAPPED) &&
			    !(entry[k] & PAGE_OF_A_FILE))
				return false;
	}
	return true;
}

static int give_back(struct dl_phdr_info *object, size_t size __attribute__((unused)),
		     void *pagemap)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		const uintptr_t begin = object->dlpi_addr + p->p_vaddr, first = begin / page;
		const size_t nr = (begin + p->p_memsz + page - 1) / page - first;

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) &&
		    is_as_in_the_file(*(int *)pagemap, first, nr))
			madvise((void *)(first * page), nr * page, MADV_DONTNEED);
	}
	return 0;
}

void give_back_code(void)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (pagemap < 0)
		return;
	dl_iterate_phdr(give_back, &pagemap);
	close(pagemap);
}

void give_back_after_start(struct pollfd *p, nfds_t nr)
{
	if (poll(p, nr, START_MS) == 0)
		give_back_code();
}
