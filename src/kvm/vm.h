/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine as KVM sees it: one descriptor, its memory slots, its in-kernel interrupt
 * controllers, and the descriptors that stand for interrupts (irqfd) and for kicks (ioeventfd).
 *
 * Set-up is single-threaded; any thread may call irq_set() on a line from here.
 */
#pragma once

#include <pthread.h>

#include "backend/kept.h"
#include "vmm/irq.h"
#include "vmm/types.h"
#include "vmm/wires.h"

/* Pins of the in-kernel interrupt controllers: limits of arch_layout.nr_pins and
 * vm_pin_routes(). */
#define VM_MAX_PINS       64
#define VM_MAX_PIN_ROUTES (2 * VM_MAX_PINS)

struct vm {
	int kvm_fd; /* /dev/kvm */
	int fd;     /* the VM */
	unsigned nr_slots;
	size_t run_page_len;      /* bytes of a vCPU's struct kvm_run */
	int irqfd[VM_MAX_PINS];   /* -1: none */
	struct vm_msi *msi;       /* owned; NULL until the first message (wires.c) */
	pthread_mutex_t msi_lock; /* a leaf; protects msi */
	struct vm_arch *arch;     /* what src/arch keeps; owned */
};

/* vm_destroy() is safe on this, and on what a failed vm_init() leaves. */
void vm_none(struct vm *vm);

/* Opens /dev/kvm, or takes it from kept (which may be NULL) if it is there, and creates an empty
 * VM. Returns 0 or -errno, logged. */
int vm_init(struct vm *vm, struct kept *kept) __must_check;
void vm_destroy(struct vm *vm);

/* Maps host memory, which stays the caller's, at gpa. Returns 0 or -errno, logged. */
int vm_add_memory(struct vm *vm, gpa_t gpa, uint64_t size, void *host) __must_check;

/* The same for memory that the guest can only read, which the caller may change at any time: what
 * the guest writes there comes out of KVM as if no memory were there. Returns false if this KVM
 * can't do that. */
bool vm_show_memory(struct vm *vm, gpa_t gpa, uint64_t size, void *host) __must_check;

/* Makes *line an edge-triggered view of a pin of the interrupt controller, by irqfd: raising it is
 * one write(2), and lowering it does nothing. Returns 0 or -errno, logged. */
int vm_irqfd_line(struct vm *vm, unsigned pin, struct irq_line *line) __must_check;

/* Returns what wires the eventfds of a device (vmm/wires.h): by ioeventfds and, for PCI functions,
 * by irqfds with a route of their own for each message. The function's messages are numbered from
 * first on; all numbers are below VM_MSIS. KVM is asked for nothing before the guest wants it.
 * (wires.c) */
#define VM_MSIS 1088
struct wires vm_wires(struct vm *vm, unsigned first);

/* Calls KVM_CHECK_EXTENSION. Returns 0 when cap is absent, otherwise its value. */
int vm_has(const struct vm *vm, int cap);
