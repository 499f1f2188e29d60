/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compressed formats in which Linux's build packs a kernel (scripts/Makefile.lib), one function
 * each, from memory to memory and bounded by the destination.
 */
#pragma once

#include "vmm/types.h"

struct codec {
	const char *name;    /* "gzip" */
	const char *library; /* the library that unpacks it: "zlib" */
	struct {
		const char *bytes;
		size_t len;
	} magic;
	/* Unpacks a stream that must give exactly dst_len bytes; what follows the stream (Linux's
	 * build appends the unpacked size) is ignored. Returns 0; -EINVAL: it is damaged, or has
	 * another length; or -ENOMEM. dst is written to in every case. NULL: built without the
	 * library. */
	int (*unpack)(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len);
	/* Finds the unpacked length that a file of one such stream, with nothing after it, claims.
	 * Returns 0 or -EINVAL. NULL: the format doesn't say. */
	int (*length)(const uint8_t *src, size_t len, uint64_t *length);
};

/* Returns the format that begins with these bytes, or NULL. */
const struct codec *codec_find(const void *src, size_t len);
