/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/polling.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#define SECOND 1000000000ull

/* A host on which so many threads are ready to run. */
static void set_load(int fd, const char *line)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, line, strlen(line), 0), strlen(line));
}

/* Two processors, whatever this machine has. */
static void start(struct polling *p, const char *load)
{
	const int fd = memfd_create("loadavg", MFD_CLOEXEC);

	assert_true(fd >= 0);
	set_load(fd, load);
	polling_init(p, fd);
	p->load_fd = fd;
	p->processors = 2;
}

static void it_reads_this_host(void **state __unused)
{
	struct polling p;
	const int fd = polling_open();

	assert_true(fd >= 0);
	polling_init(&p, fd);
	assert_true(p.processors > 0);
	/* With one processor nobody else could work while we look. */
	assert_int_equal(p.load_fd, p.processors > 1 ? fd : -1);
	close(fd);

	polling_init(&p, -ENOENT);
	assert_int_equal(polling_begin(&p, SECOND), 0);
}

static void one_processor_is_too_few(void **state __unused)
{
	struct polling p;
	cpu_set_t before, one;
	unsigned cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	polling_init(&p, 0);
	assert_int_equal(p.load_fd, -1);
	assert_int_equal(polling_begin(&p, SECOND), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void it_grows_with_short_waits_and_ends_with_long_ones(void **state __unused)
{
	struct polling p;
	uint64_t last = 0;

	start(&p, "0.00 0.00 0.00 2/100 1\n");
	p.ns = 0;
	assert_int_equal(polling_begin(&p, SECOND), 0);
	for (unsigned i = 0; i < 20; i++) {
		polling_adapt(&p, POLLING_MAX_NS - 1);
		assert_true(p.ns > last || p.ns == POLLING_MAX_NS);
		last = p.ns;
	}
	assert_int_equal(last, POLLING_MAX_NS);
	assert_int_equal(polling_begin(&p, SECOND), POLLING_MAX_NS);
	for (unsigned i = 0; i < 20; i++) {
		polling_adapt(&p, POLLING_MAX_NS);
		assert_true(p.ns < last || p.ns == 0);
		last = p.ns;
	}
	assert_int_equal(polling_begin(&p, SECOND), 0);
	polling_adapt(&p, 0);
	assert_int_equal(p.ns, POLLING_MIN_NS);
	close(p.load_fd);
}

static void it_leaves_a_busy_host_alone(void **state __unused)
{
	struct polling p;
	uint64_t now = SECOND;

	start(&p, "9.99 9.99 9.99 2/100 1\n"); /* what counts is now, not the last minutes */
	assert_int_equal(polling_begin(&p, now), POLLING_MIN_NS);
	set_load(p.load_fd, "0.00 0.00 0.00 3/100 1\n");
	assert_int_equal(polling_begin(&p, now), POLLING_MIN_NS); /* it doesn't ask each time */
	now += SECOND;
	assert_int_equal(polling_begin(&p, now), 0);
	set_load(p.load_fd, "0.00 0.00 0.00 1/100 1\n");
	assert_int_equal(polling_begin(&p, now), 0);
	now += SECOND;
	assert_int_equal(polling_begin(&p, now), POLLING_MIN_NS);
	/* If the load can't be read, it takes no processor. */
	for (unsigned i = 0; i < 3; i++) {
		const char *wrong[] = { "", "\n", "0.00 0.00 0.00 many/100 1\n" };

		set_load(p.load_fd, wrong[i]);
		now += SECOND;
		assert_int_equal(polling_begin(&p, now), 0);
	}
	close(p.load_fd);
}

static void a_processor_that_was_taken_away_is_left_alone(void **state __unused)
{
	struct polling p;

	start(&p, "0.00 0.00 0.00 1/100 1\n");
	assert_false(polling_disturbed(&p, SECOND, 1000));
	assert_int_equal(polling_begin(&p, SECOND), POLLING_MIN_NS);
	assert_true(polling_disturbed(&p, SECOND, 1000000));
	assert_int_equal(polling_begin(&p, SECOND + 1), 0);
	assert_int_equal(polling_begin(&p, 2 * SECOND), POLLING_MIN_NS);
	close(p.load_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_reads_this_host),
		cmocka_unit_test(one_processor_is_too_few),
		cmocka_unit_test(it_grows_with_short_waits_and_ends_with_long_ones),
		cmocka_unit_test(it_leaves_a_busy_host_alone),
		cmocka_unit_test(a_processor_that_was_taken_away_is_left_alone),
	};

	return cmocka_run_group_tests_name("polling", tests, NULL, NULL);
}
