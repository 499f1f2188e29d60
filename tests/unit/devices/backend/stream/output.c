/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that are written: links are not followed, what was there is not lost, and nothing waits. */
#include "backend/stream/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "test.h"

static char dir[] = "/tmp/minivmm-output-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][64];
	static unsigned next;
	char *p = path[next++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void assert_has(const char *name, const char *text)
{
	char found[64] = "";
	int fd = open(in_dir(name), O_RDONLY);

	assert_true(fd >= 0);
	assert_true(read(fd, found, sizeof(found) - 1) >= 0);
	assert_string_equal(found, text);
	close(fd);
}

static int make(const char *name, const char *text)
{
	int fd = open(in_dir(name), O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void a_file_is_emptied_or_appended_to(void **state __unused)
{
	struct output o;

	close(make("f", "old"));
	assert_int_equal(output_open(&o, in_dir("f"), O_TRUNC), 0);
	assert_true(o.regular && o.nonblocking && !o.given);
	assert_int_equal(output_write(&o, "new", 3), 3);
	output_close(&o);
	output_close(&o);
	assert_int_equal(output_open(&o, in_dir("f"), O_APPEND), 0);
	assert_int_equal(output_write_all(&o, "er", 2, 0), 0);
	output_close(&o);
	assert_has("f", "newer");
	unlink(in_dir("f"));
	assert_int_equal(output_open(&o, in_dir("none/f"), O_TRUNC), -ENOENT);
	assert_int_equal(o.fd, -1);
}

static void a_socket_is_told_from_a_fifo(void **state __unused)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct output o;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", in_dir("socket"));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(mkfifo(in_dir("unread"), 0600), 0);
	assert_int_equal(output_open(&o, at.sun_path, O_TRUNC), -EOPNOTSUPP);
	assert_int_equal(output_try(at.sun_path), -EOPNOTSUPP);
	assert_non_null(strstr(output_error(-EOPNOTSUPP), "is a socket"));
	assert_int_equal(output_open(&o, in_dir("unread"), O_TRUNC), -ENXIO);
	assert_int_equal(output_try(in_dir("unread")), 0);
	assert_int_equal(unlink(at.sun_path) | unlink(in_dir("unread")), 0);
	close(fd);
}

static void a_link_is_not_followed(void **state __unused)
{
	struct output o;

	close(make("victim", "key\n"));
	assert_int_equal(symlink("victim", in_dir("link")), 0);
	assert_int_equal(symlink("made", in_dir("dangling")), 0);
	assert_int_equal(symlink("/dev/null", in_dir("device")), 0);
	assert_int_equal(output_open(&o, in_dir("link"), O_TRUNC), -ELOOP);
	assert_int_equal(output_open(&o, in_dir("link"), O_APPEND), -ELOOP);
	assert_int_equal(output_open(&o, in_dir("dangling"), O_TRUNC), -ELOOP);
	assert_int_equal(output_open(&o, in_dir("device"), O_TRUNC), -ELOOP);
	assert_non_null(strstr(output_error(-ELOOP), "is a symbolic link, which is not followed"));
	assert_has("victim", "key\n");
	assert_int_equal(access(in_dir("made"), F_OK), -1);
	unlink(in_dir("victim"));
	unlink(in_dir("link"));
	unlink(in_dir("dangling"));
	unlink(in_dir("device"));
	assert_int_equal(output_open(&o, "/dev/null", O_TRUNC), 0);
	assert_false(o.regular);
	output_close(&o);
}

static void a_fifo_has_a_reader_or_is_refused(void **state __unused)
{
	struct output o;
	char bytes[4096] = "";
	ssize_t n;
	int reader;

	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_int_equal(output_open(&o, in_dir("fifo"), O_TRUNC), -ENXIO);
	reader = open(in_dir("fifo"), O_RDONLY | O_NONBLOCK);
	assert_int_equal(output_open(&o, in_dir("fifo"), O_TRUNC), 0);
	do /* a reader that takes nothing */
		n = output_write(&o, bytes, sizeof(bytes));
	while (n > 0);
	assert_int_equal(n, -EAGAIN);
	assert_int_equal(output_write_all(&o, "x", 1, 1), -ETIMEDOUT);
	close(reader);
	assert_int_equal(output_write_all(&o, "x", 1, 1), -EPIPE);
	output_close(&o);
	unlink(in_dir("fifo"));
}

static const char *path_of(int fd)
{
	static char path[32];

	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	return path;
}

static void a_descriptor_is_written_to_where_it_stands(void **state __unused)
{
	int fd = make("f", "what the command wrote\n");
	struct output o;

	assert_int_equal(output_open(&o, path_of(fd), O_TRUNC), 0);
	assert_true(o.given && !o.regular);
	assert_int_equal(output_write_all(&o, "ours\n", 5, 0), 0);
	output_close(&o);
	assert_int_equal(write(fd, "after\n", 6), 6); /* and the next bytes follow */
	assert_has("f", "what the command wrote\nours\nafter\n");
	close(fd);
	assert_int_equal(output_open(&o, path_of(fd), O_TRUNC), -EBADF);
	fd = open(in_dir("f"), O_RDONLY);
	assert_int_equal(output_open(&o, path_of(fd), O_TRUNC), -EBADF);
	close(fd);
	unlink(in_dir("f"));
}

/* Others have it, too: it stays without O_NONBLOCK, and we still don't wait. */
static void a_descriptor_that_would_wait_does_not(void **state __unused)
{
	char bytes[60000] = "";
	int fds[2], kinds = 0;
	struct output o;
	ssize_t n;

	for (; kinds < 2; kinds++) {
		assert_int_equal(kinds ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds), 0);
		assert_int_equal(output_open(&o, path_of(fds[1]), O_TRUNC), 0);
		do
			n = output_write(&o, bytes, sizeof(bytes));
		while (n > 0);
		assert_int_equal(n, -EAGAIN);
		assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
		output_close(&o);
		close(fds[0]);
		close(fds[1]);
	}
	/* A descriptor that can't be opened anew. */
	assert_int_equal(pipe(fds), 0);
	o = (struct output){ .fd = fds[1], .given = true };
	do
		n = output_write(&o, bytes, sizeof(bytes));
	while (n > 0);
	assert_int_equal(n, -EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

static void descriptors_have_these_names(void **state __unused)
{
	assert_int_equal(output_descriptor("/dev/stdin"), 0);
	assert_int_equal(output_descriptor("/dev/stdout"), 1);
	assert_int_equal(output_descriptor("/dev/stderr"), 2);
	assert_int_equal(output_descriptor("/dev/fd/17"), 17);
	assert_int_equal(output_descriptor("/proc/self/fd/3"), 3);
	assert_int_equal(output_descriptor("/proc/thread-self/fd/3"), 3);
	assert_int_equal(output_descriptor("/dev/fd/"), -1);
	assert_int_equal(output_descriptor("/dev/fd/-1"), -1);
	assert_int_equal(output_descriptor("/dev/fd/1/x"), -1);
	assert_int_equal(output_descriptor("/dev/fd/12345678"), -1);
	assert_int_equal(output_descriptor("/dev/stdout2"), -1);
	assert_int_equal(output_descriptor("/proc/1/fd/1"), -1);
	assert_int_equal(output_descriptor(""), -1);
}

static int make_dir(void **state __unused)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state __unused)
{
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_emptied_or_appended_to),
		cmocka_unit_test(a_socket_is_told_from_a_fifo),
		cmocka_unit_test(a_link_is_not_followed),
		cmocka_unit_test(a_fifo_has_a_reader_or_is_refused),
		cmocka_unit_test(a_descriptor_is_written_to_where_it_stands),
		cmocka_unit_test(a_descriptor_that_would_wait_does_not),
		cmocka_unit_test(descriptors_have_these_names),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("output", tests, make_dir, remove_dir);
}
