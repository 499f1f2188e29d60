/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the owner of a machine (src/api) does with it; machine.h has its parts.
 *
 * Its life: machine_new, machine_start, machine_serve, machine_stop, machine_free. machine_serve()
 * runs the loop of the terminal and its like, which belongs to one thread, the machine's own, from
 * machine_start() to machine_stop(). Machines live side by side in one process.
 */
#pragma once

#include "machine/figures.h"

struct command;
struct machine;
struct machine_kept;
struct patience;

/* What a machine gets from its owner, beside the configuration, which is the user's wishes. */
struct machine_owner {
	/* It has what an earlier machine of the same configuration opened, which is then not opened
	 * by name again. NULL: the guest lives once. */
	struct machine_kept *kept;
	struct patience *patience; /* for the machine's end; NULL: the end waits for ever */
	uint64_t descriptors;      /* the most that the command may have; 0: as many as we may */
	bool dry;                  /* it is only described, and has no VM */
};

/* Builds the machine that c asks for; c, and what o points to, outlive it. Returns 0, and *m is for
 * machine_free(); or -errno, logged, and *m is NULL. */
int machine_new(struct machine **m, const struct config *c,
		const struct machine_owner *o) __must_check;
/* Ends what machine_new() has begun; m may be NULL. */
void machine_free(struct machine *m);

/* machine_keep() makes room for what the options open, for the guest's later lives. It returns NULL,
 * logged, if there is no memory. machine_forget() closes what is there and frees it; kept may be
 * NULL. (life.c) */
struct machine_kept *machine_keep(void);
void machine_forget(struct machine_kept *kept);

/* Returns the command that m runs. If there is none, all functions of it do nothing. */
struct command *machine_command(struct machine *m);

/* Starts the guest, in threads of its own. Returns 0 or -errno, logged: some threads may then run
 * until machine_stop(). */
int machine_start(struct machine *m) __must_check;
/* Returns when the machine has ended. */
void machine_serve(struct machine *m);
/* Returns how it has ended, or END_NONE. Any thread may call this. */
enum machine_end machine_how(const struct machine *m);
/* Ends the threads and the streams. */
void machine_stop(struct machine *m);

/* Ends the machine; the first reason that is given counts. Any thread may call this from
 * machine_new() to machine_free(), with any lock held. (end.c) */
void machine_end(struct machine *m, enum machine_end why, unsigned value);

/* Returns minivmm's exit status after that end. Called after machine_stop(), or with an end that m
 * has come to. (end.c) */
int machine_status(const struct machine *m, enum machine_end end);

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

/* After machine_pause(): returns when nothing moves any more. The vCPUs have finished what the guest
 * began, no loop calls anybody, and no device has an address in guest memory (virtio_quiesce()). So
 * all of the machine's state is where a snapshot can find it, until machine_unpark(), after which
 * devices and loops go on. False: the machine ends, and is not parked. Not for the machine's own
 * thread, which is one of those that are parked. (park.c) */
bool machine_park(struct machine *m) __must_check;
void machine_unpark(struct machine *m);

/* Describes the machine in words: --dry-run. (report.c) */
void machine_print(const struct machine *m, FILE *out);
/* Prints what a machine did: --stats. (report.c) */
void machine_print_stats(const struct machine_figures *f, FILE *out);
