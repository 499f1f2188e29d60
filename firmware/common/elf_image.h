/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program headers of an ELF kernel (System V gABI, chapters 4 and 5), 32 and 64-bit alike.
 */
#pragma once

#include "vmm/types.h"

#define ELF_MAX_SEGMENTS 32
#define ELF_MAX_NOTES    8

struct elf_segment {
	uint64_t offset, filesz; /* inside the file: checked */
	uint64_t paddr, memsz;   /* memsz >= filesz, > 0; paddr + memsz doesn't wrap */
	uint64_t vaddr;          /* as the file has it */
};

struct elf {
	bool is64, big_endian;
	unsigned machine;     /* EM_*; unless the file is big-endian */
	bool has_interpreter; /* PT_INTERP: most likely a program, not a kernel */
	uint64_t entry;
	unsigned nr, nr_notes;
	/* PT_LOAD, in the file's order, disjoint in memory. */
	struct elf_segment seg[ELF_MAX_SEGMENTS];
	/* PT_NOTE: offset and filesz. */
	struct elf_segment note[ELF_MAX_NOTES];
};

bool elf_is(const void *file, size_t len);

/* Finds where in memory the entry point is: *at. The file may give it as a physical or as a virtual
 * address; the latter is translated by the segment that contains it. Returns NULL, or what is wrong
 * with it. */
const char *elf_locate_entry(const struct elf *elf, uint64_t *at);

/* Fills *elf from a file. Returns NULL; or what is wrong with it, for a message, after a name and a
 * colon. refuse() sees is64, big_endian and machine, and returns what is wrong with these, or
 * NULL. */
const char *elf_parse(struct elf *elf, const uint8_t *file, size_t len,
		      const char *(*refuse)(const struct elf *elf));

/* A note, which lies inside the file. */
struct elf_note {
	const uint8_t *owner, *desc; /* owner_len counts its 0 */
	uint64_t owner_len, desc_len;
	uint32_t type;
};
struct elf_note_walk {
	unsigned nr;
	uint64_t at;
};
/* Finds the next note from *walk on, which is zero at first. Returns false if there is none
 * left. */
bool elf_next_note(const struct elf *elf, const uint8_t *file, struct elf_note_walk *walk,
		   struct elf_note *n);
