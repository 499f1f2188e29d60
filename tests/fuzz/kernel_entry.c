/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries of the cache of kernels: the first byte says whether the header's checksum is made right,
 * then come the header's numbers, the length of the file that has it, and the head of the kernel's
 * file. What is right is loaded into guest RAM that is surrounded by inaccessible memory.
 * make-kernel-entry-seeds makes corpus/kernel_entry.
 */
#include "kernels/entry.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "x86/boot.h"

#define RAM   (32 * MIB)
#define GUARD (1 * MIB)

static uint8_t *ram(void)
{
	static uint8_t *p;

	if (p)
		return p;
	p = mmap(NULL, RAM + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	assert(p != MAP_FAILED);
	p += GUARD;
	assert(mprotect(p, RAM, PROT_READ | PROT_WRITE) == 0);
	return p;
}

/* Checks the places at which its pages would be mapped and its head would be read. */
static void check_entry(const struct entry *e, uint64_t len)
{
	assert(e->image_at <= len && e->image.end > e->image.start);
	assert(e->image.end - e->image.start == len - e->image_at);
	assert(e->file_len <= e->image_at - ENTRY_FILE && e->image.head_len <= e->file_len);
	assert(e->image.head_len <= ENTRY_HEAD_MAX);
	assert(e->image_at % 4096 == 0 && e->image.start % 4096 == 0);
}

static void load(const struct entry *e, const uint8_t *head)
{
	struct gmem mem = { 0 };
	struct boot_entry entry;
	const struct boot_request r = {
		.mem = &mem,
		.image = &e->image,
		.kernel = head,
		.kernel_len = e->image.head_len,
		.kernel_name = "kernel",
		.cmdline = "quiet",
	};

	assert(gmem_add(&mem, 0, RAM, ram()) == 0);
	if (!boot_image_fits(&e->image, &mem))
		return;
	assert(gmem_slice(&mem, e->image.start, e->image.end - e->image.start));
	if (boot_load(&r, &entry) < 0)
		return;
	if (entry.placed.image.end == 0) /* an ELF file is not looked at like that */
		assert(gmem_slice(&mem, entry.rip, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	const bool right = fuzz_number(&in, 1) & 1;
	uint8_t header[ENTRY_FILE], *head;
	struct entry e, got;
	uint64_t size;

	fuzz_take(&in, &e, sizeof(e));
	size = fuzz_number(&in, 8);
	entry_write(&e, header);
	if (!right) /* anything but a header */
		memcpy(header, data, min(len, sizeof(header)));
	if (!entry_read(&got, header, size))
		return 0;
	check_entry(&got, size);
	head = calloc(got.image.head_len, 1);
	memcpy(head, in.data, min(in.len, (size_t)got.image.head_len));
	load(&got, head);
	free(head);
	return 0;
}
