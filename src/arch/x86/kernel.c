/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads what x86's kernels say of themselves, and what they leave in memory. */
#include "arch/arch.h"
#include "x86/bios.h"

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
