/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fuzz target defines LLVMFuzzerTestOneInput(). With -Dfuzz=true it is linked with libFuzzer;
 * otherwise with replay.c, which runs every file of tests/fuzz/corpus/NAME through it as a plain test.
 */
#pragma once

#include "vmm/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The input is taken from the front; it reads as zeroes when it is used up. */
struct fuzz_in {
	const uint8_t *data;
	size_t len;
};

static inline void fuzz_take(struct fuzz_in *in, void *dst, size_t len)
{
	size_t n = min(len, in->len);

	memset(dst, 0, len);
	if (n)
		memcpy(dst, in->data, n);
	in->data += n;
	in->len -= n;
}

static inline uint64_t fuzz_number(struct fuzz_in *in, unsigned size)
{
	uint8_t bytes[8];

	fuzz_take(in, bytes, size);
	return load_le(bytes, size);
}

/* An operation of each virtio device's target, beside its own: driver_rest(). */
#define FUZZ_REST 0xff
