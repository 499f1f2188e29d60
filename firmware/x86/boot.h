/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts a kernel, its initrd and the information that it expects into guest RAM, as firmware and a
 * boot loader would, and says in which state its first processor starts.
 *
 * Kinds of image, tried in this order (firmware/x86/boot.c):
 *  - bzImage, x86 boot protocol 2.06 or newer (Linux Documentation/arch/x86/boot.rst);
 *  - ELF with a Xen PVH note (32 and 64-bit);
 *  - Multiboot 0.6.96 (ELF, or any file with address fields in its header);
 *  - ELF64 by its entry point, as in Linux's 64-bit boot protocol.
 * Missing: 32-bit Linux, Multiboot 2, EFI stubs, compressed vmlinux files.
 *
 * Everything in an image is hostile: sizes and addresses are checked from a copy before they are
 * used, and decompression is bounded by its destination.
 *
 * Guest RAM below 1 MiB that is used here, whatever the image is. No image may overlap it, except
 * the first page. The guest may use all of it once it has read it:
 *
 *   0x00000  real mode's vectors and the BIOS's data area, to 0x500 (bios.h)
 *   0x80000  GDT                             one page
 *   0x81000  boot_params, or hvm_start_info, or Multiboot information
 *   0x82000  memory map, module list, setup_data with the RNG seed
 *   0x83000  page tables: the first 4 GiB, one to one
 *   0x89000  a stack of one page, growing down from 0x8a000
 *   0x8a000  command line, at most 64 KiB
 *   0x9a000  end; Linux's own decompressor borrows the two pages at 0x9d000
 *   0x9fc00  reserved up to 1 MiB: told to the guest as such; ACPI tables go to 0xe0000 and up
 */
#pragma once

#include "common/boot.h"

/* BOOT_LONG64 is 64-bit mode, with paging on by cr3. BOOT_PROT32 is protected mode, with paging
 * off. In both, segments are flat, from a GDT in guest RAM; RFLAGS is 2 (interrupts off); registers
 * that aren't named are 0. */
enum boot_mode { BOOT_LONG64, BOOT_PROT32 };
#define BOOT_CS 0x10 /* type 0xb, 64-bit or 32-bit by mode */
#define BOOT_DS 0x18 /* type 3; ds, es, fs, gs and ss */
#define BOOT_TR 0x20 /* busy TSS (type 0xb), base 0, limit 0x67 */

struct boot_entry {
	enum boot_mode mode;
	uint64_t rip, rsp, rax, rbx, rsi;
	gpa_t cr3; /* BOOT_LONG64 only */
	gpa_t gdt;
	uint16_t gdt_limit;

	struct boot_placed placed;
};

/* Is the kernel Linux? False also for a file that boot_load() refuses. */
bool boot_is_linux(const struct boot_request *r);

/* Can the kernel of this image, which anybody may have written, be placed in that memory? Unpacking
 * its file there would then have succeeded, too. */
bool boot_image_fits(const struct boot_image *i, const struct gmem *mem);

/* Loads r into guest RAM and fills *e. Returns 0, or -errno with one line logged that names the
 * file, what is wrong and the way out; then guest RAM and *e are unspecified. r->image, if there is
 * one, fits (boot_image_fits()). One thread at a time for the same memory. */
int boot_load(const struct boot_request *r, struct boot_entry *e) __must_check;
