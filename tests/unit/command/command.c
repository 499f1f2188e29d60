/* SPDX-License-Identifier: BSD-2-Clause */
/* What `minivmm run` gives its guest: the initrd, with orders that are parsed here by the guest's
 * own parser; and how much of the guest's console it keeps. */
#include "command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "backend/fuse/fuse.h"
#include "capture.h"
#include "config/command.h"
#include "guest/orders.h"
#include "command/initramfs.h"
#include "host/outputs.h"
#include "host/resolv.h"
#include "streams.h"
#include "virtio/vsock.h"

static char directory[] = "/tmp/minivmm-run-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", directory, name);
	return p;
}

static void make(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

/* The file of that name in an archive, or NULL. */
static uint8_t *find(const struct initramfs *a, const char *path, size_t *len)
{
	char digits[9] = { 0 };

	for (size_t at = 0; at + 110 < a->len;) {
		const char *name = (const char *)a->data + at + 110;
		size_t name_len, data;

		memcpy(digits, a->data + at + 6 + 6 * 8, 8);
		*len = strtoul(digits, NULL, 16);
		memcpy(digits, a->data + at + 6 + 11 * 8, 8);
		name_len = strtoul(digits, NULL, 16);
		data = align_up(at + 110 + name_len, 4);
		if (!strcmp(name, path))
			return a->data + data;
		at = align_up(data + *len, 4);
	}
	return NULL;
}

struct trial {
	struct config c;
	struct command r;
	struct initramfs a;
	struct orders o;
};

static const uint8_t user_initrd[] = "not empty";
static uint64_t most_descriptors; /* as the machine's owner has them */
static struct resolv resolv = { .options = "ndots:3", .has4 = true };

/* Makes the initrd of minivmm run with these arguments, for that kernel. */
static int begin_kernel(struct trial *t, const struct file *kernel, int argc,
			const char *const argv[])
{
	static const char *const modules[] = { "virtio_pci", "virtiofs",
					       "vmw_vsock_virtio_transport", NULL };
	const struct file user = { (void *)user_initrd, sizeof(user_initrd) };
	size_t len;
	char *text;
	int rc;

	memset(t, 0, sizeof(*t));
	assert_int_equal(config_parse(&t->c, argc, (char *const *)argv), 0);
	t->r.config = &t->c;
	t->r.kernel = NULL;
	t->r.host.descriptors = most_descriptors;
	t->r.host.resolv = &resolv;
	rc = drivers_find(&t->r.drivers, t->c.command.modules, t->c.kernel, kernel);
	if (rc == 0)
		rc = command_initrd(&t->r, &user, modules, &t->a);
	if (rc < 0) {
		initramfs_free(&t->a);
		return rc;
	}
	assert_memory_equal(t->a.data, user_initrd, sizeof(user_initrd));
	/* After the user's initrd there is an archive of our own. */
	t->a.data += align_up(sizeof(user_initrd), 4);
	t->a.len -= align_up(sizeof(user_initrd), 4);
	text = (char *)find(&t->a, "minivmm/orders", &len);
	assert_non_null(text);
	assert_null(orders_parse(&t->o, text, len));
	return rc;
}

static int begin(struct trial *t, int argc, const char *const argv[])
{
	return begin_kernel(t, &(struct file){ 0 }, argc, argv);
}

#define BEGIN(t, ...)                                                                              \
	begin(t, ARRAY_SIZE(((const char *[]){ "minivmm", "run", __VA_ARGS__ })),                  \
	      (const char *const[]){ "minivmm", "run", __VA_ARGS__, NULL })

static void end(struct trial *t)
{
	free(t->o.argv);
	free(t->o.env);
	if (t->a.data)
		t->a.data -= align_up(sizeof(user_initrd), 4);
	initramfs_free(&t->a);
	drivers_free(&t->r.drivers);
	config_destroy(&t->c);
}

static bool has_env(const struct orders *o, const char *text)
{
	for (char **e = o->env; *e; e++)
		if (!strcmp(*e, text))
			return true;
	return false;
}

static void the_orders_are_what_was_asked_for(void **state __unused)
{
	struct trial t;
	char here[4096];
	size_t len;

	setenv("COLOUR", "blue", 1);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--env", "SIZE=a=b", "--share", "/a:/b c:rw",
			       "--share", "/tmp", "--overlay-size=5M", "--net", "user", "-t", "--",
			       "sh", "-c", ""),
			 0);
	assert_non_null(find(&t.a, "minivmm/init", &len));
	assert_true(len > 10000);
	assert_string_equal(t.o.argv[0], "sh");
	assert_string_equal(t.o.argv[2], "");
	assert_null(t.o.argv[3]);
	assert_true(has_env(&t.o, "COLOUR=blue"));
	assert_true(has_env(&t.o, "SIZE=a=b"));
	assert_int_equal(t.o.uid, getuid());
	assert_int_equal(t.o.gid, getgid());
	assert_string_equal(t.o.directory, getcwd(here, sizeof(here)));
	assert_string_equal(t.o.root, "root");
	assert_string_equal(t.o.overlay, "5242880");
	assert_int_equal(t.o.nr_shares, 2);
	assert_string_equal(t.o.share[0].path, "/b c");
	assert_true(t.o.share[0].writable && !t.o.share[1].writable);
	assert_string_equal(t.o.share[1].path, "/tmp");
	assert_true(t.o.net && t.o.terminal);
	assert_int_equal(t.o.dns6, NET_DNS6_LAST);
	assert_string_equal(t.o.resolv_options, "ndots:3");
	assert_int_equal(t.o.nr_modules, 0);
	end(&t);
}

static void what_was_asked_for_comes_once(void **state __unused)
{
	struct trial t;

	assert_int_equal(BEGIN(&t, "--kernel", "k", "--clean-env", "--env", "A=1", "--env", "A=2",
			       "--user", "7:8", "--chdir", "/usr", "--", "x"),
			 0);
	assert_true(has_env(&t.o, "A=2"));
	assert_false(has_env(&t.o, "A=1"));
	assert_false(has_env(&t.o, "COLOUR=blue"));
	assert_true(!strncmp(t.o.env[0], "PATH=", 5));
	assert_int_equal(t.o.uid, 7);
	assert_int_equal(t.o.gid, 8);
	assert_string_equal(t.o.directory, "/usr");
	end(&t);
}

static void a_directory_may_be_below_the_callers(void **state __unused)
{
	char here[4096], want[4200];
	struct trial t;

	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--chdir", "sub/dir", "--", "x"), 0);
	snprintf(want, sizeof(want), "%s/sub/dir", here);
	assert_string_equal(t.o.directory, want);
	end(&t);
	assert_int_equal(
		BEGIN(&t, "--kernel", "k", "--root", directory, "--chdir", "sub", "--", "x"), 0);
	assert_string_equal(t.o.directory, "/sub");
	end(&t);
}

static void a_directory_that_was_removed_is_told(void **state __unused)
{
	const int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char gone[] = "/tmp/minivmm-gone-XXXXXX";
	struct capture c;
	struct trial t;

	assert_non_null(mkdtemp(gone));
	assert_int_equal(chdir(gone), 0);
	assert_int_equal(rmdir(gone), 0);
	capture_begin(&c);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--", "x"), -ENOENT);
	assert_string_equal(
		capture_end(&c),
		"minivmm: run: the directory where you are was removed; go to another, or write --chdir and an absolute path\n");
	end(&t);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--chdir", "/usr", "--", "x"), 0);
	end(&t);
	assert_int_equal(fchdir(back), 0);
	close(back);
}

/* The order of the options doesn't matter: a share that is below another comes after it. */
static void shares_come_with_those_that_they_are_below_first(void **state __unused)
{
	struct trial t;

	assert_int_equal(BEGIN(&t, "--kernel", "k", "--share", "/tmp:/w/a/b", "--share",
			       "/usr:/w/:rw", "--share", "/etc/passwd:/v", "--share",
			       "/opt:/w//./a:rw", "--", "x"),
			 0);
	assert_int_equal(t.o.nr_shares, 4);
	assert_string_equal(t.o.share[0].path, "/w");
	assert_string_equal(t.o.share[0].tag, "share1");
	assert_string_equal(t.o.share[1].path, "/v");
	assert_string_equal(t.o.share[1].tag, "share2");
	assert_string_equal(t.o.share[2].path, "/w/a");
	assert_true(t.o.share[1].file && !t.o.share[1].writable);
	assert_true(!t.o.share[2].file && t.o.share[2].writable);
	assert_string_equal(t.o.share[3].path, "/w/a/b");
	assert_string_equal(t.o.share[3].tag, "share0");
	end(&t);
}

/* Names are resolved in the guest's root: /link is /deep/down there. */
static void links_of_the_root_are_followed_for_that(void **state __unused)
{
	struct trial t;

	assert_int_equal(mkdir(in_dir("deep"), 0755), 0);
	assert_int_equal(mkdir(in_dir("deep/down"), 0755), 0);
	assert_int_equal(symlink("/deep/down", in_dir("link")), 0);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--share", "/usr:/link",
			       "--share", "/etc:/deep:rw", "--", "x"),
			 0);
	assert_string_equal(t.o.share[0].path, "/deep");
	assert_string_equal(t.o.share[1].path, "/link");
	end(&t);
}

static void refuses_shares(const char *a, const char *b, const char *why)
{
	struct capture c;
	struct trial t;

	capture_begin(&c);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--share", a, "--share", b,
			       "--", "x"),
			 -EINVAL);
	assert_string_equal(capture_end(&c), why);
	end(&t);
}

/* why: a part of what is said. */
static void refuses_shares_in(const char *a, const char *b, const char *why)
{
	struct capture c;
	struct trial t;

	capture_begin(&c);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--share", a, "--share", b,
			       "--", "x"),
			 -EINVAL);
	capture_end(&c);
	if (!strstr(c.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, c.text);
	end(&t);
}

static void takes_shares(const char *a, const char *b)
{
	struct trial t;

	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--share", a, "--share", b,
			       "--", "x"),
			 0);
	assert_int_equal(t.o.nr_shares, 2);
	end(&t);
}

static void shares_that_hide_others_are_refused(void **state __unused)
{
	refuses_shares(
		"/usr:/w", "/etc:/w/./",
		"minivmm: --share /etc: --share /usr is at /w in the guest already; give one of them another GUESTDIR\n");
	refuses_shares(
		"/usr:/link/x", "/etc:/deep/down/x",
		"minivmm: --share /etc: --share /usr is at /deep/down/x in the guest already; give one of them another GUESTDIR\n");
	refuses_shares(
		"/usr:/w", "/etc:/.",
		"minivmm: --share /etc: / is the guest's root; write --root /etc, or --share /etc:GUESTDIR to have it elsewhere\n");
	refuses_shares(
		"/usr:/w", "/etc:/proc/x",
		"minivmm: --share /etc: /proc/x in the guest is its kernel's own; write --share /etc:GUESTDIR to have it elsewhere\n");
	refuses_shares(
		"/usr:/w", "/etc:/dev/",
		"minivmm: --share /etc: the guest's /dev has its own devices; write --share /etc:GUESTDIR to have it elsewhere\n");
}

/* Shares that the guest would find impossible only when it mounts them. */
static void shares_that_have_no_place_are_refused(void **state __unused)
{
	char one[96], in_one[96];

	assert_int_equal(mkdir(in_dir("one"), 0755), 0);
	assert_int_equal(mkdir(in_dir("one/sub"), 0755), 0);
	assert_int_equal(symlink("sub", in_dir("one/link")), 0);
	assert_int_equal(symlink("/etc", in_dir("one/away")), 0);
	make("one/file", "", 0);
	snprintf(one, sizeof(one), "%s/one:/w", directory);
	snprintf(in_one, sizeof(in_one), "%s/one:/w:rw", directory);
	refuses_shares_in(
		one, "/usr:/w/none/x",
		"/one, where it would be made, is read-only; make it here, or write :rw for that one");
	refuses_shares_in(one, "/etc/passwd:/w/none", "there is no /w/none in the guest");
	refuses_shares_in(in_one, "/usr:/w/file",
			  "this is a directory, and /w/file in the guest is not one");
	refuses_shares_in(in_one, "/etc/passwd:/w/sub",
			  "this is a file, and /w/sub in the guest is a directory");
	refuses_shares_in("/usr:/x", "/etc/passwd:/one",
			  "this is a file, and /one in the guest is");
	refuses_shares_in("/usr:/x", "/usr/lib:/one/file", "this is a directory, and /one/file");
	refuses_shares_in("/usr/lib:/f/x", "/etc/passwd:/f",
			  "/f/x in the guest is below --share /etc/passwd, which is a file");
	takes_shares(one, "/usr:/w/sub");
	takes_shares(one, "/etc/passwd:/w/file");
	takes_shares(one, "/usr:/w/away/x"); /* a path of the guest's that is not in our root */
	takes_shares(in_one, "/usr:/w/none/x");
	takes_shares(in_one, "/etc/passwd:/w/none");
	takes_shares("/etc/passwd:/run/user", "/usr:/dev/null/x");
}

/* A link in a share leads to the place of another share. */
static void links_of_shares_are_followed_for_that(void **state __unused)
{
	struct capture c;
	char one[96];
	struct trial t;

	snprintf(one, sizeof(one), "%s/one:/w", directory);
	capture_begin(&c);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--share", one, "--share",
			       "/usr:/w/link", "--share", "/etc:/w/sub", "--", "x"),
			 -EINVAL);
	capture_end(&c);
	if (!strstr(c.text, "--share /usr is at /w/sub in the guest already"))
		fail_msg("%s", c.text);
	end(&t);
}

/* This holds even if minivmm raised its own limits, and if there is no limit. */
static void limits_are_the_callers(void **state __unused)
{
	struct rlimit was, core;
	struct trial t;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	most_descriptors = 99;
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--", "x"), 0);
	most_descriptors = 0;
	assert_int_equal(t.o.nr_limits, RLIM_NLIMITS);
	assert_int_equal(t.o.limit[RLIMIT_NOFILE].value.rlim_cur, 99);
	assert_int_equal(t.o.limit[RLIMIT_NOFILE].value.rlim_max, was.rlim_max);
	assert_int_equal(t.o.limit[RLIMIT_CORE].value.rlim_cur, core.rlim_cur);
	end(&t);
}

/* Descriptor 1 or 2 is a copy of fd, until put_back(). */
static int before[3];

static void put_in_place(int at, int fd)
{
	before[at] = fcntl(at, F_DUPFD_CLOEXEC, 3);
	assert_true(before[at] >= 0 && dup2(fd, at) == at);
}

static void put_back(void)
{
	for (int at = 1; at <= 2; at++)
		assert_true(dup2(before[at], at) == at && close(before[at]) == 0);
}

static bool has_one_output(const char *option)
{
	struct trial t;
	bool one;

	assert_int_equal(BEGIN(&t, "--kernel", "k", "--outputs", option, "--", "x"), 0);
	one = t.o.one_output;
	end(&t);
	return one;
}

static void outputs_are_one_where_they_are_on_the_host(void **state __unused)
{
	int pipes[2], file, again;
	bool same[2];

	file = open(in_dir("out"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	again = open(in_dir("out"), O_WRONLY | O_CLOEXEC);
	assert_true(pipe2(pipes, O_CLOEXEC) == 0 && file >= 0 && again >= 0);
	put_in_place(1, file);
	put_in_place(2, file);
	same[0] = has_one_output("auto");
	same[1] = has_one_output("two");
	put_back();
	assert_true(same[0] && !same[1]);
	assert_int_equal(write(again, "x", 1), 1);
	assert_false(outputs_are_one(file, again));
	put_in_place(1, pipes[1]);
	put_in_place(2, file);
	same[0] = has_one_output("auto");
	same[1] = has_one_output("one");
	put_back();
	assert_true(!same[0] && same[1]);
	close(file);
	close(again);
	close(pipes[0]);
	close(pipes[1]);
}

/* A file that was opened twice has two positions, unless it has none. */
static void what_was_opened_twice_is_one_where_it_has_no_position(void **state __unused)
{
	int a, b, pipes[2], sockets[2];
	char name[64];

	a = open(in_dir("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	b = open(in_dir("log"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(outputs_are_one(a, b));
	close(b);
	b = open(in_dir("log"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(a, "x", 1), 1);
	assert_false(outputs_are_one(a, b));
	close(b);
	b = open(in_dir("other"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_false(outputs_are_one(a, b));
	close(b);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", pipes[1]);
	b = open(name, O_WRONLY | O_CLOEXEC);
	assert_true(outputs_are_one(pipes[1], b));
	assert_false(outputs_are_one(pipes[1], a));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_false(outputs_are_one(sockets[0], sockets[1]));
	assert_false(outputs_are_one(a, -1));
	close(a);
	close(b);
	for (int i = 0; i < 2; i++) {
		close(pipes[i]);
		close(sockets[i]);
	}
}

static void numbers_of_users_are_checked(void **state __unused)
{
	const char *const wrong[] = { "4294967295", "4294967296", "1:4294967295",
				      "1:",         "1:x",        "18446744073709551617" };
	struct capture c;
	struct trial t;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		capture_begin(&c);
		assert_int_equal(BEGIN(&t, "--kernel", "k", "--user", wrong[i], "--", "x"),
				 -EINVAL);
		assert_non_null(strstr(capture_end(&c), "no such user"));
		end(&t);
	}
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--user", "4294967294", "--", "x"), 0);
	assert_int_equal(t.o.uid, 4294967294);
	assert_int_equal(t.o.gid, 4294967294);
	end(&t);
}

static void users_are_those_of_the_root(void **state __unused)
{
	static const char passwd[] = "root:x:0:0::/:/bin/sh\njo:x:1001:1002::/:/bin/sh\n";
	static const char group[] = "a:x:50:bo\nb:x:51:bo,jo\nc:x:52:jo\n";
	struct trial t;
	struct capture c;

	mkdir(in_dir("etc"), 0700);
	make("etc/passwd", passwd, sizeof(passwd) - 1);
	make("etc/group", group, sizeof(group) - 1);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--user", "jo", "--", "x"),
			 0);
	assert_int_equal(t.o.uid, 1001);
	assert_int_equal(t.o.gid, 1002);
	assert_int_equal(t.o.nr_groups, 3);
	assert_int_equal(t.o.group[1], 51);
	assert_int_equal(t.o.group[2], 52);
	assert_string_equal(t.o.directory, "/");
	end(&t);
	capture_begin(&c);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--user", "al", "--", "x"),
			 -EINVAL);
	assert_string_equal(
		capture_end(&c),
		"minivmm: --user al: the guest's root has no such user (see its /etc/passwd); UID or UID:GID works, too\n");
	end(&t);
}

/* An untrusted writer, such as the guest of an earlier run, chose the kinds of the root's files. */
static void users_are_in_regular_files_of_the_root(void **state __unused)
{
	static const char host[] = "jo:x:0:0::/:/bin/sh\n";
	struct capture c;
	struct trial t;
	char up[128];

	assert_int_equal(rename(in_dir("etc/passwd"), in_dir("etc/real")), 0);
	assert_int_equal(symlink("/etc/real", in_dir("etc/passwd")), 0);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--user", "jo", "--", "x"),
			 0);
	assert_int_equal(t.o.uid, 1001);
	end(&t);
	assert_int_equal(unlink(in_dir("etc/passwd")), 0);

	make("passwd", host, sizeof(host) - 1);
	mkdir(in_dir("root"), 0700);
	mkdir(in_dir("root/etc"), 0700);
	assert_int_equal(symlink("../../passwd", in_dir("root/etc/passwd")), 0);
	snprintf(up, sizeof(up), "%s/root", directory);
	for (unsigned round = 0; round < 2; round++) {
		capture_begin(&c);
		assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", up, "--user", "jo", "--",
				       "x"),
				 -EINVAL);
		assert_non_null(strstr(capture_end(&c), "no such user"));
		end(&t);
		assert_int_equal(unlink(in_dir("root/etc/passwd")), 0);
		assert_int_equal(mkfifo(in_dir("root/etc/passwd"), 0600), 0);
	}
	unlink(in_dir("root/etc/passwd"));
	rmdir(in_dir("root/etc"));
	rmdir(in_dir("root"));
	assert_int_equal(rename(in_dir("etc/real"), in_dir("etc/passwd")), 0);
}

/* What another thread does while this one writes: it looks for users, too. */
static ssize_t meanwhile(void *ctx __unused, const char *text __unused, size_t len)
{
	FILE *f = fopen(in_dir("others"), "r");

	while (fgetpwent(f))
		;
	fclose(f);
	f = fopen(in_dir("others-groups"), "r");
	while (fgetgrent(f))
		;
	fclose(f);
	return (ssize_t)len;
}

static ssize_t keep(void *ctx, const char *text, size_t len)
{
	FILE *kept = ctx;

	return fwrite(text, 1, len, kept) == len ? meanwhile(NULL, text, len) : -1;
}

static void another_threads_users_are_its_own(void **state __unused)
{
	static const char others[] = "me:x:0:0::/:/bin/sh\n", groups[] = "wheel:x:0:me,jo\n";
	static const char expected[] = "uid=1001\0gid=1002\0group=1002\0group=51\0group=52\0";
	char user[] = "jo", *kept = NULL;
	struct config c = { .command = { .root = directory, .user = user } };
	size_t len;
	FILE *to = open_memstream(&kept, &len), *out;

	make("others", others, sizeof(others) - 1);
	make("others-groups", groups, sizeof(groups) - 1);
	out = fopencookie(to, "w", (cookie_io_functions_t){ .write = keep });
	assert_non_null(out);
	setvbuf(out, NULL, _IONBF, 0);
	assert_int_equal(command_put_user(&c, out), 0);
	fclose(out);
	fclose(to);
	assert_int_equal(len, sizeof(expected) - 1);
	assert_memory_equal(kept, expected, len);
	free(kept);
}

static void lines_without_end_are_refused(void **state __unused)
{
	static char text[3 * MIB];
	struct capture c;
	struct trial t;

	memset(text, 'a', sizeof(text));
	make("etc/passwd", text, sizeof(text));
	capture_begin(&c);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--user", "jo", "--", "x"),
			 -E2BIG);
	assert_non_null(strstr(capture_end(&c), "/etc/passwd has a line of more than 1024 KiB"));
	end(&t);
	make("etc/passwd", "jo:x:1001:1002::/:/bin/sh\n", 26);
	make("etc/group", text, sizeof(text));
	capture_begin(&c);
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--root", directory, "--user", "jo", "--", "x"),
			 -E2BIG);
	assert_non_null(strstr(capture_end(&c), "/etc/group has a line of more than 1024 KiB"));
	end(&t);
}

/* Makes every module that a machine wants, some of them packed. */
static void make_modules(const char *dep)
{
	mkdir(in_dir("modules"), 0700);
	make("modules/modules.dep", dep, strlen(dep));
	make("modules/modules.builtin", "kernel/overlay.ko\n", 18);
	make("modules/virtiofs.ko", "virtiofs", 8);
	make("modules/pci.ko", "pci", 3);
	make("modules/virtio_pci.ko.gz", gzip_stream, sizeof(gzip_stream));
	make("modules/vmw_vsock_virtio_transport.ko", "vsock", 5);
}

static void modules_come_unpacked_and_in_order(void **state __unused)
{
	struct trial t;
	uint8_t *data;
	size_t len;

	make_modules("virtiofs.ko:\npci.ko:\nvirtio_pci.ko.gz: pci.ko\n"
		     "vmw_vsock_virtio_transport.ko:\n");
	assert_int_equal(BEGIN(&t, "--kernel", "k", "--modules", in_dir("modules"), "--", "x"), 0);
	assert_int_equal(t.o.nr_modules, 4);
	data = find(&t.a, t.o.module[0] + 1, &len);
	assert_non_null(data);
	assert_int_equal(len, 3);
	assert_memory_equal(data, "pci", 3);
	data = find(&t.a, t.o.module[1] + 1, &len);
	assert_non_null(data);
	assert_int_equal(len, 6000);
	assert_memory_equal(data, "minivmm boots Linux\n", 20);
	data = find(&t.a, t.o.module[2] + 1, &len);
	assert_memory_equal(data, "virtiofs", 8);
	end(&t);
}

static void fails(const char *message)
{
	struct capture c;
	struct trial t;

	capture_begin(&c);
	assert_true(BEGIN(&t, "--kernel", "k", "--modules", in_dir("modules"), "--", "x") < 0);
	assert_non_null(strstr(capture_end(&c), message));
	end(&t);
}

static void modules_that_are_wrong_are_named(void **state __unused)
{
	make_modules("virtiofs.ko: fuse.ko\nvirtio_pci.ko.gz:\nvmw_vsock_virtio_transport.ko:\n");
	fails("the kernel has no module fuse, which virtiofs needs; --modules names another directory of modules");
	make_modules(
		"virtio_pci.ko.gz: virtio_pci.ko.gz virtiofs.ko\nvirtiofs.ko: virtio_pci.ko.gz\n");
	fails("/modules.dep: virtio_pci needs itself");
	make_modules("../virtio_pci.ko:\n");
	fails("/modules.dep: ../virtio_pci.ko is not in the directory");
	make_modules("virtiofs.ko:\nvirtio_pci.ko.gz:\nvmw_vsock_virtio_transport.ko:\n");
	make("modules/virtio_pci.ko.gz", gzip_stream, sizeof(gzip_stream) - 9);
	fails("virtio_pci.ko.gz is damaged");
	make("modules/modules.dep", "\n", 1);
	fails("the kernel has no module virtio_pci");
}

/* Makes a kernel file of len bytes that names that release at offset at; no other byte ends a name.
 * Returns how many modules its guest gets from a directory that only the release leads to. */
static size_t modules_of(const char *release, size_t release_len, size_t at, size_t len)
{
	uint8_t *data = malloc(len); /* so that ASan sees the byte after it */
	const struct file kernel = { data, len };
	const char *path = in_dir("boot/vmlinuz");
	const char *argv[] = { "minivmm", "run", "--kernel", path, "--", "x", NULL };
	struct trial t;
	size_t nr;

	memset(data, 'A', len);
	memcpy(data + 0x202, "HdrS", 4);
	store_le(data + 0x20e, 2, at - 0x200);
	if (at + release_len <= len)
		memcpy(data + at, release, release_len);
	assert_int_equal(begin_kernel(&t, &kernel, 6, argv), 0);
	nr = t.o.nr_modules;
	end(&t);
	free(data);
	return nr;
}

static void a_release_is_read_from_no_byte_beyond_the_kernel(void **state __unused)
{
	const size_t len = 0x10000;

	make_modules("virtiofs.ko:\npci.ko:\nvirtio_pci.ko.gz: pci.ko\n"
		     "vmw_vsock_virtio_transport.ko:\n");
	mkdir(in_dir("lib"), 0700);
	mkdir(in_dir("lib/modules"), 0700);
	mkdir(in_dir("boot"), 0700);
	assert_int_equal(symlink("../../modules", in_dir("lib/modules/6.1-x")), 0);
	assert_int_equal(symlink("../../modules/modules.dep", in_dir("lib/modules/modules.dep")),
			 0);
	assert_int_equal(modules_of("6.1-x", 6, 0x4200, len), 4);
	assert_int_equal(modules_of("6.1-x (me@home)", 15, 0x4200, len), 4);
	assert_int_equal(modules_of("6.1-x", 6, len - 6, len), 4); /* its NUL is the last byte */
	assert_int_equal(modules_of("6.1-x", 5, len - 5, len), 0);
	assert_int_equal(modules_of("", 0, 0x4200, len), 0); /* the name has no end */
	assert_int_equal(modules_of("6.1-x", 5, 0x4200, len), 0);
	assert_int_equal(modules_of("", 1, 0x4200, len), 0);
	assert_int_equal(modules_of("", 0, 0x101ff, len), 0); /* the name begins beyond it */
	assert_int_equal(modules_of(".", 2, 0x4200, len), 0); /* not a kernel's directory */
	assert_int_equal(modules_of("..", 3, 0x4200, len), 0);
	assert_int_equal(modules_of("../modules/6.1-x", 17, 0x4200, len), 0);
}

static void tail(const char *said, unsigned lines, size_t max, const char *expected)
{
	struct command_console c;
	char text[64];

	assert_int_equal(command_console_open(&c, NULL), 0);
	assert_int_equal(stream_write(&c.stream, said, strlen(said)), strlen(said));
	command_console_tail(&c, lines, text, max);
	assert_string_equal(text, expected);
	command_console_close(&c);
}

static void the_last_lines_of_the_console_are_kept(void **state __unused)
{
	tail("", 3, 64, "");
	tail("one", 3, 64, "one\n");
	tail("one\r\ntwo\r\nthree\r\nfour\r\n", 2, 64, "three\nfour\n");
	tail("one\ntwo", 1, 64, "two\n");
	tail("one\n", 5, 64, "one\n");
	tail("a\033b\377\n", 5, 64, "a?b?\n");
	tail("0123456789", 5, 8, "456789\n");
}

static void the_console_is_kept_as_a_ring(void **state __unused)
{
	struct command_console c;
	char text[64];

	assert_int_equal(command_console_open(&c, in_dir("log")), 0);
	for (unsigned i = 0; i < 5000; i++) {
		char line[32];
		size_t len = (size_t)snprintf(line, sizeof(line), "line %u\n", i);

		stream_write(&c.stream, line, len);
	}
	command_console_tail(&c, 2, text, sizeof(text));
	assert_string_equal(text, "line 4998\nline 4999\n");
	command_console_close(&c);
}

/* -- --json ---------------------------------------------------------------------------------- */

static const struct machine_figures figures = { .end = END_COMMAND, .status = 7 };

/* A command that has ended, with a result for path. */
static void begin_json(struct command *cmd, struct config *c, const char *path)
{
	*c = (struct config){ .command.json = (char *)path };
	*cmd = (struct command){ .config = c, .ended = COMMAND_EXITED, .value = 7 };
}

static const char *content(const char *name)
{
	static char text[2048];
	FILE *f = fopen(in_dir(name), "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

/* Programs read it, so each byte but those of the times counts. */
static void the_result_is_an_object_of_numbers_and_words(void **state __unused)
{
	static const char expected[] =
		"{\n  \"status\": 137,\n  \"end\": \"signal\",\n  \"signal\": 9,\n"
		"  \"out_of_memory\": true,\n  \"overlay_full\": false,\n"
		"  \"times_us\": {\"monitor\": 1, \"kernel\": 4, \"init\": 2, \"command\": 7, \"end\": %*d, \"total\": %*d},%n";
	static const char rest[] =
		"\n  \"bytes\": {\"stdin\": 10, \"stdout\": 11, \"stderr\": 12},\n"
		"  \"memory\": 268435456,\n  \"peak_memory\": 4096,\n  \"exits\": 6\n}\n";
	static struct machine_figures f = {
		.end = END_COMMAND,
		.status = 137,
		.times.begin = 1000,
		.first_run_ns = 2000,
		.memory = 256 * MIB,
		.peak_memory = 4096,
		.vcpu = { { .exits = { 1, 2 } }, { .exits = { [47] = 3 } } },
		.nr_vcpus = 2,
		.stream = { { 10, 1 }, { 1, 11 }, { 1, 12 } },
	};
	static struct command cmd;
	struct config c;
	const char *text;
	int after = 0;

	begin_json(&cmd, &c, in_dir("json"));
	cmd.ended = COMMAND_SIGNALLED;
	cmd.value = 9;
	cmd.oom = true;
	cmd.init_us = 2;
	cmd.started_ns = 8000;
	cmd.ended_ns = 15000;
	assert_int_equal(command_empty_json(&cmd), 0);
	command_write_json(&cmd, &f);
	text = content("json");
	assert_int_equal(sscanf(text, expected, &after), 0);
	assert_true(after > 0);
	assert_string_equal(text + after, rest);
	unlink(in_dir("json"));
}

static void steps_that_were_not_reached_are_null(void **state __unused)
{
	static struct command cmd;
	struct config c;

	begin_json(&cmd, &c, in_dir("json"));
	assert_int_equal(command_empty_json(&cmd), 0);
	command_write_json(&cmd, &figures);
	assert_non_null(strstr(
		content("json"),
		"\"times_us\": {\"monitor\": null, \"kernel\": null, \"init\": null, \"command\": null, \"end\": null, \"total\": "));
	unlink(in_dir("json"));
}

/* A guest may write to the directory, and has put a link there by the time of the result. */
static void the_result_goes_to_the_file_that_was_opened(void **state __unused)
{
	static struct command cmd;
	struct capture said;
	struct config c;

	make("victim", "a key\n", 6);
	make("json", "of another run", 14);
	begin_json(&cmd, &c, in_dir("json"));
	assert_int_equal(command_empty_json(&cmd), 0);
	assert_string_equal(content("json"), "");
	assert_int_equal(rename(in_dir("json"), in_dir("moved")), 0);
	assert_int_equal(symlink("victim", in_dir("json")), 0);
	command_write_json(&cmd, &figures);
	assert_false(command_json_waits(&cmd.json));
	assert_string_equal(content("victim"), "a key\n");
	assert_non_null(strstr(content("moved"), "{\n  \"status\": 7,\n"));
	/* The next run doesn't follow the link either. */
	capture_begin(&said);
	assert_int_equal(command_empty_json(&cmd), -ELOOP);
	assert_non_null(strstr(capture_end(&said), "json: is a symbolic link, which is not"));
	assert_int_equal(cmd.json.out.fd, -1);
	assert_int_equal(command_json_finish(&cmd.json), 0);
	capture_begin(&said);
	assert_int_equal(command_console_open(&cmd.console, in_dir("json")), -ELOOP);
	assert_non_null(strstr(capture_end(&said), "--console-log /"));
	assert_string_equal(content("victim"), "a key\n");
	unlink(in_dir("victim"));
	unlink(in_dir("moved"));
	unlink(in_dir("json"));
}

/* With /dev/stdout: the command's own output is still on its way there when the guest ends. */
static void the_result_comes_after_what_others_write(void **state __unused)
{
	static struct command cmd;
	struct config c;
	char path[32];
	int fd = open(in_dir("out"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, "first\n", 6), 6);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	begin_json(&cmd, &c, path);
	assert_int_equal(command_empty_json(&cmd), 0);
	assert_string_equal(content("out"), "first\n");
	command_write_json(&cmd, &figures);
	assert_true(command_json_waits(&cmd.json));
	assert_int_equal(write(fd, "last\n", 5), 5);
	assert_int_equal(command_json_finish(&cmd.json), 0);
	assert_non_null(strstr(content("out"), "first\nlast\n{\n  \"status\": 7,\n"));
	close(fd);
	unlink(in_dir("out"));
}

static void a_fifo_is_never_waited_for(void **state __unused)
{
	static struct command cmd;
	char bytes[65536] = "";
	struct capture said;
	struct config c;
	int reader;

	signal(SIGPIPE, SIG_IGN); /* it is blocked in threads of the library */
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	begin_json(&cmd, &c, in_dir("fifo"));
	capture_begin(&said);
	assert_int_equal(command_empty_json(&cmd), -ENXIO);
	assert_non_null(strstr(capture_end(&said), "is a FIFO that nobody reads"));
	reader = open(in_dir("fifo"), O_RDONLY | O_NONBLOCK);
	assert_int_equal(command_empty_json(&cmd), 0);
	command_write_json(&cmd, &figures);
	assert_false(command_json_waits(&cmd.json));
	assert_true(read(reader, bytes, sizeof(bytes)) > 200);
	assert_non_null(strstr(bytes, "\"status\": 7,"));
	/* The pipe is full, and then has no reader. */
	assert_int_equal(command_empty_json(&cmd), 0);
	while (write(cmd.json.out.fd, bytes, sizeof(bytes)) > 0)
		;
	command_write_json(&cmd, &figures);
	assert_true(command_json_waits(&cmd.json));
	close(reader);
	capture_begin(&said);
	assert_int_equal(command_json_finish(&cmd.json), 0);
	assert_non_null(strstr(capture_end(&said), "Broken pipe"));
	unlink(in_dir("fifo"));
}

/* It is said, and the exit status tells: at once, or when it is written after others' output. */
static void a_result_that_is_lost_is_a_failure(void **state __unused)
{
	static struct command cmd;
	struct capture said;
	struct config c;
	char path[32];
	int full = open("/dev/full", O_WRONLY);

	begin_json(&cmd, &c, "/dev/full");
	assert_int_equal(command_empty_json(&cmd), 0);
	assert_int_equal(command_status(&cmd), 7);
	capture_begin(&said);
	command_write_json(&cmd, &figures);
	assert_string_equal(capture_end(&said),
			    "minivmm: --json /dev/full: No space left on device\n");
	assert_false(command_json_waits(&cmd.json));
	assert_int_equal(command_status(&cmd), 125);
	assert_false(command_went_well(&cmd));
	cmd.timed_out = true;
	assert_int_equal(command_status(&cmd), 124);

	snprintf(path, sizeof(path), "/dev/fd/%d", full);
	begin_json(&cmd, &c, path);
	assert_int_equal(command_empty_json(&cmd), 0);
	command_write_json(&cmd, &figures);
	assert_true(command_json_waits(&cmd.json));
	capture_begin(&said);
	assert_int_equal(command_json_finish(&cmd.json), -EIO);
	assert_non_null(strstr(capture_end(&said), "No space left on device\n"));
	close(full);
}

static int make_dir(void **state __unused)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_dir(void **state __unused)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

/* The devices don't see guest/wire.h, and the guest's init doesn't see the devices. */
static void devices_and_the_guest_agree(void **state __unused)
{
	assert_string_equal(FUSE_ONLY_NAME, GUEST_SHARE_FILE);
	assert_int_equal(VSOCK_HOST_CID, GUEST_HOST_CID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_and_the_guest_agree),
		cmocka_unit_test(the_orders_are_what_was_asked_for),
		cmocka_unit_test(what_was_asked_for_comes_once),
		cmocka_unit_test(a_directory_may_be_below_the_callers),
		cmocka_unit_test(a_directory_that_was_removed_is_told),
		cmocka_unit_test(shares_come_with_those_that_they_are_below_first),
		cmocka_unit_test(links_of_the_root_are_followed_for_that),
		cmocka_unit_test(shares_that_hide_others_are_refused),
		cmocka_unit_test(shares_that_have_no_place_are_refused),
		cmocka_unit_test(links_of_shares_are_followed_for_that),
		cmocka_unit_test(limits_are_the_callers),
		cmocka_unit_test(outputs_are_one_where_they_are_on_the_host),
		cmocka_unit_test(what_was_opened_twice_is_one_where_it_has_no_position),
		cmocka_unit_test(numbers_of_users_are_checked),
		cmocka_unit_test(users_are_those_of_the_root),
		cmocka_unit_test(users_are_in_regular_files_of_the_root),
		cmocka_unit_test(another_threads_users_are_its_own),
		cmocka_unit_test(lines_without_end_are_refused),
		cmocka_unit_test(modules_come_unpacked_and_in_order),
		cmocka_unit_test(modules_that_are_wrong_are_named),
		cmocka_unit_test(a_release_is_read_from_no_byte_beyond_the_kernel),
		cmocka_unit_test(the_last_lines_of_the_console_are_kept),
		cmocka_unit_test(the_console_is_kept_as_a_ring),
		cmocka_unit_test(the_result_is_an_object_of_numbers_and_words),
		cmocka_unit_test(steps_that_were_not_reached_are_null),
		cmocka_unit_test(the_result_goes_to_the_file_that_was_opened),
		cmocka_unit_test(the_result_comes_after_what_others_write),
		cmocka_unit_test(a_fifo_is_never_waited_for),
		cmocka_unit_test(a_result_that_is_lost_is_a_failure),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
