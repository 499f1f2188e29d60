/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/entry.h"

/* It changes with the format, and with what firmware/ leaves in memory for the same file. */
#define MAGIC     "minivmm kernel 1"
#define MAGIC_LEN 16
#define LARGE     (2 * MIB)
#define LANES     4

struct header {
	char magic[MAGIC_LEN];
	struct entry e;
	uint64_t sum; /* of all that comes before */
};
_Static_assert(sizeof(struct header) <= ENTRY_FILE, "one page");
_Static_assert(sizeof(struct entry) == 13 * sizeof(uint64_t), "without padding");

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull; /* 2^64 over the golden ratio: odd, bits well spread */
	return h ^ h >> 29;
}

/* Several sums side by side, because one multiplication has to wait for the one before. */
uint64_t entry_sum(const uint8_t *data, uint64_t len)
{
	uint64_t lane[LANES] = { 1, 2, 3, 4 }, sum = len, at = 0, v;

	for (; len - at >= sizeof(lane); at += sizeof(lane)) {
		for (unsigned i = 0; i < LANES; i++) {
			memcpy(&v, data + at + i * sizeof(v), sizeof(v));
			lane[i] = mix(lane[i], v);
		}
	}
	for (; at < len; at++)
		sum = mix(sum, data[at]);
	for (unsigned i = 0; i < LANES; i++)
		sum = mix(sum, lane[i]);
	return sum;
}

static uint64_t image_len(const struct entry *e)
{
	return e->image.end - e->image.start;
}

uint64_t entry_len(const struct entry *e)
{
	return e->image_at + image_len(e);
}

struct entry entry_of(const struct boot_image *i, const uint8_t *file, uint64_t file_len,
		      uint64_t id)
{
	return (struct entry){
		.image = *i,
		.file_len = file_len,
		.head_sum = entry_sum(file, i->head_len),
		.image_at = align_up(ENTRY_FILE + file_len, LARGE) + i->start % LARGE,
		.id = id,
	};
}

void entry_write(const struct entry *e, uint8_t header[ENTRY_FILE])
{
	struct header h = { .magic = MAGIC, .e = *e };

	h.sum = entry_sum((const uint8_t *)&h, offsetof(struct header, sum));
	memset(header, 0, ENTRY_FILE);
	memcpy(header, &h, sizeof(h));
}

/* Ranges in subtracting form: nothing here wraps. */
static bool is_sound(const struct entry *e, uint64_t len)
{
	const struct boot_image *i = &e->image;

	return (i->start | i->end) % BOOT_PAGE == 0 && i->start < i->end &&
	       e->image_at % BOOT_PAGE == 0 && e->image_at <= len && e->image_at >= ENTRY_FILE &&
	       image_len(e) == len - e->image_at && e->file_len <= e->image_at - ENTRY_FILE &&
	       i->head_len && i->head_len <= ENTRY_HEAD_MAX && i->head_len <= e->file_len;
}

bool entry_read(struct entry *e, const uint8_t header[ENTRY_FILE], uint64_t len)
{
	struct header h;

	memcpy(&h, header, sizeof(h));
	*e = h.e;
	return !memcmp(h.magic, MAGIC, MAGIC_LEN) &&
	       h.sum == entry_sum((const uint8_t *)&h, offsetof(struct header, sum)) &&
	       is_sound(e, len);
}
