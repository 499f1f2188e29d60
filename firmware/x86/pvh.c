/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Xen's PVH ABI (xen/docs/misc/pvh.pandoc; hvm/start_info.h version 1): the kernel is entered in
 * 32-bit protected mode, with paging off and %ebx pointing to hvm_start_info. Linux built with
 * CONFIG_PVH, FreeBSD, OSv and unikernels have such an entry point. The ABI has no way to hand over
 * a random seed.
 */
#include <stdio.h>

#include "x86/boot_impl.h"

struct start_info {
	le32_t magic, version, flags, nr_modules;
	le64_t modules, cmdline, rsdp;
	le64_t memory_map;
	le32_t nr_memory_map, reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info version 1");

struct module {
	le64_t addr, size, cmdline, reserved;
};

struct memory_entry {
	le64_t addr, size;
	le32_t type, reserved; /* types are e820's */
};

#define START_INFO_MAGIC         0x336ec578
#define XEN_ELFNOTE_PHYS32_ENTRY 18

bool pvh_find_entry(const struct elf *elf, const uint8_t *file, uint64_t *entry)
{
	struct elf_note_walk walk = { 0 };
	struct elf_note n;

	while (elf_next_note(elf, file, &walk, &n)) {
		if (n.type != XEN_ELFNOTE_PHYS32_ENTRY || n.owner_len != 4 ||
		    memcmp(n.owner, "Xen", 4) || (n.desc_len != 4 && n.desc_len != 8))
			continue;
		*entry = load_le(n.desc, (unsigned)n.desc_len);
		return true;
	}
	return false;
}

struct lists {
	struct module module;
	struct memory_entry map[BOOT_MAX_RAM];
};

int pvh_load(const struct boot_request *r, struct boot_entry *e, const struct elf *elf,
	     uint64_t entry)
{
	struct start_info *info = boot_table(r, BOOT_INFO);
	struct lists *lists = boot_table(r, BOOT_LISTS);
	struct boot_ram map[BOOT_MAX_RAM];
	unsigned n = boot_memory_map(r, map);
	int rc;

	if ((rc = boot_put_segments(r, e, elf, entry)) < 0 ||
	    (rc = boot_put_cmdline(r, UINT64_MAX)) < 0 ||
	    (rc = boot_put_initrd(r, e, e->placed.kernel_end, 4 * GIB)) < 0)
		return rc;
	for (unsigned i = 0; i < n; i++)
		lists->map[i] = (struct memory_entry){ .addr = to_le64(map[i].base),
						       .size = to_le64(map[i].size),
						       .type = to_le32(map[i].type) };
	lists->module =
		(struct module){ .addr = to_le64(e->placed.initrd_start),
				 .size = to_le64(e->placed.initrd_end - e->placed.initrd_start) };
	*info = (struct start_info){
		.magic = to_le32(START_INFO_MAGIC),
		.version = to_le32(1),
		.nr_modules = to_le32(e->placed.initrd_end > e->placed.initrd_start),
		.modules = to_le64(BOOT_LISTS + offsetof(struct lists, module)),
		.cmdline = to_le64(BOOT_CMDLINE),
		.rsdp = to_le64(r->rsdp),
		.memory_map = to_le64(BOOT_LISTS + offsetof(struct lists, map)),
		.nr_memory_map = to_le32(n),
	};
	e->mode = BOOT_PROT32;
	e->rip = entry;
	e->rbx = BOOT_INFO;
	snprintf(e->placed.how, sizeof(e->placed.how), "ELF%s, by its PVH note",
		 elf->is64 ? "64" : "32");
	return 0;
}
