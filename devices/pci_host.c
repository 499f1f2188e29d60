/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_host.h"

#define ADDRESS_ENABLE (1u << 31)
#define ADDRESS_BITS   0x80fffffcu /* enable, bus, device, function, register; the rest reads as 0 \
				    */
#define ADDRESS_FUNCTION 0x00ffff00u
#define ADDRESS_REGISTER 0x000000fcu

#define VENDOR_DEVICE (0x1b36u | 0x0008u << 16) /* the ids of QEMU's generic host bridge */
#define CLASS_HOST    (0x060000u << 8)

/* A 32-bit register of the function that the address selects: the bridge, or nobody. */
static uint32_t config_read(uint32_t address)
{
	if (!(address & ADDRESS_ENABLE) || address & ADDRESS_FUNCTION)
		return ~0u;
	switch (address & ADDRESS_REGISTER) {
	case 0x00:
		return VENDOR_DEVICE;
	case 0x08:
		return CLASS_HOST;
	}
	return 0;
}

static uint64_t pci_host_read(struct dev *dev, uint64_t off, unsigned size)
{
	struct pci_host *p = container_of(dev, struct pci_host, dev);
	uint32_t value = off < PCI_DATA ? p->address : config_read(p->address);

	if (off % 4 + size > 4)
		return ~0ull;
	return value >> 8 * (off % 4);
}

/* Only a whole 32-bit write reaches CONFIG_ADDRESS; other widths there are other devices' (none
 * here). */
static void pci_host_write(struct dev *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct pci_host *p = container_of(dev, struct pci_host, dev);

	if (off == PCI_ADDRESS && size == 4)
		p->address = (uint32_t)value & ADDRESS_BITS;
}

static void pci_host_reset(struct dev *dev)
{
	container_of(dev, struct pci_host, dev)->address = 0;
}

static const struct dev_ops pci_host_ops = {
	.name = "pci-host",
	.read = pci_host_read,
	.write = pci_host_write,
	.reset = pci_host_reset,
};

void pci_host_init(struct pci_host *p)
{
	*p = (struct pci_host){ 0 };
	dev_init(&p->dev, &pci_host_ops);
}

void pci_host_destroy(struct pci_host *p)
{
	dev_destroy(&p->dev);
}
