/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest-endian integers, read-once loads and the few helpers that every module needs.
 *
 * A guest-endian integer is a type of its own, so that a forgotten conversion does not compile.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t gpa_t;         /* guest-physical address */
typedef unsigned long long ull; /* what %llu prints, for numbers of 64 bits */

/* These set one half of an address, which a driver writes in two halves. */
static inline void gpa_set_low(gpa_t *gpa, uint32_t v)
{
	*gpa = (*gpa & ~(uint64_t)UINT32_MAX) | v;
}
static inline void gpa_set_high(gpa_t *gpa, uint32_t v)
{
	*gpa = (*gpa & UINT32_MAX) | (uint64_t)v << 32;
}

typedef struct {
	uint16_t raw;
} le16_t;
typedef struct {
	uint32_t raw;
} le32_t;
typedef struct {
	uint64_t raw;
} le64_t;

static inline uint16_t le16(le16_t v)
{
	return le16toh(v.raw);
}
static inline uint32_t le32(le32_t v)
{
	return le32toh(v.raw);
}
static inline uint64_t le64(le64_t v)
{
	return le64toh(v.raw);
}
static inline le16_t to_le16(uint16_t v)
{
	return (le16_t){ htole16(v) };
}
static inline le32_t to_le32(uint32_t v)
{
	return (le32_t){ htole32(v) };
}
static inline le64_t to_le64(uint64_t v)
{
	return (le64_t){ htole64(v) };
}

/* These load the first size (1, 2, 4 or 8) bytes at p as a little-endian number, and store one. */
static inline uint64_t load_le(const void *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return le64toh(v);
}
static inline void store_le(void *p, unsigned size, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, size);
}

/* These access memory that the guest shares exactly once: without volatile the compiler may repeat
 * the access. */
#define LOAD_ONCE(p)     (*(const volatile __typeof__(*(p)) *)(p))
#define STORE_ONCE(p, v) (*(volatile __typeof__(*(p)) *)(p) = (v))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define min(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define max(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ > b_ ? a_ : b_;                                                                 \
	})
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define __must_check __attribute__((warn_unused_result))
#ifndef __unused
#define __unused __attribute__((unused))
#endif
#define __printf(fmt, args) __attribute__((format(printf, fmt, args)))

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

static inline bool is_power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}
/* Returns v rounded up to a multiple of align, a power of two. The caller knows that it does not
 * wrap. */
static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

/* CLOCK_MONOTONIC, in nanoseconds. */
static inline uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* AUTO_CLOSE marks a local descriptor that is closed when its scope ends, unless take_fd() hands it
 * on. */
static inline void auto_close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
/* Closes *fd if it is open, and marks it as closed. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
#define AUTO_CLOSE __attribute__((cleanup(auto_close_fd)))
