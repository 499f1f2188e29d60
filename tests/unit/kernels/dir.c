/* SPDX-License-Identifier: BSD-2-Clause */
/* Which directory the cache is, and which it can't be. */
#include "kernels/dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "capture.h"
#include "kernels/key.h"

static char dir[] = "/tmp/minivmm-dir-XXXXXX";

static char *in_dir(const char *name)
{
	static char path[8][128];
	static unsigned next;
	char *p = path[next++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void make(const char *name, mode_t mode)
{
	assert_int_equal(mkdir(in_dir(name), 0700), 0);
	assert_int_equal(chmod(in_dir(name), mode), 0);
}

static void environment(const char *cache, const char *xdg, const char *home)
{
	cache ? setenv("MINIVMM_CACHE", cache, 1) : unsetenv("MINIVMM_CACHE");
	xdg ? setenv("XDG_CACHE_HOME", xdg, 1) : unsetenv("XDG_CACHE_HOME");
	home ? setenv("HOME", home, 1) : unsetenv("HOME");
}

/* Returns what is said when it is opened; "opened": it was, and is the directory of that name. */
static const char *said(const struct config *c, const char *name)
{
	static struct capture cap;
	struct stat a, b;
	int fd;

	log_set_level(LOG_INFO);
	capture_begin(&cap);
	fd = dir_open(c);
	capture_end(&cap);
	log_set_level(LOG_WARN);
	if (fd < 0)
		return cap.text;
	assert_string_equal(cap.text, "");
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(stat(in_dir(name), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_mode & 0777, 0700);
	close(fd);
	return "opened";
}

static const struct config none = { 0 };

static void it_is_among_the_users_caches(void **state __unused)
{
	make("cache", 0755);
	make("xdg", 0755);
	make("home", 0755);
	environment(in_dir("cache"), in_dir("xdg"), in_dir("home"));
	assert_string_equal(said(&none, "cache/kernels"), "opened");
	environment(NULL, in_dir("xdg"), in_dir("home"));
	assert_string_equal(said(&none, "xdg/minivmm/kernels"), "opened");
	environment(NULL, "relative", in_dir("home")); /* which the specification ignores */
	assert_string_equal(said(&none, "home/.cache/minivmm/kernels"), "opened");
	assert_string_equal(said(&none, "home/.cache/minivmm/kernels"), "opened");
	environment(NULL, NULL, NULL);
	assert_non_null(strstr(said(&none, ""), "no home directory"));
	environment(NULL, NULL, in_dir("nowhere"));
	assert_non_null(strstr(said(&none, ""), "No such file"));
	environment(NULL, NULL, "/proc"); /* a home that is read-only */
	assert_non_null(strstr(said(&none, ""), "kernel cache: "));
}

static void it_may_be_named(void **state __unused)
{
	struct config c = { .kernel_cache.dir = in_dir("named") };

	environment(NULL, NULL, NULL);
	assert_string_equal(said(&c, "named"), "opened");
	c.kernel_cache.dir = in_dir("not/there");
	assert_non_null(strstr(said(&c, ""), "No such file"));
}

/* Only a directory that the user named is worth a warning. */
static void nothing_is_said_by_default(void **state __unused)
{
	struct config c = { .kernel_cache.dir = in_dir("not/there") };
	struct capture cap;

	environment(NULL, NULL, NULL);
	capture_begin(&cap);
	assert_true(dir_open(&none) < 0);
	assert_string_equal(capture_end(&cap), "");
	capture_begin(&cap);
	assert_true(dir_open(&c) < 0);
	assert_non_null(strstr(capture_end(&cap), "No such file"));
}

static void others_may_not_get_at_it(void **state __unused)
{
	make("o", 0700);
	make("o/kernels", 0710);
	environment(in_dir("o"), NULL, NULL);
	assert_non_null(strstr(said(&none, ""), "open to others"));
	assert_int_equal(chmod(in_dir("o/kernels"), 0702), 0);
	assert_non_null(strstr(said(&none, ""), "open to others"));
	assert_int_equal(chmod(in_dir("o/kernels"), 0700), 0);
	assert_string_equal(said(&none, "o/kernels"), "opened");
	if (geteuid() == 0) {
		assert_int_equal(chown(in_dir("o/kernels"), 1, 1), 0);
		assert_non_null(strstr(said(&none, ""), "not yours"));
	}
}

static void it_is_no_link(void **state __unused)
{
	struct config c = { .kernel_cache.dir = in_dir("l/kernels") };

	make("l", 0700);
	make("l/real", 0700);
	assert_int_equal(symlink("real", in_dir("l/kernels")), 0);
	environment(in_dir("l"), NULL, NULL);
	assert_non_null(strstr(said(&none, ""), "kernel cache: "));
	assert_non_null(strstr(said(&c, ""), "kernel cache: "));
	assert_int_equal(unlink(in_dir("l/kernels")), 0);
	close(open(in_dir("l/kernels"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_non_null(strstr(said(&none, ""), "Not a directory"));
}

/* Root may have the HOME of a user. */
static void nothing_is_made_in_somebody_elses_home(void **state __unused)
{
	if (geteuid() != 0) {
		print_message("# SKIP: only root can make somebody else's directory\n");
		skip();
	}
	make("user", 0755);
	assert_int_equal(chown(in_dir("user"), 1, 1), 0);
	environment(NULL, NULL, in_dir("user"));
	assert_non_null(strstr(said(&none, ""), "Permission denied"));
	assert_int_equal(access(in_dir("user/.cache"), F_OK), -1);
}

static void the_guest_may_not_write_there(void **state __unused)
{
	char share[200];
	const char *argv[] = {
		"minivmm", "run", "--kernel=/k", "--share", share, "--", "true", NULL
	};
	struct config c;

	make("s", 0700);
	make("s/c", 0700);
	snprintf(share, sizeof(share), "%s:/s:rw", in_dir("s"));
	assert_int_equal(config_parse(&c, ARRAY_SIZE(argv) - 1, (char *const *)argv), 0);
	environment(in_dir("s/c"), NULL, NULL);
	assert_non_null(strstr(said(&c, ""), "the guest may write there"));
	assert_int_equal(access(in_dir("s/c/kernels"), F_OK), -1);
	assert_string_equal(said(&none, "s/c/kernels"), "opened");
	config_destroy(&c);
}

/* It doesn't make the directory, and logs nothing. */
static void the_doctor_only_looks(void **state __unused)
{
	char path[PATH_MAX];

	make("d", 0700);
	environment(in_dir("d"), NULL, NULL);
	assert_null(dir_look(path));
	assert_string_equal(path, in_dir("d/kernels"));
	assert_int_equal(access(path, F_OK), -1);
	make("d/kernels", 0755);
	assert_non_null(strstr(dir_look(path), "open to others"));
	environment(NULL, NULL, NULL);
	assert_string_equal(dir_look(path), "there is no home directory");
}

static void it_is_on_this_machine(void **state __unused)
{
	struct config c = { .kernel_cache.dir = (char[]){ "/proc/self" } };

	if (geteuid() != 0 && getuid() != geteuid())
		skip();
	/* It is somebody's, open to others, and of no file system that has files. */
	assert_non_null(strstr(said(&c, ""), "kernel cache: /proc/self: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_among_the_users_caches),
		cmocka_unit_test(it_may_be_named),
		cmocka_unit_test(nothing_is_said_by_default),
		cmocka_unit_test(others_may_not_get_at_it),
		cmocka_unit_test(it_is_no_link),
		cmocka_unit_test(nothing_is_made_in_somebody_elses_home),
		cmocka_unit_test(the_guest_may_not_write_there),
		cmocka_unit_test(the_doctor_only_looks),
		cmocka_unit_test(it_is_on_this_machine),
	};
	char command[64];
	int fd, rc;

	if (!mkdtemp(dir))
		return 1;
	fd = open(dir, O_RDONLY | O_CLOEXEC);
	if (!key_is_local(fd)) {
		puts("1..0 # SKIP /tmp is not on a file system of this machine");
		close(fd);
		return 0;
	}
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) == 0 ? rc : 1;
}
