/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds out which kind of image a kernel is, and has what every kind needs: descriptor table and
 * page tables, memory map, command line and initrd.
 *
 * A file may be several things at once. bzImage comes first, because its magic number is beyond
 * doubt; a PVH note comes before Multiboot, because it tells the kernel more (ACPI, RAM above 4
 * GiB); and the 64-bit entry point comes last, because nothing in an ELF file says whether it is
 * meant for that.
 */
#include "x86/boot.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "x86/boot_impl.h"

typedef unsigned long long ull; /* for %llu */

/* SDM 3A §3.4.5: flat 4 GiB segments, and a TSS that is never used. The code segment is a 64-bit
 * (L) or a 32-bit (D) one. */
static void put_gdt(const struct boot_request *r, struct boot_entry *e)
{
	le64_t *gdt = boot_table(r, BOOT_GDT);

	gdt[BOOT_CS / 8] =
		to_le64(e->mode == BOOT_LONG64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	gdt[BOOT_DS / 8] = to_le64(0x00cf93000000ffff);
	gdt[BOOT_TR / 8] = to_le64(0x00008b0000000067);
	gdt[BOOT_TR / 8 + 1] = to_le64(0); /* in 64-bit mode a TSS takes two entries */
	e->gdt = BOOT_GDT;
	e->gdt_limit = BOOT_TR + 16 - 1;
}

/* SDM 3A §4.5: maps the first 4 GiB one to one, writable, in pages of 2 MiB, which any processor
 * has. */
static void put_page_tables(const struct boot_request *r, struct boot_entry *e)
{
	const uint64_t present_writable = 3, large = 1 << 7;
	le64_t(*table)[512] = boot_table(r, BOOT_PAGE_TABLES);

	table[0][0] = to_le64((BOOT_PAGE_TABLES + 0x1000) | present_writable);
	for (unsigned i = 0; i < 4; i++)
		table[1][i] = to_le64((BOOT_PAGE_TABLES + 0x2000 + i * 0x1000) | present_writable);
	for (unsigned i = 0; i < 4 * 512; i++)
		table[2 + i / 512][i % 512] = to_le64(i * 2 * MIB | present_writable | large);
	e->cr3 = BOOT_PAGE_TABLES;
}

static int load_elf(const struct boot_request *r, struct boot_entry *e)
{
	struct elf elf;
	const char *why = elf_parse(&elf, r->kernel, r->kernel_len);
	uint64_t entry;

	if (why && multiboot_has_addresses(r)) /* they count, whatever else the file is */
		return multiboot_load(r, e);
	if (why)
		return boot_refuse(r, "%s", why);
	if (elf_find_pvh(&elf, r->kernel, &entry)) {
		if (!elf.is64 && boot_is_linux(r)) /* it dies in its entry code, also on QEMU */
			return boot_refuse(r, "is a 32-bit kernel; minivmm runs x86-64 kernels");
		return pvh_load(r, e, &elf, entry);
	}
	if (multiboot_is(r))
		return multiboot_load(r, e);
	if (elf.has_interpreter) /* this comes late: FreeBSD's kernel has one, and a PVH note */
		return boot_refuse(r, "is a program, not a kernel: it asks for a dynamic linker");
	if (multiboot2_is(r))
		return boot_refuse(r, "is a Multiboot 2 kernel; minivmm knows Multiboot 1");
	if (elf.is64)
		return vmlinux_load(r, e, &elf);
	return boot_refuse(
		r,
		"is a 32-bit ELF file with neither a PVH note nor a Multiboot 1 header; minivmm runs x86-64 kernels");
}

static int load_any(const struct boot_request *r, struct boot_entry *e)
{
	if (bzimage_is(r))
		return bzimage_load(r, e);
	if (elf_is(r->kernel, r->kernel_len))
		return load_elf(r, e);
	if (multiboot_is(r))
		return multiboot_load(r, e);
	return boot_refuse_unknown(r);
}

int boot_load(const struct boot_request *r, struct boot_entry *e)
{
	uint64_t start = monotonic_ns();
	int rc;

	*e = (struct boot_entry){ .rsp = BOOT_STACK_TOP };
	if (!gmem_slice(r->mem, 0, BOOT_HIGH))
		return log_ret(-EINVAL,
			       "kernel %s: guest memory must begin at 0 and have 1 MiB at least",
			       r->kernel_name);
	rc = load_any(r, e);
	if (rc < 0)
		return rc;
	put_gdt(r, e);
	if (e->mode == BOOT_LONG64)
		put_page_tables(r, e);
	e->place_ns = monotonic_ns() - start - e->decompress_ns;
	return 0;
}

void *boot_table(const struct boot_request *r, gpa_t gpa)
{
	return gmem_slice(r->mem, gpa, 1); /* below 1 MiB, which boot_load() found to be RAM */
}

gpa_t boot_low_end(const struct boot_request *r)
{
	return r->mem->region[0].size; /* region 0 begins at 0: boot_load() has checked that */
}

void *boot_room(const struct boot_request *r, gpa_t gpa, uint64_t len, const char *what)
{
	static const struct {
		gpa_t start, end;
	} taken[] = { { BOOT_GDT, BOOT_TABLES_END }, { BOOT_EBDA, BOOT_HIGH } };
	void *host = gmem_slice(r->mem, gpa, len);
	gpa_t end = gpa + len;

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		if (gpa >= taken[i].end || end <= taken[i].start)
			continue;
		boot_refuse(
			r,
			"wants its %s at 0x%llx to 0x%llx, which minivmm needs itself (0x%llx to 0x%llx); link it for 1 MiB or above",
			what, (ull)gpa, (ull)end, (ull)taken[i].start, (ull)taken[i].end);
		return NULL;
	}
	if (!host && end <= 3 * GIB)
		boot_refuse(
			r,
			"needs %llu MiB of memory for its %s, and the guest has %llu; give it more with --memory",
			(ull)(align_up(end, MIB) / MIB), what, (ull)(boot_low_end(r) / MIB));
	else if (!host)
		boot_refuse(r, "wants its %s at 0x%llx to 0x%llx, where the guest has no RAM", what,
			    (ull)gpa, (ull)end);
	return host;
}

unsigned boot_memory_map(const struct boot_request *r, struct boot_ram map[BOOT_MAX_RAM])
{
	const struct gmem *m = r->mem;
	unsigned n = 0;

	map[n++] = (struct boot_ram){ 0, BOOT_EBDA, BOOT_RAM };
	map[n++] = (struct boot_ram){ BOOT_EBDA, BOOT_HIGH - BOOT_EBDA, BOOT_RESERVED };
	if (boot_low_end(r) > BOOT_HIGH)
		map[n++] = (struct boot_ram){ BOOT_HIGH, boot_low_end(r) - BOOT_HIGH, BOOT_RAM };
	if (r->reserved_len)
		map[n++] = (struct boot_ram){ r->reserved, r->reserved_len, BOOT_RESERVED };
	for (size_t i = 1; i < m->nr; i++)
		map[n++] = (struct boot_ram){ m->region[i].base, m->region[i].size, BOOT_RAM };
	return n;
}

int boot_put_cmdline(const struct boot_request *r, uint64_t limit)
{
	size_t len = strlen(r->cmdline);

	limit = min(limit, (uint64_t)BOOT_CMDLINE_MAX - 1);
	if (len > limit)
		return log_ret(
			-E2BIG,
			"the command line has %zu characters, and kernel %s reads %llu at most; shorten --append",
			len, r->kernel_name, (ull)limit);
	memcpy(boot_table(r, BOOT_CMDLINE), r->cmdline, len + 1);
	return 0;
}

/* Blanks in the name are replaced: one would end it. */
int boot_put_arguments(const struct boot_request *r)
{
	const size_t name = strlen(r->kernel_name), len = strlen(r->cmdline);
	char *p = boot_table(r, BOOT_CMDLINE);

	if (name + 1 + len >= BOOT_CMDLINE_MAX)
		return log_ret(
			-E2BIG,
			"the command line has %zu characters with the kernel's name, and kernel %s reads %llu at most; shorten --append",
			name + 1 + len, r->kernel_name, BOOT_CMDLINE_MAX - 1);
	for (size_t i = 0; i < name; i++)
		*p++ = r->kernel_name[i] == ' ' ? '_' : r->kernel_name[i];
	if (len)
		*p++ = ' ';
	memcpy(p, r->cmdline, len + 1);
	return 0;
}

int boot_put_initrd(const struct boot_request *r, struct boot_entry *e, gpa_t floor, gpa_t ceiling)
{
	const uint64_t page = 0x1000;
	gpa_t top = min(boot_low_end(r), ceiling) & ~(page - 1);
	uint64_t len = r->initrd_len;

	if (!r->initrd)
		return 0;
	if (!len)
		return log_ret(-EINVAL, "initrd %s: is empty", r->initrd_name);
	floor = align_up(max(floor, (gpa_t)BOOT_HIGH), page);
	if (floor > top || len > top - floor)
		return log_ret(
			-ENOMEM,
			"initrd %s: %llu MiB don't fit in memory between the kernel, which ends at %llu MiB, and %llu MiB; %s",
			r->initrd_name, (ull)(align_up(len, MIB) / MIB),
			(ull)(align_up(floor, MIB) / MIB), (ull)(top / MIB),
			boot_low_end(r) < ceiling ? "give the guest more with --memory"
						  : "make it smaller");
	e->initrd_start = (top - len) & ~(page - 1);
	e->initrd_end = e->initrd_start + len;
	return gmem_write(r->mem, e->initrd_start, r->initrd, len);
}

void boot_clear(const struct boot_request *r, gpa_t start, gpa_t end)
{
	end = min(end, (gpa_t)BOOT_BIOS_END);
	if (start < end)
		memset(gmem_slice(r->mem, start, end - start), 0, end - start);
}

int boot_check_segments(const struct boot_request *r, struct boot_entry *e, const struct elf *elf,
			uint64_t entry)
{
	bool inside = false;

	e->kernel_start = UINT64_MAX;
	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->seg[i];

		if (!boot_room(r, s->paddr, s->memsz, "segments"))
			return -ENOEXEC;
		e->kernel_start = min(e->kernel_start, s->paddr);
		e->kernel_end = max(e->kernel_end, s->paddr + s->memsz);
		inside |= entry >= s->paddr && entry - s->paddr < s->filesz;
	}
	if (!inside || entry > UINT32_MAX)
		return boot_refuse(r, "has its entry point at 0x%llx, outside its code below 4 GiB",
				   (ull)entry);
	return 0;
}

int boot_put_segments(const struct boot_request *r, struct boot_entry *e, const struct elf *elf,
		      uint64_t entry)
{
	int rc = boot_check_segments(r, e, elf, entry);

	for (unsigned i = 0; i < elf->nr && rc == 0; i++) {
		const struct elf_segment *s = &elf->seg[i];

		boot_clear(r, s->paddr + s->filesz, s->paddr + s->memsz);
		rc = gmem_write(r->mem, s->paddr, (const uint8_t *)r->kernel + s->offset,
				s->filesz);
	}
	return rc;
}
