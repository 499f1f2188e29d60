/* SPDX-License-Identifier: BSD-2-Clause */
/* One PCI bus with its host bridge, and what all functions on it have in common. See pci.c. */
#pragma once

#include "vmm/bus.h"

#define PCI_ECAM_SIZE 0x100000            /* one bus: 4 KiB for each of 256 functions */
#define PCI_SLOTS     32                  /* slot 0 is the host bridge */
#define PCI_NOWHERE   ((gpa_t)UINT64_MAX) /* the address of a BAR that isn't decoded */

struct pci_function;

/* All are called with the function's lock held. NULL: there is nothing to do; it reads as zero. */
struct pci_function_ops {
	const char *name;
	/* off + size lies inside the BAR. */
	uint64_t (*bar_read)(struct pci_function *f, uint64_t off, unsigned size);
	void (*bar_write)(struct pci_function *f, uint64_t off, unsigned size, uint64_t value);
	/* The BAR was moved, or its decoding was switched on or off. */
	void (*bar_moved)(struct pci_function *f, gpa_t from, gpa_t to);
	/* config_read: [off, off + size) is about to be read. config_written: it was written, as
	 * far as the guest can write it. off < 256. */
	void (*config_read)(struct pci_function *f, unsigned off, unsigned size);
	void (*config_written)(struct pci_function *f, unsigned off, unsigned size);
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class; /* base class, sub-class, interface */
	uint8_t revision;
};

struct pci_windows;

struct pci_function {
	struct dev dev; /* its lock is the function's */
	const struct pci_function_ops *ops;
	const struct pci_windows *windows; /* the bus's; not owned */
	uint16_t id;                       /* slot << 3, on bus 0; from pci_add() on */
	uint64_t bar_size;                 /* a power of two from 4 KiB on; 0: it has none */
	gpa_t bar_at;                      /* atomic; written with the lock held */

	/* All that a snapshot needs: where the BAR answers, and what a capability says, follows from
	 * configuration space. */
	struct pci_function_state {
		uint8_t config[256]; /* as the guest sees it */
	} state;
	uint8_t writable[256]; /* the bits that the guest can change */
	unsigned next_cap, last_cap;
};

/* The addresses that the host bridge passes on to BARs: one range below 4 GiB, one above all
 * RAM. */
struct pci_windows {
	struct pci_window {
		struct dev dev;
		struct pci *pci;
		gpa_t base;
		uint64_t len;
	} low, high;
};

struct pci {
	struct dev ecam;
	struct pci_windows windows;
	struct pci_function bridge;
	struct pci_function *slot[PCI_SLOTS]; /* not owned; constant once the buses are frozen */
	unsigned nr_slots;
	gpa_t next_bar;
};

/* A bus that has only its host bridge. Called before devices are mapped; a window of length 0 does
 * not exist. */
void pci_init(struct pci *p, gpa_t low, uint64_t low_len, gpa_t high, uint64_t high_len);
void pci_destroy(struct pci *p);

/* A function without capabilities. bar_size is as above. */
void pci_function_init(struct pci_function *f, const struct pci_function_ops *ops,
		       const struct pci_ids *ids, uint64_t bar_size);
void pci_function_destroy(struct pci_function *f);

/* Appends a capability of len bytes, zeroed, to the list. Returns its offset. */
unsigned pci_add_cap(struct pci_function *f, uint8_t id, unsigned len);
/* Sets a register of configuration space, and which of its bits the guest can change. */
void pci_set(struct pci_function *f, unsigned off, unsigned size, uint64_t value,
	     uint64_t writable);

/* Puts f in the next slot, and its BAR, if it has one, in the low window, as firmware would; the
 * BAR isn't decoded until the guest says so. Returns the slot, or -ENOSPC. */
int pci_add(struct pci *p, struct pci_function *f) __must_check;

/* The address of the BAR by configuration space, whether or not it is decoded. */
gpa_t pci_bar(const struct pci_function *f);

/* Finds the function of that number on p (slot << 3), and turns *off into the offset in its struct
 * dev: what dev_ops.forward does for an access of size at *off in configuration space. NULL: there
 * is none. Any thread, once the buses are frozen. */
struct dev *pci_config(const struct pci *p, unsigned devfn, uint64_t *off, unsigned size);
