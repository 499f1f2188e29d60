/* SPDX-License-Identifier: BSD-2-Clause */
#include "bios.h"

#include <errno.h>

#include "test.h"
#include "vmm/log.h"

static uint8_t top[0x1000]; /* 0xff000 to 1 MiB */

static void the_entry_point_writes_the_port(void **state __unused)
{
	struct gmem m = { 0 };

	assert_int_equal(gmem_add(&m, 0xff000, sizeof(top), top), 0);
	assert_int_equal(bios_build(&m, 0x602, 0x01), 0);
	/* mov dx, 0x602; mov al, 1; out dx, al; cli; hlt; jmp -3 */
	assert_memory_equal(top + 0xff0, "\xba\x02\x06\xb0\x01\xee\xfa\xf4\xeb\xfd", 10);
}

static void it_needs_ram(void **state __unused)
{
	struct gmem m = { 0 };

	log_set_level(LOG_QUIET);
	assert_int_equal(gmem_add(&m, 0xff000, 0xfff, top), 0);
	assert_int_equal(bios_build(&m, 0x602, 0x01), -EFAULT);
	log_set_level(LOG_WARN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_entry_point_writes_the_port),
		cmocka_unit_test(it_needs_ram),
	};

	return cmocka_run_group_tests_name("bios", tests, NULL, NULL);
}
