/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hooks by which an architecture serves the rest of minivmm, each once. Each directory beside
 * this file has all of them, and meson picks one. Shared code includes this file, which brings
 * "words.h"; "board.h" where it needs room for a struct board, which each architecture defines for
 * itself; and in the guest's init "counter.h". It sees nothing else of them.
 *
 * A hook is called by the thread that sets the machine up or takes it down, and by no other, unless
 * its comment says so. A hook that returns int returns 0, or -errno with one line logged.
 */
#pragma once

#include <stdio.h>

#include "common/boot.h"
#include "common/devices.h"
#include "host/doctor_report.h"
#include "kvm/vcpu.h"
#include "vmm/power.h"

struct board;
struct config;
struct kvm_irq_routing_entry;
struct pci;
struct stream;

/* -- where things are ------------------------------------------------------------------------ */

#define LAYOUT_RAM  2
#define LAYOUT_CHIP 2

/* The addresses that every board has, and its interrupts. They are constant. */
struct layout {
	/* Guest RAM: its first len bytes are at base, and so on. len 0: there is no such part.
	 * Outside RAM there are devices, or nothing. */
	struct layout_ram {
		gpa_t base;
		uint64_t len;
	} ram[LAYOUT_RAM];

	/* Pins of the interrupt controllers in KVM that devices can have: 0 to nr_pins - 1. */
	unsigned nr_pins;

	/* virtio-mmio: from here on there is a page for each device, which also has a pin
	 * (edge-triggered) that nothing else uses. So there are at most as many devices as such
	 * pins. */
	gpa_t virtio;
	const uint8_t *virtio_pin;
	size_t nr_virtio_pins;

	/* virtio-pci: configuration space (ECAM), and the windows for BARs. The high one is at the
	 * first multiple of its size that is neither below pci_high nor below any RAM's end. */
	gpa_t pci_ecam, pci_low, pci_high;
	uint64_t pci_low_len, pci_high_len;

	/* Rows of --dry-run: the tables that describe the machine to a kernel, and what KVM itself
	 * puts into memory. NULL: there is none. */
	struct layout_tables {
		gpa_t base;
		uint64_t len;
		const char *what;
	} tables;
	struct layout_chip {
		gpa_t at;
		const char *what;
	} chip[LAYOUT_CHIP];
};
extern const struct layout arch_layout;

/* -- words ----------------------------------------------------------------------------------- */

/*
 * Macros, in "words.h". For Linux's command line:
 *
 *  WORDS_CONSOLE     its console is the serial port
 *  WORDS_EARLY       it prints there until another console begins
 *  WORDS_EARLY_ONLY  strings, separated by commas: it prints there always, and no driver probes it
 *  WORDS_NO_SEARCH   it doesn't search for what our machines never have
 *  WORDS_PANIC       kernel_left_panic() can tell a panic from a reset
 *
 * For people:
 *
 *  WORDS_NO_KVM      why there may be no /dev/kvm; a clause
 *  WORDS_HELP_KERNEL, _INITRD, _DEBUG_EXIT, _NESTED  for --help
 */
#include "words.h"

/* -- the board: the devices that aren't virtio's --------------------------------------------- */

/* The board needs these parts of the machine. All of them outlive it. */
struct board_host {
	struct vm *vm; /* for its interrupt lines; without KVM (a dry run), nothing uses them */
	struct stream *serial; /* the serial port's other end; NULL: there is none */
	struct pci *pci;       /* the host bridge; pci_init() may come later */
	struct power power;    /* is told what the guest asks for */
};

/* Makes the board of the machine that c, which outlives it, asks for. board_destroy() is safe on
 * zeroes, and must be called after this. */
void board_init(struct board *b, const struct config *c, const struct board_host *host);
void board_destroy(struct board *b);

/* Puts its devices on mmio, and on buses of its own, which it freezes. mmio stays open. */
int board_map(struct board *b, struct bus *mmio) __must_check;

/* Writes what describes the machine to a kernel: tables, and the parts of firmware that it looks
 * for. Called after board_map(). */
int board_place_tables(const struct board *b, const struct gmem *mem,
		       const struct device_places *devices) __must_check;

/* vCPUs that wait in the serial port for room stop waiting, and none waits there until the machine
 * starts again. Any thread. */
void board_stop(struct board *b);
/* While on is set, they leave their byte in the serial port and don't wait: so vCPUs that are asked
 * to pause come to the place where they are parked. Any thread. */
void board_make_room(struct board *b, bool on);
/* Disconnects the serial port from its stream, after its last bytes. Called when no thread runs. */
void board_close_serial(struct board *b);

/* Any thread that holds no device's lock may call this. */
void board_press_power_button(struct board *b);

/* -- kernels --------------------------------------------------------------------------------- */

/* Loads the kernel and its initrd into guest RAM. Fills *placed, and keeps for board_enter_kernel()
 * what else is needed. The line that is logged names the file, what is wrong and the way out; then
 * guest RAM and *placed are unspecified. */
int board_load_kernel(struct board *b, const struct boot_request *r,
		      struct boot_placed *placed) __must_check;

/* Can the kernel of this image, which anybody may have written, be placed in that memory? Unpacking
 * its file there would then have succeeded, too. */
bool kernel_image_fits(const struct boot_image *i, const struct gmem *mem);

/* Loads the kernel into memory that no guest has, and sets *i to what lies there. Returns 0 or
 * -errno, logged. Any thread. */
int kernel_unpack(const struct boot_request *r, struct boot_image *i) __must_check;

/* Puts the boot processor at that kernel's entry. The others wait until the guest starts them. */
int board_enter_kernel(const struct board *b, struct vcpu *v) __must_check;

/* Is the kernel Linux? False also for a file that board_load_kernel() refuses. */
bool kernel_is_linux(const struct boot_request *r);

/* Finds the release that a Linux kernel says it is, which is the name of its modules' directory.
 * Anybody may have written these bytes: they are copied up to the first one that a directory's name
 * can't have. Returns false if there is none. */
#define KERNEL_RELEASE_MAX 200
bool kernel_release(const uint8_t *file, size_t len, char release[KERNEL_RELEASE_MAX]);

/* Does memory show that a Linux with WORDS_PANIC on its command line panicked, and then reset the
 * machine? Any thread may ask, with any lock held. */
bool kernel_left_panic(const struct gmem *mem);

/* -- the VM ---------------------------------------------------------------------------------- */

/* Begins to ask /dev/kvm, which is open, what vm_init_arch() will need to know, on a thread of its
 * own if that takes long. Called by vm_init(). */
int vm_ask_arch(struct vm *vm) __must_check;

/* Makes the interrupt controllers, and what else the architecture has in a VM. nested: its guest
 * may have guests; -ENOTSUP if the host's KVM can't do that.
 *
 * It is called after vm_add_memory(): KVM waits for a grace period of its SRCU for each interrupt
 * controller, and a memory slot that is added soon afterwards then takes milliseconds (measured:
 * 5.6 ms against 0.2). */
int vm_init_arch(struct vm *vm, bool nested) __must_check;
/* Called by vm_destroy(), also if neither of these was called, or one failed. */
void vm_destroy_arch(struct vm *vm);

/* Returns what vm_init_arch() would return for nested, without making a VM; for a dry run. */
int vm_try_nested(void) __must_check;

/* Returns a level-triggered view of a pin of the interrupt controllers, by KVM_IRQ_LINE, whose
 * argument contains more than the pin's number. Any thread may raise and lower it. */
struct irq_line vm_irq(struct vm *vm, unsigned pin);

/* Fills route, which has room for VM_MAX_PIN_ROUTES, with the pins' connections as they are when
 * KVM has made the interrupt controllers. Returns how many there are. Any thread. */
unsigned vm_pin_routes(struct kvm_irq_routing_entry *route);

/* -- processors ------------------------------------------------------------------------------ */

/* Sets up v, one of cpus, as firmware leaves a processor. Called by vcpu_init(). */
int vcpu_init_arch(struct vcpu *v, const struct vm *vm, unsigned cpus) __must_check;

/* The exits, by KVM's number, that other architectures don't have, or handle differently. */
extern const struct vcpu_exit arch_exits[VCPU_EXIT_REASONS];

/* Logs why v can't go on, its registers, the bytes at its program counter and the instruction that
 * they make, and the last accesses. why is a clause without a capital; hint is a sentence, or NULL
 * for the architecture's own. The vCPU's thread calls this. */
void vcpu_explain(struct vcpu *v, const char *why, const char *hint);

/* Returns what the host's CLOCK_REALTIME was when the guest's counter, by which it can tell the
 * time, had some value. khz 0: this host can't tell. Any thread may call it before vcpu_start(). */
struct vcpu_clock {
	uint64_t counter, real_ns;
	uint32_t khz;
};
struct vcpu_clock vcpu_clock(const struct vcpu *v);
/* counter_read(), in "counter.h", reads that counter in the guest; 0: it can't. It is for the
 * guest's init alone, and that header includes nothing. */

/* -- for people ------------------------------------------------------------------------------ */

/* These print lines of --dry-run: the processors; and the devices that are not virtio's. serial
 * says what the serial port is connected to. */
void board_print_processors(const struct board *b, FILE *out);
void board_print_devices(const struct board *b, const char *serial, FILE *out);

/* Returns a bus of the board's own, for its counts of accesses; NULL: it has none. */
const struct bus *board_bus(const struct board *b);

/* -- the doctor ------------------------------------------------------------------------------ */

/* Reports an item: what runs guests on this host, as far as the host says (arch_try_guest() tries
 * it). Also fills r->backend and r->seen, for the functions below. */
void arch_check_backend(struct doctor_report *r);
/* Reports an item: whether a guest could have guests of its own. */
void arch_check_nested(struct doctor_report *r);

/* These give advice for a host without a /dev/kvm that answers, and for one whose KVM can't run
 * kernels. */
void arch_advise_kvm(struct doctor_report *r);
void arch_advise_elsewhere(struct doctor_report *r);

/* Items beside those of every architecture. No guest runs without those of arch_needed. */
extern const struct doctor_capability arch_needed[], arch_useful[];

/* Runs one kernel-mode instruction that KVM lacks if the processor doesn't help it, in a VM of
 * its own with a few pages of memory. Returns one of these, or -errno if such a VM can't be made.
 * Nothing is logged. Any thread may call it. */
enum try_guest {
	TRY_RAN,         /* the processor executed it */
	TRY_INTERPRETED, /* KVM tried to emulate it, and could not */
	TRY_ODD,         /* something else happened */
};
int arch_try_guest(int kvm_fd);
