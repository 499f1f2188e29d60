/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals to the program, taken by its main thread through a signalfd: SIGTERM presses the guest's
 * power button, and a second one (a second later or more) or 30 seconds without an answer end the
 * guest; SIGINT and SIGHUP end it at once. SIGUSR1 inflates the balloon by an eighth of the guest's
 * memory, SIGUSR2 deflates it by as much. SIGWINCH tells the guest the terminal's size.
 */
#pragma once

#include "minivmm.h"

/* Blocks the signals above for this thread and those that it starts; SIGPIPE becomes EPIPE. Once a
 * process, before any thread. */
void signals_block(void);

/* Takes signals for vm, which was started, until it has ended. 0 or -errno, logged. */
int signals_until_end(struct minivmm *vm);
