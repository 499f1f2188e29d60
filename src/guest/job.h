/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COMMAND: started, joined to the host's streams, waited for. Knows nothing of a virtual machine,
 * so that it is tested as a process among others.
 */
#pragma once

#include "orders.h"

struct job {
	const struct orders *orders;
	int stream[GUEST_STREAMS]; /* connections to the host, non-blocking */
	long long begun_ns;        /* CLOCK_MONOTONIC: when init began */
	/* COMMAND has ended: what it left running must end, too, or it holds the streams. */
	void (*ended)(pid_t command);
	/* After that: lines for the host, if there is something to say. NULL: never. */
	void (*inspect)(const struct job *j);
};

/* Runs it to its end; everything but the last line of control is said. Returns the status as
 * waitpid() has it; -1: the host is gone, or nothing could be started, and it was told why. SIGCHLD
 * must be blocked, SIGPIPE ignored. */
int job_run(struct job *j);

/* CLOCK_MONOTONIC. */
long long job_clock_ns(void);

/* A line to the host. Nothing if it is gone. */
void job_say(const struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last one, for such a status. */
void job_say_end(const struct job *j, int status);
