/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/ram.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
#include "host/hostmem.h"

#define RAM_MAX_HOLES 1024u

static uint64_t page_size(enum huge_pages huge)
{
	switch (huge) {
	case HUGE_OFF:
	case HUGE_TRANSPARENT:
		break;
	case HUGE_2M:
		return 2 * MIB;
	case HUGE_1G:
		return 1 * GIB;
	}
	return 4 * KIB;
}

/* Reserves address space: for RAM at a multiple of align, with at least align of guard on either
 * side. */
static int reserve(struct ram *r, uint64_t size, uint64_t align)
{
	const uint64_t len = size + 3 * align;
	void *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return log_errno(
			"memory: no room for %llu MiB of guest memory in the address space (see ulimit -v)",
			(unsigned long long)(size / MIB));
	r->mapping = p;
	r->mapping_len = len;
	r->host = (uint8_t *)align_up((uintptr_t)p + align, align);
	r->size = size;
	return 0;
}

/* Makes a memfd whose seals keep others from making it shorter. No seal that lets others write
 * keeps them from punching holes: our next touch of such a page finds a new one, of zeroes. But
 * huge pages of hugetlbfs may all be taken by then, and that touch would be a SIGBUS:
 * config_check() allows no sharing of them. */
static int make_memfd(struct ram *r)
{
	AUTO_CLOSE int fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)r->size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return log_errno("memory: no memfd of %llu MiB",
				 (unsigned long long)(r->size / MIB));
	/* 0 would mean that there is none. */
	r->memfd = fd ? take_fd(&fd) : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return r->memfd > 0 ? 0 : log_errno("memory: memfd");
}

/* The host sets huge pages of hugetlbfs aside for us at once, so that this call fails, and not the
 * guest later. */
static int map_huge(struct ram *r, uint64_t page, bool again)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB |
			  (page == 1 * GIB ? MAP_HUGE_1GB : MAP_HUGE_2MB);

	if (mmap(r->host, r->size, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED)
		return 0;
	return again ? log_errno("memory: huge pages, which the guest had before its reset")
		     : hostmem_no_huge_pages(errno, r->size, page, "");
}

static int map_small(struct ram *r)
{
	const int sharing = r->memfd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	const int flags = sharing | MAP_FIXED | MAP_NORESERVE;

	/* MAP_NORESERVE is ignored where vm.overcommit_memory is 2. */
	if (mmap(r->host, r->size, PROT_READ | PROT_WRITE, flags, r->memfd ?: -1, 0) == MAP_FAILED)
		return log_errno(
			"memory: the host refuses %llu MiB of guest memory (see vm.overcommit_memory in proc(5)); use a smaller --memory",
			(unsigned long long)(r->size / MIB));
	return 0;
}

static int advise(const struct ram *r, int advice, const char *what)
{
	if (madvise(r->host, r->size, advice) < 0)
		return log_errno("memory: %s", what);
	return 0;
}

static int advise_all(const struct ram *r, const struct memory_config *c, bool again)
{
	int rc = advise(r, MADV_DONTDUMP, "can't keep guest memory out of core dumps");

	if (rc == 0) /* otherwise fork() has each page copied that the guest writes afterwards */
		rc = advise(r, MADV_DONTFORK, "can't keep guest memory out of child processes");
	if (rc == 0 && c->huge == HUGE_TRANSPARENT) {
		rc = advise(
			r, MADV_HUGEPAGE,
			"hugepages=on: this host's kernel has no transparent huge pages; leave it out");
		if (rc == 0 && !again)
			hostmem_warn_if_never("", r->memfd != 0);
	}
	if (rc == 0 && c->mergeable) {
		rc = advise(r, MADV_MERGEABLE,
			    "mergeable=on: this host's kernel has no KSM; leave it out");
		if (rc == 0 && !again)
			hostmem_warn_if_not_merging("");
	}
	return rc;
}

static int prefault(const struct ram *r, const struct memory_config *c, bool again)
{
	const bool huge = c->huge == HUGE_2M || c->huge == HUGE_1G;
	int rc = huge || again ? 0 : hostmem_check(r->size, "");

	if (rc < 0)
		return rc;
	/* This was checked before, because a control group at its limit kills rather than fails. */
	return advise(
		r, MADV_POPULATE_WRITE,
		"prefault=on: the host can't give all of it now (or its kernel is older than 5.14); use a smaller --memory, or leave it out");
}

static bool is_mappable(const struct memory_config *c, bool shared)
{
	return !shared && c->huge == HUGE_OFF && !c->prefault;
}

int ram_alloc(struct ram *r, const struct memory_config *c, unsigned how)
{
	const bool shared = how & RAM_SHARED, again = how & RAM_AGAIN;
	const uint64_t page = page_size(c->huge);
	int rc;

	assert(!shared || page == 4 * KIB);
	assert(c->size > 0 && c->size <= CONFIG_MAX_MEMORY && c->size % page == 0);
	*r = (struct ram){ 0 };
	/* The alignment is at least 2 MiB, so that transparent huge pages can back huge pages of
	 * the guest. */
	rc = reserve(r, c->size, max(page, 2 * MIB));
	r->releasable = page == 4 * KIB;
	r->mappable = is_mappable(c, shared);
	r->mergeable = c->mergeable;
	if (rc == 0 && shared)
		rc = make_memfd(r);
	if (rc == 0)
		rc = page > 4 * KIB ? map_huge(r, page, again) : map_small(r);
	if (rc == 0)
		rc = advise_all(r, c, again);
	if (rc == 0 && c->prefault)
		rc = prefault(r, c, again);
	if (rc < 0)
		ram_free(r);
	return rc;
}

/* Maps what flags and fd say there, with the advice that all of guest memory gets. */
static bool remap(const struct ram *r, uint8_t *host, uint64_t len, int flags, int fd,
		  uint64_t offset)
{
	const int how = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | flags;

	if (mmap(host, len, PROT_READ | PROT_WRITE, how, fd, (off_t)offset) == MAP_FAILED)
		return false;
	return madvise(host, len, MADV_DONTDUMP) == 0 && madvise(host, len, MADV_DONTFORK) == 0 &&
	       (!r->mergeable || madvise(host, len, MADV_MERGEABLE) == 0);
}

bool ram_map(struct ram *r, void *host, uint64_t len, int fd, uint64_t offset)
{
	if (!r->mappable || r->given)
		return false;
	r->given = calloc(len / (4 * KIB), 1);
	if (!r->given)
		return false;
	if (!remap(r, host, len, 0, fd, offset)) {
		/* Zeroes again, if it went half-way. */
		(void)!remap(r, host, len, MAP_ANONYMOUS, -1, 0);
		return false;
	}
	r->file_start = host;
	r->file_end = r->file_start + len;
	return true;
}

static bool release_anonymous(uint8_t *start, uint8_t *end)
{
	return start >= end || madvise(start, (uint64_t)(end - start), MADV_DONTNEED) == 0;
}

/* MADV_DONTNEED alone would bring the file's bytes back at the next touch. */
static bool release_file(struct ram *r, uint8_t *start, uint8_t *end)
{
	const uint64_t len = (uint64_t)(end - start), pages = len / (4 * KIB);
	uint8_t *given = r->given + (uint64_t)(start - r->file_start) / (4 * KIB);

	if (!memchr(given, 0, pages))
		return release_anonymous(start, end);
	if (r->holes >= RAM_MAX_HOLES || !remap(r, start, len, MAP_ANONYMOUS, -1, 0))
		return false;
	r->holes++;
	memset(given, 1, pages);
	return true;
}

static bool in_file(const struct ram *r, const struct iovec *range)
{
	const uint8_t *start = range->iov_base;

	return start < r->file_end && r->file_start < start + range->iov_len;
}

static bool release_one(struct ram *r, uint8_t *start, uint64_t len)
{
	uint8_t *end = start + len;
	uint8_t *file_start = max(start, r->file_start), *file_end = min(end, r->file_end);
	bool done;

	if (file_start < file_end) {
		done = release_file(r, file_start, file_end);
		done = release_anonymous(start, file_start) && done;
		return release_anonymous(file_end, end) && done;
	}
	if (r->memfd) /* unmapping it would not free it in the file */
		return fallocate(r->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 start - r->host, (off_t)len) == 0;
	return release_anonymous(start, end);
}

/* By one call, so that the processors forget all of them at once, and not one after the other, which
 * costs more than the pages do. Linux has it for the caller's own memory since 6.13. */
static bool release_at_once(struct ram *r, const struct iovec *range, unsigned nr, uint64_t len)
{
	if (r->self == 0)
		r->self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (r->self < 0)
		return false;
	if (syscall(SYS_process_madvise, r->self, range, nr, MADV_DONTNEED, 0) == (long)len)
		return true;
	close_fd(&r->self);
	return false;
}

uint64_t ram_release(struct ram *r, const struct iovec *range, unsigned nr)
{
	bool alike = nr > 1 && !r->memfd;
	uint64_t len = 0, done = 0;

	if (!r->releasable)
		return 0;
	for (unsigned i = 0; i < nr; i++) {
		alike = alike && !in_file(r, &range[i]);
		len += range[i].iov_len;
	}
	if (alike && release_at_once(r, range, nr, len))
		return len;
	for (unsigned i = 0; i < nr; i++)
		if (release_one(r, range[i].iov_base, range[i].iov_len))
			done += range[i].iov_len;
	return done;
}

void ram_free(struct ram *r)
{
	if (r->mapping)
		munmap(r->mapping, r->mapping_len);
	if (r->memfd)
		close(r->memfd);
	if (r->self > 0)
		close(r->self);
	free(r->given);
	*r = (struct ram){ 0 };
}

int ram_layout(const struct ram *r, struct gmem *m)
{
	uint64_t done = 0, len;
	int rc = 0;

	for (unsigned i = 0; i < LAYOUT_RAM && done < r->size && rc == 0; i++) {
		const struct layout_ram *part = &arch_layout.ram[i];

		len = min(r->size - done, part->len);
		if (len)
			rc = gmem_add(m, part->base, len, r->host + done);
		done += len;
	}
	return rc;
}
