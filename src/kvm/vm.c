/* SPDX-License-Identifier: BSD-2-Clause */
#include "kvm/vm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "kvm/late_close.h"
#include "vmm/event.h"
#include "vmm/log.h"

void vm_none(struct vm *vm)
{
	*vm = (struct vm){ .kvm_fd = -1, .fd = -1, .msi_lock = PTHREAD_MUTEX_INITIALIZER };
	for (size_t i = 0; i < VM_MAX_PINS; i++)
		vm->irqfd[i] = -1;
}

static int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == EACCES)
		return log_ret(
			-EACCES,
			"/dev/kvm: Permission denied (join its group: sudo usermod -aG kvm $USER, then log in again; 'minivmm doctor' tells more)");
	if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
		return log_ret(-errno, "/dev/kvm: not there (%s; 'minivmm doctor' tells more)",
			       WORDS_NO_KVM);
	return log_errno("/dev/kvm");
}

int vm_has(const struct vm *vm, int cap)
{
	int n = ioctl(vm->fd >= 0 ? vm->fd : vm->kvm_fd, KVM_CHECK_EXTENSION, (long)cap);

	return n < 0 ? 0 : n;
}

static int kvm_create_vm(struct vm *vm)
{
	int version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0L);
	int size;

	if (version < 0)
		return log_ret(-ENOTTY,
			       "/dev/kvm: exists, but is not KVM's ('minivmm doctor' tells more)");
	if (version != KVM_API_VERSION)
		return log_ret(-ENOTSUP, "/dev/kvm: API version %d; minivmm needs %d", version,
			       KVM_API_VERSION);
	do
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0L);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return log_errno("/dev/kvm: create a VM");
	size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0L);
	if (size < (int)sizeof(struct kvm_run))
		return log_ret(-ENOTSUP, "/dev/kvm: vCPU area of %d bytes; minivmm needs %zu", size,
			       sizeof(struct kvm_run));
	vm->run_page_len = (size_t)size;
	return 0;
}

static int kvm_check(const struct vm *vm)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
		{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
		{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!vm_has(vm, needed[i].cap))
			return log_ret(
				-ENOTSUP,
				"/dev/kvm: no %s, which minivmm needs (see 'minivmm doctor')",
				needed[i].name);
	return 0;
}

int vm_init(struct vm *vm, struct kept *kept)
{
	int rc;

	vm_none(vm);
	rc = vm->kvm_fd = kept_open(kept, 0);
	if (rc == -ENOENT) {
		rc = vm->kvm_fd = kvm_open();
		if (rc >= 0)
			rc = kept_keep(kept, 0, vm->kvm_fd, "/dev/kvm");
	} else if (rc < 0) {
		return log_errno("/dev/kvm");
	}
	if (rc >= 0)
		rc = vm_ask_arch(vm);
	if (rc == 0)
		rc = kvm_create_vm(vm);
	if (rc == 0)
		rc = kvm_check(vm);
	return rc;
}

void vm_destroy(struct vm *vm)
{
	vm_destroy_arch(vm);
	free(vm->msi);
	vm->msi = NULL;
	for (size_t i = 0; i < VM_MAX_PINS; i++)
		close_fd(&vm->irqfd[i]);
	late_close(&vm->fd);
	close_fd(&vm->kvm_fd);
}

static bool set_slot(struct vm *vm, gpa_t gpa, uint64_t size, void *host, uint32_t flags)
{
	const struct kvm_userspace_memory_region slot = {
		.slot = vm->nr_slots,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return false;
	vm->nr_slots++;
	return true;
}

int vm_add_memory(struct vm *vm, gpa_t gpa, uint64_t size, void *host)
{
	if (set_slot(vm, gpa, size, host, 0))
		return 0;
	return log_errno("KVM: memory slot %u (%llu MiB at %#llx)", vm->nr_slots,
			 (unsigned long long)(size / MIB), (unsigned long long)gpa);
}

bool vm_show_memory(struct vm *vm, gpa_t gpa, uint64_t size, void *host)
{
	return vm_has(vm, KVM_CAP_READONLY_MEM) && set_slot(vm, gpa, size, host, KVM_MEM_READONLY);
}

static void irqfd_set(void *ctx, unsigned pin, bool level)
{
	const struct vm *vm = ctx;

	if (level)
		event_signal(vm->irqfd[pin]); /* KVM turns it into one edge */
}

int vm_irqfd_line(struct vm *vm, unsigned pin, struct irq_line *line)
{
	struct kvm_irqfd irqfd = { .gsi = pin };

	assert(pin < arch_layout.nr_pins && pin < VM_MAX_PINS && vm->irqfd[pin] < 0);
	vm->irqfd[pin] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->irqfd[pin] < 0)
		return log_errno("eventfd for interrupt %u", pin);
	irqfd.fd = (uint32_t)vm->irqfd[pin];
	if (ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0)
		return log_errno("KVM: irqfd for interrupt %u", pin);
	*line = (struct irq_line){ .set = irqfd_set, .ctx = vm, .n = pin };
	return 0;
}
