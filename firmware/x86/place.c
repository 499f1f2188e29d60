/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides where things go in guest RAM, and puts them there, for every loader.
 */
#include "x86/boot_impl.h"

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
	e->placed.initrd_start = (top - len) & ~(page - 1);
	e->placed.initrd_end = e->placed.initrd_start + len;
	return gmem_write(r->mem, e->placed.initrd_start, r->initrd, len);
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

	e->placed.kernel_start = UINT64_MAX;
	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->seg[i];

		if (!boot_room(r, s->paddr, s->memsz, "segments"))
			return -ENOEXEC;
		e->placed.kernel_start = min(e->placed.kernel_start, s->paddr);
		e->placed.kernel_end = max(e->placed.kernel_end, s->paddr + s->memsz);
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
