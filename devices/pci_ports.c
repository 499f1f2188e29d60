/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_ports.h"

#define ADDRESS_ENABLE (1u << 31)
#define ADDRESS_BITS   0x80fffffcu /* enable, bus, device, function, register */
#define DATA           4           /* the offset of CONFIG_DATA */
#define RESET_CONTROL  1           /* the offset of the byte in which one bit resets the machine */
#define RESET_NOW      (1u << 2)

static struct dev *ports_forward(struct dev *dev, uint64_t *off, unsigned size)
{
	struct pci_ports *p = container_of(dev, struct pci_ports, dev);
	const uint32_t address = __atomic_load_n(&p->state.address, __ATOMIC_RELAXED);

	if (*off < DATA)
		return dev;
	if (!(address & ADDRESS_ENABLE) || address >> 16 & 0xff || size > DATA + 4 - *off)
		return NULL;
	*off = (address & 0xfc) + (*off - DATA);
	return pci_config(p->pci, address >> 8 & 0xff, off, size);
}

static uint64_t ports_read(struct dev *dev, uint64_t off, unsigned size)
{
	const struct pci_ports *p = container_of(dev, struct pci_ports, dev);

	if (off + size > DATA)
		return UINT64_MAX;
	if (off == RESET_CONTROL && size == 1)
		return p->state.reset_control;
	return p->state.address >> 8 * off;
}

static void reset_control_write(struct pci_ports *p, uint8_t value)
{
	const uint8_t set = value & (uint8_t)~p->state.reset_control;

	p->state.reset_control = value;
	if (set & RESET_NOW)
		power_report(&p->power, POWER_RESET, 0);
}

/* Only a whole 32-bit write reaches CONFIG_ADDRESS; other widths there belong to other devices. */
static void ports_write(struct dev *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct pci_ports *p = container_of(dev, struct pci_ports, dev);

	if (off == 0 && size == 4)
		__atomic_store_n(&p->state.address, (uint32_t)value & ADDRESS_BITS,
				 __ATOMIC_RELAXED);
	else if (off == RESET_CONTROL && size == 1)
		reset_control_write(p, (uint8_t)value);
}

static const struct dev_ops ports_ops = {
	.name = "pci-host",
	.forward = ports_forward,
	.read = ports_read,
	.write = ports_write,
};

void pci_ports_init(struct pci_ports *p, const struct pci *pci, const struct power *power)
{
	*p = (struct pci_ports){ .pci = pci, .power = *power };
	dev_init(&p->dev, &ports_ops);
}

void pci_ports_destroy(struct pci_ports *p)
{
	dev_destroy(&p->dev);
}
