/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest of two instructions, in 64-bit mode at CPL 0: CMPXCHG16B, which Linux uses and which
 * KVM's instruction emulator refuses (every 64-bit processor but the very first has it), and HLT.
 * With VT-x or AMD-V the processor runs both; a backend that interprets kernel mode stops at the
 * first.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "vmm/types.h"

enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, CODE = 0x4000, DATA = 0x5000, MEMORY = 0x6000 };
enum { PTE_PRESENT = 1 << 0, PTE_WRITE = 1 << 1, PTE_LARGE = 1 << 7 }; /* SDM 3A §4.5 */
enum { CR0_PE = 1 << 0, CR0_ET = 1 << 4, CR4_PAE = 1 << 5, EFER_LME = 1 << 8, EFER_LMA = 1 << 10 };
#define CR0_PG       (1u << 31)
#define RFLAGS_FIXED 2
#define MAGIC        0x6d696e69766d6d21ull
#define MAX_CPUID    256

struct attempt {
	int vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run_page;
	size_t run_page_len;
};

static int attempt_memory(struct attempt *a)
{
	static const uint8_t code[] = {
		0x48, 0x0f, 0xc7, 0x0e, /* cmpxchg16b [rsi] */
		0xf4,                   /* hlt */
	};
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };

	a->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (a->memory == MAP_FAILED)
		return -errno;
	/* One page of 2 MiB, mapped one to one. */
	store_le(a->memory + PML4, 8, PDPT | PTE_PRESENT | PTE_WRITE);
	store_le(a->memory + PDPT, 8, PD | PTE_PRESENT | PTE_WRITE);
	store_le(a->memory + PD, 8, PTE_PRESENT | PTE_WRITE | PTE_LARGE);
	memcpy(a->memory + CODE, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)a->memory;
	return ioctl(a->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

/* EFER.LME faults in a vCPU whose CPUID has no long mode. */
static int attempt_cpuid(struct attempt *a, int kvm_fd)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_CPUID * sizeof(c->entries[0]));
	int rc = 0;

	if (!c)
		return -ENOMEM;
	c->nent = MAX_CPUID;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0 || ioctl(a->vcpu, KVM_SET_CPUID2, c) < 0)
		rc = -errno;
	free(c);
	return rc;
}

static int attempt_registers(struct attempt *a)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	const struct kvm_segment data = { .limit = 0xffffffff,
					  .selector = 16,
					  .type = 3,
					  .present = 1,
					  .s = 1,
					  .db = 1,
					  .g = 1 };
	const struct kvm_regs regs = {
		.rip = CODE, .rsi = DATA, .rbx = MAGIC, .rcx = ~MAGIC, .rflags = RFLAGS_FIXED
	};
	struct kvm_sregs s;

	if (ioctl(a->vcpu, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cr0 = CR0_PE | CR0_ET | CR0_PG;
	s.cr3 = PML4;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME | EFER_LMA;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	if (ioctl(a->vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(a->vcpu, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static int attempt_vcpu(struct attempt *a, int kvm_fd)
{
	int size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0L);
	int rc;

	a->vcpu = ioctl(a->vm, KVM_CREATE_VCPU, 0L);
	if (size < 0 || a->vcpu < 0)
		return -errno;
	a->run_page_len = (size_t)size;
	a->run_page = mmap(NULL, a->run_page_len, PROT_READ | PROT_WRITE, MAP_SHARED, a->vcpu, 0);
	if (a->run_page == MAP_FAILED)
		return -errno;
	rc = attempt_cpuid(a, kvm_fd);
	return rc ?: attempt_registers(a);
}

/* Both instructions ran if the guest halted and the first one left its mark. */
static int attempt_run(struct attempt *a)
{
	int rc;

	do
		rc = ioctl(a->vcpu, KVM_RUN, 0L);
	while (rc < 0 && (errno == EINTR || errno == EAGAIN));
	if (rc < 0)
		return -errno;
	if (a->run_page->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    a->run_page->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		return TRY_INTERPRETED;
	if (a->run_page->exit_reason == KVM_EXIT_HLT && load_le(a->memory + DATA, 8) == MAGIC &&
	    load_le(a->memory + DATA + 8, 8) == ~MAGIC)
		return TRY_RAN;
	return TRY_ODD;
}

int arch_try_guest(int kvm_fd)
{
	struct attempt a = { .vm = -1, .vcpu = -1, .memory = MAP_FAILED, .run_page = MAP_FAILED };
	int rc;

	do
		a.vm = ioctl(kvm_fd, KVM_CREATE_VM, 0L);
	while (a.vm < 0 && errno == EINTR);
	rc = a.vm < 0 ? -errno : attempt_memory(&a);
	if (rc == 0)
		rc = attempt_vcpu(&a, kvm_fd);
	if (rc == 0)
		rc = attempt_run(&a);
	if (a.run_page != MAP_FAILED)
		munmap(a.run_page, a.run_page_len);
	close_fd(&a.vcpu);
	close_fd(&a.vm);
	if (a.memory != MAP_FAILED)
		munmap(a.memory, MEMORY);
	return rc;
}
