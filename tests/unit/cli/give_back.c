/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of this program's constants: whether the process has them, says /proc/self/pagemap. */
#include "give_back.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/types.h"
#include "test.h"

#define SIZE (1u << 20)

/* So far from other constants that using those maps no page in the middle of these. */
static const uint8_t constants[SIZE] __attribute__((aligned(4096))) = { [SIZE / 2] = 1 };

static const volatile uint8_t *middle(void)
{
	return constants + SIZE / 2;
}

static bool is_here(const volatile uint8_t *page)
{
	AUTO_CLOSE int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / 4096 * sizeof(entry))) !=
	    sizeof(entry))
		skip();
	return entry >> 63;
}

/* Uses the page until the process has it: the host may take any page away at any time. */
static void use_middle(void)
{
	do
		assert_int_equal(*middle(), 1);
	while (!is_here(middle()));
}

static void constants_go_and_come_again(void **state __unused)
{
	use_middle();
	give_back_code();
	assert_false(is_here(middle()));
	use_middle();
}

static void nothing_goes_before_the_start_is_over(void **state __unused)
{
	int fds[2];
	unsigned tries = 0;
	struct pollfd p = { .events = POLLOUT };

	assert_int_equal(pipe(fds), 0);
	p.fd = fds[1];
	do {
		use_middle();
		give_back_after_start(&p, 1);
		assert_int_equal(p.revents, POLLOUT);
	} while (!is_here(middle()) && ++tries < 1000);
	assert_true(is_here(middle()));
	p.fd = fds[0];
	give_back_after_start(&p, 1);
	assert_int_equal(p.revents, 0);
	assert_false(is_here(middle()));
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
	give_back_code();
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
