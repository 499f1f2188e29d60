/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSI-X capability of a PCI function. See msix.c. All calls hold the function's lock. */
#pragma once

#include "pci.h"
#include "vmm/log.h"
#include "vmm/shared_fd.h"
#include "vmm/wires.h"

#define MSIX_MAX_VECTORS 64

struct msix {
	struct wires wires;
	const char *name; /* for messages */
	unsigned nr;
	unsigned cap; /* offset of the capability */

	/* What the guest can change. */
	bool enabled, masked; /* the function */
	struct msix_vector {
		uint64_t address;
		uint32_t data;
		bool masked;

		int fd;         /* -1: not used yet. A count in it is the pending bit. */
		bool connected; /* signals of fd are sent */

		/* The same for another process, until it is taken back. */
		struct shared_fd lent;
		bool lent_connected;
	} vector[MSIX_MAX_VECTORS];

	struct ratelimit log;
};

/* Adds the capability to f, of nr vectors, with its table at table and its pending bits at pba in
 * f's BAR, both multiples of 8. */
void msix_init(struct msix *m, struct pci_function *f, const char *name, unsigned nr,
	       const struct wires *wires, uint32_t table, uint32_t pba);
void msix_destroy(struct msix *m);
/* As after power-on. */
void msix_reset(struct msix *m);

/* For the function: bytes of the table and of the pending bits, and what config_written() needs. */
uint64_t msix_table_read(const struct msix *m, uint64_t off, unsigned size);
void msix_table_write(struct msix *m, uint64_t off, unsigned size, uint64_t value);
uint64_t msix_pba_read(const struct msix *m, uint64_t off, unsigned size);
void msix_config_written(struct msix *m, const struct pci_function *f, unsigned off, unsigned size);

/* Sends vector's message, or makes it pending while it is masked. vector < nr. */
void msix_signal(struct msix *m, unsigned vector);
/* The eventfd that does so; or -errno, logged. */
int msix_fd(struct msix *m, unsigned vector);
/* One that another process may have: its signals are sent, or become pending, in the same way. 0 or
 * -errno, logged. */
int msix_lend(struct msix *m, unsigned vector, struct shared_fd *fd) __must_check;
/* Forgets what is pending, and takes back what is lent. */
void msix_drain(struct msix *m);
