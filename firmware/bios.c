/* SPDX-License-Identifier: BSD-2-Clause */
#include "bios.h"

#include <errno.h>

#include "vmm/log.h"

int bios_build(const struct gmem *mem, uint16_t port, uint8_t value)
{
	const uint8_t code[16] = {
		0xba, (uint8_t)port, (uint8_t)(port >> 8), /* mov dx, port */
		0xb0, value,                               /* mov al, value */
		0xee,                                      /* out dx, al */
		0xfa,                                      /* cli */
		0xf4,                                      /* hlt */
		0xeb, 0xfd,                                /* jmp to hlt */
	};

	if (gmem_write(mem, BIOS_ENTRY, code, sizeof(code)) < 0)
		return log_ret(-EFAULT, "bios: no guest memory at its entry point");
	return 0;
}
