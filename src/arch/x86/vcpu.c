/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of the boot processor at a kernel's entry, as its boot protocol wants it: 64-bit mode
 * with identity paging (Linux, Documentation/arch/x86/boot.rst "64-bit Boot Protocol") or 32-bit
 * protected mode without (PVH, Multiboot 1 §3.2). Tables that this state points at were left in RAM
 * by firmware/.
 */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "board.h"
#include "vmm/log.h"
#include "arch/x86/x86.h"

#define CR0_PE   (1u << 0)
#define CR0_ET   (1u << 4)
#define CR0_NE   (1u << 5)
#define CR0_PG   (1u << 31)
#define CR4_PAE  (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define RFLAGS_RESERVED 2 /* always one, SDM 1 §3.4.3 */

/* A flat segment: type 11 is code (execute, read, accessed), 3 is data (read, write, accessed). */
static struct kvm_segment flat(uint16_t selector, uint8_t type, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long_mode && type == 11,
		.db = !(long_mode && type == 11),
	};
}

static void set_segments(struct kvm_sregs *s, const struct boot_entry *e, bool long_mode)
{
	s->cs = flat(BOOT_CS, 11, long_mode);
	s->ds = s->es = s->fs = s->gs = s->ss = flat(BOOT_DS, 3, long_mode);
	s->tr = (struct kvm_segment){
		.limit = 0x67, .type = 11, .present = 1, .selector = BOOT_TR
	};
	s->gdt = (struct kvm_dtable){ .base = e->gdt, .limit = e->gdt_limit };
	s->idt = (struct kvm_dtable){ 0 };
}

int board_enter_kernel(const struct board *b, struct vcpu *v)
{
	const struct boot_entry *e = &b->entry;
	const bool long_mode = e->mode == BOOT_LONG64;
	const struct kvm_regs regs = {
		.rip = e->rip,
		.rsp = e->rsp,
		.rax = e->rax,
		.rbx = e->rbx,
		.rsi = e->rsi,
		.rflags = RFLAGS_RESERVED,
	};
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return log_errno("KVM: get registers of vCPU %u", v->id);
	set_segments(&s, e, long_mode);
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	if (long_mode) {
		s.cr0 |= CR0_PG;
		s.cr3 = e->cr3;
		s.cr4 |= CR4_PAE;
		s.efer |= EFER_LME | EFER_LMA;
	}
	if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return log_errno("KVM: set registers of vCPU %u", v->id);
	return 0;
}

int vcpu_init_arch(struct vcpu *v, const struct vm *vm, unsigned cpus)
{
	int rc = cpuid_setup(v, vm, cpus);

	if (rc == 0)
		rc = msr_setup(v, vm);
	if (rc == 0)
		rc = lapic_setup(v);
	return rc;
}
