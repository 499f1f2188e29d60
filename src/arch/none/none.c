/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No architecture: every hook of arch.h, in its order, as empty as can be. No machine is made with
 * it. It is built to see that shared code needs nothing else of an architecture, and whoever adds
 * another one begins with a copy.
 */
#include <errno.h>

#include "board.h"
#include "vmm/log.h"

/* With room for BARs, so that a dry run comes to board_map(), which says why it fails. */
const struct layout arch_layout = { .ram = { { 0, UINT64_MAX } }, .pci_low_len = 256 * MIB };

static int none(void)
{
	return log_ret(-ENOTSUP, "this build of minivmm has no architecture (-Darch=none)");
}

/* -- the board ------------------------------------------------------------------------------- */

void board_init(struct board *b, const struct config *c, const struct board_host *host __unused)
{
	b->config = c;
}

void board_destroy(struct board *b __unused) {}

int board_map(struct board *b __unused, struct bus *mmio __unused)
{
	return none();
}

int board_place_tables(const struct board *b __unused, const struct gmem *mem __unused,
		       const struct device_places *devices __unused)
{
	return none();
}

void board_stop(struct board *b __unused) {}
void board_make_room(struct board *b __unused, bool on __unused) {}

void board_close_serial(struct board *b __unused) {}

void board_press_power_button(struct board *b __unused) {}

/* -- kernels --------------------------------------------------------------------------------- */

int board_load_kernel(struct board *b __unused, const struct boot_request *r __unused,
		      struct boot_placed *placed __unused)
{
	return none();
}

int board_enter_kernel(const struct board *b __unused, struct vcpu *v __unused)
{
	return none();
}

bool kernel_image_fits(const struct boot_image *i __unused, const struct gmem *mem __unused)
{
	return false;
}

int kernel_unpack(const struct boot_request *r __unused, struct boot_image *i __unused)
{
	return none();
}

bool kernel_is_linux(const struct boot_request *r __unused)
{
	return false;
}

bool kernel_release(const uint8_t *file __unused, size_t len __unused,
		    char release[KERNEL_RELEASE_MAX] __unused)
{
	return false;
}

bool kernel_left_panic(const struct gmem *mem __unused)
{
	return false;
}

/* -- the VM ---------------------------------------------------------------------------------- */

int vm_ask_arch(struct vm *vm __unused)
{
	return none();
}

int vm_init_arch(struct vm *vm __unused, bool nested __unused)
{
	return none();
}

void vm_destroy_arch(struct vm *vm __unused) {}

int vm_try_nested(void)
{
	return none();
}

struct irq_line vm_irq(struct vm *vm __unused, unsigned pin __unused)
{
	return (struct irq_line){ 0 };
}

unsigned vm_pin_routes(struct kvm_irq_routing_entry *route __unused)
{
	return 0;
}

/* -- processors ------------------------------------------------------------------------------ */

int vcpu_init_arch(struct vcpu *v __unused, const struct vm *vm __unused, unsigned cpus __unused)
{
	return none();
}

const struct vcpu_exit arch_exits[VCPU_EXIT_REASONS];

void vcpu_explain(struct vcpu *v, const char *why, const char *hint)
{
	log_msg(LOG_ERROR, "vCPU %u stopped: %s%s%s", v->id, why, hint ? ". " : "", hint ?: "");
}

struct vcpu_clock vcpu_clock(const struct vcpu *v __unused)
{
	return (struct vcpu_clock){ 0 };
}

/* -- for people ------------------------------------------------------------------------------ */

void board_print_processors(const struct board *b __unused, FILE *out __unused) {}

void board_print_devices(const struct board *b __unused, const char *serial __unused,
			 FILE *out __unused)
{
}

const struct bus *board_bus(const struct board *b __unused)
{
	return NULL;
}

/* -- the doctor ------------------------------------------------------------------------------ */

void arch_check_backend(struct doctor_report *r __unused) {}

void arch_check_nested(struct doctor_report *r __unused) {}

void arch_advise_kvm(struct doctor_report *r __unused) {}

void arch_advise_elsewhere(struct doctor_report *r __unused) {}

const struct doctor_capability arch_needed[] = { { 0 } }, arch_useful[] = { { 0 } };

int arch_try_guest(int kvm_fd __unused)
{
	return -ENOTSUP;
}
