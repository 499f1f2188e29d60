/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program headers of an ELF kernel for x86 (System V gABI, chapters 4 and 5), 32 and 64-bit
 * alike.
 */
#pragma once

#include "vmm/types.h"

#define ELF_MAX_SEGMENTS 32
#define ELF_MAX_NOTES    8

struct elf_segment {
	uint64_t offset, filesz; /* inside the file: checked */
	uint64_t paddr, memsz;   /* memsz >= filesz, > 0; paddr + memsz doesn't wrap */
};

struct elf {
	bool is64;
	bool has_interpreter; /* PT_INTERP: most likely a program, not a kernel */
	uint64_t entry;
	unsigned nr, nr_notes;
	struct elf_segment
		seg[ELF_MAX_SEGMENTS]; /* PT_LOAD, in the file's order, disjoint in memory */
	struct elf_segment note[ELF_MAX_NOTES]; /* PT_NOTE: offset and filesz */
};

bool elf_is(const void *file, size_t len);

/* Fills *elf from a file. NULL, or what is wrong with it, to be put behind a name and a colon. */
const char *elf_parse(struct elf *elf, const uint8_t *file, size_t len);

/* The 32-bit entry point in the note that Xen's PVH ABI asks for (xen/include/public/elfnote.h,
 * XEN_ELFNOTE_PHYS32_ENTRY). */
bool elf_find_pvh(const struct elf *elf, const uint8_t *file, uint64_t *entry);
