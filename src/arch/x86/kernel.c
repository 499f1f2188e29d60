/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads x86's kernels; reads what they say of themselves, and what they leave in memory. */
#include "arch/arch.h"
#include "arch/x86/layout.h"
#include "board.h"
#include "x86/bios.h"
#include "x86/boot.h"

int board_load_kernel(struct board *b, const struct boot_request *r, struct boot_placed *placed)
{
	struct boot_request request = *r;
	int rc;

	request.rsdp = BOARD_ACPI;
	rc = boot_load(&request, &b->entry);
	*placed = b->entry.placed;
	return rc;
}

bool kernel_image_fits(const struct boot_image *i, const struct gmem *mem)
{
	return boot_image_fits(i, mem);
}

int kernel_unpack(const struct boot_request *r, struct boot_image *i)
{
	struct boot_entry entry;
	int rc = boot_load(r, &entry);

	*i = entry.placed.image;
	return rc;
}

bool kernel_is_linux(const struct boot_request *r)
{
	return boot_is_linux(r);
}

bool kernel_release(const uint8_t *file, size_t len, char release[KERNEL_RELEASE_MAX])
{
	size_t at, n = 0;

	/* This is a bzImage's kernel_version (arch/x86/boot.rst): "6.1.0-56-cloud-amd64 (…". */
	if (len < 0x1000 || memcmp(file + 0x202, "HdrS", 4))
		return false;
	at = load_le(file + 0x20e, 2) + 0x200;
	while (n < KERNEL_RELEASE_MAX && at < len && file[at] > ' ' && file[at] < 0x7f &&
	       file[at] != '/')
		release[n++] = (char)file[at++];
	if (n == 0 || n == KERNEL_RELEASE_MAX || at >= len || release[0] == '.')
		return false;
	release[n] = '\0';
	return true;
}

bool kernel_left_panic(const struct gmem *mem)
{
	le16_t flag;

	return gmem_read(mem, BIOS_RESET_FLAG, &flag, sizeof(flag)) == 0 &&
	       le16(flag) == BIOS_WARM_BOOT;
}
