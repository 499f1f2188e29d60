/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of a machine that runs a command (`minivmm run`): its streams, what is said to and by
 * the guest's init (guest/wire.h), the time limit, how it ended.
 *
 * Life: run_init() before the devices, run_connect() behind them, run_begin() and, when the user
 * has taken the streams that he wants, run_start() before the loop runs, which the rest happens on;
 * run_finish() when all threads are gone, run_destroy(). A machine without a command goes through
 * the same, and nothing happens.
 */
#pragma once

#include "host/file.h"
#include "guest/wire.h"
#include "command/console.h"
#include "vmm/log.h"
#include "vmm/loop.h"

struct config;
struct run_config;
struct boot_request;
struct machine;
struct initramfs;

enum run_end { RUN_UNKNOWN, RUN_EXITED, RUN_SIGNALLED, RUN_ERROR };

struct run_json {
	struct output out; /* --json */
	const char *path;  /* not owned */
	char *text;        /* allocated; NULL: not yet, or no more */
	size_t len, done;
};

struct run {
	struct machine *m; /* not owned; NULL: no command */
	const struct config *config;

	int end[GUEST_STREAMS];    /* the device's, until run_connect() */
	int stream[GUEST_STREAMS]; /* the user's, until they are taken; control is ours */
	struct loop_source control, delivered_src, timer;
	struct run_discard {
		struct loop_source src;
		struct loop *loop;
	} discard[GUEST_STREAMS]; /* of output that nobody took */
	unsigned delivered;       /* streams of which all has come: a mask, atomic */
	char line[GUEST_MAX_LINE];
	size_t line_len;

	enum run_end ended;
	int value; /* the status, or the signal */
	char error[GUEST_MAX_LINE];
	bool started, oom, full, timed_out, grace_over;
	int64_t init_us;               /* that the guest's init took */
	uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC; 0: not yet */
	char *kernel;                  /* that was found; NULL: the user's */
	struct run_console console;
	struct run_json json;
	struct ratelimit log;
};

/* 0 or -errno, logged. */
int run_init(struct run *r, struct machine *m) __must_check;
int run_connect(struct run *r) __must_check;
int run_begin(struct run *r) __must_check;
int run_start(struct run *r) __must_check;
void run_finish(struct run *r);
void run_destroy(struct run *r);

/* The user's end of one of the three streams, which is the caller's from here on; -1: taken
 * before. */
int run_take_stream(struct run *r, unsigned nr);

/* A line to the guest's init. Any thread, from run_init() to run_destroy(). */
void run_tell(const struct run *r, const char *fmt, ...) __printf(2, 3);

/* The exit status of `minivmm run`, once the loop has ended. */
int run_status(const struct run *r);

/* The command has come to its end, whatever its status, and there is no more to say about it. */
bool run_went_well(const struct run *r);

/* The kernel to boot, for messages, too. -ENOENT, logged: there is none. (run_kernel.c) */
int run_find_kernel(struct run *r, const char **path) __must_check;

/* Is a kernel that boots one that can run commands, which is Linux? 0 or -EINVAL, logged.
 * (run_kernel.c) */
int run_check_kernel(const struct boot_request *r) __must_check;

/* Makes the initrd of the guest's init, its orders, and the modules of this kernel that it needs,
 * behind the user's (or none). 0 or -errno, logged. (run_initrd.c) */
int run_initrd(struct run *r, const struct file *kernel, const struct file *user,
	       struct initramfs *a) __must_check;

/* What --json asks for. It is opened, and emptied where it is a file, at the beginning, so that
 * another run's isn't taken for this one's: 0 or -errno, logged. run_finish() writes it.
 * (run_json.c)
 */
int run_empty_json(struct run *r) __must_check;
void run_write_json(struct run *r);

/* Is there something that had to wait, for what others write, or for a reader? run_json_finish()
 * writes it, and waits at most 5 s for a reader; what is lost is logged. Then it
 * is closed. */
bool run_json_waits(const struct run_json *j);
void run_json_finish(struct run_json *j);

/* Where the shares go, as text for the orders: "share" records, each after those that it is below.
 * 0 or -errno, logged. (run_shares.c) */
int run_put_shares(const struct run_config *c, FILE *orders) __must_check;

/* Who the command runs as, as text for the orders: "uid", "gid" and "group" records. 0 or -errno,
 * logged. (run_user.c) */
int run_put_user(const struct config *c, FILE *orders) __must_check;
