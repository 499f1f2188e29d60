/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 0.6.96: kernels of students, and bare-metal tests. It takes ELF files of both classes,
 * which are entered in 32-bit mode, or any file whose header says where it goes (the "a.out
 * kludge"). The initrd is the one module. No video mode is set: an image that requires one is
 * refused, as the specification says. The information leaves out symbols, drives, boot device, and
 * the configuration and APM tables.
 */
#include <stdio.h>

#include "x86/boot_impl.h"

#define HEADER_MAGIC  0x1badb002u
#define LOADER_MAGIC  0x2badb002u
#define SEARCH        8192u /* the header lies in the first bytes of the file */
#define NEEDS_ALIGN   (1u << 0)
#define NEEDS_MEMORY  (1u << 1)
#define NEEDS_VIDEO   (1u << 2)
#define MANDATORY     0xffffu
#define HAS_ADDRESSES (1u << 16)

#define HEADER2_MAGIC 0xe85250d6u /* of Multiboot 2: magic, architecture, length, checksum */
#define SEARCH2       32768u

enum { H_MAGIC, H_FLAGS, H_CHECKSUM, H_ADDR, H_LOAD, H_LOAD_END, H_BSS_END, H_ENTRY, H_WORDS };

#define INFO_MEMORY  (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODULES (1u << 3)
#define INFO_MAP     (1u << 6)
#define INFO_LOADER  (1u << 9)

struct info { /* as in §3.3 */
	le32_t flags, mem_lower, mem_upper, boot_device, cmdline, nr_modules, modules;
	le32_t symbols[4], map_len, map, drives_len, drives, config_table, loader_name;
	le32_t apm, vbe[4], framebuffer[7];
};
_Static_assert(offsetof(struct info, loader_name) == 64, "§3.3");

struct module {
	le32_t start, end, string, reserved;
};

struct map_entry {
	le32_t size; /* size of what follows */
	struct {
		le32_t low, high; /* not le64_t, which would be padded */
	} base, len;
	le32_t type;
};
_Static_assert(sizeof(struct map_entry) == 24, "§3.3");

static const char loader_name[] = "minivmm";

struct lists {
	struct module module;
	struct map_entry map[BOOT_MAX_RAM];
	char loader[sizeof(loader_name)];
	char module_string[256];
};

/* Returns the header's offset, or -1. h gets its fields; those beyond the end of the file are
 * zero. */
static int64_t find_header(const struct boot_request *r, uint32_t h[H_WORDS])
{
	const uint8_t *file = r->kernel;
	size_t len = r->kernel_len;

	for (size_t at = 0; at + 12 <= min(len, (size_t)SEARCH); at += 4) {
		uint8_t copy[H_WORDS * 4] = { 0 };

		if (load_le(file + at, 4) != HEADER_MAGIC)
			continue;
		memcpy(copy, file + at, min(len - at, sizeof(copy)));
		for (unsigned i = 0; i < H_WORDS; i++)
			h[i] = (uint32_t)load_le(copy + 4 * i, 4);
		if (h[H_MAGIC] + h[H_FLAGS] + h[H_CHECKSUM] == 0)
			return (int64_t)at;
	}
	return -1;
}

bool multiboot_is(const struct boot_request *r)
{
	uint32_t h[H_WORDS];

	return find_header(r, h) >= 0;
}

bool multiboot_has_addresses(const struct boot_request *r)
{
	uint32_t h[H_WORDS];

	return find_header(r, h) >= 0 && h[H_FLAGS] & HAS_ADDRESSES;
}

bool multiboot2_is(const struct boot_request *r)
{
	const uint8_t *file = r->kernel;

	for (size_t at = 0; at + 16 <= min(r->kernel_len, (size_t)SEARCH2); at += 8) {
		uint32_t sum = 0;

		for (unsigned i = 0; i < 4; i++)
			sum += (uint32_t)load_le(file + at + 4 * i, 4);
		if (load_le(file + at, 4) == HEADER2_MAGIC && sum == 0)
			return true;
	}
	return false;
}

/* §3.1.3: reads the address fields as if they were the one segment of an ELF file. Returns NULL, or
 * what is wrong. */
static const char *parse_addresses(struct elf *elf, const uint32_t h[H_WORDS], uint64_t at,
				   uint64_t len)
{
	uint64_t before = (uint64_t)h[H_ADDR] - h[H_LOAD]; /* huge if it is negative */
	struct elf_segment *s = &elf->seg[0];

	if (len - at < H_WORDS * 4)
		return "is cut short in its Multiboot header";
	if (before > at)
		return "is damaged: its Multiboot header says that it is loaded from before the file";
	if (h[H_LOAD_END] && h[H_LOAD_END] <= h[H_LOAD])
		return "is damaged: its Multiboot header's load_end_addr is before load_addr";
	s->offset = at - before;
	s->paddr = s->vaddr = h[H_LOAD];
	s->filesz = h[H_LOAD_END] ? h[H_LOAD_END] - h[H_LOAD] : len - s->offset;
	s->memsz = s->filesz;
	if (s->filesz > len - s->offset)
		return "is cut short: its Multiboot header's load_end_addr is beyond the end of the file";
	if (h[H_BSS_END]) {
		if (h[H_BSS_END] < s->paddr + s->filesz)
			return "is damaged: its Multiboot header's bss_end_addr is inside its data";
		s->memsz = h[H_BSS_END] - s->paddr;
	}
	elf->nr = 1;
	elf->entry = h[H_ENTRY];
	return NULL;
}

static void put_map(const struct boot_request *r, struct lists *lists, struct info *info)
{
	struct boot_ram map[BOOT_MAX_RAM];
	unsigned n = boot_memory_map(r, map);

	for (unsigned i = 0; i < n; i++)
		lists->map[i] = (struct map_entry){
			.size = to_le32(sizeof(lists->map[0]) - 4),
			.base = { to_le32((uint32_t)map[i].base),
				  to_le32((uint32_t)(map[i].base >> 32)) },
			.len = { to_le32((uint32_t)map[i].size),
				 to_le32((uint32_t)(map[i].size >> 32)) },
			.type = to_le32(map[i].type),
		};
	info->map = to_le32(BOOT_LISTS + offsetof(struct lists, map));
	info->map_len = to_le32((uint32_t)(n * sizeof(lists->map[0])));
	info->mem_lower = to_le32(BOOT_EBDA / KIB);
	info->mem_upper = to_le32((uint32_t)((boot_low_end(r) - BOOT_HIGH) / KIB));
}

static void put_module(const struct boot_request *r, const struct boot_entry *e,
		       struct lists *lists, struct info *info)
{
	lists->module = (struct module){
		.start = to_le32((uint32_t)e->placed.initrd_start),
		.end = to_le32((uint32_t)e->placed.initrd_end),
		.string = to_le32(BOOT_LISTS + offsetof(struct lists, module_string)),
	};
	snprintf(lists->module_string, sizeof(lists->module_string), "%s", r->initrd_name);
	info->modules = to_le32(BOOT_LISTS + offsetof(struct lists, module));
	info->nr_modules = to_le32(1);
}

static int put_info(const struct boot_request *r, struct boot_entry *e)
{
	struct lists *lists = boot_table(r, BOOT_LISTS);
	uint32_t flags = INFO_MEMORY | INFO_CMDLINE | INFO_MAP | INFO_LOADER;
	struct info info = {
		.cmdline = to_le32(BOOT_CMDLINE),
		.loader_name = to_le32(BOOT_LISTS + offsetof(struct lists, loader)),
	};
	int rc;

	if ((rc = boot_put_arguments(r)) < 0 ||
	    (rc = boot_put_initrd(r, e, e->placed.kernel_end, 4 * GIB)) < 0)
		return rc;
	put_map(r, lists, &info);
	memcpy(lists->loader, loader_name, sizeof(loader_name));
	if (e->placed.initrd_end) {
		put_module(r, e, lists, &info);
		flags |= INFO_MODULES;
	}
	info.flags = to_le32(flags);
	memcpy(boot_table(r, BOOT_INFO), &info, sizeof(info));
	return 0;
}

int multiboot_load(const struct boot_request *r, struct boot_entry *e)
{
	uint32_t h[H_WORDS];
	int64_t at = find_header(r, h);
	struct elf elf = { 0 };
	const char *why;
	uint64_t entry;
	int rc;

	if (h[H_FLAGS] & NEEDS_VIDEO)
		return boot_refuse(
			r,
			"requires a video mode (flag 2 of its Multiboot header); minivmm has no display");
	if (h[H_FLAGS] & MANDATORY & ~(NEEDS_ALIGN | NEEDS_MEMORY))
		return boot_refuse(
			r, "requires something of Multiboot that minivmm doesn't know (flags 0x%x)",
			h[H_FLAGS]);
	if (h[H_FLAGS] & HAS_ADDRESSES)
		why = parse_addresses(&elf, h, (uint64_t)at, r->kernel_len);
	else
		why = boot_parse_elf(&elf, r->kernel, r->kernel_len);
	if (!why)
		why = elf_locate_entry(&elf, &entry);
	if (why)
		return boot_refuse(r, "%s", why);
	if ((rc = boot_put_segments(r, e, &elf, entry)) < 0 || (rc = put_info(r, e)) < 0)
		return rc;
	e->mode = BOOT_PROT32;
	e->rip = entry;
	e->rax = LOADER_MAGIC;
	e->rbx = BOOT_INFO;
	snprintf(e->placed.how, sizeof(e->placed.how), "Multiboot, %s",
		 h[H_FLAGS] & HAS_ADDRESSES ? "placed by its header" : "ELF");
	return 0;
}
