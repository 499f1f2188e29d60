/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/mem.h"

#include <errno.h>

#include "test.h"

static uint8_t low[0x1000], high[0x1000];

static struct gmem two_regions(void)
{
	struct gmem m = { 0 };

	assert_int_equal(gmem_add(&m, 4 * GIB, sizeof(high), high), 0);
	assert_int_equal(gmem_add(&m, 0, sizeof(low), low), 0);
	return m;
}

static void slices_stay_inside_one_region(void **state __unused)
{
	struct gmem m = two_regions();

	assert_ptr_equal(gmem_slice(&m, 0, 0x1000), low);
	assert_ptr_equal(gmem_slice(&m, 0xfff, 1), low + 0xfff);
	assert_null(gmem_slice(&m, 0xfff, 2));
	assert_null(gmem_slice(&m, 0x1000, 1));
	assert_null(gmem_slice(&m, 0x1000, 0));
	assert_ptr_equal(gmem_slice(&m, 4 * GIB + 8, 16), high + 8);
	assert_null(gmem_slice(&m, 4 * GIB - 1, 2));
}

static void lengths_that_wrap_are_refused(void **state __unused)
{
	struct gmem m = two_regions();

	assert_null(gmem_slice(&m, 1, UINT64_MAX));
	assert_null(gmem_slice(&m, UINT64_MAX, 2));
	assert_null(gmem_slice(&m, 4 * GIB + 1, UINT64_MAX - 4 * GIB));
}

static void bad_regions_are_refused(void **state __unused)
{
	struct gmem m = two_regions();

	assert_int_equal(gmem_add(&m, 0x800, 0x10, low), -EINVAL);
	assert_int_equal(gmem_add(&m, 4 * GIB - 1, 2, low), -EINVAL);
	assert_int_equal(gmem_add(&m, 8 * GIB, 0, low), -EINVAL);
	assert_int_equal(gmem_add(&m, UINT64_MAX, 2, low), -EINVAL);
	assert_int_equal(m.nr, 2);
	for (size_t i = m.nr; i < GMEM_MAX_REGIONS; i++)
		assert_int_equal(gmem_add(&m, i * 8 * GIB, 0x1000, low), 0);
	assert_int_equal(gmem_add(&m, 1000 * GIB, 0x1000, low), -ENOSPC);
}

static void copies_are_all_or_nothing(void **state __unused)
{
	struct gmem m = two_regions();
	uint32_t v = 0x12345678, back = 0;

	assert_int_equal(gmem_write(&m, 0xffc, &v, 4), 0);
	assert_int_equal(gmem_read(&m, 0xffc, &back, 4), 0);
	assert_int_equal(back, v);
	assert_int_equal(gmem_write(&m, 0xffe, &back, 4), -EFAULT);
	assert_int_equal(gmem_read(&m, 0xffd, &back, 4), -EFAULT);
	assert_int_equal(low[0xffe], 0x34);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_stay_inside_one_region),
		cmocka_unit_test(lengths_that_wrap_are_refused),
		cmocka_unit_test(bad_regions_are_refused),
		cmocka_unit_test(copies_are_all_or_nothing),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
