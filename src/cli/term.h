/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process's terminal in raw mode, and back to how it was in every way of leaving: return from
 * main(), exit(), a signal that ends the process, a crash, and while it is stopped (SIGTSTP).
 *
 * There is one terminal a process, and signal handlers must reach it: a mutable
 * static, which the library has none of but the log level.
 *
 * Job control: a background job leaves the terminal's mode alone, and is stopped by the kernel
 * (SIGTTIN) when something is typed, as every program that reads the terminal; "fg" brings it back.
 * SIGWINCH follows a SIGCONT: while the process was stopped, a change of the size told others.
 */
#pragma once

/* Puts terminal fd, which stays open, into raw mode: now if this is the foreground job, else when
 * it becomes that. The first call installs handlers for SIGCONT, for SIGTSTP and the signals that
 * end a process where these have their default actions, and for faults; SIGCONT and faults must not
 * be blocked in every thread. Set-up only. 0 or -errno. */
int term_raw(int fd);

/* Back to how it was found. Any time, any number of times; async-signal-safe. */
void term_restore(void);

/* Puts /dev/null in the place of a standard input, output or error that is closed: main() does this
 * before anything is opened, which would else become standard input. */
void term_reserve_stdio(void);
