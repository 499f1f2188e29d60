/* SPDX-License-Identifier: BSD-2-Clause */
/* Archives are unpacked here by the rules of the kernel's buffer-format.rst. */
#include "command/initramfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "test.h"

struct entry {
	char path[64];
	unsigned mode, links, uid, gid;
	const uint8_t *data;
	size_t len;
};

static unsigned field(const uint8_t *header, unsigned nr)
{
	char digits[9] = { 0 };

	memcpy(digits, header + 6 + 8 * nr, 8);
	return (unsigned)strtoul(digits, NULL, 16);
}

/* Returns the entry at *at, and moves *at to the next one. */
static struct entry next(const struct initramfs *a, size_t *at)
{
	const uint8_t *h = a->data + *at;
	struct entry e = { 0 };
	size_t name_len;

	assert_int_equal(*at % 4, 0);
	assert_true(*at + 110 <= a->len);
	assert_memory_equal(h, "070701", 6);
	e.mode = field(h, 1);
	e.uid = field(h, 2);
	e.gid = field(h, 3);
	e.links = field(h, 4);
	e.len = field(h, 6);
	name_len = field(h, 11);
	assert_in_range(name_len, 2, sizeof(e.path));
	memcpy(e.path, h + 110, name_len);
	assert_int_equal(e.path[name_len - 1], '\0');
	*at = align_up(*at + 110 + name_len, 4);
	e.data = a->data + *at;
	assert_true(e.len <= a->len - *at);
	*at = align_up(*at + e.len, 4);
	return e;
}

static void directories_and_files_come_out_as_they_went_in(void **state __unused)
{
	static uint8_t large[100001];
	struct initramfs a;
	struct entry e;
	size_t at = 0;

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * 13 >> 2);
	initramfs_begin(&a, NULL, 0);
	initramfs_directory(&a, "dir", 0700);
	initramfs_file(&a, "dir/init", 0755, "#!x", 3);
	initramfs_file(&a, "empty", 0644, NULL, 0);
	initramfs_file(&a, "dir/large", 0600, large, sizeof(large));
	assert_int_equal(initramfs_end(&a), 0);

	e = next(&a, &at);
	assert_string_equal(e.path, "dir");
	assert_int_equal(e.mode, S_IFDIR | 0700);
	e = next(&a, &at);
	assert_string_equal(e.path, "dir/init");
	assert_int_equal(e.mode, S_IFREG | 0755);
	assert_int_equal(e.uid + e.gid, 0);
	assert_int_equal(e.links, 1); /* otherwise the kernel takes it for another name of a file */
	assert_int_equal(e.len, 3);
	assert_memory_equal(e.data, "#!x", 3);
	e = next(&a, &at);
	assert_string_equal(e.path, "empty");
	assert_int_equal(e.len, 0);
	e = next(&a, &at);
	assert_int_equal(e.len, sizeof(large));
	assert_memory_equal(e.data, large, sizeof(large));
	e = next(&a, &at);
	assert_string_equal(e.path, "TRAILER!!!");
	assert_int_equal(at, a.len);
	initramfs_free(&a);
	initramfs_free(&a);
}

static void it_goes_behind_another_one(void **state __unused)
{
	struct initramfs a;
	size_t at = 8;

	initramfs_begin(&a, "other", 5);
	initramfs_file(&a, "x", 0644, "y", 1);
	assert_int_equal(initramfs_end(&a), 0);
	assert_memory_equal(a.data, "other\0\0\0", 8);
	assert_string_equal(next(&a, &at).path, "x");
	initramfs_free(&a);
}

static void what_does_not_fit_fails_in_the_end(void **state __unused)
{
	struct initramfs a;

	initramfs_begin(&a, NULL, 0);
	initramfs_file(&a, "x", 0644, "y", (size_t)UINT32_MAX + 1);
	initramfs_file(&a, "y", 0644, "y", 1);
	assert_int_equal(initramfs_end(&a), -ENOMEM);
	assert_null(a.data);
	initramfs_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directories_and_files_come_out_as_they_went_in),
		cmocka_unit_test(it_goes_behind_another_one),
		cmocka_unit_test(what_does_not_fit_fails_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
