/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a machine is doing or did, as plain data: what --stats and --json print. It can be copied,
 * and outlives the machine; text in it is constant.
 */
#pragma once

#include "config/config.h"
#include "guest/wire.h"
#include "vmm/bus.h"

enum machine_end {
	END_NONE,
	END_POWER_OFF,
	END_RESET,
	END_CRASHED,    /* panic or triple fault; logged */
	END_DEBUG_EXIT, /* the guest gave an exit status */
	END_QUIT,       /* the user quit at the terminal */
	END_KILLED,     /* the user of the library stopped it */
	END_FAILED,     /* logged */
	END_COMMAND,    /* the command ended: see command_status() */
};

/* CLOCK_MONOTONIC in ns: when machine_new() began, and when it was done with each part. 0: not
 * yet. */
struct machine_times {
	int64_t begin, memory, kvm, devices, files, kernel, vcpus;
};

#define FIGURES_EXITS         48 /* reasons of KVM's, of which fewer have names */
#define FIGURES_DEVICES       (2 * BUS_MAX_RANGES)
#define FIGURES_BALLOON_STATS 16

struct vcpu_figures {
	uint64_t exits[FIGURES_EXITS]; /* for each reason */
	uint64_t interrupted;          /* times that KVM_RUN returned for a signal */
	uint64_t unclaimed;            /* accesses that no device answered */
	uint64_t guest_ns, host_ns;    /* inside KVM_RUN, outside it; 0 when nobody wants times */
};

/* How often the guest has read and written at a range of ports or memory. */
struct device_figures {
	const char *name;
	uint64_t base, reads, writes;
};

struct balloon_figures {
	uint64_t target, actual;     /* bytes that the guest must give up, and has given up */
	uint64_t inflated, reported; /* bytes that the host has got back in all */
	struct {
		const char *name;
		uint64_t value;
	} stat[FIGURES_BALLOON_STATS]; /* what the guest says of itself */
	unsigned nr_stats;
};

struct machine_figures {
	enum machine_end end; /* END_NONE: it has not ended */
	int status;           /* minivmm's exit status after that end */

	struct machine_times times;
	int64_t first_run_ns;  /* CLOCK_MONOTONIC: the guest's start; 0: not yet, or not timed */
	int64_t decompress_ns; /* that decompressing the kernel took; a part of times.kernel */

	uint64_t memory;      /* bytes that the guest has */
	uint64_t peak_memory; /* bytes that this process had at most */

	const char *exit_name[FIGURES_EXITS]; /* NULL: it has none */
	struct vcpu_figures vcpu[CONFIG_MAX_CPUS];
	unsigned nr_vcpus;

	struct device_figures device[FIGURES_DEVICES];
	unsigned nr_devices;

	bool has_balloon;
	struct balloon_figures balloon;

	/* Bytes that went through a command's standard input, output and error. */
	struct {
		uint64_t to_guest, from_guest;
	} stream[GUEST_CONTROL];
};

struct machine;

/* Fills *f. The machine's threads must not run: this is called before machine_start(), or after
 * they have ended in machine_stop(). */
void machine_figures(const struct machine *m, struct machine_figures *f);
