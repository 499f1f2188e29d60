/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of an x86 VM that KVM has: two 8259 PICs, an IO-APIC, a local APIC per vCPU, and an
 * i8254 timer for kernels that calibrate by it (stock Linux under our ACPI tables does not touch
 * it).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/log.h"
#include "arch/x86/cpuid_bits.h"
#include "arch/x86/layout.h"
#include "arch/x86/x86.h"

static int create_interrupt_controllers(struct vm *vm)
{
	uint64_t identity = BOARD_IDENTITY_MAP;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (vm_has(vm, KVM_CAP_SET_TSS_ADDR) &&
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, (long)BOARD_TSS) < 0)
		return log_errno("KVM: set TSS address");
	if (vm_has(vm, KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
	    ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return log_errno("KVM: set identity map address");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L) < 0)
		return log_errno("KVM: create interrupt controllers");
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		return log_errno("KVM: create i8254 timer");
	return 0;
}

/* Leaves in c what the guest gets of it. Returns 0; or -ENOTSUP, logged. */
static int allow(struct kvm_cpuid2 *c, bool nested)
{
	cpuid_allow(c, nested);
	if (!nested || cpuid_can_nest(c))
		return 0;
	return log_ret(
		-ENOTSUP,
		"--nested on: this host's KVM lets no guest have guests of its own ('minivmm doctor' tells more)");
}

/* The host is asked once what every vCPU's set-up needs to know: that takes KVM a third of a
 * millisecond. */
int vm_init_arch(struct vm *vm, bool nested)
{
	int rc = create_interrupt_controllers(vm);

	if (rc < 0)
		return rc;
	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return log_ret(-ENOMEM, "out of memory");
	pthread_mutex_init(&vm->arch->msi_lock, NULL);
	vm->arch->cpuid = cpuid_supported(vm);
	vm->arch->msrs = msr_list(vm);
	if (!vm->arch->cpuid || !vm->arch->msrs)
		return -EIO;
	return allow(vm->arch->cpuid, nested);
}

int vm_try_nested(void)
{
	AUTO_CLOSE int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct vm vm;
	struct kvm_cpuid2 *c;
	int rc;

	if (fd < 0)
		return log_errno("/dev/kvm");
	vm_none(&vm);
	vm.kvm_fd = fd;
	c = cpuid_supported(&vm);
	rc = c ? allow(c, true) : -EIO;
	free(c);
	return rc;
}

void vm_destroy_arch(struct vm *vm)
{
	if (!vm->arch)
		return;
	free(vm->arch->cpuid);
	free(vm->arch->msrs);
	free(vm->arch->msi);
	pthread_mutex_destroy(&vm->arch->msi_lock);
	free(vm->arch);
	vm->arch = NULL;
}
