/* SPDX-License-Identifier: BSD-2-Clause */
/* What the ring of a disk refuses to do: a filter of system calls would not see it. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/disk/disk_impl.h"
#include "test.h"

static unsigned done;

static void count_done(struct disk *d __unused, struct disk_request *r)
{
	assert_int_equal(r->result, 0);
	done++;
}

static char path[] = "/tmp/disk_uring-XXXXXX";

static int open_disk(void **state)
{
	static struct disk d;
	const struct disk_options o = { .path = path, .engine = DISK_ENGINE_URING };
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 * MIB), 0);
	close(fd);
	*state = disk_open(&d, &o, count_done) < 0 ? NULL : &d;
	return 0;
}

static int close_disk(void **state)
{
	if (*state)
		disk_close(*state);
	unlink(path);
	return 0;
}

static struct disk *disk(void **state)
{
	if (!*state) {
		print_message("# SKIP: no io_uring here\n");
		skip();
	}
	return *state;
}

/* Returns the result of the next entry's request. */
static int result(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int res;

	assert_true(io_uring_submit_and_wait(ring, 1) >= 0);
	assert_int_equal(io_uring_peek_cqe(ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static void it_opens_and_connects_nothing(void **state)
{
	struct io_uring *ring = disk(state)->uring;

	for (unsigned op = 0; op < IORING_OP_LAST; op++) {
		struct io_uring_sqe *sqe;

		if (op == IORING_OP_READV || op == IORING_OP_WRITEV || op == IORING_OP_FSYNC ||
		    op == IORING_OP_FALLOCATE || op == IORING_OP_NOP)
			continue;
		sqe = io_uring_get_sqe(ring);
		if (!sqe) {
			fail(); /* doesn't return, but the compiler doesn't know that */
			return;
		}
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = (uint8_t)op;
		sqe->flags = IOSQE_FIXED_FILE;
		assert_int_equal(result(ring), -EACCES);
	}
}

static void it_has_no_file_but_the_disks(void **state)
{
	struct io_uring *ring = disk(state)->uring;
	char text[8];
	struct iovec iov = { text, sizeof(text) };
	int other = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	assert_true(other >= 0);
	io_uring_prep_readv(io_uring_get_sqe(ring), other, &iov, 1, 0);
	assert_int_equal(result(ring), -EACCES);
	assert_true(io_uring_register_files_update(ring, 0, &other, 1) < 0);
	close(other);
}

/* The flags of an entry that a request of len bytes becomes. */
static unsigned flags_of(struct disk *d, size_t len)
{
	struct iovec iov = { malloc(len), len };
	struct disk_request r = { .op = DISK_READ, .len = len, .iov = &iov, .nr_iov = 1 };
	const struct io_uring *ring = d->uring;
	unsigned flags;

	d->engine->submit(d, &r);
	flags = ring->sq.sqes[(ring->sq.sqe_tail - 1) & *ring->sq.kring_mask].flags;
	d->in_flight++;
	done = 0;
	d->engine->run(d, true);
	assert_int_equal(done, 1);
	free(iov.iov_base);
	return flags;
}

static void it_sends_large_copies_to_threads(void **state)
{
	struct disk *d = disk(state);

	assert_int_equal(flags_of(d, 64 * KIB), IOSQE_FIXED_FILE);
	assert_int_equal(flags_of(d, 1 * MIB), IOSQE_FIXED_FILE | IOSQE_ASYNC);
}

static void it_has_no_other_flags(void **state)
{
	static const uint8_t flags[] = { IOSQE_IO_DRAIN, IOSQE_IO_LINK, IOSQE_IO_HARDLINK };
	struct io_uring *ring = disk(state)->uring;

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_nop(sqe);
		sqe->flags = IOSQE_FIXED_FILE | flags[i];
		assert_int_equal(result(ring), -EACCES);
	}
}

static void it_says_when_it_has_done_something(void **state)
{
	struct disk *d = disk(state);
	struct disk_request r = { .op = DISK_FLUSH };
	struct io_uring_cqe *cqe;

	assert_false(disk_has_done(d));
	d->engine->submit(d, &r);
	d->in_flight++;
	assert_int_equal(io_uring_submit_and_wait(d->uring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(d->uring, &cqe), 0); /* only looks */
	assert_true(disk_has_done(d));
	done = 0;
	d->engine->run(d, false);
	assert_int_equal(done, 1);
	assert_false(disk_has_done(d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_opens_and_connects_nothing),
		cmocka_unit_test(it_has_no_file_but_the_disks),
		cmocka_unit_test(it_has_no_other_flags),
		cmocka_unit_test(it_sends_large_copies_to_threads),
		cmocka_unit_test(it_says_when_it_has_done_something),
	};

	return cmocka_run_group_tests(tests, open_disk, close_disk);
}
