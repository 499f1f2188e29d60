/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI's tables (ACPI 6.3), as far as they are the same for every architecture: their headers, the
 * RSDP and the XSDT, by which the others are found; the MCFG (PCI Firmware 3.2 §4.1.2); and devices
 * of the DSDT. A table is written between tables_open() and tables_close(), by aml.h.
 */
#pragma once

#include "common/aml.h"
#include "common/devices.h"
#include "vmm/mem.h"

#define TABLES_NAME "MINIVMM " /* OEM Table ID, of 8 bytes */

struct tables {
	struct aml a;
	gpa_t at; /* the address of a.buf[0] */
};

/* Begins to write tables to guest RAM at [at, at + room), where at is a multiple of 16: at it is
 * the RSDP. Returns 0; or -EFAULT, logged: that isn't RAM. */
int tables_begin(struct tables *t, const struct gmem *mem, gpa_t at, uint64_t room) __must_check;
/* Writes the XSDT, which lists nr tables by their addresses, and finishes the RSDP. Returns 0; or
 * -ENOSPC, logged, if there was not enough room. */
int tables_end(struct tables *t, const gpa_t *list, size_t nr) __must_check;

/* Begins a table. What it returns is for tables_close(). */
size_t tables_open(struct tables *t, const char *signature, uint8_t revision);
/* Returns the address of the table, and pads so that the next one begins at a multiple of 16. */
gpa_t tables_close(struct tables *t, size_t open);

/* Writes the MCFG. Returns its address. */
gpa_t tables_mcfg(struct tables *t, const struct pci_place *pci);

/* Devices, for \_SB in the DSDT: a processor, whose _UID is id as in the MADT; a virtio-mmio
 * transport; a PCI host bridge, whose ports for configuration space begin at ports (0: it has
 * none), with a motherboard resource that keeps others from using configuration space: kernels use
 * the MCFG only if there is one. */
void tables_add_processor(struct aml *a, unsigned id);
void tables_add_virtio(struct aml *a, unsigned uid, const struct virtio_place *v);
void tables_add_pci(struct aml *a, const struct pci_place *pci, uint16_t ports);
