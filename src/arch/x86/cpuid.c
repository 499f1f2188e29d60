/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's CPUID: what the host's KVM supports, as far as a guest gets it (cpuid_bits.c), with a
 * topology of its own instead of the host's.
 *
 * That has one package, one core for each vCPU, and no threads; the APIC id is the vCPU's number,
 * as the MADT says. See SDM 2A CPUID (leaves 1, 4, 0Bh), APM 3 app. E (8000_0008h, 8000_001Dh,
 * 8000_001Eh), and Documentation/virt/kvm/x86/cpuid.rst for the hypervisor leaves.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/log.h"
#include "arch/x86/x86.h"

#define MAX_ENTRIES 256

#define LEAF1_EDX_HTT          (1u << 28)
#define LEAF1_ECX_X2APIC       (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_OSXSAVE      (1u << 27)
#define LEAF1_ECX_HYPERVISOR   (1u << 31)

#define HYPERVISOR_BASE   0x40000000u
#define HYPERVISOR_TIMING 0x40000010u /* TSC and APIC bus frequency in kHz */
#define KVM_APIC_BUS_KHZ  1000000u    /* KVM's local APIC timer counts nanoseconds */

/* Returns how many bits hold the numbers 0 to n - 1. */
static unsigned bits_for(unsigned n)
{
	return n > 1 ? 32u - (unsigned)__builtin_clz(n - 1) : 0;
}

static void set_field(uint32_t *reg, unsigned low, unsigned width, uint32_t value)
{
	uint32_t mask = (uint32_t)((1ull << width) - 1);

	*reg = (*reg & ~(mask << low)) | (value & mask) << low;
}

static struct kvm_cpuid_entry2 *find_leaf(struct kvm_cpuid2 *c, uint32_t function)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == function)
			return &c->entries[i];
	return NULL;
}

static void drop_leaf(struct kvm_cpuid2 *c, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function != function)
			c->entries[kept++] = c->entries[i];
	c->nent = kept;
}

static void add_leaf(struct kvm_cpuid2 *c, const struct kvm_cpuid_entry2 *e)
{
	if (c->nent < MAX_ENTRIES)
		c->entries[c->nent++] = *e;
}

/* Leaf 0Bh: level 0 is the thread (one a core), level 1 the core, level 2 ends the list. */
static void add_topology(struct kvm_cpuid2 *c, uint32_t function, unsigned id, unsigned cpus)
{
	const struct kvm_cpuid_entry2 level[] = {
		{ .eax = 0, .ebx = 1, .ecx = 1 << 8 },
		{ .eax = bits_for(cpus), .ebx = cpus, .ecx = 2 << 8 },
		{ 0 },
	};

	drop_leaf(c, function);
	for (uint32_t i = 0; i < ARRAY_SIZE(level); i++) {
		struct kvm_cpuid_entry2 e = level[i];

		e.function = function;
		e.index = i;
		e.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e.ecx |= i;
		e.edx = id;
		add_leaf(c, &e);
	}
}

/* Adds the hypervisor's timing leaf, so that no guest has to calibrate against a PIT. */
static void add_timing(struct kvm_cpuid2 *c, int tsc_khz)
{
	struct kvm_cpuid_entry2 *base = find_leaf(c, HYPERVISOR_BASE);
	const struct kvm_cpuid_entry2 timing = {
		.function = HYPERVISOR_TIMING,
		.eax = (uint32_t)tsc_khz,
		.ebx = KVM_APIC_BUS_KHZ,
	};

	if (!base || tsc_khz <= 0 || find_leaf(c, HYPERVISOR_TIMING))
		return;
	base->eax = max(base->eax, HYPERVISOR_TIMING);
	add_leaf(c, &timing);
}

static void patch_leaf(struct kvm_cpuid_entry2 *e, const struct vm *vm, unsigned id, unsigned cpus)
{
	uint32_t level = e->eax >> 5 & 7, type = e->eax & 0x1f;

	switch (e->function) {
	case 1:
		set_field(&e->ebx, 24, 8, id);
		set_field(&e->ebx, 16, 8, cpus);
		e->edx = cpus > 1 ? e->edx | LEAF1_EDX_HTT : e->edx & ~LEAF1_EDX_HTT;
		e->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC;
		e->ecx &= ~LEAF1_ECX_OSXSAVE; /* KVM sets it while CR4.OSXSAVE is set */
		if (vm_has(vm, KVM_CAP_TSC_DEADLINE_TIMER))
			e->ecx |= LEAF1_ECX_TSC_DEADLINE;
		break;
	case 4: /* caches: the last level is shared by all cores, the others by none */
		if (!type)
			break;
		set_field(&e->eax, 14, 12, level >= 3 ? cpus - 1 : 0);
		set_field(&e->eax, 26, 6, cpus - 1);
		break;
	case 0x80000008:
		set_field(&e->ecx, 0, 8, cpus - 1);
		set_field(&e->ecx, 12, 4, bits_for(cpus));
		break;
	case 0x8000001d:
		if (type)
			set_field(&e->eax, 14, 12, level >= 3 ? cpus - 1 : 0);
		break;
	case 0x8000001e: /* APIC id; core id, one thread a core; node 0, the only one */
		e->eax = id;
		e->ebx = id;
		e->ecx = 0;
		break;
	}
}

static struct kvm_cpuid2 *cpuid_new(void)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_ENTRIES * sizeof(c->entries[0]));

	if (!c)
		log_ret(-ENOMEM, "out of memory");
	return c;
}

struct kvm_cpuid2 *cpuid_supported(const struct vm *vm)
{
	struct kvm_cpuid2 *c = cpuid_new();

	if (!c)
		return NULL;
	c->nent = MAX_ENTRIES;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, c) == 0)
		return c;
	log_errno("KVM: get supported CPUID");
	free(c);
	return NULL;
}

int cpuid_setup(struct vcpu *v, const struct vm *vm, unsigned cpus)
{
	const struct kvm_cpuid2 *host = vm->arch->cpuid;
	struct kvm_cpuid2 *c = cpuid_new();
	int rc = 0;

	if (!c)
		return -ENOMEM;
	memcpy(c, host, sizeof(*host) + host->nent * sizeof(host->entries[0]));
	for (uint32_t i = 0; i < c->nent; i++)
		patch_leaf(&c->entries[i], vm, v->id, cpus);
	add_topology(c, 0xb, v->id, cpus);
	add_timing(c, ioctl(v->fd, KVM_GET_TSC_KHZ, 0L));
	if (ioctl(v->fd, KVM_SET_CPUID2, c) < 0)
		rc = log_errno("KVM: set CPUID of vCPU %u", v->id);
	free(c);
	return rc;
}
