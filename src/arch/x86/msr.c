/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs and local APIC as firmware would leave them. All others have KVM's power-on values (SDM 3A
 * §10.1). Only MSRs that the host lists are set: some backends list an MSR of another vendor's and
 * refuse it.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/log.h"
#include "arch/x86/cpuid_bits.h"
#include "arch/x86/x86.h"

#define MSR_IA32_MISC_ENABLE     0x1a0
#define MISC_ENABLE_FAST_STRING  1u
#define MSR_IA32_FEATURE_CONTROL 0x3a
#define FEATURE_CONTROL_VMX      (1u | 1u << 2) /* locked; VMXON outside of SMX: SDM 3C §23.7 */
#define MSR_MTRR_DEF_TYPE        0x2ff
#define MTRR_ENABLE_WB           (1u << 11 | 6)

#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LVT_MODE_NMI    (4u << 8)
#define LVT_MODE_EXTINT (7u << 8)

static bool listed(const struct kvm_msr_list *list, uint32_t index)
{
	for (uint32_t i = 0; i < list->nmsrs; i++)
		if (list->indices[i] == index)
			return true;
	return false;
}

struct kvm_msr_list *msr_list(const struct vm *vm)
{
	struct kvm_msr_list probe = { .nmsrs = 0 }, *list;

	/* With no room it fails with E2BIG and says how many there are (KVM api 4.3). */
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, &probe) < 0 && errno != E2BIG) {
		log_errno("KVM: list MSRs");
		return NULL;
	}
	list = calloc(1, sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
	if (!list) {
		log_ret(-ENOMEM, "out of memory");
		return NULL;
	}
	list->nmsrs = probe.nmsrs;
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, list) == 0)
		return list;
	log_errno("KVM: list MSRs");
	free(list);
	return NULL;
}

int msr_setup(struct vcpu *v, const struct vm *vm)
{
	static const struct kvm_msr_entry wanted[] = {
		{ .index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WB },
		{ .index = MSR_IA32_FEATURE_CONTROL, .data = FEATURE_CONTROL_VMX },
	};
	/* The last one is only for a guest that has VMX; KVM refuses it for others. */
	const size_t nr = ARRAY_SIZE(wanted) - !cpuid_has_vmx(vm->arch->cpuid);
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(wanted)];
	} set = { .room = { 0 } };
	int done;

	for (size_t i = 0; i < nr; i++)
		if (listed(vm->arch->msrs, wanted[i].index))
			set.head.entries[set.head.nmsrs++] = wanted[i];
	done = ioctl(v->fd, KVM_SET_MSRS, &set);
	if (done < 0)
		return log_errno("KVM: set MSRs of vCPU %u", v->id);
	if ((uint32_t)done < set.head.nmsrs)
		return log_ret(-EIO,
			       "KVM: MSR %#x of vCPU %u is listed by the host but can't be set",
			       set.head.entries[done].index, v->id);
	return 0;
}

int lapic_setup(struct vcpu *v)
{
	struct kvm_lapic_state lapic;

	if (ioctl(v->fd, KVM_GET_LAPIC, &lapic) < 0)
		return log_errno("KVM: get local APIC of vCPU %u", v->id);
	store_le(lapic.regs + LAPIC_LVT_LINT0, 4, LVT_MODE_EXTINT);
	store_le(lapic.regs + LAPIC_LVT_LINT1, 4, LVT_MODE_NMI);
	if (ioctl(v->fd, KVM_SET_LAPIC, &lapic) < 0)
		return log_errno("KVM: set local APIC of vCPU %u", v->id);
	return 0;
}
