/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formats and their sources: gzip (RFC 1952), xz and lzma (the .lzma of LZMA Utils), zstd (RFC
 * 8878), LZ4's legacy frame (lz4_Frame_format.md, "Legacy frame"; what `lz4 -l` writes), bzip2,
 * lzop 1.0x. Each function checks the checksums that its library checks. The two formats that are
 * parsed here (lzop, and LZ4's legacy frame, which has no checksums) are checked by their lengths
 * only, as in Linux's own decompressor.
 */
#include "decompress.h"

#include <errno.h>

#ifdef HAVE_ZLIB
#include <zlib.h>

static int unpack_gzip(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	z_stream z = { .next_in = (uint8_t *)src, .next_out = dst };
	int rc;

	if (len > UINT32_MAX || dst_len > UINT32_MAX)
		return -EINVAL;
	z.avail_in = (uInt)len;
	z.avail_out = (uInt)dst_len;
	if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) /* + 16: with gzip's header */
		return -ENOMEM;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	return rc == Z_STREAM_END && !z.avail_out ? 0 : -EINVAL;
}

/* RFC 1952 §2.3.1: ISIZE is the last word. */
static int length_gzip(const uint8_t *src, size_t len, uint64_t *length)
{
	if (len < 18)
		return -EINVAL;
	*length = load_le(src + len - 4, 4);
	return 0;
}
#else
#define unpack_gzip NULL
#define length_gzip NULL
#endif

#ifdef HAVE_LZMA
#include <lzma.h>

/* Unpacks .xz and .lzma. The file chooses the size of its dictionary; Linux's build makes 128 MiB
 * at most. */
static int unpack_lzma(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret rc = lzma_auto_decoder(&s, 192 * MIB, 0);

	if (rc != LZMA_OK)
		return -ENOMEM;
	s.next_in = src;
	s.avail_in = len;
	s.next_out = dst;
	s.avail_out = dst_len;
	rc = lzma_code(&s, LZMA_FINISH);
	lzma_end(&s);
	if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR)
		return -ENOMEM;
	return rc == LZMA_STREAM_END && !s.avail_out ? 0 : -EINVAL;
}

/* The index has the sizes of all blocks; the footer says how large the index is. */
static int length_xz(const uint8_t *src, size_t len, uint64_t *length)
{
	uint64_t memory = 16 * MIB;
	lzma_stream_flags flags;
	lzma_index *index;
	size_t at = 0;

	if (len < 2 * LZMA_STREAM_HEADER_SIZE)
		return -EINVAL;
	len -= LZMA_STREAM_HEADER_SIZE;
	if (lzma_stream_footer_decode(&flags, src + len) != LZMA_OK || flags.backward_size > len ||
	    lzma_index_buffer_decode(&index, &memory, NULL, src + len - flags.backward_size, &at,
				     flags.backward_size) != LZMA_OK)
		return -EINVAL;
	*length = lzma_index_uncompressed_size(index);
	lzma_index_end(index, NULL);
	return 0;
}
#else
#define unpack_lzma NULL
#define length_xz   NULL
#endif

#ifdef HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>

static int unpack_zstd(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	size_t n = ZSTD_findFrameCompressedSize(src, len);

	if (ZSTD_isError(n))
		return -EINVAL;
	n = ZSTD_decompress(dst, dst_len, src, n);
	if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return -ENOMEM;
	return n == dst_len ? 0 : -EINVAL; /* an error code is larger than any length */
}

static int length_zstd(const uint8_t *src, size_t len, uint64_t *length)
{
	unsigned long long n = ZSTD_getFrameContentSize(src, len);

	if (n == ZSTD_CONTENTSIZE_UNKNOWN || n == ZSTD_CONTENTSIZE_ERROR)
		return -EINVAL;
	*length = n;
	return 0;
}
#else
#define unpack_zstd NULL
#define length_zstd NULL
#endif

#ifdef HAVE_LZ4
#include <lz4.h>
#include <sched.h>
#include <stdlib.h>

#include "vmm/thread.h"

#define LZ4_LEGACY_MAGIC 0x184c2102
#define LZ4_LEGACY_BLOCK (8 * MIB)
#define LZ4_MAX_THREADS  8

struct lz4_block {
	const uint8_t *src;
	uint32_t len;
};

/* Finds the next block. Returns 1; 0: there is none; or -EINVAL. Nothing marks the end: a last word
 * with nothing after it is the size that Linux's build appends. */
static int lz4_next(const uint8_t **src, size_t *len, struct lz4_block *b)
{
	while (*len > 4) {
		uint32_t n = (uint32_t)load_le(*src, 4);

		*src += 4;
		*len -= 4;
		if (n == LZ4_LEGACY_MAGIC)
			continue;
		if (n > *len || n > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK))
			return -EINVAL;
		*b = (struct lz4_block){ *src, n };
		*src += n;
		*len -= n;
		return 1;
	}
	return 0;
}

/* Returns how many bytes came out, at most room, or a number below 0. */
static int lz4_unpack_block(const struct lz4_block *b, uint8_t *dst, size_t room)
{
	return LZ4_decompress_safe((const char *)b->src, (char *)dst, (int)b->len,
				   (int)min(room, (size_t)LZ4_LEGACY_BLOCK));
}

static int lz4_one_after_the_other(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	struct lz4_block b;
	int rc;

	while ((rc = lz4_next(&src, &len, &b)) > 0) {
		int out = lz4_unpack_block(&b, dst, dst_len);

		if (out < 0)
			return -EINVAL;
		dst += out;
		dst_len -= (size_t)out;
	}
	return rc < 0 || dst_len ? -EINVAL : 0;
}

/* Blocks that threads take one by one. Each but the last gives 8 MiB, so it is known where they
 * go. */
struct lz4_job {
	struct lz4_block *block;
	unsigned nr, next; /* next and bad are atomic */
	bool bad;
	uint8_t *dst;
	size_t dst_len;
};

static void *lz4_work(void *arg)
{
	struct lz4_job *j = arg;
	unsigned i;

	while ((i = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED)) < j->nr) {
		const size_t at = (size_t)i * LZ4_LEGACY_BLOCK;
		const size_t room = min(j->dst_len - at, (size_t)LZ4_LEGACY_BLOCK);

		if (lz4_unpack_block(&j->block[i], j->dst + at, room) != (int)room)
			__atomic_store_n(&j->bad, true, __ATOMIC_RELAXED);
	}
	return NULL;
}

static unsigned lz4_threads(unsigned blocks)
{
	cpu_set_t cpus;
	unsigned nr = 1;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		nr = (unsigned)CPU_COUNT(&cpus);
	return min(nr, blocks);
}

/* Returns false if the blocks have other sizes, or are damaged. */
static bool lz4_at_once(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	const size_t nr = (dst_len + LZ4_LEGACY_BLOCK - 1) / LZ4_LEGACY_BLOCK;
	struct lz4_job j = { .dst = dst, .dst_len = dst_len };
	pthread_t thread[LZ4_MAX_THREADS - 1];
	unsigned started = 0, threads = lz4_threads((unsigned)min(nr, (size_t)LZ4_MAX_THREADS));
	struct lz4_block b;

	if (threads < 2)
		return false;
	j.block = calloc(nr, sizeof(*j.block));
	while (j.block && j.nr < nr && lz4_next(&src, &len, &b) > 0)
		j.block[j.nr++] = b;
	j.bad = j.nr != nr || len > 4;
	while (!__atomic_load_n(&j.bad, __ATOMIC_RELAXED) && started < threads - 1 &&
	       thread_start(&thread[started], "unpack", lz4_work, &j) == 0)
		started++;
	if (!__atomic_load_n(&j.bad, __ATOMIC_RELAXED))
		lz4_work(&j);
	while (started)
		pthread_join(thread[--started], NULL);
	free(j.block);
	return !j.bad;
}

static int unpack_lz4(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	if (lz4_at_once(src, len, dst, dst_len))
		return 0;
	return lz4_one_after_the_other(src, len, dst, dst_len);
}
#else
#define unpack_lz4 NULL
#endif

#ifdef HAVE_BZIP2
#include <bzlib.h>

static int unpack_bzip2(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	unsigned n = (unsigned)dst_len;
	int rc;

	if (len > UINT32_MAX || dst_len > UINT32_MAX)
		return -EINVAL;
	rc = BZ2_bzBuffToBuffDecompress((char *)dst, &n, (char *)src, (unsigned)len, 0, 0);
	if (rc == BZ_MEM_ERROR)
		return -ENOMEM;
	return rc == BZ_OK && n == dst_len ? 0 : -EINVAL;
}
#else
#define unpack_bzip2 NULL
#endif

#ifdef HAVE_LZO
#include <lzo/lzo1x.h>

#define LZOP_ADLER32_D   (1u << 0) /* a checksum of each block unpacked, … */
#define LZOP_ADLER32_C   (1u << 1) /* … and packed */
#define LZOP_EXTRA_FIELD (1u << 6)
#define LZOP_CRC32_D     (1u << 8)
#define LZOP_CRC32_C     (1u << 9)
#define LZOP_FILTER      (1u << 11)

/* Reads a big-endian number and removes it from the front. Returns -1 if there are too few
 * bytes. */
static int64_t eat_be(const uint8_t **p, size_t *len, unsigned size)
{
	int64_t v = 0;

	if (*len < size)
		return -1;
	for (unsigned i = 0; i < size; i++)
		v = v << 8 | (*p)[i];
	*p += size;
	*len -= size;
	return v;
}

static bool skip(const uint8_t **p, size_t *len, uint64_t n)
{
	if (n > *len)
		return false;
	*p += n;
	*len -= n;
	return true;
}

/* Skips lzop's file header, up to the first block. Returns the flags, or -1. */
static int64_t eat_lzop_header(const uint8_t **p, size_t *len)
{
	int64_t version, flags, n;

	if (!skip(p, len, 9) || (version = eat_be(p, len, 2)) < 0x940)
		return -1; /* 0x940: the first version that has all the fields below */
	/* the library's version, the version needed, method, level */
	if (!skip(p, len, 2 + 2 + 1 + 1) || (flags = eat_be(p, len, 4)) < 0)
		return -1;
	/* filter, mode, modification time, name, checksum of the header */
	if ((flags & LZOP_FILTER && !skip(p, len, 4)) || !skip(p, len, 4 + 8) ||
	    (n = eat_be(p, len, 1)) < 0 || !skip(p, len, (uint64_t)n + 4))
		return -1;
	if (flags & LZOP_EXTRA_FIELD &&
	    ((n = eat_be(p, len, 4)) < 0 || !skip(p, len, (uint64_t)n + 4)))
		return -1;
	return flags;
}

static int unpack_lzo(const uint8_t *src, size_t len, uint8_t *dst, size_t dst_len)
{
	int64_t flags = eat_lzop_header(&src, &len), out, in;

	if (flags < 0)
		return -EINVAL;
	const unsigned sums_d = !!(flags & LZOP_ADLER32_D) + !!(flags & LZOP_CRC32_D);
	const unsigned sums_c = !!(flags & LZOP_ADLER32_C) + !!(flags & LZOP_CRC32_C);

	while ((out = eat_be(&src, &len, 4)) > 0) {
		in = eat_be(&src, &len, 4);
		/* A block that didn't shrink is stored, and has only the first kind of checksum. A
		 * missing length (-1) is too long. */
		if (!skip(&src, &len, 4 * (sums_d + (in < out ? sums_c : 0))) ||
		    (uint64_t)in > len || (uint64_t)out > dst_len)
			return -EINVAL;
		lzo_uint n = (lzo_uint)out;

		if (in == out)
			memcpy(dst, src, n);
		else if (lzo1x_decompress_safe(src, (lzo_uint)in, dst, &n, NULL) != LZO_E_OK ||
			 n != (lzo_uint)out)
			return -EINVAL;
		src += in;
		len -= (size_t)in;
		dst += out;
		dst_len -= (size_t)out;
	}
	return out || dst_len ? -EINVAL : 0;
}
#else
#define unpack_lzo NULL
#endif

/* clang-format off */
static const struct codec codecs[] = {
	{ "gzip",  "zlib",    { "\x1f\x8b", 2 },          unpack_gzip, length_gzip },
	{ "xz",    "liblzma", { "\xfd" "7zXZ\0", 6 },     unpack_lzma, length_xz },
	{ "lzma",  "liblzma", { "\x5d\0\0", 3 },          unpack_lzma, NULL },
	{ "zstd",  "libzstd", { "\x28\xb5\x2f\xfd", 4 },  unpack_zstd, length_zstd },
	{ "lz4",   "liblz4",  { "\x02\x21\x4c\x18", 4 },  unpack_lz4, NULL },
	{ "bzip2", "libbz2",  { "BZh", 3 },               unpack_bzip2, NULL },
	{ "lzo",   "liblzo2", { "\x89LZO\0\r\n\x1a\n", 9 }, unpack_lzo, NULL },
};
/* clang-format on */

const struct codec *codec_find(const void *src, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (len >= codecs[i].magic.len &&
		    !memcmp(src, codecs[i].magic.bytes, codecs[i].magic.len))
			return &codecs[i];
	return NULL;
}
