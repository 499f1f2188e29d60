/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/bios.h"

#include "x86/boot_impl.h"

/* The part of 0x400 to 0x4ff that has a meaning here. */
struct data_area {
	le16_t com[4], lpt[3]; /* ports */
	le16_t ebda;           /* segment */
	le16_t equipment;
	uint8_t test;
	uint8_t memory_kib[2]; /* below the EBDA; unaligned */
	/* Keyboard, floppy, display, cassette, ticks since midnight. */
	uint8_t input[0x472 - 0x415];
	le16_t reset_flag;
	uint8_t hard_disk_status, nr_hard_disks;
	uint8_t rest[0x500 - 0x476];
};
_Static_assert(offsetof(struct data_area, reset_flag) == BIOS_RESET_FLAG - 0x400, "by its address");
_Static_assert(sizeof(struct data_area) == 0x100, "0x400 to 0x4ff");

enum { EQUIPMENT_FPU = 1 << 1, EQUIPMENT_ONE_COM = 1 << 9 };

/* Memory ends where every kind of memory map lets it end (BOOT_EBDA). */
static int put_data_area(const struct gmem *mem, const struct bios_config *c)
{
	struct data_area d = {
		.com = { to_le16(c->com1_port) },
		.ebda = to_le16(BOOT_EBDA >> 4),
		.equipment = to_le16(EQUIPMENT_FPU | (c->com1_port ? EQUIPMENT_ONE_COM : 0)),
	};
	const uint8_t ebda_kib = 1; /* the EBDA's first byte is its size */
	int rc;

	store_le(d.memory_kib, 2, BOOT_EBDA / KIB);
	rc = gmem_write(mem, 0x400, &d, sizeof(d));
	return rc == 0 ? gmem_write(mem, BOOT_EBDA, &ebda_kib, 1) : rc;
}

static int put_interrupts(const struct gmem *mem)
{
	static const uint8_t code[11] = {
		0xb4, 0x86,             /* mov ah, 0x86 */
		0x55,                   /* push bp */
		0x89, 0xe5,             /* mov bp, sp */
		0x80, 0x4e, 0x06, 0x01, /* or byte [bp + 6], 1: the carry flag that iret takes */
		0x5d,                   /* pop bp */
		0xcf,                   /* iret */
	};
	const uint32_t service = 0xf000u << 16 | (BIOS_INTERRUPTS & 0xffff);
	const uint32_t nothing = service + sizeof(code) - 1; /* iret */
	le32_t vector[256];
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(vector); i++)
		vector[i] = to_le32(i >= 0x10 && i <= 0x1a ? service : nothing);
	rc = gmem_write(mem, 0, vector, sizeof(vector));
	return rc == 0 ? gmem_write(mem, BIOS_INTERRUPTS, code, sizeof(code)) : rc;
}

static int put_entry(const struct gmem *mem, const struct bios_config *c)
{
	const uint8_t code[16] = {
		0xba,
		(uint8_t)c->reset_port,
		(uint8_t)(c->reset_port >> 8), /* mov dx, port */
		0xb0,
		c->reset_value, /* mov al, value */
		0xee,           /* out dx, al */
		0xfa,           /* cli */
		0xf4,           /* hlt */
		0xeb,
		0xfd, /* jmp to hlt */
	};

	return gmem_write(mem, BIOS_ENTRY, code, sizeof(code));
}

int bios_build(const struct gmem *mem, const struct bios_config *c)
{
	if (put_data_area(mem, c) < 0 || put_interrupts(mem) < 0 || put_entry(mem, c) < 0)
		return log_ret(-EFAULT, "bios: no guest memory where a BIOS's data is");
	return 0;
}
