/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine: every part of one VM, owned by value, and the board that wires them.
 *
 * Life: machine_init, machine_start, machine_serve, machine_stop, machine_destroy. machine_serve() runs
 * m->loop (the terminal and its like): from machine_start() to machine_stop() they belong to one
 * thread, the machine's own. Machines live side by side in one process.
 */
#pragma once

#include "config/config.h"
#include "debug_exit.h"
#include "host/file.h"
#include "backend/kept.h"
#include "x86/boot.h"
#include "i8042.h"
#include "pci.h"
#include "pm.h"
#include "pvpanic.h"
#include "machine/ram.h"
#include "rtc.h"
#include "command/command.h"
#include "uart8250.h"
#include "kvm/vcpu.h"
#include "virtio/balloon.h"
#include "virtio/blk.h"
#include "virtio/console.h"
#include "virtio/fs.h"
#include "virtio/fs_vhost.h"
#include "virtio/mmio.h"
#include "virtio/net.h"
#include "virtio/pci.h"
#include "virtio/rng.h"
#include "virtio/vsock.h"
#include "virtio/vsock_vhost.h"
#include "kvm/vm.h"
#include "vmm/fd_budget.h"

#define MACHINE_MAX_VIRTIO 31 /* what fits on a PCI bus with its host bridge */

enum machine_end {
	END_NONE,
	END_POWER_OFF,
	END_RESET,
	END_CRASHED,    /* panic or triple fault; said on standard error */
	END_DEBUG_EXIT, /* end_value: the exit status */
	END_QUIT,       /* the user, at the terminal */
	END_KILLED,     /* a signal */
	END_FAILED,     /* logged */
	END_COMMAND,    /* the command ended: command_status() */
};

struct io_thread {
	struct machine *machine;
	struct loop loop;
	pthread_t thread;
	bool started;
};

/* A virtio device and the transport that it sits on. */
struct machine_virtio {
	struct virtio_dev *vd; /* not owned */
	struct virtio_mmio *mmio;
	struct virtio_pci *pci; /* one of the two is owned, the other NULL */
};

/* What the options opened, for the guest's later lives. Nothing but these; all zeroes at first. */
struct machine_kept {
	struct kept kvm, kernel, initrd;
	struct kept serial, console, port[CONFIG_MAX_PORTS];
	struct kept disk[CONFIG_MAX_DISKS];
	struct kept net[CONFIG_MAX_NETS];
	struct kept vsock;
	struct kept fs[CONFIG_FS_ROOM];
};

/* That of one option, or NULL when the guest lives once. */
#define MACHINE_KEPT(m, option) ((m)->kept ? &(m)->kept->option : NULL)

struct machine {
	const struct config *config; /* not owned */
	struct machine_kept *kept;   /* not owned; NULL: the guest lives once */
	struct patience *patience;   /* not owned; NULL: it has no end */

	/* How it ended: the first reason wins. Atomic until machine_stop(). */
	enum machine_end end;
	unsigned end_value;
	bool stopping;               /* atomic: its threads are to end */
	enum machine_end called_off; /* atomic: how it ends after a reset; or END_NONE */

	/* CLOCK_MONOTONIC, ns: when machine_init() began, and was done with each part. */
	struct machine_times {
		int64_t begin, memory, kvm, devices, files, kernel, vcpus;
	} times;

	struct fd_budget fds; /* of what its devices take at the guest's request */
	struct ram ram;
	struct gmem mem;
	struct vm vm;
	struct bus pio, mmio;
	struct loop loop;                               /* the machine's own thread's */
	struct io_thread io[CONFIG_MAX_IO_THREADS + 1]; /* the last: shared folders' */
	struct vcpu vcpu[CONFIG_MAX_CPUS];
	unsigned nr_vcpus;

	struct stream *serial, *console_end, *port_end[CONFIG_MAX_PORTS];
	struct uart com1;
	struct i8042 i8042;
	struct rtc rtc;
	struct pvpanic pvpanic;
	struct pm pm;
	struct pci pci;
	unsigned nr_msis; /* that functions have */
	struct debug_exit debug_exit;
	struct virtio_blk disk[CONFIG_MAX_DISKS];
	size_t nr_disks;
	struct virtio_net net[CONFIG_MAX_NETS];
	struct net_backend no_net[CONFIG_MAX_NETS]; /* of a dry run */
	size_t nr_nets;
	struct virtio_fs fs[CONFIG_FS_ROOM]; /* or */
	struct fs_vhost fs_vhost[CONFIG_FS_ROOM];
	size_t nr_fs;
	struct virtio_dev rng;
	struct virtio_balloon balloon;
	struct virtio_console console, ports;
	struct virtio_vsock vsock; /* or */
	struct vsock_vhost vsock_vhost;
	struct machine_virtio virtio[MACHINE_MAX_VIRTIO]; /* each of them, the disks first */
	size_t nr_virtio;

	char *cmdline;
	bool marks_panics; /* what a reset leaves at BIOS_RESET_FLAG says whether it is a panic's */
	struct boot_entry entry;
	struct command command;
};

/* Builds the machine that c, which outlives it, asks for; with ACTION_DRY_RUN without KVM. *m is
 * all zeroes. kept outlives it, too: what an earlier machine of the same c opened is taken from
 * there, not by name; or is NULL. patience, which outlives it as well, is what its end has; or is
 * NULL. 0 or -errno, logged. machine_destroy() is safe, and due, after either. */
int machine_init(struct machine *m, const struct config *c, struct machine_kept *kept,
		 struct patience *patience) __must_check;
void machine_destroy(struct machine *m);

/* Gives vd, which virtio_init() has seen, a transport, with its kicks on loop: the last step of a
 * virtio device's set-up. Both outlive the transport, which machine_destroy() ends, with a reset of
 * vd, before any device. 0 or -errno, logged. (transport.c) */
int machine_add_virtio(struct machine *m, struct virtio_dev *vd, struct loop *loop) __must_check;

/* Starts the guest, in threads of its own. 0 or -errno, logged: some of them may be there, until
 * machine_stop(). */
int machine_start(struct machine *m) __must_check;
/* Returns when it has ended; m->end says how. */
void machine_serve(struct machine *m);
/* Ends the threads and the streams. */
void machine_stop(struct machine *m);

/* Ends the run, for the first reason that is given. From machine_init() to machine_destroy(), any
 * thread, with any lock held. (machine_end.c) */
void machine_end(struct machine *m, enum machine_end why, unsigned value);

/* The guest runs no more; devices and loops go on until the run ends. The machine's thread, between
 * machine_start() and machine_stop(). */
void machine_stop_guest(struct machine *m);

/* What the devices and the vCPUs report; ctx is the machine. As machine_end(). (machine_end.c) */
void machine_on_power(void *ctx, enum power_event what, unsigned value);
void machine_on_vcpu_end(void *ctx, enum vcpu_end end);

/* The rest is for any thread but the guest's, from machine_start() to machine_stop(), one at a
 * time. */

/* What a press of the power button does is up to the guest. */
void machine_press_power_button(struct machine *m);
/* Moves the balloon's target, as far as it goes: where it is then, in bytes, or -ENOTSUP. */
int64_t machine_move_balloon(struct machine *m, int64_t bytes);
/* The terminal's size may have changed: tells the console. (consoles.c) */
void machine_window_changed(struct machine *m);

/* Stops all vCPUs outside the guest, and lets them go on. Also before machine_start(). */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);

/* The machine, for people: --dry-run. (report.c) */
void machine_print(const struct machine *m, FILE *out);
/* The table of exits: --stats. After machine_stop(). (report.c) */
void machine_print_stats(const struct machine *m, FILE *out);
