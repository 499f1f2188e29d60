/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The format of a file that keeps a kernel as guest memory has it before it runs:
 *
 *   0           header: one page
 *   ENTRY_FILE  the kernel's file, as a whole; its head is what a start needs of it
 *   image_at    the pages of guest memory. image_at and their guest address are the same modulo 2
 *               MiB, so that large pages of the page cache fit
 *
 * Only the machine that wrote it reads it, so numbers are in its byte order. The header's checksum
 * finds one that is damaged or of another version. But it keeps nobody from forging one, so
 * everything in it is checked before it is used.
 */
#pragma once

#include "common/boot.h"

#define ENTRY_FILE     4096ull
#define ENTRY_HEAD_MAX (256 * KIB)

struct entry {
	struct boot_image image;
	uint64_t file_len; /* of the kernel's file */
	uint64_t head_sum; /* entry_sum() of image.head_len bytes of it */
	uint64_t image_at;
	uint64_t id; /* random: no other entry has it, whatever it is named */
};

/* Returns the entry for an image of that file. */
struct entry entry_of(const struct boot_image *i, const uint8_t *file, uint64_t file_len,
		      uint64_t id);

/* Returns how long its file is. */
uint64_t entry_len(const struct entry *e);

/* Writes its header. */
void entry_write(const struct entry *e, uint8_t header[ENTRY_FILE]);

/* Reads the header of a file of len bytes. Returns false if it is damaged: then *e is unspecified.
 * Otherwise the parts lie inside the file. Whether the image can be placed in guest memory is not
 * checked here, but by kernel_image_fits(). */
bool entry_read(struct entry *e, const uint8_t header[ENTRY_FILE], uint64_t len) __must_check;

/* A checksum against accidents. It is no protection from people: whoever wants to can find other
 * bytes with the same sum. */
uint64_t entry_sum(const uint8_t *data, uint64_t len);
