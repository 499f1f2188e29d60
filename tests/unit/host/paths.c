/* SPDX-License-Identifier: BSD-2-Clause */
/* Which paths are where a guest may write, however they are written. */
#include "host/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "capture.h"
#include "config/command.h"

static char dir[] = "/tmp/minivmm-paths-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[8][128];
	static unsigned next;
	char *p = path[next++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

/* Returns what is said of a command line whose share is w, in dir; "" if it is accepted. */
static const char *said(const char *option, const char *value)
{
	static struct capture c;
	char share[160];
	const char *argv[] = { "minivmm", "run", "--kernel=/k", "--share", share,
			       option,    value, "--",          "true",    NULL };
	struct config config;
	int rc;

	snprintf(share, sizeof(share), "%s:/w:rw", in_dir("w"));
	assert_int_equal(config_parse(&config, ARRAY_SIZE(argv) - 1, (char *const *)argv), 0);
	capture_begin(&c);
	rc = paths_check(&config);
	capture_end(&c);
	assert_int_equal(rc, *c.text ? -EINVAL : 0);
	config_destroy(&config);
	return c.text;
}

static bool refused(const char *option, const char *value)
{
	const char *text = said(option, value);

	return strstr(text, "which the guest may write (--share)") != NULL;
}

static void the_sentence_names_both_and_the_way_out(void **state __unused)
{
	char want[512];

	snprintf(
		want, sizeof(want),
		"minivmm: --json %s/w/j: that is in %s/w, which the guest may write (--share): it could put a link to another file there; choose a path outside, or share the directory without :rw\n",
		dir, dir);
	assert_string_equal(said("--json", in_dir("w/j")), want);
}

static void each_path_of_ours_is_looked_at(void **state __unused)
{
	static const struct {
		const char *option, *before;
	} t[] = {
		{ "--json", "" },
		{ "--console-log", "" },
		{ "--initrd", "" },
		{ "--modules", "" },
		{ "--kernel-cache", "" },
		{ "--disk", "" },
		{ "--disk", "/nowhere,overlay=" },
		{ "--vsock", "cid=3,socket=" },
		{ "--net", "socket=" },
		{ "--net", "tap=x,script=" },
		{ "--fs", "tag=t,socket=" },
		{ "--serial", "file=" },
		{ "--serial", "socket=" },
		{ "--console", "file=" },
		{ "--console", "socket=" },
		{ "--port", "name=p,file=" },
		{ "--port", "name=p,socket=" },
	};
	char value[256];

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		snprintf(value, sizeof(value), "%s%s", t[i].before, in_dir("w/sub/x"));
		if (!refused(t[i].option, value))
			fail_msg("%s %s is not refused", t[i].option, value);
		snprintf(value, sizeof(value), "%s%s", t[i].before, in_dir("out/x"));
		assert_string_equal(said(t[i].option, value), "");
	}
	assert_string_equal(said("--json", "/dev/stdout"), "");
	assert_string_equal(said("--serial", "pty"), "");
	assert_string_equal(said("--net", "user"), "");
}

static void links_and_dots_are_looked_through(void **state __unused)
{
	char here[256];

	assert_true(refused("--json", in_dir("to-sub/j")));
	assert_true(refused("--json", in_dir("to-to-sub/j")));
	assert_true(refused("--json", in_dir("out/../w/j")));
	assert_true(refused("--json", in_dir("w/sub/../../out/j"))); /* sub may become a link */
	assert_true(refused("--json", in_dir("w/to-out/j")));
	assert_true(refused("--initrd", in_dir("out/to-file")));
	assert_true(refused("--modules", in_dir("w")));
	assert_string_equal(said("--json", in_dir("w2/j")), "");
	assert_string_equal(said("--json", in_dir("none/w/j")), "");
	assert_string_equal(said("--json", in_dir("loop/j")), "");
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(in_dir("w/sub")), 0);
	assert_true(refused("--json", "j"));
	assert_true(refused("--json", "./j"));
	assert_string_equal(said("--json", in_dir("out/j")), "");
	assert_int_equal(chdir(in_dir("out")), 0);
	assert_true(refused("--json", "../w/j"));
	assert_string_equal(said("--json", "j"), "");
	assert_int_equal(chdir(here), 0);
}

/* They may be nested, and then the guest controls the names between them. */
static void shares_may_be_nested_but_not_behind_a_link(void **state __unused)
{
	assert_string_equal(said("--share", in_dir("w/sub")), "");
	assert_string_equal(said("--share", in_dir("w")), "");
	assert_string_equal(said("--share", in_dir("to-sub")), "");
	assert_non_null(
		strstr(said("--share", in_dir("w/to-out")), "a link on the way there is in"));
}

static void what_is_shared_read_only_is_no_place_of_the_guests(void **state __unused)
{
	char fs[128];
	struct config c;
	struct capture text;
	const char *argv[] = { "minivmm", "--kernel", in_dir("w/vmlinuz"), "--fs", fs, NULL };

	snprintf(fs, sizeof(fs), "tag=t,path=%s", in_dir("w"));
	assert_int_equal(config_parse(&c, 5, (char *const *)argv), 0);
	assert_int_equal(paths_check(&c), 0);
	config_destroy(&c);
	snprintf(fs, sizeof(fs), "tag=t,path=%s,readonly=off", in_dir("w"));
	assert_int_equal(config_parse(&c, 5, (char *const *)argv), 0);
	capture_begin(&text);
	assert_int_equal(paths_check(&c), -EINVAL);
	assert_non_null(strstr(capture_end(&text), "(--fs): it could put"));
	assert_non_null(strstr(text.text, "share the directory with readonly=on\n"));
	config_destroy(&c);
}

/* This must be the last test: this process has mounts of its own from here on. */
static void mounts_are_looked_through(void **state __unused)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		print_message("SKIP: no mounts of our own: %s\n", strerror(errno));
		skip();
	}
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(in_dir("w"), in_dir("mount a"), NULL, MS_BIND, NULL) < 0) {
		print_message("SKIP: no bind mounts: %s\n", strerror(errno));
		skip();
	}
	assert_true(refused("--json", in_dir("mount a/j")));
	assert_int_equal(umount(in_dir("mount a")), 0);
	assert_int_equal(mount(in_dir("w/sub"), in_dir("mount a"), NULL, MS_BIND, NULL), 0);
	assert_true(refused("--json", in_dir("mount a/j")));
	assert_int_equal(umount(in_dir("mount a")), 0);
	assert_int_equal(mount(in_dir("w/file"), in_dir("a file"), NULL, MS_BIND, NULL), 0);
	assert_true(refused("--initrd", in_dir("a file")));
	assert_int_equal(umount(in_dir("a file")), 0);
	assert_int_equal(mount(in_dir("out"), in_dir("mount a"), NULL, MS_BIND, NULL), 0);
	assert_string_equal(said("--json", in_dir("mount a/j")), "");
	assert_int_equal(umount(in_dir("mount a")), 0);
	/* The other way round: the share is what is mounted. */
	assert_int_equal(mount(in_dir("out"), in_dir("w"), NULL, MS_BIND, NULL), 0);
	assert_true(refused("--json", in_dir("out/j")));
	assert_int_equal(umount(in_dir("w")), 0);
}

static const char *const directories[] = { "w", "w/sub", "w2", "out", "mount a" };
static const char *const links[][2] = {
	{ "w/sub", "to-sub" },          { "to-sub", "to-to-sub" }, { "../out", "w/to-out" },
	{ "../w/file", "out/to-file" }, { "loop", "loop" },
};
static const char *const files[] = { "w/file", "a file" };

static int make_files(void **state __unused)
{
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(mkdir(in_dir(directories[i]), 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		assert_int_equal(symlink(links[i][0], in_dir(links[i][1])), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		close(open(in_dir(files[i]), O_WRONLY | O_CREAT, 0644));
	return 0;
}

static int remove_files(void **state __unused)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(in_dir(files[i]));
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		unlink(in_dir(links[i][1]));
	for (size_t i = ARRAY_SIZE(directories); i > 0; i--)
		rmdir(in_dir(directories[i - 1]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sentence_names_both_and_the_way_out),
		cmocka_unit_test(each_path_of_ours_is_looked_at),
		cmocka_unit_test(links_and_dots_are_looked_through),
		cmocka_unit_test(shares_may_be_nested_but_not_behind_a_link),
		cmocka_unit_test(what_is_shared_read_only_is_no_place_of_the_guests),
		cmocka_unit_test(mounts_are_looked_through),
	};

	return cmocka_run_group_tests_name("paths", tests, make_files, remove_files);
}
