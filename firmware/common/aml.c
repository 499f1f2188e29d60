/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/aml.h"

#include <assert.h>

/* ACPI 6.3 §20.3, table 20-440 */
enum {
	OP_ZERO = 0x00,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_EXT = 0x5b, /* the next byte is one of EXT_* */
	OP_AND = 0x7b,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,
	EXT_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
};

enum { METHOD_SERIALIZED = 1 << 3 }; /* §20.2.5.2 */
enum { SPACE_SYSTEM_IO = 1, FIELD_BYTE_ACCESS = 1 };

/* Resource descriptors, §6.4.2 (small) and §6.4.3 (large) */
enum {
	CRS_PORTS = 0x47,
	CRS_PORTS_DECODE16 = 0x01,
	CRS_END = 0x79,
	CRS_MEMORY = 0x86,
	CRS_MEMORY_WRITABLE = 0x01,
	CRS_IRQ = 0x89,
	CRS_IRQ_CONSUMER_EDGE = 0x03, /* polarity 0 is active high, sharing 0 exclusive */
	CRS_WORD = 0x88,              /* address spaces, §6.4.3.5 */
	CRS_QWORD = 0x8a,
	CRS_DWORD = 0x87,
	CRS_SPACE_MEMORY = 0,
	CRS_SPACE_BUS = 2,
	CRS_SPACE_FIXED = 0x0c, /* first and last are fixed; passed on to others */
};

#define PKG_LENGTH_SIZE 3
#define PKG_LENGTH_MAX  ((1u << 20) - 1)

void aml_bytes(struct aml *a, const void *p, size_t n)
{
	if (a->len <= a->size && n <= a->size - a->len)
		memcpy(a->buf + a->len, p, n);
	a->len += n;
}

void aml_raw(struct aml *a, unsigned size, uint64_t v)
{
	uint8_t bytes[8];

	store_le(bytes, 8, v);
	aml_bytes(a, bytes, size);
}

void aml_patch(struct aml *a, size_t off, unsigned size, uint64_t v)
{
	uint8_t bytes[8];

	store_le(bytes, 8, v);
	if (off <= a->size && size <= a->size - off)
		memcpy(a->buf + off, bytes, size);
}

static void op(struct aml *a, uint8_t byte)
{
	aml_raw(a, 1, byte);
}

static void name_seg(struct aml *a, const char *name)
{
	char seg[4] = { '_', '_', '_', '_' };
	size_t len = strlen(name);

	assert(len >= 1 && len <= sizeof(seg));
	memcpy(seg, name, len);
	aml_bytes(a, seg, sizeof(seg));
}

static size_t open_length(struct aml *a)
{
	size_t at = a->len;

	aml_raw(a, PKG_LENGTH_SIZE, 0);
	return at;
}

/* §20.2.4: the first byte says that two bytes follow it, and has the four lowest bits; those two
 * have the rest. The length includes itself. */
void aml_close(struct aml *a, size_t open)
{
	size_t len = a->len - open;

	assert(len <= PKG_LENGTH_MAX);
	aml_patch(a, open, PKG_LENGTH_SIZE,
		  (PKG_LENGTH_SIZE - 1) << 6 | (len & 0xf) | len >> 4 << 8);
}

size_t aml_open_scope(struct aml *a, const char *name)
{
	size_t open;

	op(a, OP_SCOPE);
	open = open_length(a);
	name_seg(a, name);
	return open;
}

size_t aml_open_device(struct aml *a, const char *name)
{
	size_t open;

	op(a, OP_EXT);
	op(a, EXT_DEVICE);
	open = open_length(a);
	name_seg(a, name);
	return open;
}

size_t aml_open_method(struct aml *a, const char *name, unsigned nr_args)
{
	size_t open;

	op(a, OP_METHOD);
	open = open_length(a);
	name_seg(a, name);
	op(a, (uint8_t)nr_args);
	return open;
}

size_t aml_open_serialized(struct aml *a, const char *name, unsigned nr_args)
{
	return aml_open_method(a, name, nr_args | METHOD_SERIALIZED);
}

size_t aml_open_if_and(struct aml *a, const char *name, uint64_t mask)
{
	size_t open;

	op(a, OP_IF);
	open = open_length(a);
	op(a, OP_AND);
	name_seg(a, name);
	aml_int(a, mask);
	op(a, OP_ZERO); /* the result is stored nowhere */
	return open;
}

void aml_int(struct aml *a, uint64_t v)
{
	static const struct {
		uint8_t op, size;
	} form[] = { { OP_BYTE, 1 }, { OP_WORD, 2 }, { OP_DWORD, 4 }, { OP_QWORD, 8 } };
	size_t i = 0;

	while (form[i].size < 8 && v >> 8 * form[i].size)
		i++;
	if (v > 1) /* ZeroOp and OneOp are their own values */
		op(a, form[i].op);
	aml_raw(a, form[i].size, v);
}

void aml_name_int(struct aml *a, const char *name, uint64_t v)
{
	op(a, OP_NAME);
	name_seg(a, name);
	aml_int(a, v);
}

void aml_name_str(struct aml *a, const char *name, const char *s)
{
	op(a, OP_NAME);
	name_seg(a, name);
	op(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

static uint32_t hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* There are five bits for each letter and four for each digit, the first letter topmost, stored
 * big-endian. */
void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
	uint32_t v = 0;

	assert(strlen(id) == 7);
	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | (id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	aml_name_int(a, name, __builtin_bswap32(v));
}

void aml_name_package(struct aml *a, const char *name, const uint8_t *v, uint8_t nr)
{
	size_t open;

	op(a, OP_NAME);
	name_seg(a, name);
	op(a, OP_PACKAGE);
	open = open_length(a);
	op(a, nr);
	for (unsigned i = 0; i < nr; i++)
		aml_int(a, v[i]);
	aml_close(a, open);
}

void aml_port_field(struct aml *a, const char *region, const char *field, uint16_t port)
{
	size_t open;

	op(a, OP_EXT);
	op(a, EXT_REGION);
	name_seg(a, region);
	op(a, SPACE_SYSTEM_IO);
	aml_int(a, port);
	aml_int(a, 1);
	op(a, OP_EXT);
	op(a, EXT_FIELD);
	open = open_length(a);
	name_seg(a, region);
	op(a, FIELD_BYTE_ACCESS);
	name_seg(a, field);
	op(a, 8); /* bits, encoded like a package length */
	aml_close(a, open);
}

void aml_notify(struct aml *a, const char *name, uint8_t value)
{
	op(a, OP_NOTIFY);
	name_seg(a, name);
	aml_int(a, value);
}

/* A buffer has two lengths: that of the object, and that of its bytes, as an integer. */
size_t aml_open_crs(struct aml *a)
{
	size_t open;

	op(a, OP_NAME);
	name_seg(a, "_CRS");
	op(a, OP_BUFFER);
	open = open_length(a);
	op(a, OP_WORD);
	aml_raw(a, 2, 0);
	return open;
}

void aml_close_crs(struct aml *a, size_t open)
{
	size_t bytes = open + PKG_LENGTH_SIZE + 3;

	op(a, CRS_END);
	op(a, 0); /* there is no checksum */
	aml_patch(a, bytes - 2, 2, a->len - bytes);
	aml_close(a, open);
}

void aml_crs_ports(struct aml *a, uint16_t port, uint8_t len)
{
	op(a, CRS_PORTS);
	op(a, CRS_PORTS_DECODE16);
	aml_raw(a, 2, port); /* the lowest and the highest base that it can get */
	aml_raw(a, 2, port);
	op(a, 1); /* alignment */
	op(a, len);
}

void aml_crs_memory(struct aml *a, uint32_t base, uint32_t len)
{
	op(a, CRS_MEMORY);
	aml_raw(a, 2, 9);
	op(a, CRS_MEMORY_WRITABLE);
	aml_raw(a, 4, base);
	aml_raw(a, 4, len);
}

/* §6.4.3.5: each number has size bytes. */
static void crs_space(struct aml *a, uint8_t tag, unsigned size, uint8_t space, uint8_t flags,
		      uint64_t first, uint64_t last)
{
	op(a, tag);
	aml_raw(a, 2, 3 + 5 * size);
	op(a, space);
	op(a, CRS_SPACE_FIXED);
	op(a, flags);
	aml_raw(a, size, 0); /* granularity */
	aml_raw(a, size, first);
	aml_raw(a, size, last);
	aml_raw(a, size, 0); /* translation */
	aml_raw(a, size, last - first + 1);
}

void aml_crs_buses(struct aml *a, uint8_t first, uint8_t last)
{
	crs_space(a, CRS_WORD, 2, CRS_SPACE_BUS, 0, first, last);
}

void aml_crs_window(struct aml *a, uint64_t base, uint64_t len)
{
	const bool wide = base + (len - 1) > UINT32_MAX;

	crs_space(a, wide ? CRS_QWORD : CRS_DWORD, wide ? 8 : 4, CRS_SPACE_MEMORY,
		  CRS_MEMORY_WRITABLE, base, base + (len - 1));
}

void aml_crs_irq(struct aml *a, uint32_t gsi)
{
	op(a, CRS_IRQ);
	aml_raw(a, 2, 6);
	op(a, CRS_IRQ_CONSUMER_EDGE);
	op(a, 1); /* one interrupt */
	aml_raw(a, 4, gsi);
}
