/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts that a kernel is booted from, and where they went, whatever the architecture. */
#pragma once

#include "vmm/mem.h"

#define BOOT_RNG_SEED_LEN 32
#define BOOT_PAGE         4096ull /* what an image is made of */

/* A kernel as it lies in guest memory before it runs: enough to place it another time without
 * unpacking its file, by copying or mapping the pages of [start, end). Plain data. */
struct boot_image {
	gpa_t start, end;               /* whole pages; equal: this kernel has no such image */
	gpa_t kernel_start, kernel_end; /* what isn't in the pages is zero */
	gpa_t room_start, room_end; /* RAM that unpacking takes, so that the guest must have it */
	gpa_t entry;
	gpa_t floor;       /* an initrd lies above */
	uint64_t head_len; /* of the file's first bytes, which are still needed */
};

struct boot_request {
	/* One region begins at 0. It is zeroed, except for the pages of image, which are there. */
	const struct gmem *mem;
	const struct boot_image *image; /* NULL: the kernel comes from its file, as a whole */
	const uint8_t *kernel; /* the file's bytes, which are not text; of an image, its head */
	size_t kernel_len;
	const char *kernel_name; /* for messages */
	const void *initrd;      /* NULL: none */
	size_t initrd_len;
	const char *initrd_name;
	const char *cmdline;   /* "" for none */
	bool kaslr;            /* let the kernel unpack itself and choose its address */
	gpa_t rsdp;            /* where ACPI's tables begin; 0: there are none */
	gpa_t reserved;        /* device registers in the 32-bit hole, for the memory map */
	uint64_t reserved_len; /* 0: none */
	uint8_t rng_seed[BOOT_RNG_SEED_LEN];
};

/* Where kernel and initrd are, and how they came there. */
struct boot_placed {
	gpa_t kernel_start, kernel_end;
	gpa_t initrd_start, initrd_end; /* equal: there is none */
	gpa_t entry;                    /* where the first processor starts */
	struct boot_image image;        /* of the kernel, if there can be one */

	/* For messages: --dry-run, --stats and the benchmarks. */
	char how[96];                     /* "bzImage, lz4 payload unpacked by minivmm" */
	const char *mode;                 /* of the processor there: "64-bit mode" */
	uint64_t decompress_ns, place_ns; /* placing: everything that isn't decompressing */
};
