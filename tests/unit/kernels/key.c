/* SPDX-License-Identifier: BSD-2-Clause */
/* These look at what names a file, and which files have no name. */
#include "kernels/key.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "test.h"

static int here = -1, elsewhere = -1; /* files, on different file systems */
static struct stat st, other, cache;

static struct key key(const struct stat *s)
{
	return key_of(here, s, &cache, 0);
}

static void each_part_counts(void **state __unused)
{
	const struct key k = key(&st);
	struct stat s[6];

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = st;
	s[0].st_ino++;
	s[1].st_size++;
	s[2].st_mtim.tv_sec++;
	s[3].st_mtim.tv_nsec ^= 1;
	s[4].st_ctim.tv_sec++;
	s[5].st_ctim.tv_nsec ^= 1;
	assert_true(*k.name);
	assert_int_equal(strncmp(k.name, "l-", 2), 0);
	assert_string_equal(key(&st).name, k.name);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		assert_string_not_equal(key(&s[i]).name, k.name);
}

static void what_changed_just_now_is_not_settled(void **state __unused)
{
	const time_t now = time(NULL);
	struct stat s = st;

	s.st_mtim.tv_sec = s.st_ctim.tv_sec = now - 100;
	assert_true(key(&s).settled);
	s.st_mtim.tv_sec = now - 1;
	assert_false(key(&s).settled);
	s.st_mtim.tv_sec = now - 100;
	s.st_ctim.tv_sec = now - 1;
	assert_false(key(&s).settled);
	s.st_ctim.tv_sec = now + 100000; /* a clock that was set back */
	assert_false(key(&s).settled);
}

/* Somebody else may have made that file system, with the inodes and times that he likes. */
static void another_file_system_is_named_by_its_mount_and_boot(void **state __unused)
{
	struct key a, b;

	if (elsewhere < 0 || other.st_dev == cache.st_dev) {
		print_message("# SKIP: /dev/shm is no file system of its own\n");
		skip();
	}
	assert_string_equal(key_of(elsewhere, &other, &cache, 0).name, "");
	a = key_of(elsewhere, &other, &cache, 1);
	b = key_of(elsewhere, &other, &cache, 2);
	if (!*a.name) {
		print_message("# SKIP: this kernel has no numbers for mounts (Linux 6.8)\n");
		skip();
	}
	assert_string_not_equal(a.name, b.name);
	assert_string_not_equal(a.name, key_of(elsewhere, &other, &other, 1).name);
}

static void a_server_or_program_is_not_believed(void **state __unused)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct stat s;

	assert_int_equal(fstat(fd, &s), 0);
	assert_false(key_is_local(fd));
	assert_string_equal(key_of(fd, &s, &s, 1).name, "");
	assert_false(key_is_local(-1));
	close(fd);
}

static void a_boot_has_a_number(void **state __unused)
{
	assert_int_equal(key_boot(), key_boot());
	assert_int_not_equal(key_boot(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_part_counts),
		cmocka_unit_test(what_changed_just_now_is_not_settled),
		cmocka_unit_test(another_file_system_is_named_by_its_mount_and_boot),
		cmocka_unit_test(a_server_or_program_is_not_believed),
		cmocka_unit_test(a_boot_has_a_number),
	};
	char a[] = "/tmp/minivmm-key-XXXXXX", b[] = "/dev/shm/minivmm-key-XXXXXX";
	int rc;

	here = mkostemp(a, O_CLOEXEC);
	elsewhere = mkostemp(b, O_CLOEXEC);
	unlink(a);
	unlink(b);
	if (here < 0 || fstat(here, &st) < 0 || !key_is_local(here)) {
		puts("1..0 # SKIP /tmp is not on a file system whose times are believed");
		return 0;
	}
	if (elsewhere >= 0 && fstat(elsewhere, &other) < 0)
		return 1;
	cache = st;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	close_fd(&here);
	close_fd(&elsewhere);
	return rc;
}
