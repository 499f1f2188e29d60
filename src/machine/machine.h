/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine: every part of one VM, owned by value, and how they are put together.
 *
 * Its life: machine_init, machine_start, machine_serve, machine_stop, machine_destroy.
 * machine_serve() runs m->loop (the terminal and its like): from machine_start() to machine_stop()
 * one thread owns it, the machine's own. Machines live side by side in one process.
 */
#pragma once

#include "board.h"
#include "config/fs.h"
#include "host/file.h"
#include "host/resolv.h"
#include "backend/kept.h"
#include "common/boot.h"
#include "pci.h"
#include "machine/figures.h"
#include "machine/ram.h"
#include "command/command.h"
#include "kvm/vcpu.h"
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

#define MACHINE_MAX_MADE   16 /* rows of options' devices (devices.c) */
#define MACHINE_MAX_VIRTIO 31 /* as many as fit on a PCI bus beside its host bridge */

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
	struct virtio_pci *pci; /* either mmio or pci is owned, and the other is NULL */
};

/* Descriptors that the options opened, for the guest's later lives. It has no other members
 * (machine_forget()); all zeroes at first. */
struct machine_kept {
	struct kept kvm, kernel, initrd;
	struct kept serial, console, port[CONFIG_MAX_PORTS];
	struct kept disk[CONFIG_MAX_DISKS];
	struct kept net[CONFIG_MAX_NETS];
	struct kept vsock;
	struct kept fs[CONFIG_MAX_SHARED_DIRS];
	struct kept made[MACHINE_MAX_MADE];
};

/* What a machine gets from its owner, and what is not the user's wish as the configuration is. */
struct machine_owner {
	/* What an earlier machine of the same configuration opened, which is not opened by name
	 * again; NULL: the guest lives once. */
	struct machine_kept *kept;
	struct patience *patience; /* for its end; NULL: the end waits for ever */
	uint64_t descriptors;      /* the most that the command may have; 0: as many as we may */
	bool dry;                  /* it is only described: without a VM */
};

/* The member for one option, or NULL if the guest lives once. */
#define MACHINE_KEPT(m, option) ((m)->owner.kept ? &(m)->owner.kept->option : NULL)

struct machine {
	const struct config *config; /* not owned */
	struct machine_owner owner;

	/* How the machine ended: the first reason counts. Atomic until machine_stop(). */
	enum machine_end end;
	unsigned end_value;
	bool stopping; /* atomic: its threads must end */
	/* Atomic: END_QUIT or END_KILLED, if the user ended it when it had ended already, so that
	 * no other life may follow; otherwise END_NONE. */
	enum machine_end called_off;

	struct machine_times times;

	struct fd_budget fds; /* for descriptors that its devices open at the guest's request */
	struct ram ram;
	struct gmem mem;
	struct vm vm;
	struct bus mmio;
	struct loop loop;                               /* run by the machine's own thread */
	struct io_thread io[CONFIG_MAX_IO_THREADS + 1]; /* the last: for shared directories */
	struct vcpu vcpu[CONFIG_MAX_CPUS];
	unsigned nr_vcpus;

	struct stream *serial, *console_end, *port_end[CONFIG_MAX_PORTS];
	struct board board; /* the architecture's */
	struct pci pci;
	unsigned nr_msis; /* how many the PCI functions have */
	struct virtio_blk disk[CONFIG_MAX_DISKS];
	size_t nr_disks;
	struct virtio_net net[CONFIG_MAX_NETS];
	struct net_backend no_net[CONFIG_MAX_NETS]; /* for a dry run */
	size_t nr_nets;
	struct resolv resolv;                        /* read if a network of --net user needs it */
	struct virtio_fs fs[CONFIG_MAX_SHARED_DIRS]; /* for each share, either this */
	struct fs_vhost fs_vhost[CONFIG_MAX_SHARED_DIRS];
	size_t nr_fs;
	struct shared_dir shared_dir[CONFIG_MAX_SHARED_DIRS]; /* that these are for */
	size_t nr_shared_dirs;
	struct virtio_dev rng;
	struct virtio_dev *made[MACHINE_MAX_MADE]; /* what virtio_ops.make() made; or NULL */
	struct virtio_console console, ports;
	struct virtio_vsock vsock; /* either this */
	struct vsock_vhost vsock_vhost;
	struct machine_virtio virtio[MACHINE_MAX_VIRTIO]; /* each of the above, disks first */
	size_t nr_virtio;

	char *cmdline;
	bool marks_panics; /* kernel_left_panic() tells a panic from a reset */
	struct boot_placed placed;
	struct command command;
};

/* Builds the machine that c asks for. *m is all zeroes; c, and what o points to, outlive it. Returns
 * 0 or -errno, logged. machine_destroy() is safe, and must be called, after either. */
int machine_init(struct machine *m, const struct config *c,
		 const struct machine_owner *o) __must_check;
void machine_destroy(struct machine *m);

/* Gives vd, after virtio_init(), a transport, with its kicks on loop: the last step of a virtio
 * device's set-up. Both outlive the transport, which machine_destroy() resets and destroys before
 * any device. Returns 0 or -errno, logged. (transport.c) */
int machine_add_virtio(struct machine *m, struct virtio_dev *vd, struct loop *loop) __must_check;

/* Returns the first virtio device of that kind, or NULL. (devices.c) */
struct virtio_dev *machine_device(const struct machine *m, uint32_t device_id);

/* Starts the guest, in threads of its own. Returns 0 or -errno, logged: some threads may then run
 * until machine_stop(). */
int machine_start(struct machine *m) __must_check;
/* Returns when the machine has ended; m->end says how. */
void machine_serve(struct machine *m);
/* Ends the threads and the streams. */
void machine_stop(struct machine *m);

/* Ends the machine; the first reason that is given counts. Any thread may call this from
 * machine_init() to machine_destroy(), with any lock held. (end.c) */
void machine_end(struct machine *m, enum machine_end why, unsigned value);

/* Stops the guest; devices and loops go on until the machine ends. The machine's thread calls this,
 * between machine_start() and machine_stop(). */
void machine_stop_guest(struct machine *m);

/* Returns minivmm's exit status after that end. Called after machine_stop(), or with an end that m
 * has come to. (end.c) */
int machine_status(const struct machine *m, enum machine_end end);

/* The devices and the vCPUs report by these; ctx is the machine. Threads and locks are as for
 * machine_end(). (end.c) */
void machine_on_power(void *ctx, enum power_event what, unsigned value);
void machine_on_vcpu_end(void *ctx, enum vcpu_end end);

/* Any thread but the guest's may call the rest, from machine_start() to machine_stop(), one at a
 * time. */

/* Presses the power button. What that does is up to the guest. */
void machine_press_power_button(struct machine *m);
/* Moves the balloon's target, as far as it goes. Returns where it is then, in bytes, or
 * -ENOTSUP. */
int64_t machine_move_balloon(struct machine *m, int64_t bytes);
/* Tells the console that the terminal's size may have changed. (console.c) */
void machine_window_changed(struct machine *m);

/* These stop all vCPUs outside the guest, and let them go on. Also allowed before
 * machine_start(). */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);

/* Describes the machine in words: --dry-run. (report.c) */
void machine_print(const struct machine *m, FILE *out);
/* Prints what a machine did: --stats. (report.c) */
void machine_print_stats(const struct machine_figures *f, FILE *out);
