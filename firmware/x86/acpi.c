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

#include "common/tables.h"
#include "vmm/pm.h"

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

static gpa_t write_dsdt(struct tables *t, const struct acpi_config *c)
{
	static const uint8_t s5[] = { PM_SLP_TYP_S5, 0, 0, 0 }; /* §7.4.2 */
	struct aml *a = &t->a;
	size_t open = tables_open(t, "DSDT", 2), sb;

	aml_name_package(a, "_S5", s5, sizeof(s5));
	sb = aml_open_scope(a, "_SB");
	for (unsigned i = 0; i < c->cpus; i++)
		tables_add_processor(a, i);
	dsdt_power_button(a, c);
	if (c->com1_port)
		dsdt_com1(a, c);
	if (c->rtc_port)
		dsdt_rtc(a, c);
	if (c->pvpanic_port)
		dsdt_pvpanic(a, c);
	if (c->devices.pci.ecam)
		tables_add_pci(a, &c->devices.pci, c->pci_ports);
	for (unsigned i = 0; i < c->devices.nr_virtio; i++)
		tables_add_virtio(a, i, &c->devices.virtio[i]);
	aml_close(a, sb);
	return tables_close(t, open);
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
	size_t f = tables_open(t, "FACP", 6);

	while (a->len - f < FADT_HYPERVISOR)
		aml_raw(a, 1, 0);
	aml_bytes(a, TABLES_NAME, 8);
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
	return tables_close(t, f);
}

static gpa_t write_madt(struct tables *t, const struct acpi_config *c)
{
	struct aml *a = &t->a;
	size_t open = tables_open(t, "APIC", 5);

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
	return tables_close(t, open);
}

int acpi_build(const struct gmem *mem, const struct acpi_config *c, gpa_t at, uint64_t room)
{
	struct tables t;
	gpa_t list[3];
	size_t nr = 0;
	int rc = tables_begin(&t, mem, at, room);

	if (rc < 0)
		return rc;
	list[nr++] = write_fadt(&t, c, write_dsdt(&t, c));
	list[nr++] = write_madt(&t, c);
	if (c->devices.pci.ecam)
		list[nr++] = tables_mcfg(&t, &c->devices.pci);
	return tables_end(&t, list, nr);
}
