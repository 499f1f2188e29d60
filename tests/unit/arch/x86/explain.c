/* SPDX-License-Identifier: BSD-2-Clause */
/* The report about a guest that can't go on: its registers, or those of a reset, and the last
 * accesses that the exits left. */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"
#include "kvm/vcpu.h"
#include "arch/x86/x86.h"
#include "board.h"

#define RESET_TEXT "  These are the registers after a reset: KVM on AMD resets a processor before"

struct rig {
	struct vcpu v;
	struct board board;
	struct bus mmio;
	union {
		struct kvm_run run;
		uint8_t page[4096 + 64]; /* KVM's run page, then the data of I/O */
	};
	char *text;
};

static uint64_t read_a5(struct dev *d __unused, uint64_t off, unsigned size __unused)
{
	return 0xa5 + off;
}

static void write_nothing(struct dev *d __unused, uint64_t off __unused, unsigned size __unused,
			  uint64_t value __unused)
{
}

static void rig_up(struct rig *t, struct dev *d)
{
	static const struct dev_ops ops = { .name = "d", .read = read_a5, .write = write_nothing };

	memset(t, 0, sizeof(*t));
	dev_init(d, &ops);
	assert_int_equal(bus_add(&t->board.pio, 0x70, 2, d), 0);
	bus_freeze(&t->board.pio);
	bus_freeze(&t->mmio);
	t->v = (struct vcpu){ .fd = -1, .run_page = &t->run, .board = &t->board, .mmio = &t->mmio };
}

static void access_port(struct rig *t, bool out, uint16_t port, uint8_t size, uint32_t count,
			uint32_t value)
{
	t->run.exit_reason = KVM_EXIT_IO;
	t->run.io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	t->run.io.port = port;
	t->run.io.size = size;
	t->run.io.count = count;
	t->run.io.data_offset = 4096;
	for (uint32_t i = 0; i < count; i++)
		store_le(t->page + 4096 + i * size, size, value + i);
	assert_int_equal(vcpu_handle(&t->v), -1);
}

static void access_memory(struct rig *t, bool write, uint64_t addr, uint32_t len, uint64_t value)
{
	t->run.exit_reason = KVM_EXIT_MMIO;
	t->run.mmio.is_write = write;
	t->run.mmio.phys_addr = addr;
	t->run.mmio.len = len;
	store_le(t->run.mmio.data, 8, value);
	assert_int_equal(vcpu_handle(&t->v), -1);
}

/* Returns what is said, which the next call frees. */
static const char *said(struct rig *t, const struct kvm_regs *r, const struct kvm_sregs *s)
{
	size_t len;
	FILE *f;

	free(t->text);
	f = open_memstream(&t->text, &len);
	assert_non_null(f);
	explain_state(f, &t->v, r, s);
	fclose(f);
	return t->text;
}

static const struct kvm_regs reset_regs = { .rip = 0xfff0, .rflags = 2, .rdx = 0x600 };
static const struct kvm_sregs reset_sregs = {
	.cs = { .selector = 0xf000, .base = 0xffff0000 },
	.cr0 = 0x60000010,
};

static void registers_of_a_reset_are_called_that(void **state __unused)
{
	struct kvm_regs regs = reset_regs;
	struct kvm_sregs sregs = reset_sregs;
	struct rig t;
	struct dev d;

	rig_up(&t, &d);
	t.run.exit_reason = KVM_EXIT_SHUTDOWN;
	assert_non_null(strstr(said(&t, &regs, &sregs), RESET_TEXT));
	assert_non_null(strstr(t.text, "  rip 000000000000fff0"));
	assert_null(strstr(t.text, "code at rip"));
	sregs.cr0 = 0x10; /* an INIT keeps the cache bits as they were */
	assert_non_null(strstr(said(&t, &regs, &sregs), RESET_TEXT));
	/* Intel's registers are those of the fault. */
	regs.rip = 0xffffffff81000000;
	sregs.cr0 = 0x80050033;
	assert_null(strstr(said(&t, &regs, &sregs), RESET_TEXT));
	assert_non_null(strstr(t.text, "  code at rip:"));
	/* A guest that has really run. */
	regs = reset_regs;
	regs.rsp = 0x7c00;
	assert_null(strstr(said(&t, &regs, &reset_sregs), RESET_TEXT));
	t.run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	assert_null(strstr(said(&t, &reset_regs, &reset_sregs), RESET_TEXT));
	free(t.text);
	dev_destroy(&d);
}

static void the_last_accesses_are_told(void **state __unused)
{
	struct rig t;
	struct dev d;

	rig_up(&t, &d);
	assert_non_null(strstr(said(&t, &reset_regs, &reset_sregs),
			       "  it has not accessed a device before\n"));
	access_port(&t, true, 0x70, 1, 1, 0x41);
	access_port(&t, false, 0x71, 1, 1, 0);
	access_port(&t, true, 0x3f8, 2, 4, 0x1230); /* a string */
	access_memory(&t, true, 0xfee00000, 4, 0x12345678);
	access_memory(&t, false, 0xd0000000, 8, 0);
	access_memory(&t, true, 0xd0000001, 3, 0xaabbcc);
	assert_non_null(strstr(said(&t, &reset_regs, &reset_sregs),
			       "  its last accesses to devices, the latest at the end:\n"
			       "    write port 0x70, 1 byte: 0x41\n"
			       "    read  port 0x71, 1 byte: 0xa6\n"
			       "    write port 0x3f8, 2 bytes: 0x1233\n"
			       "    write memory 0xfee00000, 4 bytes: 0x12345678\n"
			       "    read  memory 0xd0000000, 8 bytes: 0xffffffffffffffff\n"
			       "    write memory 0xd0000001, 3 bytes: 0xaabbcc\n"));
	free(t.text);
	dev_destroy(&d);
}

static void only_so_many_are_kept(void **state __unused)
{
	struct rig t;
	struct dev d;

	rig_up(&t, &d);
	for (unsigned i = 0; i < 1000; i++)
		access_port(&t, true, 0x70, 1, 1, i & 0xff);
	said(&t, &reset_regs, &reset_sregs);
	assert_non_null(strstr(
		t.text,
		"at the end:\n    write port 0x70, 1 byte: 0xd8 0xd9 0xda 0xdb 0xdc 0xdd 0xde 0xdf 0xe0 0xe1 0xe2 0xe3 0xe4 0xe5 0xe6 0xe7\n"));
	/* The counter wraps. */
	t.v.nr_accesses = UINT32_MAX;
	access_port(&t, true, 0x71, 1, 1, 1);
	access_port(&t, true, 0x71, 1, 1, 2);
	assert_non_null(
		strstr(said(&t, &reset_regs, &reset_sregs), "    write port 0x71, 1 byte: 0x2\n"));
	free(t.text);
	dev_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_of_a_reset_are_called_that),
		cmocka_unit_test(the_last_accesses_are_told),
		cmocka_unit_test(only_so_many_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
