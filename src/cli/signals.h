/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals to the program, taken by its main thread through a signalfd: SIGTERM presses the guest's
 * power button, and a second one (a second later or more) or 30 seconds without an answer, end the
 * guest; SIGINT and SIGHUP end it at once. SIGUSR1 inflates the balloon by an eighth of the guest's
 * memory, SIGUSR2 deflates it by as much. SIGWINCH tells the guest the terminal's size.
 */
#pragma once

#include <signal.h>
#include <time.h>

#include "minivmm.h"

/* Returns the milliseconds since then, by CLOCK_MONOTONIC. */
long long signals_ms_since(const struct timespec *then);

/* Adds signal to *set, unless it is ignored, as nohup(1) does with SIGHUP: then it stays
 * ignored. */
void signals_add(sigset_t *set, int signal);

/* Returns the signals that are for the guest and must not end the program. */
sigset_t signals_to_guest(void);

/* Blocks those for the guest, and ignores SIGPIPE, so that writes fail by EPIPE. Called before the
 * machine is made: signals that end the program still do so, as there is no guest yet that they
 * could end. */
void signals_prepare(void);

/* Blocks the others, too. Called before the machine is started. */
void signals_block(void);

/* Takes signals for vm, which was started, until it has ended. Returns 0 or -errno, logged. */
int signals_until_end(struct minivmm *vm);
