/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine: every part of one VM, owned by value, and how they are put together. What its owner
 * does with it is in owner.h. */
#pragma once

#include "board.h"
#include "config/fs.h"
#include "host/file.h"
#include "host/resolv.h"
#include "backend/kept.h"
#include "common/boot.h"
#include "pci.h"
#include "kernels/kernels.h"
#include "machine/owner.h"
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

/* The kernel's file, while it is needed, and where unpacked ones are kept (kernel.c). */
struct machine_kernel {
	struct kernels cache;
	struct key key;
	struct file file; /* while storing, only the thread uses it */
	pthread_t thread;
	bool storing;
	bool stop; /* atomic */
};

/* Descriptors that the options opened, for the guest's later lives. It has no other members
 * (machine_forget()); all zeroes at first. */
struct machine_kept {
	struct kept kvm, load, kernel, initrd;
	struct kept serial, console, port[CONFIG_MAX_PORTS];
	struct kept disk[CONFIG_MAX_DISKS];
	struct kept net[CONFIG_MAX_NETS];
	struct kept vsock;
	struct kept fs[CONFIG_MAX_SHARED_DIRS];
	struct kept made[MACHINE_MAX_MADE];
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
	int load_fd;                                    /* for loops that poll; owned; or < 0 */
	struct loop loop;                               /* run by the machine's own thread */
	struct io_thread io[CONFIG_MAX_IO_THREADS + 1]; /* the last: for shared directories */
	struct vcpu vcpu[CONFIG_MAX_CPUS];
	unsigned nr_vcpus;
	int vcpus_rc;     /* of vcpu_init() */
	bool makes_vcpus; /* vcpu_maker runs */
	pthread_t vcpu_maker;

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
	enum transport transport; /* not TRANSPORT_AUTO, after transport_init() */
	uint8_t *shown;           /* a page for each pin, which the guest reads; NULL: none */
	struct machine_virtio virtio[MACHINE_MAX_VIRTIO]; /* each of the above, disks first */
	size_t nr_virtio;

	char *cmdline;
	bool marks_panics; /* kernel_left_panic() tells a panic from a reset */
	struct machine_kernel kernel;
	struct boot_placed placed;
	struct command command;
};

/* Gives vd, after virtio_init(), a transport, with its kicks on loop: the last step of a virtio
 * device's set-up. Both outlive the transport, which machine_free() resets and destroys before
 * any device. Returns 0 or -errno, logged. (transport.c) */
int machine_add_virtio(struct machine *m, struct virtio_dev *vd, struct loop *loop) __must_check;

/* Returns the first virtio device of that kind, or NULL. (devices.c) */
struct virtio_dev *machine_device(const struct machine *m, uint32_t device_id);

/* Stops the guest; devices and loops go on until the machine ends. The machine's thread calls this,
 * between machine_start() and machine_stop(). */
void machine_stop_guest(struct machine *m);

/* The devices and the vCPUs report by these; ctx is the machine. Threads and locks are as for
 * machine_end(). (end.c) */
void machine_on_power(void *ctx, enum power_event what, unsigned value);
void machine_on_vcpu_end(void *ctx, enum vcpu_end end);
