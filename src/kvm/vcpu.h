/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU: one thread that calls KVM_RUN and handles the exit, again and again.
 *
 * vcpu_run() is the exit loop, the heart of the monitor. Each exit reason of KVM has one handler of
 * a few lines, in the table at the end of vcpu.c, where a comment says which exits of VMX and SVM
 * it stands for.
 */
#pragma once

#include <pthread.h>
#include <stdio.h>

#include "kvm/vm.h"
#include "vmm/bus.h"
#include "vmm/mem.h"

struct kvm_run;
struct boot_entry;

#define VCPU_EXIT_REASONS 48 /* more than KVM has */

/* The reason why vcpu_run() returned. */
enum vcpu_end {
	VCPU_STOPPED,   /* vcpu_ask(VCPU_STOP) */
	VCPU_POWER_OFF, /* this and the next two are system events: the guest asked KVM */
	VCPU_RESET,
	VCPU_PANIC,
	VCPU_CRASHED, /* the guest can't go on (triple fault, …); explained on standard error */
	VCPU_FAILED,  /* the host can't go on; logged */
};

/* Another thread asks this of a vCPU. */
enum vcpu_ask { VCPU_GO_ON, VCPU_PAUSE, VCPU_STOP };

#define VCPU_ACCESSES 16 /* how many are kept, for a crash report */

/* An access of the guest's to a port, or to memory that belongs to a device or to nobody. */
struct vcpu_access {
	uint64_t addr, value; /* for batched string I/O, the last value */
	uint8_t size;         /* bytes */
	bool mmio, write;
};

struct vcpu_stats {
	uint64_t exits[VCPU_EXIT_REASONS];
	uint64_t interrupted;       /* times that KVM_RUN returned because of a signal */
	uint64_t unclaimed;         /* PIO or MMIO that no device answered */
	uint64_t guest_ns, host_ns; /* inside KVM_RUN, outside it; only when timed */
	uint64_t first_run_ns;      /* CLOCK_MONOTONIC before the first KVM_RUN; only when timed */
};

struct vcpu {
	unsigned id; /* also the APIC id */
	int fd;
	struct kvm_run *run_page; /* shared with KVM */
	size_t run_page_len;
	struct bus *pio, *mmio; /* not owned */
	const struct gmem *mem; /* not owned; needed only to show the code bytes of a crash */
	bool timed;             /* fill guest_ns and host_ns */

	pthread_t thread;
	bool started;
	void (*ended)(void *ctx, enum vcpu_end end); /* set by vcpu_start() */
	void *ctx;

	pthread_mutex_t lock; /* protects ask */
	pthread_cond_t changed;
	enum vcpu_ask ask;
	bool inside; /* atomic: in KVM_RUN, or about to be */

	/* The accesses are a ring. They and stats are for the vCPU's thread only. */
	struct vcpu_access access[VCPU_ACCESSES];
	unsigned nr_accesses; /* ever; the last is at (nr_accesses - 1) % VCPU_ACCESSES */
	struct vcpu_stats stats;
};

/* Creates vCPU id of cpus; *pio, *mmio and *mem outlive it. Returns 0 or -errno, logged.
 * vcpu_destroy() is safe after a failure and on a zeroed struct with fd -1. */
int vcpu_init(struct vcpu *v, const struct vm *vm, unsigned id, unsigned cpus, struct bus *pio,
	      struct bus *mmio, const struct gmem *mem) __must_check;
void vcpu_destroy(struct vcpu *v);

/* Puts the boot processor at the kernel's entry. The others wait for INIT and SIPI from the guest.
 * Returns 0 or -errno, logged. */
int vcpu_boot(struct vcpu *v, const struct boot_entry *entry) __must_check;

/* Runs the guest on a thread of its own, which calls ended() last. Returns 0 or -errno, logged. */
int vcpu_start(struct vcpu *v, void (*ended)(void *ctx, enum vcpu_end end), void *ctx) __must_check;
/* Waits for that thread, if there is one. */
void vcpu_join(struct vcpu *v);

/* The exit loop: runs the guest on the calling thread until something in enum vcpu_end happens. */
enum vcpu_end vcpu_run(struct vcpu *v);

/* Does what the guest has left KVM_RUN for, as the run page says. This is one step of the loop;
 * only tests call it directly. Returns -1 if the guest may go on; otherwise an enum vcpu_end. */
int vcpu_handle(struct vcpu *v);

/* Asks the vCPU for this, and makes it leave the guest. A stopped vCPU stays stopped, whatever else
 * is asked. Any thread but a vCPU's may call it, between vcpu_init() and vcpu_join(). */
void vcpu_ask(struct vcpu *v, enum vcpu_ask ask);
/* Waits until the vCPU is outside the guest. The thread that called vcpu_ask(VCPU_PAUSE) calls this
 * afterwards. The vCPU may then still be finishing what the guest's last instruction began. */
void vcpu_await_outside(struct vcpu *v);

/* The vCPU does not enter the guest again. If it is inside now, vcpu_ask(VCPU_STOP) makes it leave.
 * Any thread may call this, with any device's lock held. */
void vcpu_enter_no_more(struct vcpu *v);

/* Returns what the host's CLOCK_REALTIME was when the guest's time stamp counter had some value.
 * khz 0: this host can't tell. Any thread may call it before vcpu_start(). It is in src/arch. */
struct vcpu_clock {
	uint64_t tsc, real_ns;
	uint32_t khz;
};
struct vcpu_clock vcpu_clock(const struct vcpu *v);

/* Returns KVM's name of an exit reason: "io", "mmio", …; NULL if it has none. */
const char *vcpu_exit_name(unsigned reason);

/* The architecture's half, in src/arch. */
int vcpu_init_arch(struct vcpu *v, const struct vm *vm, unsigned cpus) __must_check;
/* Prints the registers, the bytes at RIP and the instruction that they make, and the last accesses.
 * why is a clause without a capital; hint is a sentence, or NULL for the architecture's own. */
void vcpu_explain(struct vcpu *v, const char *why, const char *hint);
