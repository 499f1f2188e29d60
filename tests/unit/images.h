/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hand-made kernel images and guest RAM for the loaders' tests, and the check that a bad image is
 * refused in one line.
 */
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "x86/boot.h"
#include "test.h"

struct image {
	uint8_t *data; /* exactly len bytes, so that ASan sees one too many */
	size_t len;
};

static inline struct image image_new(size_t len)
{
	return (struct image){ .data = calloc(1, len ?: 1), .len = len };
}

/* Returns different bytes for different places, none of them 0. */
static inline uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 2654435761u >> 24) | 1;
}

/* One program header; the segment's bytes are pattern(offset). */
struct part {
	uint32_t type;
	uint64_t offset, paddr, filesz, memsz;
};

static inline struct image elf64_new(uint64_t entry, size_t len, const struct part *part, size_t n)
{
	struct image f = image_new(len);
	Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_entry = entry,
			  .e_phoff = sizeof(eh),
			  .e_ehsize = sizeof(eh),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = (uint16_t)n };

	for (size_t i = 0; i < len; i++)
		f.data[i] = pattern(i);
	memcpy(f.data, &eh, sizeof(eh));
	for (size_t i = 0; i < n; i++) {
		Elf64_Phdr ph = { .p_type = part[i].type,
				  .p_offset = part[i].offset,
				  .p_paddr = part[i].paddr,
				  .p_filesz = part[i].filesz,
				  .p_memsz = part[i].memsz };

		memcpy(f.data + sizeof(eh) + i * sizeof(ph), &ph, sizeof(ph));
	}
	return f;
}

static inline struct image elf32_new(uint32_t entry, size_t len, const struct part *part, size_t n)
{
	struct image f = image_new(len);
	Elf32_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_386,
			  .e_entry = entry,
			  .e_phoff = sizeof(eh),
			  .e_ehsize = sizeof(eh),
			  .e_phentsize = sizeof(Elf32_Phdr),
			  .e_phnum = (uint16_t)n };

	for (size_t i = 0; i < len; i++)
		f.data[i] = pattern(i);
	memcpy(f.data, &eh, sizeof(eh));
	for (size_t i = 0; i < n; i++) {
		Elf32_Phdr ph = { .p_type = part[i].type,
				  .p_offset = (uint32_t)part[i].offset,
				  .p_paddr = (uint32_t)part[i].paddr,
				  .p_filesz = (uint32_t)part[i].filesz,
				  .p_memsz = (uint32_t)part[i].memsz };

		memcpy(f.data + sizeof(eh) + i * sizeof(ph), &ph, sizeof(ph));
	}
	return f;
}

/* Sets the address that segment i is linked at, in an ELF64 file. */
static inline void link_at(struct image *f, unsigned i, uint64_t vaddr)
{
	store_le(f->data + sizeof(Elf64_Ehdr) + i * sizeof(Elf64_Phdr) +
			 offsetof(Elf64_Phdr, p_vaddr),
		 8, vaddr);
}

/* Does guest RAM at gpa have what the file has at offset? */
static inline bool placed(const struct gmem *m, gpa_t gpa, const struct image *f, uint64_t offset,
			  size_t len)
{
	const void *p = gmem_slice(m, gpa, len);

	return p && !memcmp(p, f->data + offset, len);
}

static inline bool zero(const struct gmem *m, gpa_t start, gpa_t end)
{
	const uint8_t *p = gmem_slice(m, start, end - start);

	for (size_t i = 0; p && i < end - start; i++)
		if (p[i])
			return false;
	return p;
}

/* A guest with size bytes of fresh RAM at 0, and a request for it. */
struct guest {
	struct gmem mem;
	struct boot_request r;
	struct boot_entry e;
};

static inline struct guest *guest_new(uint64_t size)
{
	struct guest *g = calloc(1, sizeof(*g));
	void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(ram, MAP_FAILED);
	assert_int_equal(gmem_add(&g->mem, 0, size, ram), 0);
	g->r = (struct boot_request){ .mem = &g->mem,
				      .kernel_name = "the-kernel",
				      .initrd_name = "the-initrd",
				      .cmdline = "" };
	return g;
}

static inline void guest_free(struct guest *g)
{
	munmap(g->mem.region[0].host, g->mem.region[0].size);
	free(g);
}

static inline int guest_load(struct guest *g, const struct image *kernel)
{
	g->r.kernel = kernel->data;
	g->r.kernel_len = kernel->len;
	return boot_load(&g->r, &g->e);
}

/* Checks that boot_load() fails and says so in one line that names the file and has all of the
 * words, which are separated by '|'. */
static inline void check_refused(struct guest *g, const struct image *kernel, const char *words)
{
	char line[2048] = "", part[256];
	int saved = dup(STDERR_FILENO), fd = memfd_create("stderr", 0), rc;

	dup2(fd, STDERR_FILENO);
	rc = guest_load(g, kernel);
	dup2(saved, STDERR_FILENO);
	assert_true(pread(fd, line, sizeof(line) - 1, 0) >= 0);
	close(fd);
	close(saved);
	if (rc >= 0)
		fail_msg("loaded, but should have been refused: %s", words);
	if (strchr(line, '\n') != line + strlen(line) - 1 || !strstr(line, "the-"))
		fail_msg("not one line that names the file: %s", line);
	snprintf(part, sizeof(part), "%s", words);
	for (char *w = strtok(part, "|"); w; w = strtok(NULL, "|"))
		if (!strstr(line, w))
			fail_msg("'%s' is not in: %s", w, line);
}
