/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both classes are read field by field from the file's bytes, which may be unaligned. Each byte is
 * read once.
 */
#include "common/elf_image.h"

#include <elf.h>

bool elf_is(const void *file, size_t len)
{
	return len >= SELFMAG && !memcmp(file, ELFMAG, SELFMAG);
}

/* Reads a field of the Elf32_* or Elf64_* struct at p. */
#define FIELD(is64, type, p, field)                                                                \
	((is64) ? load_le((p) + offsetof(Elf64_##type, field), sizeof(((Elf64_##type *)0)->field)) \
		: load_le((p) + offsetof(Elf32_##type, field),                                     \
			  sizeof(((Elf32_##type *)0)->field)))

/* Returns what the file is if it isn't linked to be run, or NULL. */
static const char *check_type(const struct elf *elf, const uint8_t *file)
{
	switch (FIELD(elf->is64, Ehdr, file, e_type)) {
	case ET_EXEC:
	case ET_DYN:
		return NULL;
	case ET_REL:
		return "is an object file or a module, not a linked kernel";
	default:
		return "is an ELF file, but not an executable one";
	}
}

static bool overlap(const struct elf_segment *a, const struct elf_segment *b)
{
	return a->paddr < b->paddr + b->memsz && b->paddr < a->paddr + a->memsz;
}

static const char *add_segment(struct elf *elf, const struct elf_segment *s, size_t len)
{
	const bool in_file = s->filesz; /* otherwise all of it is bss, at any offset */

	if (in_file && (s->filesz > len || s->offset > len - s->filesz))
		return "is cut short: a segment lies beyond the end of the file";
	if (s->filesz > s->memsz)
		return "is damaged: a segment is larger in the file than in memory";
	if (!s->memsz)
		return NULL;
	if (s->paddr + s->memsz < s->paddr)
		return "is damaged: a segment's addresses wrap around";
	if (elf->nr == ELF_MAX_SEGMENTS)
		return "has more than 32 segments to load, which is too many";
	for (unsigned i = 0; i < elf->nr; i++)
		if (overlap(&elf->seg[i], s))
			return "is damaged: two segments overlap in memory";
	elf->seg[elf->nr] = *s;
	if (!in_file)
		elf->seg[elf->nr].offset = min(s->offset, (uint64_t)len);
	elf->nr++;
	return NULL;
}

static const char *add_header(struct elf *elf, const uint8_t *p, size_t len)
{
	const struct elf_segment s = {
		.offset = FIELD(elf->is64, Phdr, p, p_offset),
		.filesz = FIELD(elf->is64, Phdr, p, p_filesz),
		.paddr = FIELD(elf->is64, Phdr, p, p_paddr),
		.vaddr = FIELD(elf->is64, Phdr, p, p_vaddr),
		.memsz = FIELD(elf->is64, Phdr, p, p_memsz),
	};

	switch (FIELD(elf->is64, Phdr, p, p_type)) {
	case PT_LOAD:
		return add_segment(elf, &s, len);
	case PT_INTERP:
		elf->has_interpreter = true;
		return NULL;
	case PT_NOTE: /* one that is out of bounds is ignored */
		if (s.filesz <= len && s.offset <= len - s.filesz && elf->nr_notes < ELF_MAX_NOTES)
			elf->note[elf->nr_notes++] = s;
		return NULL;
	default:
		return NULL;
	}
}

const char *elf_parse(struct elf *elf, const uint8_t *file, size_t len,
		      const char *(*refuse)(const struct elf *elf))
{
	uint64_t at, n, each;

	*elf = (struct elf){ 0 };
	if (!elf_is(file, len))
		return "is not an ELF file";
	if (len < sizeof(Elf32_Ehdr))
		return "is cut short in its ELF header";
	elf->is64 = file[EI_CLASS] == ELFCLASS64;
	if (!elf->is64 && file[EI_CLASS] != ELFCLASS32)
		return "is damaged: an ELF file neither 32 nor 64-bit";
	if (elf->is64 && len < sizeof(Elf64_Ehdr))
		return "is cut short in its ELF header";
	elf->big_endian = file[EI_DATA] != ELFDATA2LSB;
	elf->machine = (unsigned)FIELD(elf->is64, Ehdr, file, e_machine);
	const char *why = refuse(elf) ?: check_type(elf, file);

	if (why)
		return why;
	elf->entry = FIELD(elf->is64, Ehdr, file, e_entry);
	at = FIELD(elf->is64, Ehdr, file, e_phoff);
	n = FIELD(elf->is64, Ehdr, file, e_phnum);
	each = elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (FIELD(elf->is64, Ehdr, file, e_phentsize) != each && n)
		return "is damaged: program headers of a wrong size";
	if (n * each > len || at > len - n * each)
		return "is cut short in its program headers";
	for (uint64_t i = 0; i < n && !why; i++)
		why = add_header(elf, file + at + i * each, len);
	if (!why && !elf->nr)
		return "has no segment to load; is it a debug-information file?";
	return why;
}

bool elf_next_note(const struct elf *elf, const uint8_t *file, struct elf_note_walk *walk,
		   struct elf_note *n)
{
	for (; walk->nr < elf->nr_notes; walk->nr++, walk->at = 0) {
		const struct elf_segment *s = &elf->note[walk->nr];
		const uint8_t *p = file + s->offset + walk->at;
		uint64_t left = s->filesz - walk->at;

		/* A header of three words, then name and description, both padded to 4. */
		if (left < 12)
			continue;
		n->owner_len = load_le(p, 4);
		n->desc_len = load_le(p + 4, 4);
		n->type = (uint32_t)load_le(p + 8, 4);
		n->owner = p + 12;
		n->desc = n->owner + align_up(n->owner_len, 4);

		uint64_t whole = 12 + align_up(n->owner_len, 4) + align_up(n->desc_len, 4);

		if (whole > left)
			continue;
		walk->at += whole;
		return true;
	}
	return false;
}

/* Finds the entry point by the addresses that segments are linked at (virtual) or loaded at.
 * Returns how many different places it may be at; *at is one of them. */
static unsigned locate(const struct elf *elf, bool virtual, uint64_t *at)
{
	unsigned found = 0;

	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->seg[i];
		uint64_t start = virtual ? s->vaddr : s->paddr;

		if (elf->entry < start || elf->entry - start >= s->filesz)
			continue;
		*at = s->paddr + (elf->entry - start);
		found++;
	}
	return found;
}

const char *elf_locate_entry(const struct elf *elf, uint64_t *at)
{
	uint64_t by_virtual = elf->entry;
	unsigned physical, virtual;

	*at = elf->entry;
	physical = locate(elf, false, at);
	virtual = locate(elf, true, &by_virtual);
	if (virtual > 1 && !physical)
		return "is damaged: its entry point is in several segments";
	if (physical && virtual && by_virtual != *at)
		return "has an entry point that is in one segment by its physical address, and in another by its virtual one; link it so that only one is meant";
	if (virtual && !physical)
		*at = by_virtual;
	return NULL;
}
