/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done at once and what is the engine's. The kernel's answers and the clock are fakes, and so
 * is the engine. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <time.h>

#include "backend/disk/disk_impl.h"
#include "test.h"

#define SIZE  (4 * MIB)
#define SMALL 4096
#define LARGE (512 * KIB)

/* What preadv2 and pwritev2 do, and have been asked to do. */
static struct {
	int error;   /* errno; 0: they work */
	size_t most; /* bytes that they transfer; 0: all */
	unsigned calls;
	int flags;
	uint64_t takes, now; /* ns */
	char log[64];        /* A: a system call, S: submit, R: run */
} fake;

static void note(char what)
{
	const size_t n = strlen(fake.log);

	assert_true(n + 1 < sizeof(fake.log));
	fake.log[n] = what;
}

static ssize_t answer(const struct iovec *iov, int nr, int flags)
{
	size_t len = 0;

	note('A');
	fake.calls++;
	fake.flags = flags;
	fake.now += fake.takes;
	for (int i = 0; i < nr; i++)
		len += iov[i].iov_len;
	errno = fake.error;
	return fake.error ? -1 : (ssize_t)(fake.most ? min(fake.most, len) : len);
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_preadv64v2(int fd __unused, const struct iovec *iov, int nr, off_t off __unused,
			  int flags)
{
	return answer(iov, nr, flags);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_pwritev64v2(int fd __unused, const struct iovec *iov, int nr, off_t off __unused,
			   int flags)
{
	return answer(iov, nr, flags);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock __unused, struct timespec *t)
{
	*t = (struct timespec){ .tv_sec = (time_t)(fake.now / 1000000000),
				.tv_nsec = (long)(fake.now % 1000000000) };
	return 0;
}

/* An engine that keeps what it is given until it is waited for. */
static struct disk_request *has[8];
static unsigned nr_has;

static void engine_stop(struct disk *d __unused) {}

static void engine_submit(struct disk *d __unused, struct disk_request *r)
{
	note('S');
	has[nr_has++] = r;
}

static void engine_run(struct disk *d, bool wait)
{
	note('R');
	assert_true(!wait || nr_has); /* for ever */
	while (wait && nr_has)
		disk_finish(d, has[--nr_has], 0);
}

static const struct disk_engine_ops engine = {
	.name = "fake", .stop = engine_stop, .submit = engine_submit, .run = engine_run
};

static unsigned done;

static void count_done(struct disk *d __unused, struct disk_request *r)
{
	assert_int_equal(r->result, 0);
	done++;
}

static void open_disk(struct disk *d, enum disk_when read, enum disk_when write)
{
	char path[] = "/tmp/disk_at_once-XXXXXX";
	const struct disk_options o = { .path = path, .engine = DISK_ENGINE_SYNC };
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	memset(&fake, 0, sizeof(fake));
	fake.now = 1000000000;
	nr_has = done = 0;
	assert_int_equal(disk_open(d, &o, count_done), 0);
	unlink(path);
	d->engine = &engine;
	d->at_once = (struct disk_at_once){ .read = read, .write = write };
}

static char buf[2 * LARGE];
static struct iovec iov[8];
static struct disk_request req[8];

static void submit(struct disk *d, unsigned i, enum disk_op op, size_t len)
{
	iov[i] = (struct iovec){ buf, len };
	req[i] = (struct disk_request){ .op = op, .len = len, .iov = &iov[i], .nr_iov = 1 };
	disk_submit(d, &req[i]);
}

static void run(struct disk *d)
{
	struct round round = round_begin();

	assert_false(disk_run(d, &round));
}

/* Submits one request and runs it. Returns whether that was enough. */
static bool at_once(struct disk *d, enum disk_op op, size_t len)
{
	const unsigned before = done;
	bool yes;

	submit(d, 0, op, len);
	run(d);
	yes = done > before;
	disk_drain(d);
	assert_int_equal(done, before + 1);
	assert_int_equal(d->nr_begun, 0);
	assert_int_equal(d->begun, 0);
	return yes;
}

static void what_needs_no_waiting_is_done_at_once(void **state __unused)
{
	struct disk d;

	open_disk(&d, DISK_IF_NOWAIT, DISK_IF_NOWAIT);
	assert_true(at_once(&d, DISK_READ, SMALL));
	assert_int_equal(fake.flags, RWF_NOWAIT);
	assert_true(at_once(&d, DISK_READ, 2 * LARGE));
	assert_true(at_once(&d, DISK_WRITE, SMALL));
	assert_int_equal(fake.flags, RWF_NOWAIT);
	assert_int_equal(fake.calls, 3);
	assert_false(at_once(&d, DISK_FLUSH, 0));
	assert_false(at_once(&d, DISK_ZERO, SMALL));
	assert_false(at_once(&d, DISK_DISCARD, SMALL));
	assert_int_equal(fake.calls, 3);
	disk_close(&d);
}

static void what_must_wait_is_the_engine_s(void **state __unused)
{
	struct disk d;

	open_disk(&d, DISK_IF_NOWAIT, DISK_IF_NOWAIT);
	fake.error = EAGAIN;
	assert_false(at_once(&d, DISK_READ, SMALL));
	assert_false(at_once(&d, DISK_WRITE, SMALL));
	assert_int_equal(req[0].len, SMALL);
	fake.error = 0;
	assert_true(at_once(&d, DISK_READ, SMALL));
	assert_true(at_once(&d, DISK_WRITE, SMALL));
	disk_close(&d);
}

static void the_engine_gets_what_is_left(void **state __unused)
{
	struct disk d;

	open_disk(&d, DISK_IF_NOWAIT, DISK_ALWAYS);
	fake.most = 1000;
	for (enum disk_op op = DISK_READ; op <= DISK_WRITE; op++) {
		submit(&d, 0, op, SMALL);
		run(&d);
		assert_int_equal(nr_has, 1);
		assert_int_equal(has[0]->off, 1000);
		assert_int_equal(has[0]->len, SMALL - 1000);
		assert_ptr_equal(has[0]->iov->iov_base, buf + 1000);
		disk_drain(&d);
	}
	disk_close(&d);
}

/* After an error the engine gets the request, and what it says is what the guest is told. */
static void errors_are_the_engine_s(void **state __unused)
{
	static const int errors[] = { EIO, ENOSPC, EFBIG, EBADF, EINTR };
	struct disk d;

	open_disk(&d, DISK_IF_NOWAIT, DISK_ALWAYS);
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		fake.error = errors[i];
		assert_false(at_once(&d, DISK_READ, SMALL));
		assert_false(at_once(&d, DISK_WRITE, SMALL));
	}
	assert_int_equal(d.at_once.read, DISK_IF_NOWAIT);
	assert_int_equal(d.at_once.write, DISK_ALWAYS);
	disk_close(&d);
}

/* Linux 5.10 says EINVAL of writes, and file systems EOPNOTSUPP. */
static void a_host_that_can_not_is_asked_once(void **state __unused)
{
	static const int errors[] = { EINVAL, EOPNOTSUPP };

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct disk d;

		open_disk(&d, DISK_IF_NOWAIT, DISK_IF_NOWAIT);
		fake.error = errors[i];
		assert_false(at_once(&d, DISK_READ, SMALL));
		assert_false(at_once(&d, DISK_WRITE, SMALL));
		fake.error = 0;
		assert_false(at_once(&d, DISK_READ, SMALL));
		assert_false(at_once(&d, DISK_WRITE, SMALL));
		assert_int_equal(fake.calls, 2);
		disk_close(&d);
	}
}

/* A local file system without RWF_NOWAIT for writes. */
static void writes_are_timed_then(void **state __unused)
{
	struct disk d;

	open_disk(&d, DISK_IF_NOWAIT, DISK_IF_NOWAIT);
	d.at_once.local = true;
	fake.error = EOPNOTSUPP;
	assert_false(at_once(&d, DISK_WRITE, SMALL));
	fake.error = 0;
	assert_true(at_once(&d, DISK_WRITE, SMALL));
	assert_int_equal(fake.flags, 0);
	assert_false(at_once(&d, DISK_WRITE, LARGE));
	fake.takes = 2000000;
	assert_true(at_once(&d, DISK_WRITE, SMALL)); /* this one waited */
	fake.takes = 0;
	assert_false(at_once(&d, DISK_WRITE, SMALL));
	fake.now += 190000000;
	assert_false(at_once(&d, DISK_WRITE, SMALL));
	fake.now += 10000000;
	assert_true(at_once(&d, DISK_WRITE, SMALL));
	disk_close(&d);
}

/* Two writes of one file wait for each other, and a write waits for a flush or a discard. */
static void a_write_is_alone(void **state __unused)
{
	static const enum disk_when when[] = { DISK_IF_NOWAIT, DISK_IF_QUICK, DISK_ALWAYS };

	for (unsigned i = 0; i < ARRAY_SIZE(when); i++) {
		struct disk d;

		open_disk(&d, DISK_ALWAYS, when[i]);
		submit(&d, 0, DISK_FLUSH, 0);
		run(&d);
		submit(&d, 1, DISK_WRITE, SMALL);
		run(&d);
		assert_string_equal(fake.log, "SRSR");
		submit(&d, 2, DISK_READ, SMALL); /* but a read doesn't mind */
		run(&d);
		assert_int_equal(done, 1);
		disk_drain(&d);
		disk_close(&d);
	}
}

/* io_uring does several in one system call. */
static void several_small_ones_are_the_engine_s(void **state __unused)
{
	struct disk d;

	open_disk(&d, DISK_IF_NOWAIT, DISK_IF_NOWAIT);
	for (unsigned i = 0; i < 3; i++)
		submit(&d, i, DISK_READ, SMALL);
	run(&d);
	assert_string_equal(fake.log, "SSSR");
	disk_drain(&d);
	disk_close(&d);
}

/* There io_uring would give each of them to a thread. */
static void but_not_where_it_has_no_way_of_its_own(void **state __unused)
{
	struct disk d;

	open_disk(&d, DISK_ALWAYS, DISK_IF_QUICK);
	for (unsigned i = 0; i < 6; i++)
		submit(&d, i, i % 2 ? DISK_READ : DISK_WRITE, SMALL);
	run(&d);
	assert_string_equal(fake.log, "AAAAAA");
	assert_int_equal(done, 6);
	assert_int_equal(fake.flags, 0);
	disk_close(&d);
}

/* The engine has the others before this thread begins with its own. */
static void of_several_large_ones_one_is_done_here(void **state __unused)
{
	static const enum disk_when when[] = { DISK_IF_NOWAIT, DISK_ALWAYS };

	for (unsigned i = 0; i < ARRAY_SIZE(when); i++) {
		struct disk d;

		open_disk(&d, when[i], when[i]);
		for (unsigned n = 0; n < 3; n++)
			submit(&d, n, DISK_READ, LARGE);
		run(&d);
		assert_string_equal(fake.log, "SSRAR");
		assert_int_equal(done, 1);
		assert_int_equal(req[2].len, 0);
		disk_drain(&d);
		disk_close(&d);
	}
}

/* A round has an end, whoever does the work. */
static void a_round_ends(void **state __unused)
{
	struct round round = { .requests = 2, .bytes = ROUND_BYTES };
	struct disk d;

	open_disk(&d, DISK_ALWAYS, DISK_ALWAYS);
	for (unsigned i = 0; i < 3; i++)
		submit(&d, i, DISK_READ, SMALL);
	assert_true(disk_run(&d, &round));
	assert_int_equal(done, 2);
	disk_drain(&d);
	assert_int_equal(done, 3);
	disk_close(&d);
}

static void file_systems_differ(void **state __unused)
{
	struct disk d;
	struct statfs fs;
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	open_disk(&d, DISK_NEVER, DISK_NEVER);
	d.fd = dup2(fd, d.fd);
	if (d.fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC) {
		print_message("# SKIP: /dev/shm is no tmpfs here\n");
		skip();
	}
	disk_at_once_start(&d);
	assert_int_equal(d.at_once.read, DISK_ALWAYS);
	assert_int_equal(d.at_once.write, DISK_ALWAYS);
	assert_false(d.at_once.local);
	d.block_device = true; /* of which only the name is there */
	disk_at_once_start(&d);
	assert_int_equal(d.at_once.read, DISK_IF_NOWAIT);
	assert_int_equal(d.at_once.write, DISK_IF_NOWAIT);
	assert_false(d.at_once.local);
	close(fd);
	disk_close(&d);
}

/* The sync engine doesn't, because it waits anyway. */
static void an_engine_asks_for_it(void **state __unused)
{
	const struct disk_engine_ops *const sync = &disk_sync_engine;
	struct disk d;

	open_disk(&d, DISK_IF_NOWAIT, DISK_IF_NOWAIT);
	d.engine = sync;
	d.at_once = (struct disk_at_once){ 0 };
	assert_int_equal(sync->start(&d), 0);
	assert_true(at_once(&d, DISK_READ, SMALL));
	assert_int_equal(fake.calls, 0);
	assert_false(disk_has_done(&d));
	disk_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_needs_no_waiting_is_done_at_once),
		cmocka_unit_test(what_must_wait_is_the_engine_s),
		cmocka_unit_test(the_engine_gets_what_is_left),
		cmocka_unit_test(errors_are_the_engine_s),
		cmocka_unit_test(a_host_that_can_not_is_asked_once),
		cmocka_unit_test(writes_are_timed_then),
		cmocka_unit_test(a_write_is_alone),
		cmocka_unit_test(several_small_ones_are_the_engine_s),
		cmocka_unit_test(but_not_where_it_has_no_way_of_its_own),
		cmocka_unit_test(of_several_large_ones_one_is_done_here),
		cmocka_unit_test(a_round_ends),
		cmocka_unit_test(file_systems_differ),
		cmocka_unit_test(an_engine_asks_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
