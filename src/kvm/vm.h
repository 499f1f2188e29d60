/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine as KVM sees it: one descriptor, its memory slots, its in-kernel interrupt
 * controllers, and the descriptors that stand for interrupts (irqfd) and for kicks (ioeventfd).
 *
 * Set-up is single-threaded; irq_set() on a line from here is for any thread.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/irq.h"
#include "vmm/types.h"
#include "vmm/wires.h"

#define VM_GSIS 24 /* pins of the in-kernel IO-APIC */

struct vm {
	int kvm_fd; /* /dev/kvm */
	int fd;     /* the VM */
	unsigned nr_slots;
	size_t run_page_len;  /* bytes of a vCPU's struct kvm_run */
	int irqfd[VM_GSIS];   /* -1: none */
	struct vm_arch *arch; /* what src/x86 keeps; owned */
};

/* vm_destroy() is safe on this, and on what a failed vm_init() leaves. */
void vm_none(struct vm *vm);

/* Opens /dev/kvm, unless that is kept (kept: or NULL), and creates an empty VM. 0 or -errno,
 * logged. */
int vm_init(struct vm *vm, struct kept *kept) __must_check;
void vm_destroy(struct vm *vm);

/* Maps host memory, which stays the caller's, at gpa. 0 or -errno, logged. */
int vm_add_memory(struct vm *vm, gpa_t gpa, uint64_t size, void *host) __must_check;

/* A level-triggered view of a GSI, by KVM_IRQ_LINE. */
struct irq_line vm_irq_line(struct vm *vm, unsigned gsi);

/* An edge-triggered view of a GSI, by irqfd: raising it is one write(2), lowering it nothing. Fills
 * *line. 0 or -errno, logged. */
int vm_irqfd_line(struct vm *vm, unsigned gsi, struct irq_line *line) __must_check;

/* The eventfds of devices (vmm/wires.h): ioeventfds, and for PCI functions irqfds with a route of
 * their own for each message. first is below VM_MSIS, with as many as the function has messages.
 * Nothing is asked of KVM before the guest wants it. (x86/msi.c) */
#define VM_MSIS 1088
struct wires vm_wires(struct vm *vm, unsigned first);

/* KVM_CHECK_EXTENSION: 0 when cap is absent, else its value. */
int vm_has(const struct vm *vm, int cap);

/* The interrupt controllers, and what else the architecture has in a VM (src/x86). nested: its
 * guest may have guests, if the host's KVM can do that, or else -ENOTSUP. After vm_add_memory():
 * KVM waits for a grace period of its SRCU in each, and a memory slot that comes soon after them
 * has to wait for milliseconds (measured: 5.6 ms against 0.2). 0 or -errno, logged. */
int vm_init_arch(struct vm *vm, bool nested) __must_check;
void vm_destroy_arch(struct vm *vm); /* called by vm_destroy() */

/* What vm_init_arch() would return for nested, found out without a VM; for a dry run. */
int vm_try_nested(void) __must_check;
