/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot images: ELF of both classes, placed by address fields, and refused. */
#include "images.h"

#define HEADER_AT 0x1000
#define ADDRESSES (1u << 16)

static const struct part one[] = { { PT_LOAD, 0x1000, 0x100000, 0x800, 0x2000 } };

static void put_header(struct image *f, size_t at, uint32_t flags)
{
	store_le(f->data + at, 4, 0x1badb002);
	store_le(f->data + at + 4, 4, flags);
	store_le(f->data + at + 8, 4, (uint32_t) - (0x1badb002 + flags));
}

static struct image elf_with_header(uint32_t flags)
{
	struct image f = elf32_new(0x100020, 0x1800, one, 1);

	put_header(&f, HEADER_AT, flags);
	return f;
}

/* header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr */
struct addresses {
	uint32_t word[5];
};

static struct image flat_with_header(struct addresses a)
{
	struct image f = image_new(0x1000);

	for (size_t i = 0; i < f.len; i++)
		f.data[i] = pattern(i);
	put_header(&f, 0x40, ADDRESSES | 3);
	for (unsigned i = 0; i < 5; i++)
		store_le(f.data + 0x4c + 4 * i, 4, a.word[i]);
	return f;
}

static uint32_t info(const struct guest *g, unsigned at)
{
	return (uint32_t)load_le(gmem_slice(&g->mem, g->e.rbx + at, 4), 4);
}

static const char *string(const struct guest *g, uint32_t gpa)
{
	return gmem_slice(&g->mem, gpa, 1);
}

static void elf_with_module(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf_with_header(3);
	uint32_t module, map;

	assert_int_equal(gmem_add(&g->mem, 4 * GIB, 0x200000000, g->mem.region[0].host), 0);
	g->r.cmdline = "one two";
	g->r.initrd = "module";
	g->r.initrd_len = 6;
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.mode, BOOT_PROT32);
	assert_int_equal(g->e.rip, 0x100020);
	assert_int_equal(g->e.rax, 0x2badb002);
	assert_true(placed(&g->mem, 0x100000, &f, 0x1000, 0x800));
	assert_int_equal(info(g, 0), 1 | 4 | 8 | 0x40 | 0x200);
	assert_int_equal(info(g, 4), 0x9fc00 / 1024);
	assert_int_equal(info(g, 8), 31 * 1024);
	assert_string_equal(string(g, info(g, 16)), "the-kernel one two");
	assert_string_equal(string(g, info(g, 64)), "minivmm");
	assert_int_equal(info(g, 20), 1);
	module = info(g, 24);
	assert_int_equal(load_le(string(g, module), 4), 32 * MIB - 0x1000);
	assert_int_equal(load_le(string(g, module + 4), 4), 32 * MIB - 0x1000 + 6);
	assert_string_equal(string(g, (uint32_t)load_le(string(g, module + 8), 4)), "the-initrd");
	assert_memory_equal(string(g, 32 * MIB - 0x1000), "module", 6);
	assert_int_equal(info(g, 44), 4 * 24);
	map = info(g, 48);
	assert_int_equal(load_le(string(g, map + 24), 4), 20);
	assert_int_equal(load_le(string(g, map + 24 + 4), 8), 0x9fc00);
	assert_int_equal(load_le(string(g, map + 24 + 20), 4), 2);
	assert_int_equal(load_le(string(g, map + 72 + 4), 8), 4 * GIB);
	assert_int_equal(load_le(string(g, map + 72 + 12), 8), 0x200000000);
	assert_int_equal(load_le(string(g, map + 72 + 20), 4), 1);
	free(f.data);
	guest_free(g);
}

static void elf_without_module(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x100020, 0x1800, one, 1);

	put_header(&f, 0x1004, 0); /* a 64-bit file starts in 32-bit mode too */
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.mode, BOOT_PROT32);
	assert_int_equal(info(g, 0), 1 | 4 | 0x40 | 0x200);
	assert_int_equal(info(g, 20), 0);
	free(f.data);
	guest_free(g);
}

static void placed_by_its_header(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = flat_with_header(
		(struct addresses){ { 0x200030, 0x200000, 0x200800, 0x201000, 0x200004 } });

	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.mode, BOOT_PROT32);
	assert_int_equal(g->e.rip, 0x200004);
	assert_int_equal(g->e.placed.kernel_end, 0x201000);
	assert_true(placed(&g->mem, 0x200000, &f, 0x10, 0x800));
	assert_true(zero(&g->mem, 0x200800, 32 * MIB));
	free(f.data);
	/* 0: to the end of the file, and no bss */
	f = flat_with_header((struct addresses){ { 0x200040, 0x200000, 0, 0, 0x200fff } });
	assert_int_equal(guest_load(g, &f), 0);
	assert_true(placed(&g->mem, 0x200000, &f, 0, 0x1000));
	assert_int_equal(g->e.placed.kernel_end, 0x201000);
	free(f.data);
	guest_free(g);
}

static void bad_addresses_are_refused(void **state __unused)
{
	const struct {
		struct addresses a;
		const char *words;
	} cases[] = {
		{ { { 0x1fffff, 0x200000, 0, 0, 0x200004 } }, "before the file" },
		{ { { 0x200041, 0x200000, 0, 0, 0x200004 } }, "before the file" },
		{ { { 0x200040, 0x200000, 0x1fffff, 0, 0x200004 } }, "load_end_addr" },
		{ { { 0x200040, 0x200000, 0x200000, 0, 0x200004 } }, "load_end_addr" },
		{ { { 0x200040, 0x200000, 0x201001, 0, 0x200004 } }, "cut short" },
		{ { { 0x200030, 0x200000, 0x201000, 0, 0x200004 } }, "cut short" },
		{ { { 0x200040, 0x200000, 0x200800, 0x2007ff, 0x200004 } }, "bss_end_addr" },
		{ { { 0x200040, 0x200000, 0, 0x3000000, 0x200004 } }, "needs 48 MiB|--memory" },
		{ { { 0xfffff040, 0xfffff000, 0, 0, 0xfffff004 } }, "no RAM" },
		{ { { 0x80040, 0x80000, 0, 0, 0x80004 } }, "minivmm needs" },
		{ { { 0x200040, 0x200000, 0, 0, 0x1fffff } }, "entry point" },
		{ { { 0x200040, 0x200000, 0x200800, 0x201000, 0x200800 } }, "entry point" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *g = guest_new(32 * MIB);
		struct image f = flat_with_header(cases[i].a);

		check_refused(g, &f, cases[i].words);
		free(f.data);
		guest_free(g);
	}
}

static void what_cannot_be_given_is_refused(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf_with_header(3 | 4);

	check_refused(g, &f, "video mode");
	put_header(&f, HEADER_AT, 8);
	check_refused(g, &f, "0x8");
	put_header(&f, HEADER_AT, 0x8000);
	check_refused(g, &f, "0x8000");
	put_header(&f, HEADER_AT, 3 | 1u << 17); /* optional: ignored */
	assert_int_equal(guest_load(g, &f), 0);
	g->r.initrd = f.data;
	g->r.initrd_len = 0;
	check_refused(g, &f, "the-initrd|empty");
	g->r.initrd_len = 31 * MIB;
	check_refused(g, &f, "the-initrd|31 MiB|--memory");
	free(f.data);
	guest_free(g);
}

/* This is GNU Mach's case: linked high, loaded low. */
static void virtual_entry_points_are_translated(void **state __unused)
{
	static const struct part high[] = { { PT_LOAD, 0x1000, 0x1000000, 0x800, 0x2000 } };
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf32_new(0xc1000020, 0x1800, high, 1);

	store_le(f.data + sizeof(Elf32_Ehdr) + offsetof(Elf32_Phdr, p_vaddr), 4, 0xc1000000);
	put_header(&f, HEADER_AT, 3);
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.rip, 0x1000020);
	free(f.data);
	guest_free(g);
}

/* Its first word is the kernel's name, and only that. */
static void the_command_line_begins_with_the_name(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf_with_header(3);
	char *line = calloc(1, 64 * KIB);

	g->r.kernel_name = "my the-kernel";
	assert_int_equal(guest_load(g, &f), 0);
	assert_string_equal(string(g, info(g, 16)), "my_the-kernel");
	g->r.cmdline = "x y";
	assert_int_equal(guest_load(g, &f), 0);
	assert_string_equal(string(g, info(g, 16)), "my_the-kernel x y");
	g->r.cmdline = memset(line, 'a', 64 * KIB - 15);
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(strlen(string(g, info(g, 16))), 64 * KIB - 1);
	line[64 * KIB - 15] = 'a';
	check_refused(g, &f, "65536|65535|--append");
	free(line);
	free(f.data);
	guest_free(g);
}

/* The header's addresses count, whatever else the file is. */
static void addresses_count_before_anything_else(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f =
		flat_with_header((struct addresses){ { 0x200040, 0x200000, 0, 0, 0x200fff } });

	memcpy(f.data,
	       "\x7f"
	       "ELF\2\1\1",
	       7); /* a damaged one */
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.rip, 0x200fff);
	memcpy(f.data, "MZ", 2);
	assert_int_equal(guest_load(g, &f), 0);
	put_header(&f, 0x40, 3); /* no addresses */
	check_refused(g, &f, "EFI program|UEFI");
	f.data[0] = 'x';
	check_refused(g, &f, "Multiboot|address fields|ELF");
	free(f.data);
	guest_free(g);
}

/* The header must be in the first 8192 bytes, at a multiple of 4, with a right checksum. */
static void headers_are_found(void **state __unused)
{
	static const struct {
		size_t at;
		uint32_t checksum;
		bool good;
	} cases[] = { { 0, 0, true },     { 8180, 0, true },  { 8184, 0, false },
		      { 8192, 0, false }, { 0x42, 0, false }, { 0x40, 1, false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image f = image_new(cases[i].at + 32);
		struct guest *g = guest_new(32 * MIB);

		put_header(&f, cases[i].at, ADDRESSES);
		store_le(f.data + cases[i].at + 8, 4,
			 load_le(f.data + cases[i].at + 8, 4) + cases[i].checksum);
		store_le(f.data + cases[i].at + 12, 4, 0x100000);
		store_le(f.data + cases[i].at + 16, 4, 0x100000);
		store_le(f.data + cases[i].at + 28, 4, 0x100000);
		if (cases[i].good)
			assert_int_equal(guest_load(g, &f), 0);
		else
			check_refused(g, &f, "neither");
		free(f.data);
		guest_free(g);
	}
}

static void short_files_are_refused(void **state __unused)
{
	const struct addresses a = { { 0x200040, 0x200000, 0x200800, 0x201000, 0x200004 } };
	struct image flat = flat_with_header(a), elf = elf_with_header(3);
	struct image *whole[] = { &flat, &elf };

	for (size_t i = 0; i < 2; i++)
		for (size_t len = 0; len < (i ? 0x1800 : 0x800); len += len < 0x100 ? 1 : 61) {
			struct guest *g = guest_new(32 * MIB);
			struct image f = image_new(len);

			memcpy(f.data, whole[i]->data, len);
			check_refused(g, &f, "the-kernel: ");
			free(f.data);
			guest_free(g);
		}
	free(flat.data);
	free(elf.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elf_with_module),
		cmocka_unit_test(elf_without_module),
		cmocka_unit_test(placed_by_its_header),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(what_cannot_be_given_is_refused),
		cmocka_unit_test(virtual_entry_points_are_translated),
		cmocka_unit_test(the_command_line_begins_with_the_name),
		cmocka_unit_test(addresses_count_before_anything_else),
		cmocka_unit_test(headers_are_found),
		cmocka_unit_test(short_files_are_refused),
	};

	return cmocka_run_group_tests_name("multiboot", tests, NULL, NULL);
}
