/* SPDX-License-Identifier: BSD-2-Clause */
/* Shares of a budget of descriptors. */
#include "vmm/fd_budget.h"

#include "capture.h"

static unsigned take_all(struct fd_share *s)
{
	unsigned n = 0;

	for (; fd_share_room(s, 1); n++)
		fd_share_take(s, 3);
	return n;
}

static void nobody_takes_anothers_share(void **state __unused)
{
	struct fd_budget b;
	struct fd_share s[4];

	fd_budget_init(&b, 1024);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		fd_share_init(&s[i], &b, "test", 1000);
	assert_int_equal(take_all(&s[0]), 128 + 32); /* the common half, and its own share */
	assert_int_equal(take_all(&s[1]), 32);
	fd_share_give(&s[0], 100);
	assert_int_equal(take_all(&s[1]), 100);
	assert_int_equal(take_all(&s[2]), 32);
	assert_true(fd_share_room(&s[3], 32));
	assert_false(fd_share_room(&s[3], 33));
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		fd_share_give(&s[i], s[i].taken);
	assert_int_equal(b.common, 0);
	assert_int_equal(take_all(&s[3]), 128 + 32);
}

static void a_share_has_a_most(void **state __unused)
{
	struct fd_budget b;
	struct fd_share s, free;

	fd_budget_init(&b, 1024);
	fd_share_init(&s, &b, "test", 10);
	fd_share_init(&free, NULL, "test", 3);
	assert_int_equal(take_all(&s), 10);
	assert_int_equal(take_all(&free), 3);
	assert_false(fd_share_room(&free, UINT32_MAX));
	fd_share_give(&free, 1);
	assert_true(fd_share_room(&free, 1));
}

/* The process may have a large limit or a small one. */
static void the_limit_may_be_anything(void **state __unused)
{
	static const struct {
		uint64_t limit;
		unsigned all;
	} cases[] = {
		{ 0, 0 },
		{ 3, 0 },
		{ 40, 10 },
		{ 1024, 256 },
		{ 524288, 65536 },
		{ 1073741816, 65536 },
		{ UINT64_MAX, 65536 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fd_budget b;
		struct fd_share s;

		fd_budget_init(&b, cases[i].limit);
		assert_int_equal(b.all, cases[i].all);
		fd_share_init(&s, &b, "test", UINT32_MAX);
		assert_int_equal(take_all(&s), b.all / 2 * 2);
	}
}

/* Other machines in the process are only known by the numbers of their descriptors. */
static void the_last_numbers_are_the_process_s(void **state __unused)
{
	struct fd_budget b;
	struct fd_share s, other;

	fd_budget_init(&b, 1024);
	fd_share_init(&s, &b, "test", 1000);
	fd_share_init(&other, &b, "test", 1000);
	for (unsigned i = 0; i < 7; i++)
		fd_share_take(&s, 1000);
	assert_true(fd_share_room(&s, 1)); /* it always has a few */
	assert_false(fd_share_room(&s, 2));
	fd_share_take(&s, 895);
	assert_true(fd_share_room(&s, 1));
	fd_share_take(&s, 896);
	assert_false(fd_share_room(&s, 1));
	assert_true(fd_share_room(&other, 64));
	fd_share_give(&s, 1);
	assert_true(fd_share_room(&s, 1));
}

static void a_refusal_is_mentioned_once(void **state __unused)
{
	struct fd_budget b;
	struct capture said;
	struct fd_share s;

	fd_budget_init(&b, 40);
	fd_share_init(&s, &b, "--net user", 100);
	take_all(&s);
	capture_begin(&said);
	for (unsigned i = 0; i < 1000; i++)
		fd_share_refused(&s);
	assert_string_equal(
		capture_end(&said),
		"minivmm: --net user: 10 descriptors are in use, all that it may have of this process's: what needs another is refused until some are free; ulimit -n, before minivmm starts, raises the limit\n");
	fd_share_give(&s, 2);
	capture_begin(&said);
	fd_share_refused(&s);
	assert_string_equal(capture_end(&said), "");
	fd_share_give(&s, 4);
	capture_begin(&said);
	fd_share_refused(&s);
	assert_non_null(strstr(capture_end(&said), "4 descriptors"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_takes_anothers_share),
		cmocka_unit_test(a_share_has_a_most),
		cmocka_unit_test(the_limit_may_be_anything),
		cmocka_unit_test(the_last_numbers_are_the_process_s),
		cmocka_unit_test(a_refusal_is_mentioned_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
