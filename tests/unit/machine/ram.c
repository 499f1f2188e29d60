/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "host/hostmem.h"
#include "test.h"

/* -- what standard error is told ------------------------------------------------------------- */

static char said[4096];
static int real_stderr = -1, said_fd = -1;

static void listen_to_stderr(void)
{
	said_fd = memfd_create("stderr", MFD_CLOEXEC);
	real_stderr = dup(STDERR_FILENO);
	assert_true(said_fd >= 0 && real_stderr >= 0);
	assert_true(dup2(said_fd, STDERR_FILENO) >= 0);
}

static void stop_listening(void)
{
	ssize_t n = pread(said_fd, said, sizeof(said) - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
	close(real_stderr);
	close(said_fd);
}

static void assert_said(const char *part)
{
	stop_listening();
	if (!strstr(said, part))
		fail_msg("expected \"%s\", was told \"%s\"", part, said);
}

static void assert_said_nothing(void)
{
	stop_listening();
	assert_string_equal(said, "");
}

/* -- the mapping ----------------------------------------------------------------------------- */

/* One mapping of this process, from /proc/self/smaps. */
struct vma {
	uintptr_t start, end;
	char perms[8];
	char flags[512]; /* " rd wr …" */
};

static struct vma vma_of(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	struct vma v = { 0 }, none = { 0 };
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;
		char perms[8];

		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) == 3) {
			v = none;
			v.start = start;
			v.end = end;
			strcpy(v.perms, perms);
		}
		if (strncmp(line, "VmFlags:", 8) != 0 || (uintptr_t)p < v.start ||
		    (uintptr_t)p >= v.end)
			continue;
		snprintf(v.flags, sizeof(v.flags), "%s", line + 8);
		fclose(f);
		return v;
	}
	fclose(f);
	fail_msg("%p is not mapped", p);
	return none;
}

static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
	fclose(f);
	return pages * 4 * KIB;
}

static void assert_guarded(const struct ram *r)
{
	struct vma before = vma_of(r->host - 1), after = vma_of(r->host + r->size);

	assert_string_equal(before.perms, "---p");
	assert_string_equal(after.perms, "---p");
	assert_true(before.end - before.start >= 2 * MIB);
	assert_true(after.end - after.start >= 2 * MIB);
}

/* TSan's own mappings leave room for as much in most places that the kernel may choose, and in
 * others they don't. */
static void need_a_tebibyte(void)
{
#ifdef __SANITIZE_THREAD__
	print_message("# SKIP: TSan may leave no room for 1 TiB in the address space\n");
	skip();
#endif
}

static void a_guest_larger_than_the_host_costs_nothing_yet(void **state __unused)
{
	const struct memory_config c = { .size = 1 * TIB };
	const uint64_t before = resident();
	struct ram r;
	struct vma v;

	need_a_tebibyte();
	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	assert_int_equal((uintptr_t)r.host % (2 * MIB), 0);
	v = vma_of(r.host);
	assert_int_equal(v.start, (uintptr_t)r.host);
	assert_int_equal(v.end - v.start, 1 * TIB);
	assert_string_equal(v.perms, "rw-p");
	assert_non_null(strstr(v.flags, " dd")); /* not dumped */
	assert_non_null(strstr(v.flags, " nr")); /* not reserved */
	assert_null(strstr(v.flags, " mg"));
	assert_null(strstr(v.flags, " hg"));
	assert_guarded(&r);
	r.host[0] = r.host[r.size - 1] = 1;
	/* Two huge pages, if the host always uses them. */
	assert_true(resident() - before < 8 * MIB);
	ram_free(&r);
	assert_null(r.host);
	ram_free(&r);
}

static void prefaulted_memory_is_there(void **state __unused)
{
	const struct memory_config c = { .size = 32 * MIB, .prefault = true };
	const uint64_t before = resident();
	struct ram r;

	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	assert_true(resident() - before >= 32 * MIB);
	ram_free(&r);
}

/* Gives one range back. Returns whether that was done. */
static bool give(struct ram *r, void *host, uint64_t len)
{
	const struct iovec range = { .iov_base = host, .iov_len = len };

	return ram_release(r, &range, 1) == len;
}

static void many_ranges_are_given_back(void **state)
{
	const struct memory_config c = { .size = 64 * MIB };
	struct iovec range[64];
	struct ram r;

	assert_int_equal(ram_alloc(&r, &c, *state ? RAM_SHARED : 0), 0);
	for (unsigned again = 0; again < 2; again++) {
		memset(r.host, 1, r.size);
		for (unsigned i = 0; i < ARRAY_SIZE(range); i++)
			range[i] = (struct iovec){ r.host + (200 - 2 * i) * 4 * KIB, 4 * KIB };
		assert_int_equal(ram_release(&r, range, ARRAY_SIZE(range)),
				 ARRAY_SIZE(range) * 4 * KIB);
		for (unsigned page = 0; page < 256; page++)
			assert_int_equal(r.host[page * 4 * KIB],
					 page > 200 || page < 74 || page % 2);
	}
	r.releasable = false;
	assert_int_equal(ram_release(&r, range, ARRAY_SIZE(range)), 0);
	ram_free(&r);
}

static void what_is_given_back_is_gone(void **state)
{
	const struct memory_config c = { .size = 64 * MIB, .prefault = true };
	const unsigned how = *state ? RAM_SHARED : 0;
	uint64_t before;
	struct ram r;

	assert_int_equal(ram_alloc(&r, &c, how), 0);
	assert_int_equal(r.memfd > 0, how == RAM_SHARED);
	memset(r.host, 1, r.size);
	before = resident();
	assert_true(give(&r, r.host + 4 * KIB, 32 * MIB));
	assert_in_range(before - resident(), 31 * MIB, 33 * MIB);
	assert_int_equal(r.host[4 * KIB - 1], 1);
	assert_int_equal(r.host[4 * KIB], 0);
	assert_int_equal(r.host[32 * MIB + 4 * KIB - 1], 0);
	assert_int_equal(r.host[32 * MIB + 4 * KIB], 1);
	r.releasable = false; /* huge pages of a fixed size are like this */
	assert_false(give(&r, r.host, r.size));
	assert_int_equal(r.host[0], 1);
	ram_free(&r);
}

/* -- a file's pages -------------------------------------------------------------------------- */

#define FILE_LEN (2 * MIB)

/* Returns the descriptor of a file of FILE_LEN bytes, all of them 7. */
static int make_file(void)
{
	char path[] = "/tmp/minivmm-ram-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	uint8_t *data = malloc(FILE_LEN);

	assert_true(fd >= 0 && data);
	unlink(path);
	memset(data, 7, FILE_LEN);
	assert_int_equal(write(fd, data, FILE_LEN), FILE_LEN);
	free(data);
	return fd;
}

static bool file_is_unchanged(int fd)
{
	uint8_t data[4096];

	for (off_t at = 0; at < (off_t)FILE_LEN; at += sizeof(data)) {
		assert_int_equal(pread(fd, data, sizeof(data), at), sizeof(data));
		for (size_t i = 0; i < sizeof(data); i++)
			if (data[i] != 7)
				return false;
	}
	return true;
}

static void a_file_is_mapped_and_never_written(void **state __unused)
{
	const struct memory_config c = { .size = 64 * MIB };
	int fd = make_file();
	struct ram r, next;
	struct vma v;

	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	assert_true(ram_map(&r, r.host + 16 * MIB, FILE_LEN, fd, 0));
	assert_false(ram_map(&r, r.host, FILE_LEN, fd, 0)); /* once only */
	v = vma_of(r.host + 16 * MIB);
	assert_int_equal(v.end - v.start, FILE_LEN);
	assert_string_equal(v.perms, "rw-p");
	assert_non_null(strstr(v.flags, " dd"));
	assert_non_null(strstr(v.flags, " dc")); /* not for children */
	assert_int_equal(r.host[16 * MIB - 1], 0);
	assert_int_equal(r.host[16 * MIB], 7);
	assert_int_equal(r.host[16 * MIB + FILE_LEN - 1], 7);
	assert_int_equal(r.host[16 * MIB + FILE_LEN], 0);
	memset(r.host, 1, r.size);
	assert_true(file_is_unchanged(fd));

	/* The next life of the guest finds nothing of this. */
	assert_int_equal(ram_alloc(&next, &c, RAM_AGAIN), 0);
	assert_true(ram_map(&next, next.host + 16 * MIB, FILE_LEN, fd, 0));
	assert_int_equal(next.host[16 * MIB], 7);
	ram_free(&next);
	ram_free(&r);
	assert_null(r.given);
	close(fd);
}

/* A balloon's pages read as zeroes, not as the file's bytes. */
static void what_is_given_back_of_a_file_is_zero(void **state __unused)
{
	const struct memory_config c = { .size = 64 * MIB };
	int fd = make_file();
	uint8_t *at;
	struct ram r;

	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	at = r.host + 16 * MIB;
	assert_true(ram_map(&r, at, FILE_LEN, fd, 0));
	memset(at - 8 * KIB, 1, 12 * KIB); /* the first page of the file's is ours by now */
	assert_true(give(&r, at - 4 * KIB, 12 * KIB));
	assert_int_equal(at[-4 * (int)KIB - 1], 1);
	for (int i = -4 * (int)KIB; i < 8 * (int)KIB; i++)
		assert_int_equal(at[i], 0);
	assert_int_equal(at[8 * KIB], 7);
	assert_non_null(strstr(vma_of(at).flags, " dd"));
	assert_non_null(strstr(vma_of(at).flags, " dc"));

	memset(at, 2, 8 * KIB); /* once more, where it is anonymous memory */
	assert_true(give(&r, at, 8 * KIB));
	assert_int_equal(at[0] | at[8 * KIB - 1], 0);
	assert_int_equal(r.holes, 1);

	memset(at + FILE_LEN - 4 * KIB, 3, 8 * KIB);
	assert_true(give(&r, at + FILE_LEN - 4 * KIB, 8 * KIB));
	assert_int_equal(at[FILE_LEN - 4 * KIB - 1], 7);
	for (uint64_t i = 0; i < 8 * KIB; i++)
		assert_int_equal(at[FILE_LEN - 4 * KIB + i], 0);
	assert_true(file_is_unchanged(fd));
	ram_free(&r);
	close(fd);
}

/* A guest can't have us make as many mappings as it likes. */
static void the_pieces_are_limited(void **state __unused)
{
	const struct memory_config c = { .size = 64 * MIB };
	uint8_t *at;
	unsigned given = 0;
	struct ram r;
	int fd = memfd_create("large", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 32 * MIB), 0);
	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	at = r.host + 16 * MIB;
	assert_true(ram_map(&r, at, 32 * MIB, fd, 0));
	for (uint64_t page = 0; page < 32 * MIB; page += 8 * KIB)
		given += give(&r, at + page, 4 * KIB);
	assert_int_equal(given, 1024);
	assert_true(give(&r, at, 4 * KIB)); /* this one is anonymous */
	at[32 * MIB - 8 * KIB] = 5;
	assert_false(give(&r, at + 32 * MIB - 8 * KIB, 4 * KIB));
	assert_int_equal(at[32 * MIB - 8 * KIB], 5);
	ram_free(&r);
	close(fd);
}

static void what_the_user_asked_for_comes_first(void **state __unused)
{
	const struct memory_config c[] = {
		{ .size = 64 * MIB },
		{ .size = 64 * MIB, .prefault = true },
		{ .size = 64 * MIB, .huge = HUGE_TRANSPARENT },
		{ .size = 64 * MIB },
	};
	int fd = make_file();

	for (size_t i = 1; i < ARRAY_SIZE(c); i++) {
		struct ram r;

		assert_int_equal(ram_alloc(&r, &c[i], i == 3 ? RAM_SHARED | RAM_AGAIN : RAM_AGAIN),
				 0);
		assert_false(r.mappable);
		assert_false(ram_map(&r, r.host, FILE_LEN, fd, 0));
		assert_int_equal(r.host[0], 0);
		ram_free(&r);
	}
	close(fd);
}

static void what_cant_be_mapped_leaves_zeroes(void **state __unused)
{
	const struct memory_config c = { .size = 64 * MIB };
	int fd = open("/tmp", O_RDONLY | O_CLOEXEC);
	struct ram r;

	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	assert_false(ram_map(&r, r.host, FILE_LEN, fd, 0));
	assert_int_equal(r.host[0], 0);
	r.host[0] = 1;
	assert_true(give(&r, r.host, FILE_LEN));
	assert_int_equal(r.host[0], 0);
	ram_free(&r);
	close(fd);
}

/* Another process sees what the guest writes, and can't take the memory away. */
static void shared_memory_is_a_sealed_file(void **state __unused)
{
	const struct memory_config c = { .size = 32 * MIB };
	const uint64_t before = resident();
	struct ram r;
	uint8_t *other;

	assert_int_equal(ram_alloc(&r, &c, RAM_SHARED), 0);
	assert_true(resident() - before < 4 * MIB);
	assert_string_equal(vma_of(r.host).perms, "rw-s");
	assert_non_null(strstr(vma_of(r.host).flags, " dd"));
	assert_guarded(&r);
	other = mmap(NULL, r.size, PROT_READ, MAP_SHARED, r.memfd, 0);
	assert_ptr_not_equal(other, MAP_FAILED);
	r.host[5 * MIB] = 7;
	assert_int_equal(other[5 * MIB], 7);
	assert_int_equal(ftruncate(r.memfd, 0), -1);
	assert_int_equal(ftruncate(r.memfd, 64 * MIB), -1);
	assert_int_equal(fcntl(r.memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	munmap(other, r.size);
	ram_free(&r);
	assert_int_equal(r.memfd, 0);
}

static void too_much_to_prefault_is_refused_not_tried(void **state __unused)
{
	const struct memory_config c = { .size = 1 * TIB, .prefault = true };
	struct ram r;

	need_a_tebibyte();
	listen_to_stderr();
	assert_int_equal(ram_alloc(&r, &c, 0), -ENOMEM);
	assert_said("prefault=on takes 1048576 MiB at once, and ");
	assert_null(r.host);
	assert_null(r.mapping);
}

static void transparent_huge_pages_and_merging_are_asked_for(void **state __unused)
{
	const struct memory_config c = { .size = 32 * MIB,
					 .huge = HUGE_TRANSPARENT,
					 .mergeable = true };
	struct ram r;
	struct vma v;

	if (access("/sys/kernel/mm/ksm", F_OK) < 0 ||
	    access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0) {
		print_message("# SKIP: this kernel lacks KSM or transparent huge pages\n");
		skip();
	}
	listen_to_stderr(); /* catches a message that the host doesn't merge now */
	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	stop_listening();
	v = vma_of(r.host);
	assert_non_null(strstr(v.flags, " hg"));
	assert_non_null(strstr(v.flags, " mg"));
	ram_free(&r);
}

static void huge_pages_are_used_or_asked_for(void **state __unused)
{
	const struct memory_config c = { .size = 32 * MIB, .huge = HUGE_2M };
	struct ram r;
	int rc;

	if (access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK) < 0) {
		print_message("# SKIP: this kernel has no huge pages of 2 MiB\n");
		skip();
	}
	listen_to_stderr();
	rc = ram_alloc(&r, &c, 0);
	if (rc == 0) { /* the host has some */
		stop_listening();
		assert_non_null(strstr(vma_of(r.host).flags, " ht"));
		assert_guarded(&r);
		ram_free(&r);
		return;
	}
	assert_int_equal(rc, -ENOMEM);
	assert_said("hugepages=2M needs 16 huge pages, and ");
	assert_null(r.mapping);
}

/* -- a host made of files -------------------------------------------------------------------- */

static char *fake_host(void)
{
	char *root = strdup("/tmp/minivmm-host-XXXXXX");

	assert_non_null(mkdtemp(root));
	return root;
}

/* text is a format of printf(1), without conversions. */
static void put(const char *root, const char *path, const char *text)
{
	char command[512];

	snprintf(command, sizeof(command), "f=%s%s; mkdir -p \"${f%%/*}\"; printf '%s' >$f", root,
		 path, text);
	assert_int_equal(system(command), 0);
}

static void remove_host(char *root)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
	free(root);
}

static void the_host_limits_what_is_prefaulted(void **state __unused)
{
	char *root = fake_host();

	listen_to_stderr();
	assert_int_equal(hostmem_check(1 * TIB, root), 0); /* it doesn't say */
	put(root, "/proc/meminfo",
	    "MemTotal: 9999999 kB\\nMemAvailable:    2097152 kB\\nSwap: 0 kB\\n");
	assert_int_equal(hostmem_check(2 * GIB, root), 0);
	assert_said_nothing();
	listen_to_stderr();
	assert_int_equal(hostmem_check(2 * GIB + 4 * KIB, root), -ENOMEM);
	assert_said("takes 2048 MiB at once, and the host has 2048 MiB available");
	remove_host(root);
}

static void the_tightest_control_group_limits_what_is_prefaulted(void **state __unused)
{
	char *root = fake_host();

	put(root, "/proc/meminfo", "MemAvailable: 8388608 kB\\n");
	put(root, "/proc/self/cgroup", "1:name=systemd:/x\\n0::/user/app\\n");
	put(root, "/sys/fs/cgroup/user/app/memory.max", "max\\n");
	put(root, "/sys/fs/cgroup/user/memory.max", "1073741824\\n");
	put(root, "/sys/fs/cgroup/user/memory.current", "805306368\\n");
	listen_to_stderr();
	assert_int_equal(hostmem_check(256 * MIB, root), 0);
	assert_said_nothing();
	listen_to_stderr();
	assert_int_equal(hostmem_check(512 * MIB, root), -ENOMEM);
	assert_said("memory.max of the control group /user leaves 256 MiB");

	/* Its page cache makes room. */
	put(root, "/sys/fs/cgroup/user/memory.stat",
	    "anon 536870912\\ninactive_file 134217728\\nactive_file 134217728\\n");
	assert_int_equal(hostmem_check(512 * MIB, root), 0);

	put(root, "/sys/fs/cgroup/user/app/memory.max", "1048576\\n");
	put(root, "/sys/fs/cgroup/user/app/memory.current", "2097152\\n");
	listen_to_stderr();
	assert_int_equal(hostmem_check(512 * MIB, root), -ENOMEM);
	assert_said("the control group /user/app leaves 0 MiB");
	remove_host(root);
}

static void missing_huge_pages_come_with_a_remedy(void **state __unused)
{
	char *root = fake_host();

	listen_to_stderr();
	assert_int_equal(hostmem_no_huge_pages(ENOMEM, 4 * GIB, 1 * GIB, root), -ENOMEM);
	assert_said("no huge pages of 1G; use hugepages=on");

	put(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "100\\n");
	put(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "60\\n");
	put(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "10\\n");
	listen_to_stderr();
	assert_int_equal(hostmem_no_huge_pages(ENOMEM, 1 * GIB, 2 * MIB, root), -ENOMEM);
	assert_said(
		"needs 512 huge pages, and 50 are free; provide them by: echo 562 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages\n");
	listen_to_stderr();
	assert_int_equal(hostmem_no_huge_pages(EPERM, 100 * MIB, 2 * MIB, root), -EPERM);
	assert_said("refuses 50 of its 50 free huge pages: Operation not permitted");
	remove_host(root);
}

static void settings_that_defeat_a_wish_are_told(void **state __unused)
{
	char *root = fake_host();

	put(root, "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\\n");
	put(root, "/sys/kernel/mm/ksm/run", "1\\n");
	listen_to_stderr();
	hostmem_warn_if_never(root, false);
	hostmem_warn_if_not_merging(root);
	assert_said_nothing();

	put(root, "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\\n");
	put(root, "/sys/kernel/mm/ksm/run", "0\\n");
	listen_to_stderr();
	hostmem_warn_if_never(root, false);
	assert_said("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
	listen_to_stderr();
	hostmem_warn_if_not_merging(root);
	assert_said("echo 1 | sudo tee /sys/kernel/mm/ksm/run");
	remove_host(root);
}

static void a_child_has_none_of_it(void **state __unused)
{
	const struct memory_config c = { .size = 4 * MIB };
	unsigned char there;
	struct ram r;
	int status;
	pid_t pid;

	assert_int_equal(ram_alloc(&r, &c, 0), 0);
	memset(r.host, 1, 4 * KIB);
	pid = fork();
	if (pid == 0)
		_exit(mincore(r.host, 4 * KIB, &there) < 0 && errno == ENOMEM ? 0 : 1);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ram_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_larger_than_the_host_costs_nothing_yet),
		cmocka_unit_test(prefaulted_memory_is_there),
		cmocka_unit_test(a_child_has_none_of_it),
		cmocka_unit_test(what_is_given_back_is_gone),
		{ "what_is_given_back_is_gone (shared)", what_is_given_back_is_gone, NULL, NULL,
		  "shared" },
		cmocka_unit_test(many_ranges_are_given_back),
		{ "many_ranges_are_given_back (shared)", many_ranges_are_given_back, NULL, NULL,
		  "shared" },
		cmocka_unit_test(a_file_is_mapped_and_never_written),
		cmocka_unit_test(what_is_given_back_of_a_file_is_zero),
		cmocka_unit_test(the_pieces_are_limited),
		cmocka_unit_test(what_the_user_asked_for_comes_first),
		cmocka_unit_test(what_cant_be_mapped_leaves_zeroes),
		cmocka_unit_test(shared_memory_is_a_sealed_file),
		cmocka_unit_test(too_much_to_prefault_is_refused_not_tried),
		cmocka_unit_test(transparent_huge_pages_and_merging_are_asked_for),
		cmocka_unit_test(huge_pages_are_used_or_asked_for),
		cmocka_unit_test(the_host_limits_what_is_prefaulted),
		cmocka_unit_test(the_tightest_control_group_limits_what_is_prefaulted),
		cmocka_unit_test(missing_huge_pages_come_with_a_remedy),
		cmocka_unit_test(settings_that_defeat_a_wish_are_told),
	};

	return cmocka_run_group_tests_name("ram", tests, NULL, NULL);
}
