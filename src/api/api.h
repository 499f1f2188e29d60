/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the library (api.c, calls.c, config.c) share this. */
#pragma once

#include <pthread.h>

#include "config/config.h"
#include "machine/owner.h"
#include "command/command.h"
#include "minivmm.h"
#include "vmm/log.h"
#include "vmm/patience.h"

/* A sink that passes messages to the user's function. */
struct api_log {
	struct log_sink sink;
	minivmm_log_fn *fn; /* or NULL */
	void *ctx;
	bool foreign; /* these messages are the user's own, not errors of ours */
	/* The last error's first line, for minivmm_why(). NULL: it is not kept. lock, a leaf,
	 * protects it. */
	char *why;
	size_t why_size;
	pthread_mutex_t *lock;
};

struct minivmm_config {
	struct config c;
	uint64_t seen;        /* the options that were set */
	unsigned refs;        /* atomic: its owner, and the machines made of it */
	bool used;            /* a machine was made of it: it is constant */
	bool broken;          /* an option may be half set */
	uint64_t descriptors; /* RLIMIT_NOFILE when the command was set; 0: unknown */
	struct api_log log;   /* for messages of functions that get this */
	minivmm_event_fn *event;
	void *event_ctx;
};

/* Between these two, the thread logs to the sink, and minivmm_error() is what it says. */
struct log_sink *api_enter(struct api_log *log);
/* Returns rc. */
int api_leave(struct log_sink *before, int rc);

void api_log_init(struct api_log *log, enum log_level level, minivmm_log_fn *fn, void *ctx);

/* Runs fn(arg) on a thread of the library's, which takes no signals, and waits for it. Returns what
 * fn returned, whose error the caller then sees as its own; or -errno, logged. */
int api_on_thread(int (*fn)(void *arg), void *arg);

/* Makes text the error of a call that is refused, and returns rc. */
int api_refuse(int rc, const char *text);

/* -- a machine ------------------------------------------------------------------------------- */

struct minivmm {
	struct machine *m;           /* NULL: there is none now */
	const struct config *config; /* from's */
	struct minivmm_config *from; /* a reference */
	struct api_log log;
	minivmm_event_fn *event;
	void *event_ctx;
	int end_fd;
	pthread_t thread;
	bool has_thread;
	struct machine_kept *kept; /* with on-reset=restart; otherwise NULL */
	struct patience patience;
	unsigned short_lives;     /* short lives in a row; for the machine's thread only */
	struct command_json json; /* what could not be written before the machine's end */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned inside; /* atomic: callers, which minivmm_destroy() waits for */
	enum { NEW, STARTED, ENDED } state;
	bool over;                    /* ENDED, and the user was told */
	bool live;                    /* m has threads */
	bool lingers;                 /* the guest has reset, and waits for its next life */
	bool paused, button, at_once; /* what the user asked for */
	enum machine_end end;
	int status;

	pthread_mutex_t why_lock; /* a leaf; protects error */
	char error[512];
	char why[560]; /* constant once it has ended */
};

/* Every call from outside is between these two, which take the lock and let it go ... */
void api_call(struct minivmm *vm);
void api_return(struct minivmm *vm);
/* ... or, if it logs outside the lock, between these two. */
void api_hold(struct minivmm *vm);
void api_let_go(struct minivmm *vm);

/* Begins a call on a machine that must be running, and takes the lock. Returns 0; -EINVAL: it was
 * not started; -ESRCH: it has ended. */
int api_call_running(struct minivmm *vm);
/* Ends that call, whose result is rc, and returns rc. */
int api_return_running(struct minivmm *vm, int rc);

/* Stops the machine. The caller holds the lock, and the machine has not ended. */
void api_stop(struct minivmm *vm, enum minivmm_stop how);
