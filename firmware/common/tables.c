/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/tables.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "vmm/log.h"

#define OEM_ID     "MINIVM"
#define CREATOR_ID "MVMM"

/* The header that every table but the RSDP starts with, §5.2.6 */
enum { HEADER_LENGTH = 4, HEADER_CHECKSUM = 9, HEADER_SIZE = 36 };

/* §5.2.5.3 */
enum {
	RSDP_CHECKSUM = 8,
	RSDP_SIZE_V1 = 20,
	RSDP_XSDT = 24,
	RSDP_EXT_CHECKSUM = 32,
	RSDP_SIZE = 36
};

size_t tables_open(struct tables *t, const char *signature, uint8_t revision)
{
	struct aml *a = &t->a;
	size_t open = a->len;

	aml_bytes(a, signature, 4);
	aml_raw(a, 4, 0); /* the length, and … */
	aml_raw(a, 1, revision);
	aml_raw(a, 1, 0); /* … the checksum: tables_close() sets them */
	aml_bytes(a, OEM_ID, 6);
	aml_bytes(a, TABLES_NAME, 8);
	aml_raw(a, 4, 1);
	aml_bytes(a, CREATOR_ID, 4);
	aml_raw(a, 4, 1);
	assert(a->len - open == HEADER_SIZE);
	return open;
}

/* Sets the byte at sum so that the bytes of [off, off + len) add up to 0. */
static void set_checksum(struct aml *a, size_t off, size_t len, size_t sum)
{
	uint8_t total = 0;

	if (a->len > a->size)
		return;
	for (size_t i = off; i < off + len; i++)
		total = (uint8_t)(total + a->buf[i]);
	aml_patch(a, sum, 1, (uint8_t)-total);
}

gpa_t tables_close(struct tables *t, size_t open)
{
	struct aml *a = &t->a;
	size_t len = a->len - open;

	aml_patch(a, open + HEADER_LENGTH, 4, len);
	set_checksum(a, open, len, open + HEADER_CHECKSUM);
	while (a->len % 16)
		aml_raw(a, 1, 0);
	return t->at + open;
}

static void write_rsdp(struct aml *a)
{
	aml_bytes(a, "RSD PTR ", 8);
	aml_raw(a, 1, 0); /* checksum of the part that ACPI 1.0 knows, and … */
	aml_bytes(a, OEM_ID, 6);
	aml_raw(a, 1, 2); /* revision */
	aml_raw(a, 4, 0); /* no RSDT */
	aml_raw(a, 4, RSDP_SIZE);
	aml_raw(a, 8, 0); /* … the XSDT's address, and … */
	aml_raw(a, 4, 0); /* … checksum of it all: finish_rsdp() sets them */
	while (a->len % 16)
		aml_raw(a, 1, 0);
}

static void finish_rsdp(struct aml *a, gpa_t xsdt)
{
	aml_patch(a, RSDP_XSDT, 8, xsdt);
	set_checksum(a, 0, RSDP_SIZE_V1, RSDP_CHECKSUM);
	set_checksum(a, 0, RSDP_SIZE, RSDP_EXT_CHECKSUM);
}

int tables_begin(struct tables *t, const struct gmem *mem, gpa_t at, uint64_t room)
{
	*t = (struct tables){ .a = { .buf = gmem_slice(mem, at, room), .size = room }, .at = at };
	if (!t->a.buf)
		return log_ret(-EFAULT, "acpi: no guest memory at 0x%llx for the tables",
			       (unsigned long long)at);
	write_rsdp(&t->a);
	return 0;
}

int tables_end(struct tables *t, const gpa_t *list, size_t nr)
{
	size_t open = tables_open(t, "XSDT", 1);

	for (size_t i = 0; i < nr; i++)
		aml_raw(&t->a, 8, list[i]);
	finish_rsdp(&t->a, tables_close(t, open));
	if (t->a.len > t->a.size)
		return log_ret(-ENOSPC, "acpi: the tables need %zu bytes, and have %zu", t->a.len,
			       t->a.size);
	return 0;
}

gpa_t tables_mcfg(struct tables *t, const struct pci_place *pci)
{
	struct aml *a = &t->a;
	size_t open = tables_open(t, "MCFG", 1);

	aml_raw(a, 8, 0);
	aml_raw(a, 8, pci->ecam);
	aml_raw(a, 2, 0); /* segment */
	aml_raw(a, 1, 0); /* first bus, … */
	aml_raw(a, 1, 0); /* … and last bus */
	aml_raw(a, 4, 0);
	return tables_close(t, open);
}

void tables_add_processor(struct aml *a, unsigned id)
{
	char name[5];
	size_t dev;

	snprintf(name, sizeof(name), "C%03X", id & 0xfff);
	dev = aml_open_device(a, name);
	aml_name_str(a, "_HID", "ACPI0007");
	aml_name_int(a, "_UID", id); /* as in the MADT */
	aml_close(a, dev);
}

void tables_add_virtio(struct aml *a, unsigned uid, const struct virtio_place *v)
{
	char name[5];
	size_t dev, crs;

	assert(v->base <= UINT32_MAX && v->len <= UINT32_MAX - v->base);
	snprintf(name, sizeof(name), "V%03X", uid & 0xfff);
	dev = aml_open_device(a, name);
	aml_name_str(a, "_HID", "LNRO0005");
	aml_name_int(a, "_UID", uid);
	crs = aml_open_crs(a);
	aml_crs_memory(a, (uint32_t)v->base, v->len);
	aml_crs_irq(a, v->pin);
	aml_close_crs(a, crs);
	aml_close(a, dev);
}

/* _OSC (§6.2.11, PCI Firmware 3.2 §4.5) says which features of PCI Express the kernel may control:
 * all that it asks for, since no firmware runs beside it. If it asks about something else, the
 * answer is that this isn't known:
 *
 *	CreateDWordField (Arg3, 0, CDW1)
 *	If (Arg0 != ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")) { CDW1 |= 4 }
 *	Return (Arg3) */
static void add_osc(struct aml *a)
{
	static const uint8_t body[] = {
		0x8a, 0x6b, 0x00, 'C',  'D',  'W',  '1',                        /**/
		0xa0, 0x23, 0x92, 0x93, 0x68, 0x11, 0x13, 0x0a, 0x10,           /**/
		0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,                 /**/
		0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66,                 /**/
		0x7d, 'C',  'D',  'W',  '1',  0x0a, 0x04, 'C',  'D',  'W', '1', /**/
		0xa4, 0x6b,
	};
	size_t osc = aml_open_serialized(a, "_OSC", 4);

	aml_bytes(a, body, sizeof(body));
	aml_close(a, osc);
}

void tables_add_pci(struct aml *a, const struct pci_place *pci, uint16_t ports)
{
	size_t dev, crs;

	assert(pci->ecam <= UINT32_MAX - pci->ecam_len);
	dev = aml_open_device(a, "PCI0");
	aml_name_eisaid(a, "_HID", "PNP0A08"); /* configuration space in memory, too */
	aml_name_eisaid(a, "_CID", "PNP0A03");
	aml_name_int(a, "_SEG", 0);
	aml_name_int(a, "_BBN", 0);
	aml_name_int(a, "_UID", 0);
	crs = aml_open_crs(a);
	aml_crs_buses(a, 0, 0);
	if (ports)
		aml_crs_ports(a, ports, 8);
	aml_crs_window(a, pci->low, pci->low_len);
	aml_crs_window(a, pci->high, pci->high_len);
	aml_close_crs(a, crs);
	add_osc(a);
	aml_close(a, dev);

	dev = aml_open_device(a, "MRES");
	aml_name_eisaid(a, "_HID", "PNP0C02");
	crs = aml_open_crs(a);
	aml_crs_memory(a, (uint32_t)pci->ecam, pci->ecam_len);
	aml_close_crs(a, crs);
	aml_close(a, dev);
}
