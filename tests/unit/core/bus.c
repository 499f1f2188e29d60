/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/bus.h"

#include <errno.h>

#include "test.h"

struct probe {
	struct dev dev;
	uint64_t off, value;
	unsigned size, calls;
};

static uint64_t probe_read(struct dev *dev, uint64_t off, unsigned size)
{
	struct probe *p = container_of(dev, struct probe, dev);

	/* Door 1: the lock is held. */
	assert_int_equal(pthread_mutex_trylock(&dev->lock), EBUSY);
	p->off = off;
	p->size = size;
	p->calls++;
	return 0x1122334455667788;
}

static void probe_write(struct dev *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct probe *p = container_of(dev, struct probe, dev);

	probe_read(dev, off, size);
	p->value = value;
}

static const struct dev_ops probe_ops = { .name = "probe",
					  .read = probe_read,
					  .write = probe_write };
static const struct dev_ops mute_ops = { .name = "mute" };

static void accesses_reach_the_range_that_holds_them(void **state __unused)
{
	struct bus b = { 0 };
	struct probe p[2] = { 0 };
	bool hit;

	for (unsigned i = 0; i < 2; i++) {
		dev_init(&p[i].dev, &probe_ops);
		assert_int_equal(bus_add(&b, 0x200 - 0x100 * i, 8, &p[i].dev), 0);
	}
	bus_freeze(&b);
	assert_int_equal(bus_read(&b, 0x202, 2, &hit), 0x7788);
	assert_true(hit);
	assert_int_equal(p[0].off, 2);
	assert_int_equal(p[0].size, 2);
	assert_true(bus_write(&b, 0x107, 1, 0xabcd));
	assert_int_equal(p[1].off, 7);
	assert_int_equal(p[1].value, 0xcd);
	assert_int_equal(b.range[0].writes, 1);
	assert_int_equal(b.range[1].reads, 1);
	for (unsigned i = 0; i < 2; i++)
		dev_destroy(&p[i].dev);
}

static void nobody_answers_as_ones(void **state __unused)
{
	struct bus b = { 0 };
	struct probe p = { 0 };
	struct dev mute;
	bool hit;

	dev_init(&p.dev, &probe_ops);
	dev_init(&mute, &mute_ops);
	assert_int_equal(bus_add(&b, 0x100, 8, &p.dev), 0);
	assert_int_equal(bus_add(&b, 0x300, 8, &mute), 0);
	assert_int_equal(bus_read(&b, 0xff, 1, &hit), 0xff);
	assert_false(hit);
	assert_int_equal(bus_read(&b, 0x106, 4, NULL), 0xffffffff); /* crosses the end */
	assert_false(bus_write(&b, 0x107, 2, 0));
	assert_int_equal(bus_read(&b, UINT64_MAX, 8, NULL), UINT64_MAX);
	assert_int_equal(bus_read(&b, 0x300, 1, &hit), 0xff);
	assert_true(hit);
	assert_true(bus_write(&b, 0x300, 1, 0));
	assert_int_equal(p.calls, 0);
	dev_destroy(&mute);
	dev_destroy(&p.dev);
}

static void overlaps_are_refused(void **state __unused)
{
	struct bus b = { 0 };
	struct probe p = { 0 };

	dev_init(&p.dev, &probe_ops);
	assert_int_equal(bus_add(&b, 0x100, 8, &p.dev), 0);
	assert_int_equal(bus_add(&b, 0x107, 1, &p.dev), -EEXIST);
	assert_int_equal(bus_add(&b, 0xff, 2, &p.dev), -EEXIST);
	assert_int_equal(bus_add(&b, 0xf8, 8, &p.dev), 0);
	assert_int_equal(bus_add(&b, 0x200, 0, &p.dev), -EINVAL);
	assert_int_equal(bus_add(&b, UINT64_MAX, 2, &p.dev), -EINVAL);
	for (uint64_t i = b.nr; i < BUS_MAX_RANGES; i++)
		assert_int_equal(bus_add(&b, 0x1000 * i, 8, &p.dev), 0);
	assert_int_equal(bus_add(&b, 0x300, 8, &p.dev), -ENOSPC);
	dev_destroy(&p.dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accesses_reach_the_range_that_holds_them),
		cmocka_unit_test(nobody_answers_as_ones),
		cmocka_unit_test(overlaps_are_refused),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
