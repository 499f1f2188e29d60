/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes ACPI machine language (AML, ACPI 6.3 §20.2) and, because AML lives in tables,
 * little-endian fields: as much of it as the tables of a virtual machine need.
 *
 * Like snprintf, it goes on counting when the buffer is full but writes nothing more: the caller
 * checks once, at the end, that len <= size. An object with a length (scope, device, method, if,
 * resource template) is opened, filled and closed; the length is written at closing, always in the
 * three-byte form (§20.2.4), so that nothing has to move.
 */
#pragma once

#include "vmm/types.h"

struct aml {
	uint8_t *buf; /* not owned */
	size_t size, len;
};

void aml_bytes(struct aml *a, const void *p, size_t n);
/* Writes an integer of 1, 2, 4 or 8 bytes, without an opcode. */
void aml_raw(struct aml *a, unsigned size, uint64_t v);
/* Overwrites what was written at off. */
void aml_patch(struct aml *a, size_t off, unsigned size, uint64_t v);

/* Names have at most four characters, and are padded with '_' (§20.2.2). aml_close() takes what the
 * open functions return. */
size_t aml_open_scope(struct aml *a, const char *name);
size_t aml_open_device(struct aml *a, const char *name);
size_t aml_open_method(struct aml *a, const char *name, unsigned nr_args);
/* Opens a method that makes names of its own, and so must not run twice at a time. */
size_t aml_open_serialized(struct aml *a, const char *name, unsigned nr_args);
/* Opens If (name & mask). */
size_t aml_open_if_and(struct aml *a, const char *name, uint64_t mask);
void aml_close(struct aml *a, size_t open);

void aml_int(struct aml *a, uint64_t v);
void aml_name_int(struct aml *a, const char *name, uint64_t v);
void aml_name_str(struct aml *a, const char *name, const char *s);
/* Names a Plug and Play id of three letters and four hex digits, compressed (§19.6.36). */
void aml_name_eisaid(struct aml *a, const char *name, const char *id);
/* Names a package of nr integers. */
void aml_name_package(struct aml *a, const char *name, const uint8_t *v, uint8_t nr);
/* Makes an operation region of one byte, port, and a field of that byte with the name field. */
void aml_port_field(struct aml *a, const char *region, const char *field, uint16_t port);
void aml_notify(struct aml *a, const char *name, uint8_t value);

/* Opens a resource template named _CRS (§6.4), which may have any of the following in it. */
size_t aml_open_crs(struct aml *a);
void aml_crs_ports(struct aml *a, uint16_t port, uint8_t len);
void aml_crs_memory(struct aml *a, uint32_t base, uint32_t len); /* read-write, fixed */
/* What a host bridge passes on: bus numbers, and memory that isn't prefetchable. */
void aml_crs_buses(struct aml *a, uint8_t first, uint8_t last);
void aml_crs_window(struct aml *a, uint64_t base, uint64_t len);
void aml_crs_irq(struct aml *a, uint32_t gsi); /* edge, active high, not shared */
void aml_close_crs(struct aml *a, size_t open);
