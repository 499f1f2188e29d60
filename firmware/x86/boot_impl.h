/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions that the loaders share, and their entry points. Private to firmware/. Each file calls
 * only files to the right of it, and bzimage also calls linux:
 *
 *   boot --> identify --> bzimage, linux, multiboot, pvh --> place
 *
 * Functions that return int return 0, or -errno with one line logged.
 */
#pragma once

#include <errno.h>

#include "x86/boot.h"
#include "common/elf_image.h"
#include "vmm/log.h"

/* The picture is in boot.h. */
#define BOOT_GDT         0x80000
#define BOOT_INFO        0x81000
#define BOOT_LISTS       0x82000
#define BOOT_PAGE_TABLES 0x83000
#define BOOT_STACK_TOP   0x8a000
#define BOOT_CMDLINE     0x8a000
#define BOOT_CMDLINE_MAX (64 * KIB) /* includes the 0 at its end */
#define BOOT_TABLES_END  0x9a000
#define BOOT_BIOS_END    0x500   /* vectors and the BIOS's data area: images may lie there */
#define BOOT_EBDA        0x9fc00 /* from here to 1 MiB: the guest may not use it */
#define BOOT_HIGH        (1 * MIB)

/* The kernel's file can't be used. Each such line names it. */
#define boot_refuse(r, fmt, ...)                                                                   \
	log_ret(-ENOEXEC, "kernel %s: " fmt, (r)->kernel_name, ##__VA_ARGS__)

/* -- guest RAM (place.c) --------------------------------------------------------------------- */

/* Returns RAM for len bytes of the image ("what" they are), clear of what minivmm itself puts below
 * 1 MiB. NULL: there is none, and why was logged. The caller knows that gpa + len doesn't wrap. */
void *boot_room(const struct boot_request *r, gpa_t gpa, uint64_t len, const char *what);

/* Returns a host view of one of the places above. */
void *boot_table(const struct boot_request *r, gpa_t gpa);

/* Returns the end of the RAM that begins at 0. */
gpa_t boot_low_end(const struct boot_request *r);

/* Fills map with guest RAM as the guest sees it; type is e820's: RAM or reserved. Returns the
 * number of entries. */
enum boot_ram_type { BOOT_RAM = 1, BOOT_RESERVED = 2 };
struct boot_ram {
	gpa_t base;
	uint64_t size;
	enum boot_ram_type type;
};
#define BOOT_MAX_RAM (GMEM_MAX_REGIONS + 3)
unsigned boot_memory_map(const struct boot_request *r, struct boot_ram map[BOOT_MAX_RAM]);

/* Writes the command line, of which the kernel reads at most limit characters. */
int boot_put_cmdline(const struct boot_request *r, uint64_t limit) __must_check;

/* Writes it after the kernel's name, as QEMU and GRUB legacy do for Multiboot kernels, for which
 * all that follows the first word is arguments. */
int boot_put_arguments(const struct boot_request *r) __must_check;

/* Writes the initrd, if there is one, as high as possible in low RAM below ceiling, and not below
 * floor. */
int boot_put_initrd(const struct boot_request *r, struct boot_entry *e, gpa_t floor,
		    gpa_t ceiling) __must_check;

/* Zeroes those bytes of [start, end), a part of the image, that aren't zero already. */
void boot_clear(const struct boot_request *r, gpa_t start, gpa_t end);

/* Checks that there is room for every segment, and that the entry point lies in one of them; notes
 * the lowest and the highest address in *e. */
int boot_check_segments(const struct boot_request *r, struct boot_entry *e, const struct elf *elf,
			uint64_t entry) __must_check;
/* Does the same, and copies the segments there. */
int boot_put_segments(const struct boot_request *r, struct boot_entry *e, const struct elf *elf,
		      uint64_t entry) __must_check;

/* -- loaders --------------------------------------------------------------------------------- */

/* Writes boot_params, the initrd and the command line, which Linux's own entry points expect, for a
 * kernel with this setup header. floor is where the kernel's memory ends. */
struct setup_header;
int linux_put_params(const struct boot_request *r, struct boot_entry *e,
		     const struct setup_header *h, gpa_t floor) __must_check;

/* There is one for each kind of image; the load functions are called with an image of their
 * kind. */
bool bzimage_is(const struct boot_request *r);
/* Is a bzImage Linux? Other programs come in that format, too. */
bool bzimage_is_linux(const struct boot_request *r);
int bzimage_load(const struct boot_request *r, struct boot_entry *e) __must_check;
bool multiboot_is(const struct boot_request *r);
bool multiboot_has_addresses(const struct boot_request *r); /* its header says where it goes */
bool multiboot2_is(const struct boot_request *r);
/* For ELF files, and for those whose header says where they go. */
int multiboot_load(const struct boot_request *r, struct boot_entry *e) __must_check;
/* Finds the 32-bit entry point in the note that Xen's PVH ABI asks for
 * (xen/include/public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY). Returns false if there is no such
 * note. */
bool pvh_find_entry(const struct elf *elf, const uint8_t *file, uint64_t *entry);
int pvh_load(const struct boot_request *r, struct boot_entry *e, const struct elf *elf,
	     uint64_t entry) __must_check;
int vmlinux_load(const struct boot_request *r, struct boot_entry *e,
		 const struct elf *elf) __must_check;

/* -- identify.c ------------------------------------------------------------------------------ */

/* Calls elf_parse() for x86's kernels. */
const char *boot_parse_elf(struct elf *elf, const uint8_t *file, size_t len);

/* Says that the file is not a kernel, and what it is instead. */
int boot_refuse_unknown(const struct boot_request *r);
