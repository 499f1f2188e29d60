/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the library (api.c, api_calls.c, api_config.c) share. */
#pragma once

#include <pthread.h>

#include "config/config.h"
#include "machine/machine.h"
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

/* -- a machine -- */

struct minivmm {
	struct machine m;
	struct config config;        /* what its pointers point to is from's */
	struct minivmm_config *from; /* a reference */
	struct api_log log;
	minivmm_event_fn *event;
	void *event_ctx;
	int end_fd;
	pthread_t thread;
	bool has_thread;
	struct machine_kept kept; /* with on-reset=restart */
	struct patience patience;
	unsigned short_lives;     /* in a row, that ended by a reset; the machine's thread's */
	struct command_json json; /* what it could not write by the machine's end */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned inside; /* atomic: callers, which minivmm_destroy() waits for */
	enum { NEW, STARTED, ENDED } state;
	bool over;                    /* ENDED, and the user was told */
	bool live;                    /* m has threads */
	bool lingers;                 /* the guest has reset, and waits for its next life */
	bool paused, button, at_once; /* said by the user */
	enum machine_end end;
	int status;

	pthread_mutex_t why_lock; /* a leaf: of error */
	char error[512];
	char why[560]; /* constant once it has ended */
};

/* Every call from outside is between these, with the lock ... */
void api_call(struct minivmm *vm);
void api_return(struct minivmm *vm);
/* ... or, around what it logs, between these. */
void api_hold(struct minivmm *vm);
void api_let_go(struct minivmm *vm);

/* A call on a machine that runs, with the lock. 0; -EINVAL: it was not started; -ESRCH: it has
 * ended. */
int api_call_running(struct minivmm *vm);
/* Ends that call, of which rc is the result. Returns it. */
int api_return_running(struct minivmm *vm, int rc);

/* With the lock held, and unless it has ended. */
void api_stop(struct minivmm *vm, enum minivmm_stop how);
