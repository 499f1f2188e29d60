/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every thread that works for a machine is started here: it logs to the sink of the thread that
 * starts it, and takes no signal that is meant for the program around it.
 */
#pragma once

#include <pthread.h>

#include "vmm/types.h"

/* Runs fn(arg) on a new thread, which somebody must pthread_join(). name has at most 15 bytes. The
 * thread blocks all signals but those that it causes itself: faults, and the SIGTTIN and SIGTTOU of
 * a terminal whose foreground is another job. Returns 0 or -errno, not logged. */
int thread_start(pthread_t *t, const char *name, void *(*fn)(void *arg), void *arg) __must_check;
