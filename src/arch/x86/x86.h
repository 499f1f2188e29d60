/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of an x86 VM's and vCPU's set-up. Those that return int return 0 or -errno, logged. */
#pragma once

#include "arch/arch.h"

struct kvm_regs;
struct kvm_sregs;

struct vm_arch {
	/* Once nobody is asking: */
	struct kvm_cpuid2 *cpuid;  /* what the host supports, less what guests don't get */
	struct kvm_msr_list *msrs; /* the MSRs that the host lists */
	bool asking;               /* asker runs, and fills them in */
	pthread_t asker;
};

/* These return the first two, which the caller frees; NULL after a failure, logged. */
struct kvm_cpuid2 *cpuid_supported(const struct vm *vm);
struct kvm_msr_list *msr_list(const struct vm *vm);

/* Sets CPUID: what is in vm->arch, with the topology of cpus vCPUs (one package, a core each). */
int cpuid_setup(struct vcpu *v, const struct vm *vm, unsigned cpus) __must_check;

/* Sets the MSRs that a kernel expects firmware to have set, as far as the host lists them. */
int msr_setup(struct vcpu *v, const struct vm *vm) __must_check;

/* Sets the local interrupt lines as firmware leaves them: LINT0 is the 8259's INTR, LINT1 is
 * NMI. */
int lapic_setup(struct vcpu *v) __must_check;

/* Writes the part of vcpu_explain() that depends on the vCPU's state: registers, code, last
 * accesses. */
void explain_state(FILE *f, const struct vcpu *v, const struct kvm_regs *r,
		   const struct kvm_sregs *s);

/* Says in text which instruction the first of n > 0 bytes, code, are at rip, or in brackets why that
 * can't be said. Any thread. */
#define DISASSEMBLY 160
void disassemble(const struct kvm_sregs *s, uint64_t rip, const uint8_t *code, size_t n,
		 char text[DISASSEMBLY]);
