/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI 6.3 tables: RSDP, XSDT, FADT, MADT, DSDT and, if there is PCI, MCFG (PCI Firmware 3.2
 * §4.1.2).
 *
 * The machine is hardware-reduced (§4.1): there are no fixed power-management blocks, no SCI, no
 * 8259 and no 8254 in it. That is true as far as a kernel needs to know, and keeps it from probing
 * for all that. The FADT names two registers for sleep and reset. The power button is a device of
 * the DSDT whose events come through the Generic Event Device. The FADT also says that there is no
 * keyboard controller and no VGA. Every interrupt has its own description in the DSDT, so the MADT
 * needs no overrides.
 *
 * All AML is made here rather than by iasl at build time, because hardly a byte of it is the same
 * for every machine: each port, address and interrupt comes from the board. The unit test
 * disassembles the result with iasl and assembles it again.
 *
 * Missing, because the machine has no such things: PCI interrupt pins (_PRT), HPET, PM timer,
 * thermal zones, sleep states other than S5, processor power and performance states, hot-plug.
 */
#include "x86/acpi.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "common/aml.h"
#include "vmm/log.h"
#include "vmm/pm.h"

#define OEM_ID       "MINIVM"
#define OEM_TABLE_ID "MINIVMM "
#define CREATOR_ID   "MVMM"

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

/* The fields of the FADT that aren't 0, §5.2.9 */
enum {
	FADT_DSDT = 40,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_HYPERVISOR = 268,
	FADT_SIZE = 276,
};

/* §5.2.9, table 5-34 */
enum {
	FLAG_WBINVD = 1 << 0, /* must be set on x86 */
	FLAG_PROC_C1 = 1 << 2,
	FLAG_POWER_BUTTON = 1 << 4, /* 1: it is not a fixed one, but a device, if any */
	FLAG_SLEEP_BUTTON = 1 << 5, /* 1: likewise */
	FLAG_FIX_RTC = 1 << 6,      /* 1: RTC wake-up is not in a fixed register */
	FLAG_RESET_REG = 1 << 10,
	FLAG_HEADLESS = 1 << 12,
	FLAG_HW_REDUCED = 1 << 20,
};

/* §5.2.9.3. Bit 1, which stays 0, would announce an 8042: ours is there for resets alone. */
enum { BOOT_NO_VGA = 1 << 2, BOOT_NO_RTC = 1 << 5 };

/* §5.2.3.2 */
enum { GAS_SYSTEM_IO = 1, GAS_BYTE_ACCESS = 1 };

/* §5.2.12 */
enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_LAPIC_ENABLED = 1 };

struct tables {
	struct aml a;
	gpa_t at; /* the address of a.buf[0] */
};

static size_t table_open(struct tables *t, const char *signature, uint8_t revision)
{
	struct aml *a = &t->a;
	size_t open = a->len;

	aml_bytes(a, signature, 4);
	aml_raw(a, 4, 0); /* the length, and … */
	aml_raw(a, 1, revision);
	aml_raw(a, 1, 0); /* … the checksum: table_close() sets them */
	aml_bytes(a, OEM_ID, 6);
	aml_bytes(a, OEM_TABLE_ID, 8);
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

/* Returns the address of the table, and pads so that the next one begins at a multiple of 16. */
static gpa_t table_close(struct tables *t, size_t open)
{
	struct aml *a = &t->a;
	size_t len = a->len - open;

	aml_patch(a, open + HEADER_LENGTH, 4, len);
	set_checksum(a, open, len, open + HEADER_CHECKSUM);
	while (a->len % 16)
		aml_raw(a, 1, 0);
	return t->at + open;
}

static void dsdt_processor(struct aml *a, unsigned id)
{
	char name[5];
	size_t dev;

	snprintf(name, sizeof(name), "C%03X", id & 0xfff);
	dev = aml_open_device(a, name);
	aml_name_str(a, "_HID", "ACPI0007");
	aml_name_int(a, "_UID", id); /* as in the MADT */
	aml_close(a, dev);
}

static void dsdt_virtio(struct aml *a, unsigned uid, const struct virtio_place *v)
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

static void dsdt_com1(struct aml *a, const struct acpi_config *c)
{
	size_t dev, crs;

	dev = aml_open_device(a, "COM1");
	aml_name_eisaid(a, "_HID", "PNP0501"); /* 16550A */
	aml_name_int(a, "_UID", 1);
	crs = aml_open_crs(a);
	aml_crs_ports(a, c->com1_port, 8);
	aml_crs_irq(a, c->com1_gsi);
	aml_close_crs(a, crs);
	aml_close(a, dev);
}

static void dsdt_rtc(struct aml *a, const struct acpi_config *c)
{
	size_t dev, crs;

	dev = aml_open_device(a, "RTC");
	aml_name_eisaid(a, "_HID", "PNP0B00");
	crs = aml_open_crs(a);
	aml_crs_ports(a, c->rtc_port, 2);
	aml_close_crs(a, crs);
	aml_close(a, dev);
}

static void dsdt_pvpanic(struct aml *a, const struct acpi_config *c)
{
	size_t dev, crs;

	dev = aml_open_device(a, "PVPN");
	aml_name_str(a, "_HID", "QEMU0001"); /* drivers know it by this name, whoever made it */
	crs = aml_open_crs(a);
	aml_crs_ports(a, c->pvpanic_port, 1);
	aml_close_crs(a, crs);
	aml_close(a, dev);
}

/* The power button, and the Generic Event Device (§5.6.9) that reports it. The events are read only
 * once, because reading clears them. */
static void dsdt_power_button(struct aml *a, const struct acpi_config *c)
{
	size_t dev, crs, evt, pressed;

	dev = aml_open_device(a, "PWRB");
	aml_name_eisaid(a, "_HID", "PNP0C0C");
	aml_close(a, dev);

	dev = aml_open_device(a, "GED");
	aml_name_str(a, "_HID", "ACPI0013");
	crs = aml_open_crs(a);
	aml_crs_irq(a, c->pm_gsi);
	aml_close_crs(a, crs);
	aml_port_field(a, "EVTR", "EVTS", (uint16_t)(c->pm_port + PM_EVENTS));
	evt = aml_open_method(a, "_EVT", 1);
	pressed = aml_open_if_and(a, "EVTS", PM_EVENT_POWER_BUTTON);
	aml_notify(a, "PWRB", 0x80); /* §4.8.2.2.1.2: pressed */
	aml_close(a, pressed);
	aml_close(a, evt);
	aml_close(a, dev);
}

/* _OSC (§6.2.11, PCI Firmware 3.2 §4.5) says which features of PCI Express the kernel may control:
 * all that it asks for, since no firmware runs beside it. If it asks about something else, the
 * answer is that this isn't known:
 *
 *	CreateDWordField (Arg3, 0, CDW1)
 *	If (Arg0 != ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")) { CDW1 |= 4 }
 *	Return (Arg3) */
static void dsdt_osc(struct aml *a)
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

/* The host bridge, and a motherboard resource that keeps others from using configuration space:
 * kernels use the MCFG only if there is one. */
static void dsdt_pci(struct aml *a, const struct pci_place *pci, uint16_t ports)
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
	aml_crs_ports(a, ports, 8);
	aml_crs_window(a, pci->low, pci->low_len);
	aml_crs_window(a, pci->high, pci->high_len);
	aml_close_crs(a, crs);
	dsdt_osc(a);
	aml_close(a, dev);

	dev = aml_open_device(a, "MRES");
	aml_name_eisaid(a, "_HID", "PNP0C02");
	crs = aml_open_crs(a);
	aml_crs_memory(a, (uint32_t)pci->ecam, pci->ecam_len);
	aml_close_crs(a, crs);
	aml_close(a, dev);
}

static gpa_t write_dsdt(struct tables *t, const struct acpi_config *c)
{
	static const uint8_t s5[] = { PM_SLP_TYP_S5, 0, 0, 0 }; /* §7.4.2 */
	struct aml *a = &t->a;
	size_t open = table_open(t, "DSDT", 2), sb;

	aml_name_package(a, "_S5", s5, sizeof(s5));
	sb = aml_open_scope(a, "_SB");
	for (unsigned i = 0; i < c->cpus; i++)
		dsdt_processor(a, i);
	dsdt_power_button(a, c);
	if (c->com1_port)
		dsdt_com1(a, c);
	if (c->rtc_port)
		dsdt_rtc(a, c);
	if (c->pvpanic_port)
		dsdt_pvpanic(a, c);
	if (c->devices.pci.ecam)
		dsdt_pci(a, &c->devices.pci, c->pci_ports);
	for (unsigned i = 0; i < c->devices.nr_virtio; i++)
		dsdt_virtio(a, i, &c->devices.virtio[i]);
	aml_close(a, sb);
	return table_close(t, open);
}

/* Writes a generic address structure: one byte at a port. */
static void set_port(struct aml *a, size_t off, uint16_t port)
{
	aml_patch(a, off, 1, GAS_SYSTEM_IO);
	aml_patch(a, off + 1, 1, 8); /* bits */
	aml_patch(a, off + 3, 1, GAS_BYTE_ACCESS);
	aml_patch(a, off + 4, 8, port);
}

static gpa_t write_fadt(struct tables *t, const struct acpi_config *c, gpa_t dsdt)
{
	struct aml *a = &t->a;
	size_t f = table_open(t, "FACP", 6);

	while (a->len - f < FADT_HYPERVISOR)
		aml_raw(a, 1, 0);
	aml_bytes(a, OEM_TABLE_ID, 8);
	assert(a->len - f == FADT_SIZE);
	aml_patch(a, f + FADT_DSDT, 4, dsdt);
	aml_patch(a, f + FADT_X_DSDT, 8, dsdt);
	aml_patch(a, f + FADT_BOOT_ARCH, 2, BOOT_NO_VGA | (c->rtc_port ? 0 : BOOT_NO_RTC));
	aml_patch(a, f + FADT_FLAGS, 4,
		  FLAG_WBINVD | FLAG_PROC_C1 | FLAG_POWER_BUTTON | FLAG_SLEEP_BUTTON |
			  FLAG_FIX_RTC | FLAG_RESET_REG | FLAG_HEADLESS | FLAG_HW_REDUCED);
	set_port(a, f + FADT_SLEEP_CONTROL, (uint16_t)(c->pm_port + PM_SLEEP_CONTROL));
	set_port(a, f + FADT_SLEEP_STATUS, (uint16_t)(c->pm_port + PM_SLEEP_STATUS));
	set_port(a, f + FADT_RESET_REG, (uint16_t)(c->pm_port + PM_RESET));
	aml_patch(a, f + FADT_RESET_VALUE, 1, PM_RESET_VALUE);
	aml_patch(a, f + FADT_MINOR, 1, 3);
	return table_close(t, f);
}

static gpa_t write_madt(struct tables *t, const struct acpi_config *c)
{
	struct aml *a = &t->a;
	size_t open = table_open(t, "APIC", 5);

	assert(c->lapic <= UINT32_MAX && c->ioapic <= UINT32_MAX && c->cpus <= 255);
	aml_raw(a, 4, c->lapic);
	aml_raw(a, 4, 0); /* flags: there are no 8259s */
	for (unsigned i = 0; i < c->cpus; i++) {
		aml_raw(a, 1, MADT_LAPIC);
		aml_raw(a, 1, 8);
		aml_raw(a, 1, i); /* _UID of the processor */
		aml_raw(a, 1, i); /* APIC id */
		aml_raw(a, 4, MADT_LAPIC_ENABLED);
	}
	aml_raw(a, 1, MADT_IOAPIC);
	aml_raw(a, 1, 12);
	aml_raw(a, 2, c->ioapic_id);
	aml_raw(a, 4, c->ioapic);
	aml_raw(a, 4, 0); /* its first GSI */
	return table_close(t, open);
}

static gpa_t write_mcfg(struct tables *t, const struct pci_place *pci)
{
	struct aml *a = &t->a;
	size_t open = table_open(t, "MCFG", 1);

	aml_raw(a, 8, 0);
	aml_raw(a, 8, pci->ecam);
	aml_raw(a, 2, 0); /* segment */
	aml_raw(a, 1, 0); /* first bus, … */
	aml_raw(a, 1, 0); /* … and last bus */
	aml_raw(a, 4, 0);
	return table_close(t, open);
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

static gpa_t write_xsdt(struct tables *t, gpa_t fadt, gpa_t madt, gpa_t mcfg)
{
	size_t open = table_open(t, "XSDT", 1);

	aml_raw(&t->a, 8, fadt);
	aml_raw(&t->a, 8, madt);
	if (mcfg)
		aml_raw(&t->a, 8, mcfg);
	return table_close(t, open);
}

int acpi_build(const struct gmem *mem, const struct acpi_config *c, gpa_t at, uint64_t room)
{
	struct tables t = { .a = { .buf = gmem_slice(mem, at, room), .size = room }, .at = at };
	gpa_t fadt, madt, mcfg;

	if (!t.a.buf)
		return log_ret(-EFAULT, "acpi: no guest memory at 0x%llx for the tables",
			       (unsigned long long)at);
	write_rsdp(&t.a);
	fadt = write_fadt(&t, c, write_dsdt(&t, c));
	madt = write_madt(&t, c);
	mcfg = c->devices.pci.ecam ? write_mcfg(&t, &c->devices.pci) : 0;
	finish_rsdp(&t.a, write_xsdt(&t, fadt, madt, mcfg));
	if (t.a.len > t.a.size)
		return log_ret(-ENOSPC, "acpi: the tables need %zu bytes, and have %zu", t.a.len,
			       t.a.size);
	return 0;
}
