/* SPDX-License-Identifier: BSD-2-Clause */
#include <linux/kvm.h>

#include "arch/arch.h"
#include "board.h"

/* INS and OUTS arrive batched: the port stays put while the data pointer advances. */
static int exit_pio(struct vcpu *v)
{
	const unsigned port = v->run_page->io.port, size = v->run_page->io.size;
	const bool out = v->run_page->io.direction == KVM_EXIT_IO_OUT;
	uint8_t *p = (uint8_t *)v->run_page + v->run_page->io.data_offset;
	struct bus *pio = &v->board->pio;
	bool hit;

	for (uint32_t i = 0; i < v->run_page->io.count; i++, p += size) {
		if (out)
			hit = bus_write(pio, port, size, load_le(p, size));
		else
			store_le(p, size, bus_read(pio, port, size, &hit));
		v->stats.unclaimed += !hit;
	}
	vcpu_note_access(v, port, load_le(p - size, size), size, false, out);
	return VCPU_RESUME;
}

/* The in-kernel APIC waits for the next interrupt by itself; nothing is left to do. */
static int exit_hlt(struct vcpu *v __unused)
{
	return VCPU_RESUME;
}

/* The guest can take an interrupt now; KVM injects it by itself. */
static int exit_irq_window(struct vcpu *v __unused)
{
	return VCPU_RESUME;
}

/* A fault while delivering a double fault: the CPU stops (SDM 3A §6.15, interrupt 8). */
static int exit_shutdown(struct vcpu *v)
{
	vcpu_explain(
		v,
		"triple fault: an exception could not be delivered, nor the double fault after it",
		"The guest's CPU is in shutdown: its interrupt table, stack or page tables are bad. Some kernels reset themselves this way.");
	return VCPU_CRASHED;
}

static int exit_fail_entry(struct vcpu *v)
{
	char why[96];

	snprintf(why, sizeof(why), "the CPU refused to enter the guest (hardware reason %#llx)",
		 (unsigned long long)v->run_page->fail_entry.hardware_entry_failure_reason);
	vcpu_explain(
		v, why,
		"The guest's control registers or segments are in a state that this CPU refuses.");
	return VCPU_CRASHED;
}

/*
 * KVM's exit reasons, and what the hardware reported underneath: VMX in the VMCS's exit reason (SDM
 * 3D app. C), SVM in the VMCB's EXITCODE (APM 2 app. C). KVM handles most hardware exits itself
 * (page faults on slots, MSRs, CPUID, interrupt windows, the in-kernel APIC, ioeventfds) and passes
 * on only these.
 *
 *  KVM             VMX                                     SVM
 *  IO              30 I/O instruction                      7Bh IOIO
 *  MMIO            48 EPT violation, 49 EPT misconfig.     400h nested page fault
 *  HLT             12 HLT (without an in-kernel APIC)      78h HLT
 *  INTR            1 external interrupt (with a signal)    60h INTR
 *  SHUTDOWN        2 triple fault                          7Fh SHUTDOWN
 *  SYSTEM_EVENT    a hypercall or an MSR write that KVM understood as one, on both
 *  INTERNAL_ERROR  48, 49 or 0 (exception), where KVM can't emulate the instruction
 *  FAIL_ENTRY      33, 34, 41: VM entry failed             -1 VMEXIT_INVALID
 */
const struct vcpu_exit arch_exits[VCPU_EXIT_REASONS] = {
	[KVM_EXIT_IO] = { "io", exit_pio },
	[KVM_EXIT_HLT] = { "hlt", exit_hlt },
	[KVM_EXIT_IRQ_WINDOW_OPEN] = { "irq-window", exit_irq_window },
	[KVM_EXIT_SHUTDOWN] = { "shutdown", exit_shutdown },
	[KVM_EXIT_FAIL_ENTRY] = { "fail-entry", exit_fail_entry },
};
