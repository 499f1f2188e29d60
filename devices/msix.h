/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSI-X capability of a PCI function. See msix.c. All calls are made with the function's lock
 * held. */
#pragma once

#include "pci.h"
#include "vmm/log.h"
#include "vmm/shared_fd.h"
#include "vmm/wires.h"

#define MSIX_MAX_VECTORS 64

struct msix {
	struct wires wires;
	const struct pci_function *fn; /* not owned */
	const char *name;              /* for messages */
	unsigned nr;
	unsigned cap; /* offset of the capability */

	/* All that a snapshot needs beside the pending bits, which are the eventfds' counts:
	 * msix_pba_read(). */
	struct msix_state {
		struct msix_entry {
			uint64_t address;
			uint32_t data;
			bool masked;
		} entry[MSIX_MAX_VECTORS];
	} state;
	bool enabled, masked; /* the function, as its configuration space says */

	struct msix_vector {
		int fd;         /* -1: not used yet. A count in it is the pending bit. */
		bool connected; /* what fd signals is sent */

		/* The same for another process, which has it until it is taken back. */
		struct shared_fd lent;
		bool lent_connected;
	} vector[MSIX_MAX_VECTORS];

	struct ratelimit log;
};

/* Adds the capability with nr vectors to f, which outlives m. In f's BAR the table is at offset
 * table and the pending bits are at offset pba, both multiples of 8. */
void msix_init(struct msix *m, struct pci_function *f, const char *name, unsigned nr,
	       const struct wires *wires, uint32_t table, uint32_t pba);
void msix_destroy(struct msix *m);

/* For the function: read and write bytes of the table and of the pending bits, and do what
 * config_written() needs. */
uint64_t msix_table_read(const struct msix *m, uint64_t off, unsigned size);
void msix_table_write(struct msix *m, uint64_t off, unsigned size, uint64_t value);
uint64_t msix_pba_read(const struct msix *m, uint64_t off, unsigned size);
void msix_config_written(struct msix *m, const struct pci_function *f, unsigned off, unsigned size);

/* Sends vector's message, or makes it pending while it is masked. vector < nr. */
void msix_signal(struct msix *m, unsigned vector);
/* Returns the eventfd that does so; or -errno, logged. */
int msix_fd(struct msix *m, unsigned vector);
/* Stores in *fd an eventfd that another process may have: its signals are sent, or become pending,
 * in the same way. Returns 0, or -errno, logged. */
int msix_lend(struct msix *m, unsigned vector, struct shared_fd *fd) __must_check;
/* Forgets what is pending, and takes back what is lent. */
void msix_drain(struct msix *m);
