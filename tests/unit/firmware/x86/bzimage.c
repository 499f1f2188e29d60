/* SPDX-License-Identifier: BSD-2-Clause */
/* bzImages: unpacked by us, by themselves, and refused. */
#include "bzimages.h"

#include "decompress.h"

static void free_images(struct image *a, struct image *b)
{
	free(a->data);
	free(b->data);
}

static void check_unpacked(const struct guest *g, const struct image *v)
{
	const struct gmem *m = &g->mem;
	gpa_t done = 1 * MIB;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		assert_true(zero(m, done, parts[i].paddr));
		assert_true(placed(m, parts[i].paddr, v, parts[i].offset, parts[i].filesz));
		done = parts[i].paddr + parts[i].filesz;
	}
	assert_true(zero(m, done, RAM));
	assert_int_equal(g->e.mode, BOOT_LONG64);
	assert_int_equal(g->e.rip, PREF + 0x10);
	assert_int_equal(g->e.rsi, 0x81000);
	assert_non_null(strstr(g->e.placed.how, "lz4"));
}

static void unpacked_by_us(void **state __unused)
{
	struct guest *g = guest_new(RAM);
	struct image v = vmlinux_new(), f = bzimage_new(&v);

	assert_int_equal(guest_load(g, &f), 0);
	check_unpacked(g, &v);
	assert_int_equal(g->e.placed.kernel_start, PREF);
	assert_int_equal(g->e.placed.kernel_end, PREF + 0x68000);
	free_images(&v, &f);
	guest_free(g);
}

/* If there is no room below for the headers, they come first and everything moves. */
static void unpacked_by_us_at_a_low_address(void **state __unused)
{
	struct guest *g = guest_new(RAM);
	const struct part low = { PT_LOAD, 0x200000, 2 * MIB, 0x9000, 0xa000 };
	struct image v = elf64_new(2 * MIB, 0x20a000, &low, 1), f = bzimage_new(&v);

	memset(gmem_slice(&g->mem, 0xe0000, 64), 0xaa, 64); /* ACPI tables: not touched */
	set(&f, PREF_ADDRESS, 8, 2 * MIB);
	assert_int_equal(guest_load(g, &f), 0);
	assert_true(placed(&g->mem, 2 * MIB, &v, 0x200000, 0x9000));
	assert_true(zero(&g->mem, 1 * MIB, 2 * MIB));
	assert_true(zero(&g->mem, 2 * MIB + 0x9000, RAM));
	assert_int_equal(*(uint8_t *)gmem_slice(&g->mem, 0xe003f, 1), 0xaa);
	free_images(&v, &f);
	guest_free(g);
}

static void boot_params_are_filled(void **state __unused)
{
	struct guest *g = guest_new(RAM);
	struct image v = vmlinux_new(), f = bzimage_new(&v);
	const struct boot_params *p = gmem_slice(&g->mem, 0x81000, sizeof(*p));
	const struct setup_data *d;

	set(&f, LOADFLAGS, 1, 0xff);
	g->r.cmdline = "quiet x=1";
	g->r.rsdp = 0xe0000;
	g->r.initrd = f.data; /* any bytes will do */
	g->r.initrd_len = 0x1801;
	memset(g->r.rng_seed, 0x5a, sizeof(g->r.rng_seed));
	assert_int_equal(guest_load(g, &f), 0);
	assert_memory_equal(&p->hdr.header, "HdrS", 4);
	assert_int_equal(p->hdr.version, 0x020f);
	assert_int_equal(p->hdr.init_size, INIT);
	assert_int_equal(p->hdr.type_of_loader, 0xff);
	assert_int_equal(p->hdr.loadflags, 0xff & ~(CAN_USE_HEAP | KASLR_FLAG));
	assert_int_equal(p->sentinel, 0);
	assert_int_equal(p->acpi_rsdp_addr, 0xe0000);
	assert_int_equal(p->ext_ramdisk_image | p->ext_ramdisk_size | p->ext_cmd_line_ptr, 0);
	assert_string_equal(gmem_slice(&g->mem, p->hdr.cmd_line_ptr, 10), "quiet x=1");
	assert_int_equal(p->hdr.ramdisk_image, RAM - 0x2000);
	assert_int_equal(p->hdr.ramdisk_size, 0x1801);
	assert_true(placed(&g->mem, RAM - 0x2000, &f, 0, 0x1801));
	assert_int_equal(p->e820_entries, 3);
	assert_int_equal(p->e820_table[0].size, 0x9fc00);
	assert_int_equal(p->e820_table[1].type, 2);
	assert_int_equal(p->e820_table[2].addr, 0x100000);
	assert_int_equal(p->e820_table[2].size, RAM - 0x100000);
	d = gmem_slice(&g->mem, p->hdr.setup_data, sizeof(*d) + 32);
	assert_int_equal(d->type, SETUP_RNG_SEED);
	assert_int_equal(d->len, 32);
	assert_int_equal(d->next, 0);
	assert_memory_equal(d->data, g->r.rng_seed, 32);
	free_images(&v, &f);
	guest_free(g);
}

/* Everything that makes us leave it to its own decompressor. */
static void unpacks_itself(void **state __unused)
{
	static const struct {
		size_t at;
		unsigned size;
		uint64_t value;
		bool kaslr;
		enum boot_mode mode;
		gpa_t rip;
		const char *how;
	} cases[] = {
		{ SETUP_SECTS, 1, 1, true, BOOT_LONG64, PREF + 0x200, "--kaslr" },
		{ CODE + PAYLOAD, 1, 'X', false, BOOT_LONG64, PREF + 0x200, "unknown compression" },
		{ PAYLOAD_LEN, 4, 0, false, BOOT_LONG64, PREF + 0x200, "no payload" },
		{ VERSION, 2, 0x020b, true, BOOT_PROT32, PREF, "32-bit" },
		{ VERSION, 2, 0x0209, true, BOOT_PROT32, 1 * MIB, "32-bit" },
		{ VERSION, 2, 0x0207, false, BOOT_PROT32, 1 * MIB,
		  "32-bit entry point (no payload" },
		{ VERSION, 2, 0x0206, false, BOOT_PROT32, 1 * MIB, "32-bit" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *g = guest_new(RAM);
		struct image v = vmlinux_new(), f = bzimage_new(&v);
		gpa_t at = cases[i].rip & ~0xfffull;

		g->r.kaslr = cases[i].kaslr;
		if (cases[i].mode == BOOT_PROT32)
			set(&f, XLOADFLAGS, 2, 0); /* the field doesn't exist yet */
		set(&f, cases[i].at, cases[i].size, cases[i].value);
		assert_int_equal(guest_load(g, &f), 0);
		assert_int_equal(g->e.placed.kernel_start, at);
		assert_int_equal(g->e.placed.kernel_end,
				 at + (at == PREF ? INIT : 4 * (f.len - CODE)));
		assert_int_equal(g->e.mode, cases[i].mode);
		assert_int_equal(g->e.rip, cases[i].rip);
		assert_int_equal(g->e.rsi, 0x81000);
		assert_non_null(strstr(g->e.placed.how, cases[i].how));
		assert_true(placed(&g->mem, at, &f, CODE, f.len - CODE));
		assert_true(zero(&g->mem, 1 * MIB, at));
		free_images(&v, &f);
		guest_free(g);
	}
}

/* A payload that is unpacked but can't be placed as a kernel leaves no trace. */
static void strange_payloads_unpack_themselves(void **state __unused)
{
	const struct part up = { PT_LOAD, 0x1000, PREF, 0x9000, 0xa000 };
	const struct part backwards[] = { { PT_LOAD, 0x210000, PREF, 0x100, 0x100 },
					  { PT_LOAD, 0x208000, PREF + 0x8000, 0x100, 0x100 } };
	const struct part down[] = { { PT_LOAD, 0x200000, PREF, 0x100, 0x100 },
				     { PT_LOAD, 0x210000, PREF - 0x8000, 0x100, 0x100 } };
	struct image v[] = { elf64_new(PREF, 0x10000, &up, 1),
			     elf64_new(PREF, 0x211000, backwards, 2),
			     elf64_new(PREF, 0x211000, down, 2), image_new(5000) };

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct guest *g = guest_new(RAM);
		struct image f = bzimage_new(&v[i]);

		assert_int_equal(guest_load(g, &f), 0);
		assert_int_equal(g->e.rip, PREF + 0x200);
		assert_true(placed(&g->mem, PREF, &f, CODE, f.len - CODE));
		assert_true(zero(&g->mem, 1 * MIB, PREF));
		assert_true(zero(&g->mem, PREF + f.len - CODE, RAM));
		free_images(&v[i], &f);
		guest_free(g);
	}
}

static void bad_images_are_refused(void **state __unused)
{
	const struct {
		size_t at;
		unsigned size;
		uint64_t value;
		bool kaslr;
		const char *words;
	} cases[] = {
		{ BOOT_FLAG, 2, 0xaa00, false, "neither a bzImage" },
		{ BOOT_FLAG, 2, 0x0055, false, "neither a bzImage" },
		{ VERSION, 2, 0x0205, false, "2.05|2.06" },
		{ HEADER_END, 1, 0x10, false, "too short for its boot protocol" },
		{ LOADFLAGS, 1, 0, false, "zImage" },
		{ XLOADFLAGS, 2, 0, false, "32-bit kernel|x86-64" },
		{ SYSSIZE, 4, 0, false, "no protected-mode code" },
		{ SYSSIZE, 4, UINT32_MAX, false, "cut short" },
		{ SYSSIZE, 4, 0x20, false, "no protected-mode code" }, /* up to the entry point */
		{ SETUP_SECTS, 1, 255, false, "cut short" },
		{ PAYLOAD_AT, 4, UINT32_MAX, false, "payload lies outside" },
		{ PAYLOAD_LEN, 4, UINT32_MAX, false, "payload lies outside" },
		{ PAYLOAD_LEN, 4, 7, false, "payload lies outside" },
		{ PAYLOAD_LEN, 4, 1000, false, "no RAM" }, /* the size takes 4 bytes of it */
		{ PREF_ADDRESS, 8, UINT64_MAX, false, "4 GiB" },
		{ PREF_ADDRESS, 8, 0xffffffff, true, "4 GiB" },
		{ PREF_ADDRESS, 8, 34 * MIB, false, "needs 35 MiB|--memory" },
		{ PREF_ADDRESS, 8, 30 * MIB, true, "needs 42 MiB|--memory" },
		{ PREF_ADDRESS, 8, 0x90000, true, "minivmm needs" },
		{ INIT_SIZE, 4, 0x10000000, true, "needs 260 MiB|32" },
		{ CMDLINE_SIZE, 4, 3, false, "command line|3 at most|--append" },
		{ INITRD_MAX, 4, 0xffffff, false, "initrd|smaller" },
		{ INITRD_MAX, 4, 0x7fffff, false, "initrd|smaller" }, /* inside the kernel */
		{ INIT_SIZE, 4, RAM - PREF - 0x1000, false, "initrd|--memory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *g = guest_new(RAM);
		struct image v = vmlinux_new(), f = bzimage_new(&v);

		g->r.kaslr = cases[i].kaslr;
		g->r.cmdline = "long";
		g->r.initrd = f.data;
		g->r.initrd_len = 0x2000;
		set(&f, cases[i].at, cases[i].size, cases[i].value);
		check_refused(g, &f, cases[i].words);
		free_images(&v, &f);
		guest_free(g);
	}
}

/* iPXE's image is real-mode code, which shows by a 32-bit entry point at 0. */
static void images_for_a_bios_are_refused(void **state __unused)
{
	static const uint16_t version[] = { 0x0206, 0x0207, 0x020b };

	for (size_t i = 0; i < ARRAY_SIZE(version); i++) {
		struct guest *g = guest_new(RAM);
		struct image v = vmlinux_new(), f = bzimage_new(&v);

		set(&f, VERSION, 2, version[i]);
		set(&f, XLOADFLAGS, 2, 0);
		set(&f, PAYLOAD_LEN, 4, 0);
		set(&f, CODE32_START, 4, 0);
		check_refused(g, &f, "real mode|BIOS");
		free_images(&v, &f);
		guest_free(g);
	}
}

/* The vmlinux inside is as hostile as the rest. */
static void bad_payloads_are_refused(void **state __unused)
{
	const size_t ph = sizeof(Elf64_Ehdr);
	const struct {
		size_t at;
		unsigned size;
		uint64_t value;
		const char *words;
	} cases[] = {
		{ offsetof(Elf64_Ehdr, e_entry), 8, 0xffffffff81000000, "entry point" },
		{ offsetof(Elf64_Ehdr, e_entry), 8, PREF + 0x4000, "entry point" },
		{ ph + offsetof(Elf64_Phdr, p_paddr), 8, 0x9a000, "minivmm needs" },
		{ ph + 2 * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, p_memsz), 8, RAM, "--memory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *g = guest_new(RAM);
		struct image v = vmlinux_new();

		store_le(v.data + cases[i].at, cases[i].size, cases[i].value);
		struct image f = bzimage_new(&v);

		check_refused(g, &f, cases[i].words);
		free_images(&v, &f);
		guest_free(g);
	}
}

static void payloads_of_32_bits_are_refused(void **state __unused)
{
	struct guest *g = guest_new(RAM);
	struct image v = elf32_new(PREF, VMLINUX_LEN, parts, 3), f = bzimage_new(&v);

	check_refused(g, &f, "32-bit kernel|x86-64");
	free_images(&v, &f);
	guest_free(g);
}

/* The first segment is far below the others: what is in between isn't touched. */
static void low_segments_leave_firmware_alone(void **state __unused)
{
	const struct part low[] = { { PT_LOAD, 0x200000, 0x10000, 0x1000, 0x1000 },
				    { PT_LOAD, 0x210000, PREF, 0x1000, 0x1000 } };
	struct image v = elf64_new(PREF, 0x211000, low, 2), f = bzimage_new(&v);
	struct guest *g = guest_new(RAM);

	memset(gmem_slice(&g->mem, 0xe0000, 64), 0xaa, 64);
	assert_int_equal(guest_load(g, &f), 0);
	assert_true(placed(&g->mem, 0x10000, &v, 0x200000, 0x1000));
	assert_true(placed(&g->mem, PREF, &v, 0x210000, 0x1000));
	assert_int_equal(*(uint8_t *)gmem_slice(&g->mem, 0xe003f, 1), 0xaa);
	assert_true(zero(&g->mem, MIB, PREF));
	free_images(&v, &f);
	guest_free(g);
}

/* Two values stand for others: 0 sectors of set-up code are 4, and a small init_size is the
 * code's. */
static void odd_headers_are_understood(void **state __unused)
{
	struct image v = vmlinux_new(), f = bzimage_new(&v), wide = image_new(f.len + 3 * 512);
	struct guest *g = guest_new(RAM);

	memcpy(wide.data, f.data, CODE);
	memcpy(wide.data + 5 * 512, f.data + CODE, f.len - CODE);
	set(&wide, SETUP_SECTS, 1, 0);
	set(&wide, INIT_SIZE, 4, 0x1000);
	g->r.kaslr = true;
	assert_int_equal(guest_load(g, &wide), 0);
	assert_true(placed(&g->mem, PREF, &f, CODE, f.len - CODE));
	assert_int_equal(g->e.placed.kernel_end, PREF + f.len - CODE);
	free(wide.data);
	free_images(&v, &f);
	guest_free(g);
}

/* syssize counts paragraphs of 16 bytes: the last one need not be full. */
static void the_last_paragraph_may_be_short(void **state __unused)
{
	for (unsigned missing = 0; missing < 18; missing++) {
		struct image v = vmlinux_new(), f = bzimage_new(&v), cut;
		struct guest *g = guest_new(RAM);

		set(&f, PAYLOAD_LEN, 4, 0); /* a program of its own, as memtest86+ is */
		cut = image_new(f.len - missing);
		memcpy(cut.data, f.data, cut.len);
		if (missing < 16) {
			assert_int_equal(guest_load(g, &cut), 0);
			assert_int_equal(g->e.rip, PREF + 0x200);
			assert_true(placed(&g->mem, PREF, &cut, CODE, cut.len - CODE));
			assert_true(zero(&g->mem, PREF + cut.len - CODE, RAM));
		} else {
			check_refused(g, &cut, "cut short");
		}
		free(cut.data);
		free_images(&v, &f);
		guest_free(g);
	}
}

/* Not every bzImage is Linux: its version string decides. */
static void linux_is_known_by_its_version(void **state __unused)
{
	static const struct {
		const char *version;
		bool linux_kernel;
	} cases[] = { { "6.1.0-56-cloud-amd64 (debian) #1 SMP", true },
		      { "2.6.32", true },
		      { "Memtest86+ v6.10", false },
		      { "iPXE 1.21.1", false },
		      { "", false } };
	struct image v = vmlinux_new(), f = bzimage_new(&v);
	struct guest *g = guest_new(RAM);

	g->r.kernel = f.data;
	g->r.kernel_len = f.len;
	assert_true(boot_is_linux(&g->r)); /* it says nothing */
	set(&f, VERSION_TEXT, 2, 0x300 - 0x200);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		strcpy((char *)f.data + 0x300, cases[i].version);
		assert_int_equal(boot_is_linux(&g->r), cases[i].linux_kernel);
	}
	set(&f, VERSION_TEXT, 2, 0xffff);
	g->r.kernel_len = 0x280;
	assert_false(boot_is_linux(&g->r)); /* it is beyond the end */
	free_images(&v, &f);
	guest_free(g);
}

/* The first page of an image is its own there, not the BIOS's. */
static void a_bss_over_the_first_page_is_empty(void **state __unused)
{
	const struct part low[] = { { PT_LOAD, 0x200000, 0x100, 0x100, 0x1000 },
				    { PT_LOAD, 0x210000, PREF, 0x1000, 0x1000 } };
	struct image v = elf64_new(PREF, 0x211000, low, 2), f = bzimage_new(&v);
	struct guest *g = guest_new(RAM);

	memset(gmem_slice(&g->mem, 0, 0x500), 0xaa, 0x500);
	assert_int_equal(guest_load(g, &f), 0);
	assert_true(placed(&g->mem, 0x100, &v, 0x200000, 0x100));
	assert_true(zero(&g->mem, 0x200, 0x1000));
	assert_int_equal(*(uint8_t *)gmem_slice(&g->mem, 0xff, 1), 0xaa);
	free_images(&v, &f);
	guest_free(g);
}

static void bombs_and_lies_about_the_size_are_refused(void **state __unused)
{
	struct image v = vmlinux_new(), f = bzimage_new(&v);
	size_t size_at = CODE + PAYLOAD + (size_t)load_le(f.data + PAYLOAD_LEN, 4) - 4;
	const struct {
		uint32_t size;
		const char *words;
	} cases[] = { { 0, "unpack" },
		      { VMLINUX_LEN - 1, "unpack" },
		      { VMLINUX_LEN + 1, "unpack" },
		      { UINT32_MAX, "no RAM" },
		      { 0x10000000, "--memory" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *g = guest_new(RAM);

		set(&f, size_at, 4, cases[i].size);
		check_refused(g, &f, cases[i].words);
		guest_free(g);
	}
	free_images(&v, &f);
}

static void short_files_are_refused(void **state __unused)
{
	struct image v = vmlinux_new(), whole = bzimage_new(&v);

	for (size_t len = 0; len < whole.len; len += len < 0x280 ? 1 : 99991) {
		struct guest *g = guest_new(RAM);
		struct image f = image_new(len);

		memcpy(f.data, whole.data, len);
		check_refused(g, &f, "the-kernel: is");
		free(f.data);
		guest_free(g);
	}
	free_images(&v, &whole);
}

/* -- images ---------------------------------------------------------------------------------- */

/* Copies what another start needs of a guest that was loaded: its pages, and the file's head. */
static void take_image(struct guest *to, const struct guest *from, const struct image *f)
{
	const struct boot_image *i = &from->e.placed.image;

	assert_true(boot_image_fits(i, &to->mem));
	memcpy(gmem_slice(&to->mem, i->start, i->end - i->start),
	       gmem_slice(&from->mem, i->start, i->end - i->start), i->end - i->start);
	to->r.image = i;
	to->r.kernel = f->data;
	to->r.kernel_len = i->head_len;
}

static void an_image_is_as_good_as_the_file(void **state __unused)
{
	struct guest *cold = guest_new(RAM), *warm = guest_new(RAM);
	struct image v = vmlinux_new(), f = bzimage_new(&v), initrd = image_new(0x1801);
	const struct boot_placed *a = &cold->e.placed, *b = &warm->e.placed;

	cold->r.cmdline = warm->r.cmdline = "quiet";
	cold->r.initrd = warm->r.initrd = initrd.data;
	cold->r.initrd_len = warm->r.initrd_len = initrd.len;
	assert_int_equal(guest_load(cold, &f), 0);
	take_image(warm, cold, &f);
	assert_int_equal(a->image.start, PREF);
	assert_int_equal(a->image.end, PREF + 0x4f000); /* without its bss */
	assert_int_equal(a->image.head_len, 4096);
	assert_int_equal(boot_load(&warm->r, &warm->e), 0);
	assert_memory_equal(warm->mem.region[0].host, cold->mem.region[0].host, RAM);
	assert_int_equal(warm->e.mode, cold->e.mode);
	assert_int_equal(warm->e.rip, cold->e.rip);
	assert_int_equal(warm->e.rsi, cold->e.rsi);
	assert_int_equal(b->kernel_start, a->kernel_start);
	assert_int_equal(b->kernel_end, a->kernel_end);
	assert_int_equal(b->initrd_start, a->initrd_start);
	assert_int_equal(b->entry, a->entry);
	assert_int_equal(b->decompress_ns, 0);
	assert_int_equal(b->image.end, 0);
	assert_non_null(strstr(b->how, "at an earlier start"));
	free(initrd.data);
	free_images(&v, &f);
	guest_free(cold);
	guest_free(warm);
}

/* The head says whether it is Linux, so the text that says it must be there. */
static void what_has_its_version_elsewhere_has_no_image(void **state __unused)
{
	struct image v = vmlinux_new(), f = bzimage_new(&v);

	for (unsigned i = 0; i < 3; i++) {
		struct guest *g = guest_new(RAM);

		g->r.kaslr = i == 2;
		set(&f, VERSION_TEXT, 2, i == 0 ? 4096 - 256 - 512 : i == 1 ? 4096 - 255 - 512 : 0);
		assert_int_equal(guest_load(g, &f), 0);
		assert_int_equal(g->e.placed.image.end != 0, i == 0);
		guest_free(g);
	}
	free_images(&v, &f);
}

/* Sizes and places that no kernel has, one at a time. */
static void an_image_must_fit(void **state __unused)
{
	struct guest *g = guest_new(RAM), *small = guest_new(0x46c000);
	struct image v = vmlinux_new(), f = bzimage_new(&v);
	const struct boot_image *good = &g->e.placed.image;
	const struct {
		size_t field;
		uint64_t value;
	} bad[] = {
		{ offsetof(struct boot_image, start), PREF + 1 },
		{ offsetof(struct boot_image, start), PREF + 0x1000 },
		{ offsetof(struct boot_image, start), MIB - 0x1000 },
		{ offsetof(struct boot_image, start), PREF + 0x4f000 },
		{ offsetof(struct boot_image, start), UINT64_MAX - 0xfff },
		{ offsetof(struct boot_image, end), PREF + 0x4f001 },
		{ offsetof(struct boot_image, end), PREF },
		{ offsetof(struct boot_image, end), PREF + 0x69000 },
		{ offsetof(struct boot_image, end), UINT64_MAX - 0xfff },
		{ offsetof(struct boot_image, kernel_start), PREF - 1 },
		{ offsetof(struct boot_image, kernel_start), PREF + 0x4f000 },
		{ offsetof(struct boot_image, kernel_end), RAM + 1 },
		{ offsetof(struct boot_image, kernel_end), 0 },
		{ offsetof(struct boot_image, kernel_end), UINT64_MAX },
		{ offsetof(struct boot_image, entry), PREF - 1 },
		{ offsetof(struct boot_image, entry), PREF + 0x4f000 },
		{ offsetof(struct boot_image, floor), PREF },
		{ offsetof(struct boot_image, floor), 1ull << 32 },
		{ offsetof(struct boot_image, room_start), UINT64_MAX },
		{ offsetof(struct boot_image, room_end), 0 },
		{ offsetof(struct boot_image, room_end), RAM + 1 },
	};

	assert_int_equal(guest_load(g, &f), 0);
	assert_true(boot_image_fits(good, &g->mem));
	check_refused(small, &f, "unpacked kernel");
	assert_false(boot_image_fits(good, &small->mem));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct boot_image b = *good;

		memcpy((uint8_t *)&b + bad[i].field, &bad[i].value, sizeof(bad[i].value));
		if (boot_image_fits(&b, &g->mem))
			fail_msg("%zu fits", i);
	}
	free_images(&v, &f);
	guest_free(small);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_is_as_good_as_the_file),
		cmocka_unit_test(what_has_its_version_elsewhere_has_no_image),
		cmocka_unit_test(an_image_must_fit),
		cmocka_unit_test(unpacked_by_us),
		cmocka_unit_test(unpacked_by_us_at_a_low_address),
		cmocka_unit_test(boot_params_are_filled),
		cmocka_unit_test(unpacks_itself),
		cmocka_unit_test(strange_payloads_unpack_themselves),
		cmocka_unit_test(bad_images_are_refused),
		cmocka_unit_test(images_for_a_bios_are_refused),
		cmocka_unit_test(bad_payloads_are_refused),
		cmocka_unit_test(payloads_of_32_bits_are_refused),
		cmocka_unit_test(low_segments_leave_firmware_alone),
		cmocka_unit_test(odd_headers_are_understood),
		cmocka_unit_test(the_last_paragraph_may_be_short),
		cmocka_unit_test(linux_is_known_by_its_version),
		cmocka_unit_test(a_bss_over_the_first_page_is_empty),
		cmocka_unit_test(bombs_and_lies_about_the_size_are_refused),
		cmocka_unit_test(short_files_are_refused),
	};

	if (!codec_find("\x02\x21\x4c\x18", 4)->unpack) { /* LZ4, which all these images contain */
		puts("1..0 # SKIP built without liblz4");
		return 0;
	}
	return cmocka_run_group_tests_name("bzimage", tests, NULL, NULL);
}
