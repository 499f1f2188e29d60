/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux's boot_params, the "zero page" (Documentation/arch/x86/{boot,zero-page}.rst), and a vmlinux
 * that is entered by the 64-bit boot protocol. The screen, APM, EDD, EFI and disk parameters stay
 * zero, because there are no such things.
 */
#include <asm/bootparam.h>
#include <stdio.h>

#include "x86/boot_impl.h"

#define LOADER_UNDEFINED 0xff

/* Writes a seed for the kernel's random numbers, which it takes and wipes (Linux before 6.0 ignores
 * it). No kernel decompresses itself over low RAM. */
static uint64_t put_setup_data(const struct boot_request *r)
{
	const struct setup_data d = { .type = SETUP_RNG_SEED, .len = BOOT_RNG_SEED_LEN };
	uint8_t *p = boot_table(r, BOOT_LISTS);

	memcpy(p, &d, sizeof(d));
	memcpy(p + sizeof(d), r->rng_seed, BOOT_RNG_SEED_LEN);
	return BOOT_LISTS;
}

static void put_e820(const struct boot_request *r, struct boot_params *p)
{
	struct boot_ram map[BOOT_MAX_RAM];
	unsigned n = boot_memory_map(r, map);

	for (unsigned i = 0; i < n; i++)
		p->e820_table[i] =
			(struct boot_e820_entry){ map[i].base, map[i].size, map[i].type };
	p->e820_entries = (uint8_t)n;
}

int linux_put_params(const struct boot_request *r, struct boot_entry *e,
		     const struct setup_header *h, gpa_t floor)
{
	struct boot_params p = { .hdr = *h, .acpi_rsdp_addr = r->rsdp };
	int rc;

	if ((rc = boot_put_cmdline(r, h->cmdline_size)) < 0 ||
	    (rc = boot_put_initrd(r, e, floor, (gpa_t)h->initrd_addr_max + 1)) < 0)
		return rc;
	put_e820(r, &p);
	p.hdr.type_of_loader = LOADER_UNDEFINED;
	/* There is no heap for real-mode code, and the kernel's own decompressor says whether its
	 * address is random. */
	p.hdr.loadflags &= (uint8_t) ~(CAN_USE_HEAP | KASLR_FLAG);
	p.hdr.cmd_line_ptr = BOOT_CMDLINE;
	p.hdr.ramdisk_image = (uint32_t)e->placed.initrd_start;
	p.hdr.ramdisk_size = (uint32_t)(e->placed.initrd_end - e->placed.initrd_start);
	p.hdr.setup_data = put_setup_data(r);
	memcpy(boot_table(r, BOOT_INFO), &p, sizeof(p));
	e->rsi = BOOT_INFO;
	return 0;
}

int vmlinux_load(const struct boot_request *r, struct boot_entry *e, const struct elf *elf)
{
	/* These are the values that a bzImage's header would have. */
	const struct setup_header h = {
		.boot_flag = 0xaa55,
		.header = 0x53726448, /* "HdrS" */
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.vid_mode = 0xffff,   /* "normal" */
		.cmdline_size = 2047, /* COMMAND_LINE_SIZE - 1 on x86 */
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
	};
	uint64_t entry;
	const char *why = elf_locate_entry(elf, &entry);
	int rc = why ? boot_refuse(r, "%s", why) : boot_put_segments(r, e, elf, entry);

	if (rc < 0)
		return rc;
	e->mode = BOOT_LONG64;
	e->rip = entry;
	snprintf(e->placed.how, sizeof(e->placed.how), "ELF, by its 64-bit entry point");
	return linux_put_params(r, e, &h, e->placed.kernel_end);
}
