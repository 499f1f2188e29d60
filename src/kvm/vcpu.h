/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU: one thread that calls KVM_RUN and handles the exit, again and again.
 *
 * vcpu_run() is the exit loop, the heart of the monitor. Each exit reason of KVM's has one handler
 * of a few lines, in the table exits of vcpu.c or in the architecture's (arch_exits).
 */
#pragma once

#include <pthread.h>
#include <stdio.h>

#include "kvm/vm.h"
#include "vmm/bus.h"
#include "vmm/mem.h"

struct board;
struct kvm_run;
struct vcpu;

#define VCPU_EXIT_REASONS 48 /* more than KVM has */

/* The reason why vcpu_run() returned. */
enum vcpu_end {
	VCPU_STOPPED,   /* vcpu_ask(VCPU_STOP) */
	VCPU_POWER_OFF, /* this and the next two are system events: the guest asked KVM */
	VCPU_RESET,
	VCPU_PANIC,
	VCPU_CRASHED, /* the guest can't go on (triple fault, …); vcpu_explain() has logged why */
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
	uint64_t unclaimed;         /* accesses that no device answered */
	uint64_t guest_ns, host_ns; /* inside KVM_RUN, outside it; only when timed */
	uint64_t first_run_ns;      /* CLOCK_MONOTONIC before the first KVM_RUN; only when timed */
};

/* An exit of KVM's: a row of the table in vcpu.c, or of the architecture's. */
struct vcpu_exit {
	const char *name; /* KVM's */
	/* Does what the guest has left KVM_RUN for, on the vCPU's thread. Returns VCPU_RESUME if
	 * the guest runs on, or an enum vcpu_end if vcpu_run() ends. */
	int (*handle)(struct vcpu *v);
};
#define VCPU_RESUME (-1)

struct vcpu {
	unsigned id;
	int fd;
	struct kvm_run *run_page; /* shared with KVM */
	size_t run_page_len;
	struct board *board;    /* not owned; for the architecture's own exits */
	struct bus *mmio;       /* not owned */
	const struct gmem *mem; /* not owned; needed only to show the code bytes of a crash */
	bool timed;             /* fill guest_ns and host_ns */

	pthread_t thread;
	bool started;
	void (*ended)(void *ctx, enum vcpu_end end); /* set by vcpu_start() */
	void *ctx;

	pthread_mutex_t lock; /* protects ask and running */
	pthread_cond_t changed;
	enum vcpu_ask ask;
	bool running; /* false: vcpu_await_parked() needn't wait */
	bool inside;  /* atomic: in KVM_RUN, or about to be */

	/* The accesses are a ring. They and stats are for the vCPU's thread only. */
	struct vcpu_access access[VCPU_ACCESSES];
	unsigned nr_accesses; /* ever; the last is at (nr_accesses - 1) % VCPU_ACCESSES */
	struct vcpu_stats stats;
};

/* Creates vCPU id of cpus; *board, *mmio and *mem outlive it. Returns 0 or -errno, logged.
 * vcpu_destroy() is safe after a failure and on a zeroed struct with fd -1. */
int vcpu_init(struct vcpu *v, const struct vm *vm, unsigned id, unsigned cpus, struct board *board,
	      struct bus *mmio, const struct gmem *mem) __must_check;
void vcpu_destroy(struct vcpu *v);

/* Runs the guest on a thread of its own, which calls ended() last. Returns 0 or -errno, logged. */
int vcpu_start(struct vcpu *v, void (*ended)(void *ctx, enum vcpu_end end), void *ctx) __must_check;
/* Waits for that thread, if there is one. */
void vcpu_join(struct vcpu *v);

/* The exit loop: runs the guest on the calling thread until something in enum vcpu_end happens. */
enum vcpu_end vcpu_run(struct vcpu *v);

/* Does what the guest has left KVM_RUN for, as the run page says. This is one step of the loop;
 * only tests call it directly. Returns what the exit's handler returns. */
int vcpu_handle(struct vcpu *v);

/* Handlers note here that the guest accessed memory or a port that belongs to a device or to
 * nobody. */
void vcpu_note_access(struct vcpu *v, uint64_t addr, uint64_t value, unsigned size, bool mmio,
		      bool write);

/* Asks the vCPU for this, and makes it leave the guest. A stopped vCPU stays stopped, whatever else
 * is asked. Any thread but a vCPU's may call it, between vcpu_init() and vcpu_join(). */
void vcpu_ask(struct vcpu *v, enum vcpu_ask ask);
/* Waits until the vCPU is outside the guest. The thread that called vcpu_ask(VCPU_PAUSE) calls this
 * afterwards. The vCPU may then still be finishing what the guest's last instruction began. */
void vcpu_await_outside(struct vcpu *v);
/* The same, but waits until the vCPU has finished that, too, and does nothing until it is asked to go
 * on; then KVM has all of its state. A device can hold the vCPU up for any length of time: for the
 * serial port, see board_make_room(). Returns false if it was asked to stop meanwhile. */
bool vcpu_await_parked(struct vcpu *v) __must_check;

/* The vCPU does not enter the guest again. If it is inside now, vcpu_ask(VCPU_STOP) makes it leave.
 * Any thread may call this, with any device's lock held. */
void vcpu_enter_no_more(struct vcpu *v);

/* Returns KVM's name of an exit reason: "io", "mmio", …; NULL if it has none. */
const char *vcpu_exit_name(unsigned reason);
