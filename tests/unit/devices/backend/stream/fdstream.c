/* SPDX-License-Identifier: BSD-2-Clause */
/* The stream over descriptors: nothing is lost, nothing waits with the lock held, nothing spins. */
#include "backend/stream/fdstream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "test.h"
#include "vmm/log.h"

static const struct stream_ops ops = {
	.start = fdstream_start,
	.read = fdstream_read,
	.write = fdstream_write,
	.flush = fdstream_flush,
};

/* A stream with a loop on a thread of its own, and a device that waits for ready(). */
struct fixture {
	struct fdstream f;
	struct loop loop;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ready;
	unsigned readies, input_events;
};

static void on_ready(void *ctx)
{
	struct fixture *x = ctx;

	assert_int_equal(pthread_mutex_trylock(&x->lock), EBUSY);
	x->readies++;
	pthread_cond_signal(&x->ready);
}

static void (*real_input_ready)(struct loop_source *src, uint32_t events);

static void count_input_ready(struct loop_source *src, uint32_t events)
{
	container_of(src, struct fixture, f.in.src)->input_events++;
	real_input_ready(src, events);
}

static void *run(void *arg)
{
	assert_int_equal(loop_run(arg), 0);
	return NULL;
}

static struct fixture *start(int in, int out)
{
	struct fixture *x = calloc(1, sizeof(*x));

	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->ready, NULL);
	assert_int_equal(loop_init(&x->loop), 0);
	x->f.stream.ops = &ops;
	assert_int_equal(fdstream_open(&x->f, &x->loop, in, out, "test", "the test"), 0);
	real_input_ready = x->f.in.src.fn;
	x->f.in.src.fn = count_input_ready;
	stream_attach(&x->f.stream, on_ready, x, &x->lock);
	pthread_create(&x->thread, NULL, run, &x->loop);
	return x;
}

static void finish(struct fixture *x)
{
	loop_stop(&x->loop);
	pthread_join(x->thread, NULL);
	fdstream_close(&x->f);
	loop_destroy(&x->loop);
	pthread_cond_destroy(&x->ready);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

/* Reads with the lock held as a device does; waits for ready() when there is nothing. */
static size_t device_read(struct fixture *x, uint8_t *buf, size_t len)
{
	ssize_t n;

	pthread_mutex_lock(&x->lock);
	while ((n = stream_read(&x->f.stream, buf, len)) == 0)
		pthread_cond_wait(&x->ready, &x->lock);
	pthread_mutex_unlock(&x->lock);
	assert_true(n > 0);
	return (size_t)n;
}

struct transfer {
	int fd;
	size_t len;
	size_t allowed; /* bytes that it may read; atomic */
};

#define TOTAL (1024 * 1024u)

/* Reads as much as it is allowed to, in odd pieces. */
static void *slow_reader(void *arg)
{
	struct transfer *t = arg;
	uint8_t buf[777];
	ssize_t n = 1;

	while (n > 0) {
		if (t->len >= __atomic_load_n(&t->allowed, __ATOMIC_ACQUIRE)) {
			usleep(100);
			continue;
		}
		n = read(t->fd, buf, sizeof(buf));
		for (ssize_t i = 0; i < n; i++, t->len++)
			if (buf[i] != pattern(t->len))
				return NULL;
	}
	return NULL;
}

static void stall(bool nonblocking)
{
	struct transfer t = { 0 };
	unsigned stalls = 0;
	struct fixture *x;
	pthread_t reader;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	t.fd = fd[0];
	if (nonblocking)
		assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	x = start(-1, fd[1]);
	x->f.nonblocking = nonblocking;
	pthread_create(&reader, NULL, slow_reader, &t);
	pthread_mutex_lock(&x->lock);
	for (size_t sent = 0; sent < TOTAL;) {
		uint8_t piece[1000];
		size_t len = min(sizeof(piece), TOTAL - sent), n;

		for (size_t i = 0; i < len; i++)
			piece[i] = pattern(sent + i);
		n = stream_write(&x->f.stream, piece, len);
		sent += n;
		if (n == len)
			continue;
		/* Pipe and buffer are full, and we were not made to wait. Some of it is read
		 * now. */
		assert_true(sent >= FDSTREAM_OUTPUT);
		stalls++;
		__atomic_fetch_add(&t.allowed, 10000, __ATOMIC_RELEASE);
		pthread_cond_wait(&x->ready, &x->lock);
	}
	assert_in_range(stalls, 10, TOTAL); /* it did fill up, again and again */
	pthread_mutex_unlock(&x->lock);
	__atomic_store_n(&t.allowed, SIZE_MAX, __ATOMIC_RELEASE);
	finish(x); /* flushes */
	pthread_join(reader, NULL);
	assert_int_equal(t.len, TOTAL);
	close(fd[0]);
}

static void a_stalled_pipe_loses_nothing(void **state __unused)
{
	stall(false);
}

static void a_stalled_pipe_of_our_own_loses_nothing(void **state __unused)
{
	stall(true);
}

static void *fast_writer(void *arg)
{
	struct transfer *t = arg;
	uint8_t buf[3000];

	while (t->len < TOTAL) {
		size_t len = min(sizeof(buf), TOTAL - t->len);

		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(t->len + i);
		if (write(t->fd, buf, len) != (ssize_t)len)
			break;
		t->len += len;
	}
	close(t->fd);
	return NULL;
}

static void input_that_is_too_fast_is_held_back(void **state __unused)
{
	struct transfer t = { 0 };
	struct fixture *x;
	pthread_t writer;
	size_t got = 0;
	int fd[2], waiting = 0;

	assert_int_equal(pipe(fd), 0);
	t.fd = fd[1];
	x = start(fd[0], -1);
	pthread_create(&writer, NULL, fast_writer, &t);
	/* Our buffer and then the pipe fill up, and nothing is watched: wait until that is so. */
	for (bool held_back = false; !held_back; usleep(1000)) {
		assert_int_equal(ioctl(fd[0], FIONREAD, &waiting), 0);
		pthread_mutex_lock(&x->lock);
		held_back = waiting >= 40000 && x->f.in.len == FDSTREAM_INPUT && !x->f.in.armed;
		pthread_mutex_unlock(&x->lock);
	}
	while (got < TOTAL) {
		uint8_t buf[16];
		size_t n = device_read(x, buf, sizeof(buf));

		for (size_t i = 0; i < n; i++, got++)
			assert_int_equal(buf[i], pattern(got));
	}
	pthread_join(writer, NULL);
	finish(x);
}

static void an_event_that_is_stale_does_not_wait(void **state __unused)
{
	struct fixture *x;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	x = start(fd[0], -1);
	pthread_mutex_lock(&x->lock);
	real_input_ready(&x->f.in.src, EPOLLIN); /* another process has read it meanwhile */
	assert_int_equal(x->readies, 0);
	pthread_mutex_unlock(&x->lock);
	finish(x);
	close(fd[1]);
}

static void a_hang_up_costs_no_time(void **state __unused)
{
	uint8_t buf[FDSTREAM_INPUT + 1] = { 0 };
	struct fixture *x;
	unsigned events = 0;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], buf, sizeof(buf)), sizeof(buf));
	close(fd[1]);
	x = start(fd[0], -1);
	for (bool full = false; !full; usleep(1000)) {
		pthread_mutex_lock(&x->lock);
		full = x->f.in.len == FDSTREAM_INPUT;
		events = x->input_events;
		pthread_mutex_unlock(&x->lock);
	}
	usleep(50000); /* time to spin in */
	pthread_mutex_lock(&x->lock);
	assert_in_range(x->input_events, events, events + 1);
	pthread_mutex_unlock(&x->lock);
	for (size_t got = 0; got < sizeof(buf);)
		got += device_read(x, buf, sizeof(buf));
	/* The end is seen once, and then nothing is watched any more. */
	for (bool open = true; open; usleep(1000)) {
		pthread_mutex_lock(&x->lock);
		open = x->f.in.fd >= 0;
		pthread_mutex_unlock(&x->lock);
	}
	finish(x);
}

static void what_epoll_refuses_is_always_ready(void **state __unused)
{
	char path[] = "/tmp/minivmm-fdstream-XXXXXX";
	int fd = mkstemp(path), in;
	uint8_t buf[256];
	struct fixture *x;
	size_t got = 0;

	in = open(path, O_RDONLY);
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(write(fd, &(uint8_t){ pattern(i) }, 1), 1);
	x = start(in, fd);
	while (got < 10000) {
		size_t n = device_read(x, buf, sizeof(buf));

		for (size_t i = 0; i < n; i++, got++)
			assert_int_equal(buf[i], pattern(got));
	}
	pthread_mutex_lock(&x->lock);
	assert_int_equal(stream_write(&x->f.stream, "end", 3), 3);
	assert_int_equal(x->f.out.len, 0);
	pthread_mutex_unlock(&x->lock);
	finish(x);
	fd = open(path, O_RDONLY);
	assert_int_equal(lseek(fd, 10000, SEEK_SET), 10000);
	assert_int_equal(read(fd, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "end", 3);
	close(fd);
	unlink(path);
}

static void dev_null_is_the_end_at_once(void **state __unused)
{
	struct fixture *x = start(open("/dev/null", O_RDONLY), open("/dev/null", O_WRONLY));

	for (bool open = true; open; usleep(1000)) {
		pthread_mutex_lock(&x->lock);
		open = x->f.in.fd >= 0;
		pthread_mutex_unlock(&x->lock);
	}
	pthread_mutex_lock(&x->lock);
	assert_int_equal(stream_write(&x->f.stream, "gone", 4), 4);
	assert_int_equal(x->readies, 0);
	pthread_mutex_unlock(&x->lock);
	finish(x);
}

static void a_reader_that_is_gone_is_told_of_once(void **state __unused)
{
	struct fixture *x;
	char told[1000];
	int fd[2], err[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(pipe(err), 0);
	close(fd[0]);
	x = start(-1, fd[1]);
	log_set_level(LOG_WARN);
	dup2(err[1], STDERR_FILENO);
	pthread_mutex_lock(&x->lock);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(stream_write(&x->f.stream, "hello", 5), 5);
	pthread_mutex_unlock(&x->lock);
	dup2(saved, STDERR_FILENO);
	finish(x);
	close(err[1]);
	n = read(err[0], told, sizeof(told) - 1);
	assert_true(n > 0);
	told[n] = '\0';
	assert_non_null(strstr(told, "the test"));
	assert_ptr_equal(strchr(told, '\n'), told + n - 1); /* one line */
	close(err[0]);
	close(saved);
}

static void a_break_is_read_alone_and_in_its_place(void **state __unused)
{
	struct fixture *x = start(-1, -1);
	uint8_t buf[8];

	pthread_mutex_lock(&x->lock);
	fdstream_input(&x->f, 'a');
	fdstream_input(&x->f, FDSTREAM_BREAK);
	fdstream_input(&x->f, 'b');
	assert_int_equal(stream_read(&x->f.stream, buf, 8), 1);
	assert_int_equal(stream_read(&x->f.stream, buf, 8), STREAM_BREAK);
	assert_int_equal(stream_read(&x->f.stream, buf, 8), 1);
	assert_int_equal(buf[0], 'b');
	assert_int_equal(stream_read(&x->f.stream, buf, 8), 0);
	pthread_mutex_unlock(&x->lock);
	finish(x);
}

static void closing_gives_up_on_who_does_not_read(void **state __unused)
{
	uint8_t buf[10000] = { 0 };
	struct fixture *x;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(fcntl(fd[1], F_SETPIPE_SZ, 4096), 4096);
	x = start(-1, fd[1]);
	pthread_mutex_lock(&x->lock);
	assert_int_equal(stream_write(&x->f.stream, buf, sizeof(buf)), sizeof(buf));
	assert_true(x->f.out.len > 0);
	assert_true(x->f.out.armed);
	pthread_mutex_unlock(&x->lock);
	log_set_level(LOG_QUIET);
	finish(x); /* it returns at all */
	close(fd[0]);
}

/* However many streams a machine has, they share one time. */
static void the_end_waits_no_longer_than_it_has_patience(void **state __unused)
{
	static const uint8_t data[FDSTREAM_OUTPUT];
	struct patience patience;
	struct fixture *x[3];
	int out[3][2];

	log_set_level(LOG_ERROR);
	assert_int_equal(patience_init(&patience), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe(out[i]), 0);
		x[i] = start(-1, out[i][1]);
		x[i]->loop.patience = &patience;
		pthread_mutex_lock(&x[i]->lock);
		while (stream_write(&x[i]->f.stream, data, sizeof(data)) == sizeof(data))
			;
		pthread_mutex_unlock(&x[i]->lock);
	}
	patience_lose(&patience);
	for (int i = 0; i < 3; i++) {
		loop_stop(&x[i]->loop);
		pthread_join(x[i]->thread, NULL);
		/* Now there is room, but nobody looks. */
		assert_true(read(out[i][0], (uint8_t[FDSTREAM_OUTPUT]){ 0 }, FDSTREAM_OUTPUT) > 0);
		assert_false(stream_flush(&x[i]->f.stream));
		pthread_create(&x[i]->thread, NULL, run, &x[i]->loop);
		finish(x[i]);
		close(out[i][0]);
	}
	patience_destroy(&patience);
	log_set_level(LOG_WARN);
}

/* It writes until the pipe and the buffer are full, and is told nothing when there is room again. */
static void a_device_need_not_want_to_know(void **state __unused)
{
	static uint8_t data[4096];
	size_t filled = 0, emptied = 0, n;
	struct fixture *x;
	uint8_t buf[4096];
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	x = start(-1, fd[1]);
	pthread_mutex_lock(&x->lock);
	x->f.stream.ready = NULL;
	while ((n = stream_write(&x->f.stream, data, sizeof(data))) > 0)
		filled += n;
	pthread_mutex_unlock(&x->lock);
	for (ssize_t got; emptied < filled; emptied += (size_t)got) {
		got = read(fd[0], buf, sizeof(buf));
		assert_true(got > 0);
	}
	finish(x);
	close(fd[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stalled_pipe_loses_nothing),
		cmocka_unit_test(a_stalled_pipe_of_our_own_loses_nothing),
		cmocka_unit_test(input_that_is_too_fast_is_held_back),
		cmocka_unit_test(an_event_that_is_stale_does_not_wait),
		cmocka_unit_test(a_hang_up_costs_no_time),
		cmocka_unit_test(what_epoll_refuses_is_always_ready),
		cmocka_unit_test(a_device_need_not_want_to_know),
		cmocka_unit_test(dev_null_is_the_end_at_once),
		cmocka_unit_test(a_reader_that_is_gone_is_told_of_once),
		cmocka_unit_test(a_break_is_read_alone_and_in_its_place),
		cmocka_unit_test(closing_gives_up_on_who_does_not_read),
		cmocka_unit_test(the_end_waits_no_longer_than_it_has_patience),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("fdstream", tests, NULL, NULL);
}
