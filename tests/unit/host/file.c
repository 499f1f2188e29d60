/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "capture.h"

static char dir[] = "/tmp/minivmm-file-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make(const char *name, const void *data, size_t len)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void a_file_is_read_whole(void **state __unused)
{
	static uint8_t data[100000];
	struct file f;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 >> 3);
	make("data", data, sizeof(data));
	assert_int_equal(file_read(&f, "--kernel", in_dir("data"), NULL), 0);
	assert_int_equal(f.len, sizeof(data));
	assert_memory_equal(f.data, data, sizeof(data));
	file_free(&f);
	assert_null(f.data);
	file_free(&f);
}

#define FAILS(rc, path, says)                                                                      \
	do {                                                                                       \
		struct capture c_;                                                                 \
		struct file f_;                                                                    \
		capture_begin(&c_);                                                                \
		assert_int_equal(file_read(&f_, "--kernel", path, NULL), rc);                      \
		assert_non_null(strstr(capture_end(&c_), says));                                   \
		assert_non_null(strstr(c_.text, "--kernel"));                                      \
		assert_non_null(strstr(c_.text, path));                                            \
		file_free(&f_);                                                                    \
	} while (0)

static void what_is_not_a_file_is_refused(void **state __unused)
{
	FAILS(-ENOENT, in_dir("missing"), "No such file");
	FAILS(-EINVAL, dir, "a directory");
	FAILS(-EINVAL, "/dev/zero", "a device");
	make("empty", "", 0);
	FAILS(-EINVAL, in_dir("empty"), "empty");
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	FAILS(-EINVAL, in_dir("fifo"), "pipe"); /* and does not wait for a writer */
	make("huge", "", 0);
	if (truncate(in_dir("huge"), 5ll << 30) == 0)
		FAILS(-EFBIG, in_dir("huge"), "larger");
}

static int make_dir(void **state __unused)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state __unused)
{
	static const char *const names[] = { "data", "empty", "fifo", "huge" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_whole),
		cmocka_unit_test(what_is_not_a_file_is_refused),
	};

	return cmocka_run_group_tests_name("file", tests, make_dir, remove_dir);
}
