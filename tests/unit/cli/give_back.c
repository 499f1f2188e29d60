/* SPDX-License-Identifier: BSD-2-Clause */
/* Which pages the kernel takes and maps again is its own business; what is looked at here is what it
 * was told. */
#include "give_back.h"

#include <sys/mman.h>
#include <unistd.h>

#include "vmm/types.h"
#include "test.h"

#define SIZE (1u << 20)

static const uint8_t constants[SIZE] __attribute__((aligned(4096))) = { [SIZE / 2] = 1 };
static unsigned given_back; /* how often the page in the middle of them was */

int __real_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice);

int __wrap_madvise(void *addr, size_t len, int advice)
{
	const uintptr_t begin = (uintptr_t)addr, middle = (uintptr_t)constants + SIZE / 2;

	given_back += advice == MADV_DONTNEED && middle >= begin && middle < begin + len;
	return __real_madvise(addr, len, advice);
}

static const volatile uint8_t *middle(void)
{
	return constants + SIZE / 2;
}

static void constants_go_and_come_again(void **state __unused)
{
	given_back = 0;
	assert_int_equal(*middle(), 1);
	give_back_code();
	assert_int_equal(given_back, 1);
	assert_int_equal(*middle(), 1);
}

static void nothing_goes_before_the_start_is_over(void **state __unused)
{
	int fds[2];
	struct pollfd p = { .events = POLLOUT };

	assert_int_equal(pipe(fds), 0);
	p.fd = fds[1];
	given_back = 0;
	give_back_after_start(&p, 1);
	assert_int_equal(p.revents, POLLOUT);
	assert_int_equal(given_back, 0);
	p.fd = fds[0];
	give_back_after_start(&p, 1);
	assert_int_equal(p.revents, 0);
	assert_int_equal(given_back, 1);
	close(fds[0]);
	close(fds[1]);
}

/* A debugger's breakpoint is such a change. It is the last test, because it lasts. */
static void what_was_changed_stays(void **state __unused)
{
	uint8_t *page = (uint8_t *)(uintptr_t)middle();

	assert_int_equal(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
	page[1] = 2;
	assert_int_equal(mprotect(page, 4096, PROT_READ), 0);
	given_back = 0;
	give_back_code();
	assert_int_equal(given_back, 0);
	assert_int_equal(middle()[1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_go_and_come_again),
		cmocka_unit_test(nothing_goes_before_the_start_is_over),
		cmocka_unit_test(what_was_changed_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
