/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a measuring guest has: its parameters, a clock, memory, and lines of results. It is a
 * bare-metal guest (tests/guest/bare/start.S), so minivmm and QEMU run the same image at the
 * processor's own speed, even on a KVM without VT-x and AMD-V.
 *
 * A work is one file here, with guest() in it, and a name in meson.build. It measures by itself,
 * and ends by finish().
 *
 * Parameters are words of the kernel's command line, "depth=32 size=4K". Results are lines
 * "KEY VALUE" on the serial port, one for each repetition; the host takes medians. Times are
 * cycles of the TSC. By hand:
 *
 *   minivmm --kernel build/tests/bench/native/block.bin --debug-exit --transport mmio \
 *       --disk disk.img --append 'op=read order=random depth=32'
 *   qemu-system-x86_64 -M microvm,accel=kvm,pcie=off -cpu qemu64,check=off -nodefaults \
 *       -no-user-config -global virtio-mmio.force-legacy=false -display none -serial stdio \
 *       -device isa-debug-exit,iobase=0xf4 -kernel build/tests/bench/native/block.bin \
 *       -drive id=d,file=disk.img,format=raw,if=none -device virtio-blk-device,drive=d \
 *       -append 'op=read order=random depth=32'
 *
 * pcie=on and -device virtio-blk-pci,disable-legacy=on are for PCI. QEMU's other machines run these
 * guests, too, but without VT-x and AMD-V their firmware takes seconds, and PCI is elsewhere.
 */
#pragma once

#include <stdbool.h>

#include "../../guest/bare/guest.h"

/* Returns the number after "key=" on the command line, which may have K or M after it; without such
 * a word, returns otherwise. */
uint64_t param(const char *key, uint64_t otherwise);
/* Whether the command line has the word "key=value". */
bool param_is(const char *key, const char *value);

/* Returns the time stamp counter, when all instructions before this have been executed. */
static inline uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}
static inline void relax(void)
{
	__builtin_ia32_pause();
}

/* Zeroed, written to (so that the host has given it), on a page of its own; it is never freed. Ends
 * the guest when memory has run out. */
void *alloc(size_t len);

/* The next of a fixed sequence of numbers that look random. */
uint64_t random_next(void);

/* A line "KEY VALUE". */
void report(const char *key, uint64_t value);
/* Prints what is wrong and ends the guest with status 99. */
_Noreturn void fail(const char *what);
/* Ends the guest with status 33. */
_Noreturn void finish(void);
