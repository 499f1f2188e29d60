/* SPDX-License-Identifier: BSD-2-Clause */
/* What the halves of the library (api.c, api_config.c) share. */
#pragma once

#include <pthread.h>

#include "config.h"
#include "minivmm.h"
#include "vmm/log.h"

/* A sink that ends at the user's function. */
struct api_log {
	struct log_sink sink;
	minivmm_log_fn *fn; /* or NULL */
	void *ctx;
	bool foreign; /* these messages are the user's own: no errors of ours */
	/* The last error's first line, for minivmm_why(); NULL: nobody wants it. Under lock, a
	 * leaf. */
	char *why;
	size_t why_size;
	pthread_mutex_t *lock;
};

struct minivmm_config {
	struct config c;
	uint64_t seen;      /* the options that were set */
	unsigned refs;      /* atomic: its owner and the machines made of it */
	bool used;          /* by a machine: it is constant */
	bool broken;        /* an option may be half set */
	struct api_log log; /* of a function that is called with it */
	minivmm_event_fn *event;
	void *event_ctx;
};

/* Between these, the thread logs to the sink and minivmm_error() is about what it says. */
struct log_sink *api_enter(struct api_log *log);
/* Returns rc. */
int api_leave(struct log_sink *before, int rc);

void api_log_init(struct api_log *log, enum log_level level, minivmm_log_fn *fn, void *ctx);

/* Runs fn(arg) on a thread of the library's, which takes no signals, and waits for it. What it
 * returns; its error is the caller's. Or -errno, logged. */
int api_on_thread(int (*fn)(void *arg), void *arg);

/* For the error of a call that was not to be: returns rc. */
int api_refuse(int rc, const char *text);
