/* SPDX-License-Identifier: BSD-2-Clause */
/* The listening socket as a stream: one client after the other, and nothing lost. */
#include "backend/stream/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "capture.h"
#include "vmm/log.h"

/* A device on a loop with a thread of its own, which reads only as much as it is told to. */
struct fixture {
	struct loop loop;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct stream *s;
	char dir[64], path[80];
	char got[200000];
	size_t nr_got, wants;
	unsigned seen; /* value of stream_connections() */
};

static void on_ready(void *ctx)
{
	struct fixture *f = ctx;
	ssize_t n;

	while (f->nr_got < f->wants &&
	       (n = stream_read(f->s, f->got + f->nr_got, f->wants - f->nr_got)) > 0)
		f->nr_got += (size_t)n;
	f->seen = stream_connections(f->s);
	pthread_cond_broadcast(&f->changed);
}

static void *run(void *loop)
{
	assert_int_equal(loop_run(loop), 0);
	return NULL;
}

static struct fixture *start(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->wants = sizeof(f->got);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	strcpy(f->dir, "/tmp/minivmm-socket-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(socket_listen(&f->s, &f->loop, "test", f->path, NULL), 0);
	stream_attach(f->s, on_ready, f, &f->lock);
	pthread_create(&f->thread, NULL, run, &f->loop);
	return f;
}

static void finish(struct fixture *f)
{
	loop_stop(&f->loop);
	pthread_join(f->thread, NULL);
	stream_destroy(f->s);
	loop_destroy(&f->loop);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
}

/* Waits until the device has seen at least so many connections, and exactly so many bytes. */
static void await(struct fixture *f, unsigned connections, size_t nr_got)
{
	pthread_mutex_lock(&f->lock);
	while (f->seen < connections || f->nr_got != nr_got)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static unsigned seen(struct fixture *f)
{
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = f->seen;
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* Lets the device read wants more bytes. */
static void want(struct fixture *f, size_t wants)
{
	pthread_mutex_lock(&f->lock);
	f->wants = wants;
	on_ready(f);
	pthread_mutex_unlock(&f->lock);
}

static int client(const struct fixture *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void device_says(struct fixture *f, const char *text)
{
	pthread_mutex_lock(&f->lock);
	assert_int_equal(stream_write(f->s, text, strlen(text)), strlen(text));
	pthread_mutex_unlock(&f->lock);
}

static void assert_hears(int fd, const char *text)
{
	char heard[64];

	assert_int_equal(recv(fd, heard, strlen(text), MSG_WAITALL), strlen(text));
	assert_memory_equal(heard, text, strlen(text));
}

static void clients_are_served_one_by_one(void **state __unused)
{
	struct fixture *f = start();
	int one, two;

	assert_int_equal(stream_connections(f->s), 0);
	device_says(f, "to nobody");
	one = client(f);
	await(f, 1, 0);
	two = client(f); /* waits for its turn */
	say(two, "two");
	say(one, "one");
	await(f, 1, 3);
	device_says(f, "hello");
	assert_hears(one, "hello");
	close(one);
	await(f, 3, 6);
	assert_memory_equal(f->got, "onetwo", 6);
	device_says(f, "world");
	assert_hears(two, "world");
	close(two);
	await(f, 4, 6);
	finish(f);
}

static void what_was_sent_is_read_after_the_client_left(void **state __unused)
{
	static char much[150000];
	struct fixture *f = start();
	int one, two;

	f->wants = 0;
	memset(much, 'm', sizeof(much));
	one = client(f);
	await(f, 1, 0);
	assert_int_equal(write(one, much, sizeof(much)), sizeof(much));
	close(one);
	two = client(f);
	say(two, "!");
	for (size_t n = 10000; n <= sizeof(much); n += 10000) {
		want(f, n);
		await(f, 1, n);
		assert_true(seen(f) == 1 || n == sizeof(much));
	}
	want(f, sizeof(f->got));
	await(f, 3, sizeof(much) + 1);
	assert_memory_equal(f->got, much, sizeof(much));
	assert_int_equal(f->got[sizeof(much)], '!');
	close(two);
	await(f, 4, sizeof(much) + 1);
	finish(f);
}

static void a_client_that_says_no_more_still_listens(void **state __unused)
{
	struct fixture *f = start();
	int fd = client(f);

	say(fd, "question");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await(f, 1, 8);
	device_says(f, "answer");
	assert_hears(fd, "answer");
	close(fd);
	await(f, 2, 8);
	finish(f);
}

static void a_client_that_reads_nothing_is_waited_for(void **state __unused)
{
	static char much[65536];
	struct fixture *f = start();
	size_t taken = 0, n, heard = 0;
	int fd = client(f);

	await(f, 1, 0);
	pthread_mutex_lock(&f->lock);
	do {
		n = stream_write(f->s, much, sizeof(much));
		taken += n;
	} while (n == sizeof(much));
	pthread_mutex_unlock(&f->lock);
	while (heard < taken) {
		ssize_t r = read(fd, much, min(sizeof(much), taken - heard));

		assert_true(r > 0);
		heard += (size_t)r;
	}
	close(fd);
	await(f, 2, 0);
	pthread_mutex_lock(&f->lock); /* and when it has left, no client is waiting */
	assert_int_equal(stream_write(f->s, much, sizeof(much)), sizeof(much));
	pthread_mutex_unlock(&f->lock);
	finish(f);
}

static void a_client_that_leaves_without_reading_holds_up_nobody(void **state __unused)
{
	static char much[65536];
	struct fixture *f = start();
	int fd = client(f);

	await(f, 1, 0);
	pthread_mutex_lock(&f->lock);
	while (stream_write(f->s, much, sizeof(much)) == sizeof(much))
		;
	pthread_mutex_unlock(&f->lock);
	close(fd);
	await(f, 2, 0);
	fd = client(f);
	await(f, 3, 0);
	device_says(f, "clean"); /* without what the other client has not read */
	assert_hears(fd, "clean");
	close(fd);
	await(f, 4, 0);
	finish(f);
}

/* A guest may use up the descriptors; later it closes some. */
static void a_client_waits_while_descriptors_are_short(void **state __unused)
{
	struct fixture *f = start();
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct rlimit before, tight;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), saved = dup(STDERR_FILENO), said[2];
	char line[256];

	strcpy(a.sun_path, f->path);
	assert_int_equal(pipe(said), 0);
	dup2(said[1], STDERR_FILENO);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_true(read(said[0], line, sizeof(line)) > 0); /* it was tried */
	assert_int_equal(seen(f), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	dup2(saved, STDERR_FILENO);
	await(f, 1, 0);
	say(fd, "patient");
	await(f, 1, 7);
	close(fd);
	await(f, 2, 7);
	close(said[0]);
	close(said[1]);
	close(saved);
	finish(f);
}

static void the_file_is_ours_alone(void **state __unused)
{
	struct fixture *f = start();
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	finish(f);
}

/* Listens once more at f's path, which fails with rc and a line that has why. */
static void assert_refused(struct fixture *f, int rc, const char *why)
{
	struct capture c;
	struct stream *s;

	capture_begin(&c);
	assert_int_equal(socket_listen(&s, &f->loop, "test", f->path, NULL), rc);
	assert_non_null(strstr(capture_end(&c), why));
	assert_null(s);
}

static void what_is_there_is_looked_at(void **state __unused)
{
	struct fixture *f = start();
	struct stream *s;
	pid_t pid;
	int fd;

	assert_refused(f, -EADDRINUSE, "somebody listens there");
	loop_stop(&f->loop);
	pthread_join(f->thread, NULL);
	stream_destroy(f->s);
	f->loop.stop = false;

	fd = open(f->path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_refused(f, -EEXIST, "there is another file");
	assert_int_equal(access(f->path, F_OK), 0);
	unlink(f->path);

	pid = fork(); /* it dies without tidying up */
	if (pid == 0)
		_exit(socket_listen(&s, &f->loop, "test", f->path, NULL) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &fd, 0), pid);
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(socket_listen(&f->s, &f->loop, "test", f->path, NULL), 0);
	f->seen = 0;
	stream_attach(f->s, on_ready, f, &f->lock);
	pthread_create(&f->thread, NULL, run, &f->loop);
	fd = client(f);
	await(f, 1, 0);
	close(fd);
	await(f, 2, 0);
	finish(f);
}

/* A guest restarts: a client that comes between two lives is served in the next one. */
static void a_kept_listener_goes_on(void **state __unused)
{
	struct fixture *f = start();
	struct kept kept = { 0 };
	int fd;

	loop_stop(&f->loop);
	pthread_join(f->thread, NULL);
	stream_destroy(f->s);
	assert_int_equal(socket_listen(&f->s, &f->loop, "test", f->path, &kept), 0);
	stream_destroy(f->s);
	fd = client(f);
	assert_int_equal(write(fd, "early", 5), 5);
	assert_int_equal(socket_listen(&f->s, &f->loop, "test", f->path, &kept), 0);
	f->loop.stop = false;
	stream_attach(f->s, on_ready, f, &f->lock);
	pthread_create(&f->thread, NULL, run, &f->loop);
	await(f, 1, 5);
	close(fd);
	loop_stop(&f->loop);
	pthread_join(f->thread, NULL);
	stream_destroy(f->s);
	assert_int_equal(access(f->path, F_OK), 0);
	kept_end(&kept);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0);
	loop_destroy(&f->loop);
	free(f);
}

static void somebody_elses_file_stays(void **state __unused)
{
	struct fixture *f = start();

	unlink(f->path);
	close(open(f->path, O_WRONLY | O_CREAT, 0600));
	loop_stop(&f->loop);
	pthread_join(f->thread, NULL);
	stream_destroy(f->s);
	assert_int_equal(unlink(f->path), 0);
	rmdir(f->dir);
	loop_destroy(&f->loop);
	free(f);
}

static void a_path_may_be_too_long_or_nowhere(void **state __unused)
{
	char path[UNIX_MAX_PATH + 2] = "";
	struct loop loop;
	struct stream *s;

	log_set_level(LOG_QUIET);
	assert_int_equal(loop_init(&loop), 0);
	memset(path, 'p', UNIX_MAX_PATH + 1);
	assert_int_equal(socket_listen(&s, &loop, "test", path, NULL), -ENAMETOOLONG);
	assert_int_equal(socket_listen(&s, &loop, "test", "/nonexistent/s", NULL), -ENOENT);
	loop_destroy(&loop);
	log_set_level(LOG_WARN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_are_served_one_by_one),
		cmocka_unit_test(what_was_sent_is_read_after_the_client_left),
		cmocka_unit_test(a_client_that_says_no_more_still_listens),
		cmocka_unit_test(a_client_that_reads_nothing_is_waited_for),
		cmocka_unit_test(a_client_that_leaves_without_reading_holds_up_nobody),
		cmocka_unit_test(a_client_waits_while_descriptors_are_short),
		cmocka_unit_test(the_file_is_ours_alone),
		cmocka_unit_test(what_is_there_is_looked_at),
		cmocka_unit_test(a_kept_listener_goes_on),
		cmocka_unit_test(somebody_elses_file_stays),
		cmocka_unit_test(a_path_may_be_too_long_or_nowhere),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
