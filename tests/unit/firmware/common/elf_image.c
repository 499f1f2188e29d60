/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF kernels, by their 64-bit entry point and by their PVH note; and everything that can be
 * wrong. */
#include <asm/bootparam.h>

#include "images.h"

#define NOTE_AT     0x300
#define NOTE_HEADER (sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr))

/* hvm_start_info version 1, as a guest sees it. */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t nr_memmap, reserved;
};

static const struct part two[] = {
	{ PT_LOAD, 0x1000, 0x100000, 0x800, 0x1000 },
	{ PT_LOAD, 0x2000, 0x200000, 0x700, 0x700 },
	{ PT_NOTE, NOTE_AT, 0, 0x40, 0x40 },
};

static void put_note(struct image *f, size_t at, const char *name, uint32_t type, uint64_t desc,
		     uint32_t desc_len)
{
	store_le(f->data + at, 4, 4);
	store_le(f->data + at + 4, 4, desc_len);
	store_le(f->data + at + 8, 4, type);
	memcpy(f->data + at + 12, name, 4);
	store_le(f->data + at + 16, 8, desc);
}

static struct image pvh64(uint64_t entry)
{
	struct image f = elf64_new(0x100000, 0x2700, two, 3);

	memset(f.data + NOTE_AT, 0, 0x40);
	put_note(&f, NOTE_AT, "Xen", 6, 0, 4); /* another note before it */
	put_note(&f, NOTE_AT + 20, "Xen", 18, entry, 8);
	return f;
}

static void vmlinux_enters_in_64_bit_mode(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x100010, 0x2700, two, 2);
	const struct boot_params *p = gmem_slice(&g->mem, 0x81000, sizeof(*p));

	g->r.cmdline = "quiet";
	g->r.rsdp = 0xe0000;
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.mode, BOOT_LONG64);
	assert_int_equal(g->e.rip, 0x100010);
	assert_int_equal(g->e.rsi, 0x81000);
	assert_int_equal(g->e.placed.kernel_start, 0x100000);
	assert_int_equal(g->e.placed.kernel_end, 0x200700);
	assert_true(placed(&g->mem, 0x100000, &f, 0x1000, 0x800));
	assert_true(zero(&g->mem, 0x100800, 0x200000));
	assert_true(placed(&g->mem, 0x200000, &f, 0x2000, 0x700));
	assert_true(zero(&g->mem, 0x200700, 32 * MIB));
	assert_int_equal(p->hdr.boot_flag, 0xaa55);
	assert_memory_equal(&p->hdr.header, "HdrS", 4);
	assert_int_equal(p->acpi_rsdp_addr, 0xe0000);
	assert_string_equal(gmem_slice(&g->mem, p->hdr.cmd_line_ptr, 6), "quiet");
	free(f.data);
	guest_free(g);
}

static void pvh_enters_in_32_bit_mode(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = pvh64(0x200100);
	const struct start_info *s = gmem_slice(&g->mem, 0x81000, sizeof(*s));
	const uint64_t *module, *map;

	g->r.cmdline = "a=b";
	g->r.rsdp = 0xe0000;
	g->r.initrd = "0123456789";
	g->r.initrd_len = 10;
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.mode, BOOT_PROT32);
	assert_int_equal(g->e.rip, 0x200100);
	assert_int_equal(g->e.rbx, 0x81000);
	assert_int_equal(s->magic, 0x336ec578);
	assert_int_equal(s->version, 1);
	assert_int_equal(s->rsdp, 0xe0000);
	assert_string_equal(gmem_slice(&g->mem, s->cmdline, 4), "a=b");
	assert_int_equal(s->nr_modules, 1);
	module = gmem_slice(&g->mem, s->modules, 32);
	assert_int_equal(module[0], 32 * MIB - 0x1000);
	assert_int_equal(module[1], 10);
	assert_memory_equal(gmem_slice(&g->mem, module[0], 10), "0123456789", 10);
	assert_int_equal(s->nr_memmap, 3);
	map = gmem_slice(&g->mem, s->memmap, 3 * 24ul);
	assert_int_equal(map[3], 0x9fc00); /* the second entry: base, size, type */
	assert_int_equal(map[4], 0x100000 - 0x9fc00);
	assert_int_equal(map[5], 2);
	assert_int_equal(map[7], 31 * MIB);
	assert_int_equal(map[8], 1);
	free(f.data);
	guest_free(g);
}

static void pvh_in_32_bit_files_and_without_initrd(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf32_new(0x100000, 0x2700, two, 3);
	const struct start_info *s = gmem_slice(&g->mem, 0x81000, sizeof(*s));

	memset(f.data + NOTE_AT, 0, 0x40);
	put_note(&f, NOTE_AT, "Xen", 18, 0x100020, 4);
	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.mode, BOOT_PROT32);
	assert_int_equal(g->e.rip, 0x100020);
	assert_int_equal(s->nr_modules, 0);
	assert_true(placed(&g->mem, 0x200000, &f, 0x2000, 0x700));
	free(f.data);
	guest_free(g);
}

static void bad_notes_are_no_notes(void **state __unused)
{
	static const struct {
		size_t at;
		uint32_t value;
	} damage[] = {
		{ NOTE_AT, UINT32_MAX },      /* name length */
		{ NOTE_AT + 4, UINT32_MAX },  /* description length */
		{ NOTE_AT + 20, 3 },          /* of the note itself */
		{ NOTE_AT + 24, 5 },          /* its description */
		{ NOTE_AT + 28, 17 },         /* its type */
		{ NOTE_AT + 32, 0x006e6578 }, /* "xen" */
		{ NOTE_HEADER + offsetof(Elf64_Phdr, p_filesz), 20 },
		{ NOTE_HEADER + offsetof(Elf64_Phdr, p_filesz), 43 }, /* a byte too short */
		{ NOTE_HEADER + offsetof(Elf64_Phdr, p_filesz), UINT32_MAX },
		{ NOTE_HEADER + offsetof(Elf64_Phdr, p_offset), UINT32_MAX },
		{ NOTE_HEADER + offsetof(Elf64_Phdr, p_offset), 0x2700 - 0x3f },
	};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		struct guest *g = guest_new(32 * MIB);
		struct image f = pvh64(0x200100);

		store_le(f.data + damage[i].at, 4, damage[i].value);
		assert_int_equal(guest_load(g, &f), 0);
		assert_int_equal(g->e.mode, BOOT_LONG64);
		free(f.data);
		guest_free(g);
	}
}

/* Notes at the very end of a file that are shorter than a note's header. */
static void short_notes_are_not_read(void **state __unused)
{
	for (uint64_t len = 0; len < 16; len++) {
		struct guest *g = guest_new(32 * MIB);
		struct image f = pvh64(0x200100);

		store_le(f.data + NOTE_HEADER + offsetof(Elf64_Phdr, p_offset), 8, f.len - len);
		store_le(f.data + NOTE_HEADER + offsetof(Elf64_Phdr, p_filesz), 8, len);
		assert_int_equal(guest_load(g, &f), 0);
		assert_int_equal(g->e.mode, BOOT_LONG64);
		free(f.data);
		guest_free(g);
	}
}

/* Segments may touch, in any order; those that aren't loaded may contain anything. */
static void segments_touch_and_others_are_ignored(void **state __unused)
{
	static const struct part parts[] = {
		{ PT_LOAD, 0x1000, 0x102000, 0x800, 0x1000 },
		{ PT_LOAD, 0x1800, 0x101000, 0x800, 0x1000 },
		{ PT_LOAD, 0x2000, 0x103000, 0x700, 0x700 },
		{ PT_LOAD, 0x2000, 0x103000, 0, 0 },
		{ PT_TLS, UINT64_MAX, 0x102000, UINT64_MAX, UINT64_MAX },
		{ PT_GNU_STACK, 5, 0, 0, 0x1000 },
	};
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x101000, 0x2700, parts, ARRAY_SIZE(parts));

	assert_int_equal(guest_load(g, &f), 0);
	assert_true(placed(&g->mem, 0x101000, &f, 0x1800, 0x800));
	assert_true(placed(&g->mem, 0x102000, &f, 0x1000, 0x800));
	assert_int_equal(g->e.placed.kernel_start, 0x101000);
	assert_int_equal(g->e.placed.kernel_end, 0x103700);
	free(f.data);
	guest_free(g);
}

/* Segments may be in high RAM; the entry point may not, because neither mode can reach it. */
static void entry_points_above_4_gib_are_refused(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	const struct part parts[] = { { PT_LOAD, 0x1000, 4 * GIB, 0x800, 0x1000 },
				      { PT_LOAD, 0x2000, 0x200000, 0x700, 0x700 } };
	struct image f = elf64_new(0x200000, 0x2700, parts, 2);

	assert_int_equal(gmem_add(&g->mem, 4 * GIB, MIB, (uint8_t *)g->mem.region[0].host + MIB),
			 0);
	assert_int_equal(guest_load(g, &f), 0);
	assert_true(placed(&g->mem, 4 * GIB, &f, 0x1000, 0x800));
	store_le(f.data + offsetof(Elf64_Ehdr, e_entry), 8, 4 * GIB);
	check_refused(g, &f, "entry point at 0x100000000|4 GiB");
	free(f.data);
	guest_free(g);
}

static void pvh_command_lines_have_64_kib(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = pvh64(0x200100);
	char *line = calloc(1, 64 * KIB + 1);

	memset(line, 'a', 64 * KIB - 1);
	g->r.cmdline = line;
	assert_int_equal(guest_load(g, &f), 0);
	assert_string_equal(gmem_slice(&g->mem, 0x8a000, 64 * KIB), line);
	line[64 * KIB - 1] = 'a';
	check_refused(g, &f, "65536|65535|--append");
	free(line);
	free(f.data);
	guest_free(g);
}

/* One field of a good file is changed; the refusal has these words. */
static void damaged_headers_are_refused(void **state __unused)
{
	const size_t ph = sizeof(Elf64_Ehdr), ph2 = ph + sizeof(Elf64_Phdr);
	const struct {
		size_t at;
		unsigned size;
		uint64_t value;
		const char *words;
	} damage[] = {
		{ EI_CLASS, 1, 3, "damaged" },
		{ EI_DATA, 1, ELFDATA2MSB, "big-endian" },
		{ offsetof(Elf64_Ehdr, e_machine), 2, EM_AARCH64, "ARM64|x86-64" },
		{ offsetof(Elf64_Ehdr, e_machine), 2, EM_RISCV, "RISC-V" },
		{ offsetof(Elf64_Ehdr, e_machine), 2, EM_PPC64, "another processor" },
		{ offsetof(Elf64_Ehdr, e_machine), 2, EM_386, "damaged" },
		{ offsetof(Elf64_Ehdr, e_type), 2, ET_REL, "object file" },
		{ offsetof(Elf64_Ehdr, e_type), 2, ET_CORE, "not an executable" },
		{ offsetof(Elf64_Ehdr, e_phoff), 8, 0x2700 - 111, "cut short" },
		{ offsetof(Elf64_Ehdr, e_phoff), 8, UINT64_MAX, "cut short" },
		{ offsetof(Elf64_Ehdr, e_phnum), 2, 0xffff, "cut short" },
		{ offsetof(Elf64_Ehdr, e_phnum), 2, 0, "no segment" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 2, 32, "program headers" },
		{ offsetof(Elf64_Ehdr, e_entry), 8, 0x100800,
		  "entry point at 0x100800" }, /* in bss */
		{ offsetof(Elf64_Ehdr, e_entry), 8, 0xffffffff81000000, "entry point" },
		{ ph + offsetof(Elf64_Phdr, p_offset), 8, 0x1f01, "cut short" },
		{ ph + offsetof(Elf64_Phdr, p_offset), 8, UINT64_MAX - 0x7ff, "cut short" },
		{ ph + offsetof(Elf64_Phdr, p_filesz), 8, UINT64_MAX, "cut short" },
		{ ph + offsetof(Elf64_Phdr, p_filesz), 8, 0x1001, "larger in the file" },
		{ ph + offsetof(Elf64_Phdr, p_memsz), 8, 0x100001, "overlap" },
		{ ph + offsetof(Elf64_Phdr, p_memsz), 8, UINT64_MAX, "wrap" },
		{ ph + offsetof(Elf64_Phdr, p_memsz), 8, UINT64_MAX - 0x100000, "overlap" },
		{ ph2 + offsetof(Elf64_Phdr, p_type), 4, PT_INTERP, "a program, not a kernel" },
		{ ph2 + offsetof(Elf64_Phdr, p_paddr), 8, 32 * MIB - 0x6ff,
		  "needs 33 MiB|32|--memory" },
		{ ph2 + offsetof(Elf64_Phdr, p_paddr), 8, 3 * GIB, "no RAM" },
		{ ph2 + offsetof(Elf64_Phdr, p_paddr), 8, 0x7ff00, "minivmm needs|1 MiB" },
		{ ph2 + offsetof(Elf64_Phdr, p_paddr), 8, 0x99fff, "minivmm needs" },
		{ ph2 + offsetof(Elf64_Phdr, p_paddr), 8, 0xfffff, "overlap" },
		{ ph2 + offsetof(Elf64_Phdr, p_paddr), 8, 0xff000, "minivmm needs" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		struct guest *g = guest_new(32 * MIB);
		struct image f = elf64_new(0x100000, 0x2700, two, 2);

		store_le(f.data + damage[i].at, damage[i].size, damage[i].value);
		check_refused(g, &f, damage[i].words);
		free(f.data);
		guest_free(g);
	}
}

static void short_files_are_refused(void **state __unused)
{
	struct image whole = pvh64(0x200100);

	for (size_t len = 0; len < whole.len; len += len < 0x340 ? 1 : 97) {
		struct guest *g = guest_new(32 * MIB);
		struct image f = image_new(len);

		memcpy(f.data, whole.data, len);
		check_refused(g, &f, "is ");
		free(f.data);
		guest_free(g);
	}
	free(whole.data);
}

static void too_many_segments_are_refused(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct part part[33];

	for (size_t i = 0; i < ARRAY_SIZE(part); i++)
		part[i] = (struct part){ PT_LOAD, 0x1000, 0x100000 + i * 0x1000, 0x10, 0x20 };
	struct image f = elf64_new(0x100000, 0x2000, part, 33);

	check_refused(g, &f, "32 segments");
	store_le(f.data + offsetof(Elf64_Ehdr, e_phnum), 2, 32);
	assert_int_equal(guest_load(g, &f), 0);
	free(f.data);
	guest_free(g);
}

static void plain_32_bit_files_are_refused(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf32_new(0x100000, 0x2700, two, 2);

	check_refused(g, &f, "32-bit|PVH|Multiboot|x86-64");
	store_le(f.data + offsetof(Elf32_Ehdr, e_machine), 2, EM_X86_64);
	check_refused(g, &f, "x32");
	free(f.data);
	guest_free(g);
}

/* A kernel that runs high, as a linker makes it: the entry point, too, is a virtual address. */
static void virtual_entry_points_are_translated(void **state __unused)
{
	static const struct {
		uint64_t vaddr[2], entry;
		gpa_t rip; /* 0: refused with words */
		const char *words;
	} cases[] = {
		{ { 0xffffffff80100000, 0xffffffff80200000 }, 0xffffffff80200010, 0x200010, NULL },
		{ { 0xffffffff80100000, 0 }, 0x100020, 0x100020, NULL }, /* physical, as Linux's */
		{ { 0x100000, 0xffffffff80200000 }, 0x100030, 0x100030, NULL }, /* both */
		{ { UINT64_MAX - 0xf, 0 }, UINT64_MAX, 0x10000f, NULL },
		/* in its bss; two places by two readings; two places by one */
		{ { 0xffffffff80100000, 0 },
		  0xffffffff80100800,
		  0,
		  "entry point at 0xffffffff80100800" },
		{ { 0x200000, 0x300000 }, 0x200000, 0, "physical|virtual" },
		{ { 0x800000, 0x800100 }, 0x800100, 0, "several segments" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *g = guest_new(32 * MIB);
		struct image f = elf64_new(cases[i].entry, 0x2700, two, 2);

		link_at(&f, 0, cases[i].vaddr[0]);
		link_at(&f, 1, cases[i].vaddr[1]);
		if (cases[i].rip) {
			assert_int_equal(guest_load(g, &f), 0);
			assert_int_equal(g->e.rip, cases[i].rip);
		} else {
			check_refused(g, &f, cases[i].words);
		}
		free(f.data);
		guest_free(g);
	}
}

static bool is_linux(const struct image *f)
{
	const struct boot_request r = { .kernel = f->data, .kernel_len = f->len };

	return boot_is_linux(&r);
}

/* Linux is known by its own notes, by Xen's, or by its banner. */
static void linux_is_known(void **state __unused)
{
	struct image f = pvh64(0x200100);

	assert_false(is_linux(&f)); /* any kernel may have an entry for PVH */
	put_note(&f, NOTE_AT, "Xen", 6, 0x72466565, 4);
	assert_false(is_linux(&f));
	strcpy((char *)f.data + 0x2000, "x Linux version Linux version 6.1.0");
	assert_false(is_linux(&f)); /* Xen's note names it, whatever other text says */
	put_note(&f, NOTE_AT, "Xen", 5, 0, 4);
	assert_true(is_linux(&f));
	strcpy((char *)f.data + 0x2000, "Linux version %s");
	assert_false(is_linux(&f));
	memcpy(f.data + 0x2700 - 14, "Linux version ", 14);
	assert_false(is_linux(&f));
	/* "Linux" has six bytes with its NUL, and so has a description further on. */
	memset(f.data + NOTE_AT, 0, 0x40);
	store_le(f.data + NOTE_AT, 4, 6);
	store_le(f.data + NOTE_AT + 8, 4, 0x100);
	memcpy(f.data + NOTE_AT + 12, "Linux", 6);
	assert_true(is_linux(&f));
	f.data[NOTE_AT + 16] = 'y';
	assert_false(is_linux(&f));
	free(f.data);
	f = elf64_new(0x100010, 0x2700, two, 2); /* without notes */
	assert_false(is_linux(&f));
	strcpy((char *)f.data + 0x1100, "Linux version 2.6.32");
	assert_true(is_linux(&f));
	memcpy(f.data + 0x1200, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", 12);
	assert_false(is_linux(&f)); /* Multiboot: Linux has no such header */
	free(f.data);
	f = image_new(64);
	assert_false(is_linux(&f));
	free(f.data);
}

static void linux_for_32_bits_is_refused(void **state __unused)
{
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf32_new(0x100000, 0x2700, two, 3);

	memset(f.data + NOTE_AT, 0, 0x40);
	put_note(&f, NOTE_AT, "Xen", 18, 0x100020, 4);
	strcpy((char *)f.data + 0x1100, "Linux version 6.1.0");
	check_refused(g, &f, "32-bit kernel|x86-64");
	free(f.data);
	guest_free(g);
}

static void a_bss_over_the_first_page_is_empty(void **state __unused)
{
	const struct part low[] = { { PT_LOAD, 0x1000, 0, 0x100, 0x1000 },
				    { PT_LOAD, 0x2000, 0x200000, 0x700, 0x700 } };
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x200000, 0x2700, low, 2);

	memset(gmem_slice(&g->mem, 0, 0x500), 0xaa, 0x500);
	assert_int_equal(guest_load(g, &f), 0);
	assert_true(placed(&g->mem, 0, &f, 0x1000, 0x100));
	assert_true(zero(&g->mem, 0x100, 0x1000));
	free(f.data);
	guest_free(g);
}

/* If a segment has nothing in the file, its offset means nothing. */
static void a_bss_may_be_anywhere_in_the_file(void **state __unused)
{
	const struct part parts[] = { { PT_LOAD, 0x1000, 0x100000, 0x800, 0x1000 },
				      { PT_LOAD, UINT64_MAX, 0x200000, 0, 0x1000 } };
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x100010, 0x2700, parts, 2);

	assert_int_equal(guest_load(g, &f), 0);
	assert_int_equal(g->e.placed.kernel_end, 0x201000);
	free(f.data);
	guest_free(g);
}

/* It would start in 32-bit mode, but its entry point starts it in 64-bit mode. */
static void multiboot_2_is_refused(void **state __unused)
{
	const size_t at = 0x1008;
	struct guest *g = guest_new(32 * MIB);
	struct image f = elf64_new(0x100000, 0x2700, two, 2);

	store_le(f.data + at, 4, 0xe85250d6);
	store_le(f.data + at + 4, 4, 0);
	store_le(f.data + at + 8, 4, 24);
	store_le(f.data + at + 12, 4, (uint32_t) - (0xe85250d6 + 24));
	check_refused(g, &f, "Multiboot 2|Multiboot 1");
	f.data[at + 12]++; /* a wrong checksum */
	assert_int_equal(guest_load(g, &f), 0);
	free(f.data);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vmlinux_enters_in_64_bit_mode),
		cmocka_unit_test(pvh_enters_in_32_bit_mode),
		cmocka_unit_test(pvh_in_32_bit_files_and_without_initrd),
		cmocka_unit_test(bad_notes_are_no_notes),
		cmocka_unit_test(short_notes_are_not_read),
		cmocka_unit_test(segments_touch_and_others_are_ignored),
		cmocka_unit_test(entry_points_above_4_gib_are_refused),
		cmocka_unit_test(pvh_command_lines_have_64_kib),
		cmocka_unit_test(damaged_headers_are_refused),
		cmocka_unit_test(short_files_are_refused),
		cmocka_unit_test(too_many_segments_are_refused),
		cmocka_unit_test(plain_32_bit_files_are_refused),
		cmocka_unit_test(virtual_entry_points_are_translated),
		cmocka_unit_test(linux_is_known),
		cmocka_unit_test(linux_for_32_bits_is_refused),
		cmocka_unit_test(a_bss_over_the_first_page_is_empty),
		cmocka_unit_test(a_bss_may_be_anywhere_in_the_file),
		cmocka_unit_test(multiboot_2_is_refused),
	};

	return cmocka_run_group_tests_name("elf_kernel", tests, NULL, NULL);
}
