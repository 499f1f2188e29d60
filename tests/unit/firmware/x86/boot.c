/* SPDX-License-Identifier: BSD-2-Clause */
/* What every kind of kernel gets: tables, memory map, initrd; and files that are not a kernel at
 * all. */
#include <asm/bootparam.h>

#include "images.h"

static const struct part one[] = { { PT_LOAD, 0x1000, 0x100000, 0x100, 0x2000 } };

/* Returns where the processor finds va, by the tables in guest RAM (SDM 3A §4.5). */
static gpa_t translate(const struct guest *g, uint64_t va)
{
	uint64_t entry = g->e.cr3 | 1;

	for (unsigned shift = 39; shift >= 21; shift -= 9) {
		assert_true(entry & 1);
		entry = load_le(
			gmem_slice(&g->mem, (entry & ~0xfffull) + 8 * (va >> shift & 511), 8), 8);
	}
	assert_int_equal(entry & 0x83, 0x83); /* present, writable, 2 MiB */
	return (entry & ~0x1fffffull) + (va & 0x1fffff);
}

static void the_first_4_gib_are_mapped(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x100000, 0x1100, one, 1);

	assert_int_equal(guest_load(g, &f), 0);
	for (uint64_t va = 0; va < 4 * GIB; va += 2 * MIB)
		assert_int_equal(translate(g, va + 12345), va + 12345);
	assert_int_equal(load_le(gmem_slice(&g->mem, g->e.cr3 + 8, 8), 8), 0);
	free(f.data);
	guest_free(g);
}

static uint64_t descriptor(const struct guest *g, unsigned selector)
{
	assert_true(selector + 7u <= g->e.gdt_limit);
	return load_le(gmem_slice(&g->mem, g->e.gdt + selector, 8), 8);
}

/* SDM 3A §3.4.5: bits 40 to 47 are type, S, DPL and P; 53 L, 54 D, 55 G. */
static void segments_fit_the_mode(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f64 = elf64_new(0x100000, 0x1100, one, 1),
		     f32 = elf64_new(0x100000, 0x1100, one, 1);

	assert_int_equal(guest_load(g, &f64), 0);
	assert_int_equal(descriptor(g, BOOT_CS) >> 40 & 0xffff, 0xaf9b);
	assert_int_equal(descriptor(g, BOOT_DS) >> 40 & 0xffff, 0xcf93);
	assert_int_equal(g->e.rsp, 0x8a000);
	memcpy(f32.data + 0x800, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", 12); /* Multiboot */
	assert_int_equal(guest_load(g, &f32), 0);
	assert_int_equal(g->e.mode, BOOT_PROT32);
	assert_int_equal(descriptor(g, BOOT_CS) >> 40 & 0xffff, 0xcf9b);
	assert_int_equal(descriptor(g, BOOT_DS) >> 40 & 0xffff, 0xcf93);
	assert_int_equal(descriptor(g, BOOT_TR) >> 40 & 0xff, 0x8b);
	free(f64.data);
	free(f32.data);
	guest_free(g);
}

static void memory_above_the_hole_is_told(void **state __unused)
{
	struct guest *g = guest_new(3 * GIB);
	struct image f = elf64_new(0x100000, 0x1100, one, 1);
	const struct boot_params *p = gmem_slice(&g->mem, 0x81000, sizeof(*p));

	assert_int_equal(gmem_add(&g->mem, 4 * GIB, 7 * GIB, g->mem.region[0].host), 0);
	g->r.initrd = "x";
	g->r.initrd_len = 1;
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(p->e820_entries, 4);
	assert_int_equal(p->e820_table[2].size, 3 * GIB - MIB);
	assert_int_equal(p->e820_table[3].addr, 4 * GIB);
	assert_int_equal(p->e820_table[3].size, 7 * GIB);
	assert_int_equal(p->e820_table[3].type, 1);
	/* A reserved range in the hole comes in its place. */
	g->r.reserved = 0xe0000000;
	g->r.reserved_len = 0x100000;
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(p->e820_entries, 5);
	assert_int_equal(p->e820_table[3].addr, 0xe0000000);
	assert_int_equal(p->e820_table[3].size, 0x100000);
	assert_int_equal(p->e820_table[3].type, 2);
	assert_int_equal(p->e820_table[4].addr, 4 * GIB);
	/* The kernel's limit for the initrd is 2 GiB. */
	assert_int_equal(p->hdr.ramdisk_image, 2 * GIB - 0x1000);
	free(f.data);
	guest_free(g);
}

static void command_lines_have_a_limit(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x100000, 0x1100, one, 1);
	char line[2049];

	memset(line, 'a', sizeof(line));
	line[2047] = 0;
	g->r.cmdline = line;
	assert_int_equal(guest_load(g, &f), 0);
	line[2047] = 'a';
	line[2048] = 0;
	check_refused(g, &f, "2048|2047|--append");
	free(f.data);
	guest_free(g);
}

/* All of low RAM can be had up to our own tables, and between them and the reserved area. */
static void low_ram_is_the_kernels_but_for_our_tables(void **state __unused)
{
	static const struct {
		gpa_t at;
		bool good;
	} cases[] = { { 0x7f000, true }, { 0x7f001, false }, { 0x99fff, false },
		      { 0x9a000, true }, { 0x9ec00, true },  { 0x9ec01, false } };
	char *initrd = calloc(1, 31 * MIB + 1);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct part low = { PT_LOAD, 0x1000, cases[i].at, 0x100, 0x1000 };
		struct image f = elf64_new(cases[i].at, 0x1100, &low, 1);
		struct guest *g = guest_new(32 * MIB);

		if (cases[i].good)
			assert_int_equal(guest_load(g, &f), 0);
		else
			check_refused(g, &f, "minivmm needs");
		/* The initrd keeps clear of all that, even if the kernel ends below. */
		g->r.initrd = initrd;
		g->r.initrd_len = 31 * MIB + 1;
		assert_true(guest_load(g, &f) < 0);
		free(f.data);
		guest_free(g);
	}
	free(initrd);
}

static void without_low_memory_nothing_loads(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x100000, 0x1100, one, 1);

	g->mem.region[0].size = 1 * MIB - 1;
	check_refused(g, &f, "1 MiB");
	g->mem.region[0] = (struct gmem_region){ 0x1000, 31 * MIB, g->mem.region[0].host };
	check_refused(g, &f, "begin at 0");
	g->mem.region[0] = (struct gmem_region){ 0, 32 * MIB, g->mem.region[0].host };
	free(f.data);
	guest_free(g);
}

static void what_is_no_kernel_is_named(void **state __unused)
{
	static const struct {
		size_t at;
		const char *bytes;
		size_t len;
		const char *words;
	} cases[] = {
		{ 0, "", 0, "neither a bzImage nor" },
		{ 0x38, "ARM\x64", 4, "ARM64|x86-64" },
		{ 0x38, "RSC\x05", 4, "RISC-V" },
		{ 0x30, "RISCV\0\0\0", 8, "RISC-V" },
		{ 0, "\x1f\x8b\x08", 3, "gzip|unpack" },
		{ 0,
		  "\xfd"
		  "7zXZ\0",
		  6, "xz|unpack" },
		{ 0, "\x28\xb5\x2f\xfd", 4, "zstd|unpack" },
		{ 0, "\x27\x05\x19\x56", 4, "U-Boot" },
		{ 0, "\xd0\x0d\xfe\xed", 4, "device tree" },
		{ 0, "!<arch>\ndebian-binary", 21, "package|dpkg -x" },
		{ 0, "070701", 6, "cpio|--initrd" },
		{ 0, "QFI\xfb", 4, "qcow2" },
		{ 0, "#!/bin/sh", 9, "script" },
		{ 0, "MZ\x90", 3, "EFI program|UEFI" },
		{ 0, "MZ\0\0zimg", 8, "zboot|UEFI" },
		{ 0x24, "\x18\x28\x6f\x01", 4, "32-bit ARM" },
		{ 0, "ANDROID!", 8, "Android" },
		{ 0, "\xcf\xfa\xed\xfe", 4, "Mach-O" },
		{ 0, "\xce\xfa\xed\xfe", 4, "Mach-O" },
		{ 0, "\xca\xfe\xba\xbe", 4, "Mach-O" },
		{ 0, "\xed\xab\xee\xdb", 4, "RPM" },
		{ 0, "PK\3\4", 4, "zip" },
		{ 257, "ustar", 5, "tar" },
		{ 0, "hsqs", 4, "squashfs|--disk" },
		{ 0x8001, "CD001", 5, "ISO|--disk" },
		{ 32, "\xd6\x50\x52\xe8\0\0\0\0\x10\0\0\0\x1a\xaf\xad\x17", 16, "Multiboot 2" },
		{ 510, "\x55\xaa", 2, "--disk" },
	};
	struct image none = image_new(0);
	struct guest *g = guest_new(32 * MIB);

	check_refused(g, &none, "empty");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image f = image_new(cases[i].at + cases[i].len + (i == 0));

		memcpy(f.data + cases[i].at, cases[i].bytes, cases[i].len);
		check_refused(g, &f, cases[i].words);
		f.len -= !!f.len; /* one byte less: still known, or not known */
		assert_true(guest_load(g, &f) < 0);
		free(f.data);
	}
	free(none.data);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_4_gib_are_mapped),
		cmocka_unit_test(segments_fit_the_mode),
		cmocka_unit_test(memory_above_the_hole_is_told),
		cmocka_unit_test(command_lines_have_a_limit),
		cmocka_unit_test(low_ram_is_the_kernels_but_for_our_tables),
		cmocka_unit_test(without_low_memory_nothing_loads),
		cmocka_unit_test(what_is_no_kernel_is_named),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
