/* SPDX-License-Identifier: BSD-2-Clause */
/* Each format with a stream that its own tool made; damaged, cut short, and for another length. */
#include "decompress.h"

#include <errno.h>
#include <stdlib.h>

#include "streams.h"
#include "test.h"

#define LINE "minivmm boots Linux\n"
#define SIZE (300 * (sizeof(LINE) - 1))

/* trailer: bytes at the end that aren't needed, such as the unpacked size. */
static const struct stream {
	const char *name;
	const uint8_t *bytes;
	size_t len, trailer;
} streams[] = {
	{ "gzip", gzip_stream, sizeof(gzip_stream), 0 },
	{ "xz", xz_stream, sizeof(xz_stream), 4 },
	{ "lzma", lzma_stream, sizeof(lzma_stream), 4 },
	{ "zstd", zstd_stream, sizeof(zstd_stream), 4 },
	{ "lz4", lz4_stream, sizeof(lz4_stream), 4 },
	{ "bzip2", bzip2_stream, sizeof(bzip2_stream), 4 },
	{ "lzo", lzo_stream, sizeof(lzo_stream), 4 },
};

/* Unpacks a copy of src that ends where it ends, for ASan, into as much memory as there is room
 * for; libraries that ASan can't check must not write before it. Returns the result, and if that is
 * 0, checks that the output consists of the lines. */
static int unpack(const struct codec *codec, const uint8_t *src, size_t len, size_t room,
		  bool *lines)
{
	static const uint8_t untouched[64];
	uint8_t *in = malloc(len ?: 1), *before = calloc(1, sizeof(untouched) + room);
	uint8_t *out = before + sizeof(untouched);
	int rc;

	memcpy(in, src, len);
	rc = codec->unpack(in, len, out, room);
	*lines = rc == 0;
	for (size_t i = 0; i < room && *lines; i++)
		*lines = out[i] == LINE[i % (sizeof(LINE) - 1)];
	assert_memory_equal(before, untouched, sizeof(untouched));
	free(in);
	free(before);
	return rc;
}

static const struct codec *codec_of(const struct stream *s)
{
	const struct codec *codec = codec_find(s->bytes, s->len);

	assert_non_null(codec);
	assert_string_equal(codec->name, s->name);
	return codec;
}

static void unpacks_what_its_tool_made(void **state)
{
	const struct stream *s = *state;
	const struct codec *codec = codec_of(s);
	bool lines;

	assert_int_equal(unpack(codec, s->bytes, s->len, SIZE, &lines), 0);
	assert_true(lines);
}

static void another_length_is_refused(void **state)
{
	const struct stream *s = *state;
	const struct codec *codec = codec_of(s);
	const size_t rooms[] = { 0, 1, SIZE - 1, SIZE + 1, 2 * SIZE };
	bool lines;

	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++)
		assert_int_equal(unpack(codec, s->bytes, s->len, rooms[i], &lines), -EINVAL);
}

static void a_stream_cut_short_is_refused(void **state)
{
	const struct stream *s = *state;
	const struct codec *codec = codec_of(s);
	bool lines;

	for (size_t len = 0; len < s->len - s->trailer; len++)
		assert_int_equal(unpack(codec, s->bytes, len, SIZE, &lines), -EINVAL);
	assert_int_equal(unpack(codec, s->bytes, s->len - s->trailer, SIZE, &lines), 0);
	assert_true(lines);
}

/* Not every format has checksums, but none may read or write out of bounds. */
static void damage_is_survived(void **state)
{
	const struct stream *s = *state;
	const struct codec *codec = codec_of(s);
	uint8_t copy[256];
	unsigned refused = 0;
	bool lines;

	assert_true(s->len <= sizeof(copy));
	for (size_t i = 0; i < s->len; i++) {
		memcpy(copy, s->bytes, s->len);
		copy[i] ^= (uint8_t)(1 << i % 8);
		refused += unpack(codec, copy, s->len, SIZE, &lines) < 0;
	}
	assert_true(refused > 0);
}

static void nothing_begins_with_these(void **state __unused)
{
	assert_null(codec_find("", 0));
	assert_null(codec_find("\x1f", 1));
	assert_null(codec_find("\x7f"
			       "ELF\2\1\1",
			       7));
	assert_null(codec_find("\xfd"
			       "7zXZ",
			       5));
}

/* The legacy frame has blocks, and several frames may follow each other. */
static void lz4_blocks_follow_each_other(void **state __unused)
{
	const struct codec *codec = codec_of(&streams[4]);
	uint8_t in[4 * sizeof(lz4_stream)];
	const size_t block = sizeof(lz4_stream) - 4 - 4; /* without magic and size */
	size_t len = 0;
	bool lines;

	memcpy(in, lz4_stream, len = 4 + block);
	memcpy(in + len, lz4_stream + 4, block);
	len += block;
	memcpy(in + len, lz4_stream, 4 + block);
	len += 4 + block;
	assert_int_equal(unpack(codec, in, len, 3 * SIZE, &lines), 0);
	assert_true(lines);
	assert_int_equal(unpack(codec, in, len, 2 * SIZE, &lines), -EINVAL);
	/* A damaged block before good ones. */
	store_le(in + 4, 4, 5);
	memmove(in + 13, in + 4 + block, len - (4 + block));
	assert_int_equal(unpack(codec, in, len - block + 9, SIZE, &lines), -EINVAL);
}

/* Writes a block of c repeated size times, size more than 280: one literal, a match with the byte
 * before, and the five literals that end every block. Returns its length. */
static size_t lz4_block_of(uint8_t *at, uint8_t c, size_t size)
{
	size_t len = 4, left = size - 1 - 5 - 4 - 15;

	at[len++] = 0x1f;
	at[len++] = c;
	at[len++] = 1; /* offset */
	at[len++] = 0;
	for (; left >= 255; left -= 255)
		at[len++] = 255;
	at[len++] = (uint8_t)left;
	at[len++] = 0x50;
	memset(at + len, c, 5);
	len += 5;
	store_le(at, 4, len - 4);
	return len;
}

/* Blocks that threads share: each goes to its place, and a damaged or short one is found wherever
 * it is. */
static void lz4_blocks_at_once(void **state __unused)
{
	static const size_t last = 1 * MIB;
	const struct codec *codec = codec_of(&streams[4]);
	uint8_t *in = malloc(300000), *out = malloc(3 * 8 * MIB);
	size_t len = 4, begin[4];

	store_le(in, 4, 0x184c2102);
	for (unsigned i = 0; i < 3; i++) {
		begin[i] = len;
		len += lz4_block_of(in + len, (uint8_t)('a' + i), i < 2 ? 8 * MIB : last);
	}
	for (unsigned trailer = 0; trailer <= 4; trailer += 4) {
		memset(out, 0, 2 * 8 * MIB + last);
		assert_int_equal(codec->unpack(in, len + trailer, out, 2 * 8 * MIB + last), 0);
		for (size_t i = 0; i < 2 * 8 * MIB + last; i++)
			if (out[i] != 'a' + i / (8 * MIB))
				fail_msg("byte %zu", i);
	}
	assert_int_equal(codec->unpack(in, len, out, 2 * 8 * MIB + last + 1), -EINVAL);
	assert_int_equal(codec->unpack(in, len, out, 2 * 8 * MIB), -EINVAL);
	for (unsigned i = 0; i < 3; i++) {
		in[begin[i] + 6] ^= 3; /* a match with bytes that don't exist */
		assert_int_equal(codec->unpack(in, len, out, 2 * 8 * MIB + last), -EINVAL);
		in[begin[i] + 6] ^= 3;
	}
	/* Blocks of other sizes than 8 MiB, but otherwise right. */
	len = 4;
	len += lz4_block_of(in + len, 'a', 2 * MIB);
	len += lz4_block_of(in + len, 'b', 8 * MIB);
	assert_int_equal(codec->unpack(in, len, out, 10 * MIB), 0);
	assert_int_equal(out[2 * MIB - 1], 'a');
	assert_int_equal(out[2 * MIB], 'b');
	free(in);
	free(out);
}

#define LZOP_FLAGS  17
#define LZOP_MODE   21
#define LZOP_BLOCKS 38

/* A filter word, an extra field, four kinds of checksum; and a stored block after a packed one. */
static void lzop_headers_and_blocks_of_every_kind(void **state __unused)
{
	const struct codec *codec = codec_of(&streams[6]);
	const size_t head = LZOP_BLOCKS - LZOP_MODE, packed = 57;
	uint8_t in[2 * sizeof(lzo_stream)], *p = in;
	bool lines;

	memcpy(p, lzo_stream, LZOP_MODE);
	store_le(in + LZOP_FLAGS, 4, htobe32(0x03000b43));
	memset(p += LZOP_MODE, 0xee, 4); /* filter */
	memcpy(p += 4, lzo_stream + LZOP_MODE, head);
	memcpy(p += head, "\0\0\0\3extSUM!", 11);
	memcpy(p += 11, lzo_stream + LZOP_BLOCKS, 8);
	memset(p += 8, 0xcc, 16); /* checksums of the block unpacked (2) and packed (2) */
	memcpy(p += 16, lzo_stream + LZOP_BLOCKS + 12, packed);
	memcpy(p += packed, "\0\0\0\x14\0\0\0\x14SUM1SUM2" LINE, 36);
	memset(p += 36, 0, 4);
	assert_int_equal(unpack(codec, in, (size_t)(p + 4 - in), SIZE + 20, &lines), 0);
	assert_true(lines);
	/* A stored block that is cut, has no room, or claims to have grown. */
	assert_int_equal(unpack(codec, in, (size_t)(p - in) - 10, SIZE + 20, &lines), -EINVAL);
	assert_int_equal(unpack(codec, in, (size_t)(p + 4 - in), SIZE + 10, &lines), -EINVAL);
	p[-36 + 7] = 0x15;
	assert_int_equal(unpack(codec, in, (size_t)(p + 4 - in), SIZE + 20, &lines), -EINVAL);
}

/* A build without a format's library has none of its tests. */
static size_t add_tests(struct CMUnitTest *tests, const struct stream *s)
{
	const struct CMUnitTest each[] = {
		cmocka_unit_test(unpacks_what_its_tool_made),
		cmocka_unit_test(another_length_is_refused),
		cmocka_unit_test(a_stream_cut_short_is_refused),
		cmocka_unit_test(damage_is_survived),
	};

	if (!codec_of(s)->unpack)
		return 0;
	memcpy(tests, each, sizeof(each));
	for (size_t i = 0; i < ARRAY_SIZE(each); i++)
		tests[i].initial_state = (void *)s;
	return ARRAY_SIZE(each);
}

int main(void)
{
	const struct CMUnitTest lz4 = cmocka_unit_test(lz4_blocks_follow_each_other),
				lz4_threads = cmocka_unit_test(lz4_blocks_at_once);
	const struct CMUnitTest lzop = cmocka_unit_test(lzop_headers_and_blocks_of_every_kind);
	struct CMUnitTest tests[4 * ARRAY_SIZE(streams) + 4] = { cmocka_unit_test(
		nothing_begins_with_these) };
	size_t n = 1;

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		n += add_tests(&tests[n], &streams[i]);
	if (codec_of(&streams[4])->unpack) {
		tests[n++] = lz4;
		tests[n++] = lz4_threads;
	}
	if (codec_of(&streams[6])->unpack)
		tests[n++] = lzop;
	return _cmocka_run_group_tests("decompress", tests, n, NULL, NULL);
}
