/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals to the program, taken by its main thread through a signalfd: SIGTERM presses the guest's
 * power button, and a second one (a second later or more) or 30 seconds without an answer, end the
 * guest; SIGINT and SIGHUP end it at once. SIGUSR1 inflates the balloon by an eighth of the guest's
 * memory, SIGUSR2 deflates it by as much. SIGWINCH tells the guest the terminal's size.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "minivmm.h"

/* Returns the milliseconds since then, by CLOCK_MONOTONIC. */
long long signals_ms_since(const struct timespec *then);

/* Return the signals that would end the program, and these with those that are for the guest. quit
 * says whether SIGQUIT is among them. One that is ignored, as SIGHUP is after nohup(1), is not: it
 * stays ignored. */
sigset_t signals_ending(bool quit);
sigset_t signals_taken(bool quit);

/* Blocks those for the guest, and ignores SIGPIPE, so that writes fail by EPIPE. Called before the
 * machine is made: signals that end the program still do so, as there is no guest yet that they
 * could end. */
void signals_prepare(void);

/* Blocks the others, too. Called before the machine is started. */
void signals_block(void);

/* Takes signals for vm, which was started, until it has ended. Returns 0 or -errno, logged. */
int signals_until_end(struct minivmm *vm);
