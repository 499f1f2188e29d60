/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/bios.h"

#include <errno.h>

#include "test.h"
#include "vmm/log.h"

static uint8_t ram[MIB];

static const struct bios_config config = {
	.com1_port = 0x3f8,
	.reset_port = 0x602,
	.reset_value = 0x01,
};

static void build(const struct bios_config *c)
{
	struct gmem m = { 0 };

	memset(ram, 0, sizeof(ram));
	assert_int_equal(gmem_add(&m, 0, sizeof(ram), ram), 0);
	assert_int_equal(bios_build(&m, c), 0);
}

static void the_entry_point_writes_the_port(void **state __unused)
{
	build(&config);
	/* mov dx, 0x602; mov al, 1; out dx, al; cli; hlt; jmp -3 */
	assert_memory_equal(ram + 0xffff0, "\xba\x02\x06\xb0\x01\xee\xfa\xf4\xeb\xfd", 10);
}

/* Kernels look for this: Xen puts its trampoline below the EBDA or the end of base memory. */
static void the_data_area_says_what_there_is(void **state __unused)
{
	const struct bios_config none = { .reset_port = 0x602 };

	build(&config);
	assert_int_equal(load_le(ram + 0x400, 2), 0x3f8);
	assert_int_equal(load_le(ram + 0x402, 2), 0);
	assert_int_equal(load_le(ram + 0x40e, 2), 0x9fc0);
	assert_int_equal(load_le(ram + 0x410, 2), 0x202); /* one serial port, an FPU */
	assert_int_equal(load_le(ram + 0x413, 2), 639);
	assert_int_equal(load_le(ram + 0x472, 2), 0);
	assert_int_equal(ram[0x475], 0);
	assert_int_equal(ram[0x9fc00], 1);
	for (size_t i = 0x415; i < 0x9fc00; i++)
		assert_int_equal(ram[i], 0);
	build(&none);
	assert_int_equal(load_le(ram + 0x400, 2), 0);
	assert_int_equal(load_le(ram + 0x410, 2), 0x002);
}

/* Returns the host's address of a vector's handler. */
static const uint8_t *handler(unsigned vector)
{
	return ram + load_le(ram + 4 * vector + 2, 2) * 16 + load_le(ram + 4 * vector, 2);
}

static void interrupts_return(void **state __unused)
{
	build(&config);
	for (unsigned i = 0; i < 256; i++)
		if (i < 0x10 || i > 0x1a)
			assert_int_equal(*handler(i), 0xcf); /* iret */
		else /* mov ah, 0x86; push bp; mov bp, sp; or byte [bp + 6], 1; pop bp; iret */
			assert_memory_equal(handler(i),
					    "\xb4\x86\x55\x89\xe5\x80\x4e\x06\x01\x5d\xcf", 11);
}

static void it_needs_ram(void **state __unused)
{
	static const struct {
		gpa_t base;
		uint64_t size;
	} cases[] = { { 0, 0x4ff }, { 0, 0x9fc00 }, { 0, 0xffff0 }, { 0x1000, 0xff000 } };

	log_set_level(LOG_QUIET);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gmem m = { 0 };

		assert_int_equal(gmem_add(&m, cases[i].base, cases[i].size, ram), 0);
		assert_int_equal(bios_build(&m, &config), -EFAULT);
	}
	log_set_level(LOG_WARN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_entry_point_writes_the_port),
		cmocka_unit_test(the_data_area_says_what_there_is),
		cmocka_unit_test(interrupts_return),
		cmocka_unit_test(it_needs_ram),
	};

	return cmocka_run_group_tests_name("bios", tests, NULL, NULL);
}
