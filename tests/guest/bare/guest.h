/* SPDX-License-Identifier: BSD-2-Clause */
/* The means of a bare-metal guest: ports, device memory, a console, and a way out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void guest(void);

#define COM1       0x3f8
#define DEBUG_EXIT 0xf4
#define VIRTIO(n)  ((volatile uint32_t *)(0xd0000000ul + 0x1000 * (n)))

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void print(const char *s)
{
	for (; *s; s++)
		out8(COM1, (uint8_t)*s);
}
static inline void print_hex(uint64_t v)
{
	print("0x");
	for (int shift = 60; shift >= 0; shift -= 4)
		if (v >> shift || shift == 0)
			out8(COM1, (uint8_t) "0123456789abcdef"[v >> shift & 15]);
}

/* Ends the VM with exit status (v << 1) | 1. */
static inline _Noreturn void leave(uint8_t v)
{
	out8(DEBUG_EXIT, v);
	for (;;)
		;
}

/* If got is not what was wanted, prints it and ends with status 99. */
static inline void expect(const char *what, uint64_t got, uint64_t wanted)
{
	if (got == wanted)
		return;
	print(what);
	print(": got ");
	print_hex(got);
	print(", wanted ");
	print_hex(wanted);
	print("\n");
	leave(49);
}
