/* SPDX-License-Identifier: BSD-2-Clause */
/* A hand-made bzImage: inside is a vmlinux of three segments. */
#pragma once

#include <asm/bootparam.h>

#include "images.h"

/* The places of the setup header's fields (arch/x86/boot.rst), and our image's parts. */
#define SETUP_SECTS  0x1f1
#define SYSSIZE      0x1f4
#define BOOT_FLAG    0x1fe
#define HEADER_END   0x201
#define VERSION      0x206
#define VERSION_TEXT 0x20e
#define LOADFLAGS    0x211
#define CODE32_START 0x214
#define INITRD_MAX   0x22c
#define XLOADFLAGS   0x236
#define CMDLINE_SIZE 0x238
#define PAYLOAD_AT   0x248
#define PAYLOAD_LEN  0x24c
#define PREF_ADDRESS 0x258
#define INIT_SIZE    0x260
#define CODE         1024 /* in the file */
#define PAYLOAD      1024 /* in the code */

#define PREF (4 * MIB)
#define INIT (12 * MIB)
#define RAM  (32 * MIB)

/* The parts of a vmlinux as Linux links it: one 2 MiB into the file; one that has to move down by
 * less than its size; one that moves down further and has a bss. Between and after them are symbols
 * and the like. */
static const struct part parts[] = {
	{ PT_LOAD, 0x200000, PREF, 0x3000, 0x38000 },
	{ PT_LOAD, 0x240000, PREF + 0x38000, 0x9000, 0x9000 },
	{ PT_LOAD, 0x260000, PREF + 0x48000, 0x7000, 0x20000 },
};
#define VMLINUX_LEN 0x270000

static inline struct image vmlinux_new(void)
{
	struct part p[ARRAY_SIZE(parts)];

	memcpy(p, parts, sizeof(p));
	return elf64_new(PREF + 0x10, VMLINUX_LEN, p, ARRAY_SIZE(p));
}

/* Writes LZ4's legacy frame with one block of only literals, and the size. */
static inline size_t put_lz4(uint8_t *out, const struct image *f)
{
	uint8_t *p = out + 8;
	size_t n = f->len - 15;

	memcpy(out, "\x02\x21\x4c\x18", 4);
	*p++ = 0xf0;
	for (; n >= 255; n -= 255)
		*p++ = 255;
	*p++ = (uint8_t)n;
	memcpy(p, f->data, f->len);
	p += f->len;
	store_le(out + 4, 4, (uint64_t)(p - out - 8));
	store_le(p, 4, f->len);
	return (size_t)(p + 4 - out);
}

static inline void set(struct image *f, size_t at, unsigned size, uint64_t value)
{
	store_le(f->data + at, size, value);
}

static inline struct image bzimage_new(const struct image *vmlinux)
{
	struct image f = image_new(CODE + PAYLOAD + vmlinux->len + vmlinux->len / 200 + 64);
	size_t payload_len = put_lz4(f.data + CODE + PAYLOAD, vmlinux);

	for (size_t i = CODE; i < CODE + PAYLOAD; i++)
		f.data[i] = pattern(i);
	f.len = CODE + align_up(PAYLOAD + payload_len, 16);
	f.data = realloc(f.data, f.len);
	set(&f, SETUP_SECTS, 1, 1);
	set(&f, SYSSIZE, 4, (f.len - CODE) / 16);
	set(&f, BOOT_FLAG, 2, 0xaa55);
	set(&f, 0x200, 2, 0x6aeb); /* jmp to the end of the header */
	memcpy(f.data + 0x202, "HdrS", 4);
	set(&f, VERSION, 2, 0x020f);
	set(&f, LOADFLAGS, 1, LOADED_HIGH);
	set(&f, CODE32_START, 4, MIB);
	set(&f, INITRD_MAX, 4, 0x7fffffff);
	set(&f, XLOADFLAGS, 2, XLF_KERNEL_64);
	set(&f, CMDLINE_SIZE, 4, 2047);
	set(&f, PAYLOAD_AT, 4, PAYLOAD);
	set(&f, PAYLOAD_LEN, 4, payload_len);
	set(&f, PREF_ADDRESS, 8, PREF);
	set(&f, INIT_SIZE, 4, INIT);
	return f;
}
