/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds out which kind of image a kernel is, has it loaded, and makes the tables that a processor
 * needs to enter it.
 *
 * A file may be several things at once. bzImage comes first, because its magic number is beyond
 * doubt; a PVH note comes before Multiboot, because it tells the kernel more (ACPI, RAM above 4
 * GiB); and the 64-bit entry point comes last, because nothing in an ELF file says whether it is
 * meant for that.
 */
#include "x86/boot.h"

#include "x86/boot_impl.h"

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
	const char *why = boot_parse_elf(&elf, r->kernel, r->kernel_len);
	uint64_t entry;

	if (why && multiboot_has_addresses(r)) /* they count, whatever else the file is */
		return multiboot_load(r, e);
	if (why)
		return boot_refuse(r, "%s", why);
	if (pvh_find_entry(&elf, r->kernel, &entry)) {
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
	if (multiboot_has_addresses(r))
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
	e->placed.entry = e->rip;
	e->placed.mode = e->mode == BOOT_LONG64 ? "64-bit mode" : "32-bit protected mode";
	e->placed.place_ns = monotonic_ns() - start - e->placed.decompress_ns;
	return 0;
}
