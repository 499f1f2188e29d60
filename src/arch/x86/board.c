/* SPDX-License-Identifier: BSD-2-Clause */
/* board_map() has the board's devices: a list that can be read from top to bottom. */
#include "board.h"

#include "arch/x86/layout.h"
#include "config/config.h"
#include "kvm/vm.h"
#include "x86/acpi.h"
#include "x86/bios.h"

/* A command's kernel knows the time from KVM, and the guest's init sets it, so no driver needs to
 * look at the clock. */
static bool tells_of_clock(const struct board *b)
{
	return !b->config->command.argv;
}

/* A command's kernel prints on its early console, at a port that ACPI doesn't mention. */
static bool tells_of_serial(const struct board *b)
{
	return b->config->serial.kind != HOST_NONE;
}

void board_init(struct board *b, const struct config *c, const struct board_host *host)
{
	const struct power *power = &host->power;
	const struct irq_line com1_irq = vm_irq(host->vm, GSI_COM1);
	const struct irq_line pm_irq = vm_irq(host->vm, GSI_PM);

	b->config = c;
	uart_init(&b->com1, &com1_irq, host->serial);
	i8042_init(&b->i8042, power);
	rtc_init(&b->rtc, NULL);
	pvpanic_init(&b->pvpanic, power);
	pm_init(&b->pm, &pm_irq, power);
	debug_exit_init(&b->debug_exit, power);
	pci_ports_init(&b->pci_ports, host->pci, power);
}

void board_destroy(struct board *b)
{
	uart_destroy(&b->com1);
	i8042_destroy(&b->i8042);
	rtc_destroy(&b->rtc);
	pvpanic_destroy(&b->pvpanic);
	pm_destroy(&b->pm);
	debug_exit_destroy(&b->debug_exit);
	pci_ports_destroy(&b->pci_ports);
}

/* All I/O ports. */
int board_map(struct board *b, struct bus *mmio __unused)
{
	const bool serial = tells_of_serial(b) || b->config->command.argv;
	const bool debug = b->config->debug_exit;
	const struct {
		uint64_t base, len;
		struct dev *dev;
	} map[] = {
		{ PORT_I8042, I8042_PORTS, &b->i8042.dev },
		{ PORT_RTC, RTC_PORTS, &b->rtc.dev },
		{ PORT_DEBUG_EXIT, debug ? DEBUG_EXIT_PORTS : 0, &b->debug_exit.dev },
		{ PORT_COM1, serial ? UART_PORTS : 0, &b->com1.dev },
		{ PORT_PVPANIC, PVPANIC_PORTS, &b->pvpanic.dev },
		{ PORT_PM, PM_PORTS, &b->pm.dev },
		{ PORT_PCI, PCI_PORTS, &b->pci_ports.dev },
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(map) && rc == 0; i++)
		if (map[i].len)
			rc = bus_add(&b->pio, map[i].base, map[i].len, map[i].dev);
	bus_freeze(&b->pio);
	return rc;
}

int board_place_tables(const struct board *b, const struct gmem *mem,
		       const struct device_places *devices)
{
	const struct acpi_config c = {
		.cpus = b->config->cpus,
		.lapic = BOARD_LAPIC,
		.ioapic = BOARD_IOAPIC,
		.devices = *devices,
		.pci_ports = PORT_PCI,
		.com1_port = tells_of_serial(b) ? PORT_COM1 : 0,
		.com1_gsi = GSI_COM1,
		.rtc_port = tells_of_clock(b) ? PORT_RTC : 0,
		.pvpanic_port = PORT_PVPANIC,
		.pm_port = PORT_PM,
		.pm_gsi = GSI_PM,
	};
	const struct bios_config bios = {
		.com1_port = c.com1_port,
		.reset_port = PORT_PM + PM_RESET,
		.reset_value = PM_RESET_VALUE,
	};
	int rc = acpi_build(mem, &c, BOARD_ACPI, BIOS_INTERRUPTS - BOARD_ACPI);

	return rc == 0 ? bios_build(mem, &bios) : rc;
}

void board_stop(struct board *b)
{
	uart_stop(&b->com1);
}

_Static_assert(UART_FIFO_ROOM - UART_FIFO_SIZE >= CONFIG_MAX_CPUS, "room for a byte of each vCPU");

void board_make_room(struct board *b, bool on)
{
	uart_make_room(&b->com1, on);
}

void board_close_serial(struct board *b)
{
	uart_detach(&b->com1);
}

void board_press_power_button(struct board *b)
{
	pm_press_power_button(&b->pm);
}

/* -- for people ------------------------------------------------------------------------------ */

void board_print_processors(const struct board *b, FILE *out)
{
	const struct config *c = b->config;

	fprintf(out, "  %u vCPU%s, APIC ids 0 to %u%s\n", c->cpus, c->cpus == 1 ? "" : "s",
		c->cpus - 1, c->nested ? ", VT-x or AMD-V for guests of the guest's own" : "");
}

void board_print_devices(const struct board *b, const char *serial, FILE *out)
{
	for (size_t i = 0; i < b->pio.nr; i++) {
		const struct bus_range *r = &b->pio.range[i];

		fprintf(out, "  port 0x%03llx    ", (ull)r->base);
		if (r->dev == &b->com1.dev)
			fprintf(out, "irq %2u  %s: %s\n", GSI_COM1, r->dev->ops->name, serial);
		else if (r->dev == &b->pm.dev)
			fprintf(out, "irq %2u  %s\n", GSI_PM, r->dev->ops->name);
		else
			fprintf(out, "        %s\n", r->dev->ops->name);
	}
}

const struct bus *board_bus(const struct board *b)
{
	return &b->pio;
}
