/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of an x86 VM that KVM has: two 8259 PICs, an IO-APIC, a local APIC per vCPU, and an
 * i8254 timer for kernels that calibrate by it (stock Linux under our ACPI tables does not touch
 * it).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/log.h"
#include "vmm/thread.h"
#include "arch/x86/cpuid_bits.h"
#include "arch/x86/layout.h"
#include "arch/x86/x86.h"

#define PIC_PINS 8 /* of each of the two PICs */

_Static_assert(IOAPIC_PINS <= VM_MAX_PINS && IOAPIC_PINS + 2 * PIC_PINS <= VM_MAX_PIN_ROUTES,
	       "room for each");

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

static void *ask(void *arg)
{
	struct vm *vm = arg;

	vm->arch->cpuid = cpuid_supported(vm);
	vm->arch->msrs = msr_list(vm);
	return NULL;
}

static void await_answer(struct vm *vm)
{
	if (vm->arch->asking)
		pthread_join(vm->arch->asker, NULL);
	vm->arch->asking = false;
}

/* The host is asked once what every vCPU's set-up needs to know. That takes KVM a third of a
 * millisecond, as long as all else that it does until it has a VM. */
int vm_ask_arch(struct vm *vm)
{
	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return log_ret(-ENOMEM, "out of memory");
	vm->arch->asking = thread_start(&vm->arch->asker, "ask", ask, vm) == 0;
	if (!vm->arch->asking)
		ask(vm);
	return 0;
}

int vm_init_arch(struct vm *vm, bool nested)
{
	int rc = create_interrupt_controllers(vm);

	if (rc < 0)
		return rc;
	await_answer(vm);
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
	await_answer(vm);
	free(vm->arch->cpuid);
	free(vm->arch->msrs);
	free(vm->arch);
	vm->arch = NULL;
}

/* -- interrupts ------------------------------------------------------------------------------ */

static void irq_line_set(void *ctx, unsigned gsi, bool level)
{
	const struct vm *vm = ctx;
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	/* It fails only for a GSI that does not exist, which would be a bug of ours. */
	if (ioctl(vm->fd, KVM_IRQ_LINE, &irq) < 0)
		assert(errno == EINTR);
}

struct irq_line vm_irq(struct vm *vm, unsigned gsi)
{
	return (struct irq_line){ .set = irq_line_set, .ctx = vm, .n = gsi };
}

static struct kvm_irq_routing_entry pin(uint32_t gsi, uint32_t chip, uint32_t n)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = n },
	};
}

/* The connections that KVM has from the start (KVM api 4.24, 4.52). */
unsigned vm_pin_routes(struct kvm_irq_routing_entry *e)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		e[nr++] = pin(i, KVM_IRQCHIP_IOAPIC, i);
	for (unsigned i = 0; i < 2 * PIC_PINS; i++)
		e[nr++] = pin(i, i < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			      i % PIC_PINS);
	return nr;
}
