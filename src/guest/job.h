/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COMMAND: starts it, connects it to the host's streams, waits for it. Nothing here knows of a
 * virtual machine, so that a test can run it as a process among others.
 */
#pragma once

#include "orders.h"

struct job {
	const struct orders *orders;
	int stream[GUEST_STREAMS]; /* connections to the host, non-blocking */
	long long begun_ns;        /* CLOCK_MONOTONIC: when init began */
	/* COMMAND has ended: what it left running must end, too, because it holds the streams. */
	void (*ended)(pid_t command);
	/* Called after that, to send lines to the host if there is something to say. NULL: not
	 * called. */
	void (*inspect)(const struct job *j);
};

/* Runs COMMAND to its end, and sends everything but the last line of control. Returns the status as
 * waitpid() does; -1: the host is gone, or nothing could be started and the host was told why.
 * SIGCHLD must be blocked, SIGPIPE ignored. */
int job_run(struct job *j);

/* Returns CLOCK_MONOTONIC in ns. */
long long job_clock_ns(void);

/* Sends a line to the host. Does nothing if the host is gone. */
void job_say(const struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sends the last line, for a status as waitpid() has it. */
void job_say_end(const struct job *j, int status);
