/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts the process's terminal into raw mode, and back to how it was whenever the process leaves it:
 * by return from main(), exit(), a signal that ends the process, a crash, and while it is stopped
 * (SIGTSTP).
 *
 * A process has one terminal, and signal handlers must reach it, so it is a mutable static.
 *
 * Job control: a background job leaves the terminal's mode alone, and is stopped by the kernel
 * (SIGTTIN) when something is typed, like every program that reads the terminal; "fg" brings it
 * back. After a SIGCONT the process sends itself SIGWINCH: while it was stopped, only others were
 * told of a change of the size.
 */
#pragma once

/* Puts terminal fd, which stays open, into raw mode: now if this is the foreground job, otherwise
 * when it becomes that. The first call installs handlers: for SIGCONT and faults, and for SIGTSTP
 * and the signals that end a process if these have their default actions. SIGCONT and faults must
 * not be blocked in every thread. It is called during set-up only. Returns 0 or -errno. */
int term_raw(int fd);

/* Restores the mode that it had. It may be called at any time and repeatedly, and is
 * async-signal-safe. */
void term_restore(void);

/* Puts /dev/null in the place of a standard input, output or error that is closed. main() calls
 * this before anything is opened, which would otherwise become standard input. */
void term_reserve_stdio(void);
