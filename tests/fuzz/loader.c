/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads kernel images of every kind into guest RAM that is surrounded by inaccessible memory. The
 * first byte says how the machine is made, the rest is the file. make-loader-seeds makes
 * corpus/loader.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "x86/boot.h"
#include "fuzz.h"

#define RAM   (8 * MIB)
#define GUARD (1 * MIB)

/* The same RAM for all inputs: only what is asserted below must be fresh. */
static uint8_t *ram(void)
{
	static uint8_t *p;

	if (p)
		return p;
	p = mmap(NULL, RAM + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(p != MAP_FAILED);
	p += GUARD;
	assert(mprotect(p, RAM, PROT_READ | PROT_WRITE) == 0);
	return p;
}

static void check(const struct boot_request *r, const struct boot_entry *e)
{
	assert(gmem_slice(r->mem, e->rip, 1));
	assert(e->placed.kernel_start < e->placed.kernel_end &&
	       gmem_slice(r->mem, e->placed.kernel_end - 1, 1));
	assert(e->rip >= e->placed.kernel_start && e->rip < e->placed.kernel_end);
	if (!r->initrd)
		return;
	assert(e->placed.initrd_end - e->placed.initrd_start == r->initrd_len);
	assert(e->placed.initrd_start >= e->placed.kernel_end && e->placed.initrd_start >= MIB);
	assert(!memcmp(gmem_slice(r->mem, e->placed.initrd_start, r->initrd_len), r->initrd,
		       r->initrd_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t initrd[3 * 4096] = "initrd", zeroes[MIB - 0x9fc00];
	struct fuzz_in in = { data, len };
	uint8_t how = (uint8_t)fuzz_number(&in, 1);
	struct gmem mem = { 0 };
	struct boot_entry e;
	struct boot_request r = {
		.mem = &mem,
		.kernel = in.data,
		.kernel_len = in.len,
		.kernel_name = "kernel",
		.initrd = how & 1 ? initrd : NULL,
		.initrd_len = sizeof(initrd),
		.initrd_name = "initrd",
		.cmdline = "quiet",
		.kaslr = how & 2,
	};

	assert(gmem_add(&mem, 0, RAM, ram()) == 0);
	if (how & 4)
		assert(gmem_add(&mem, 4 * GIB, RAM / 2, ram() + RAM / 2) == 0);
	(void)boot_is_linux(&r);
	if (boot_load(&r, &e) == 0)
		check(&r, &e);
	/* A loader never writes where firmware's tables are. */
	assert(!memcmp(ram() + 0x9fc00, zeroes, sizeof(zeroes)));
	return 0;
}
