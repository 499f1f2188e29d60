/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals to the monitor, taken by the main loop through a signalfd: SIGTERM presses the power
 * button, and a second one (a second later or more) or 30 seconds without an answer end the guest;
 * SIGINT and SIGHUP end it at once. SIGUSR1 inflates the balloon by an eighth of the guest's
 * memory, SIGUSR2 deflates it by as much. SIGWINCH tells the guest the terminal's size.
 */
#pragma once

#include "machine.h"

struct signals {
	int signal_fd, timer_fd;
	struct loop_source signal, timer;
	struct machine *machine; /* not owned */
	bool end;                /* at least one signal for it came */
	bool asked;              /* the power button was pressed */
};

/* Blocks the signals above for this thread and those that it starts; SIGPIPE becomes EPIPE. Once a
 * process, before any thread. */
void signals_block(void);

/* Starts taking signals for m on m->loop. 0 or -errno, logged. signals_destroy() is safe after a
 * failure. */
int signals_init(struct signals *s, struct machine *m) __must_check;
void signals_destroy(struct signals *s);

/* Did a signal for its end come, be it taken or not yet? Then a guest that resets itself is not to
 * live again: it could outlive every signal that way. */
bool signals_came(const struct signals *s);
