/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of a machine that runs a command (`minivmm run`): its streams, what is said to and by
 * the guest's init (guest/wire.h), the time limit, how it ended.
 *
 * Life: command_init() before the devices, command_connect() behind them, command_begin() and, when the user
 * has taken the streams that he wants, command_start() before the loop runs, which the rest happens on;
 * command_finish() when all threads are gone, command_destroy(). A machine without a command goes through
 * the same, and nothing happens.
 */
#pragma once

#include "host/file.h"
#include "guest/wire.h"
#include "command/console.h"
#include "vmm/log.h"
#include "vmm/loop.h"

struct config;
struct command_config;
struct boot_request;
struct machine;
struct initramfs;

enum command_end { COMMAND_UNKNOWN, COMMAND_EXITED, COMMAND_SIGNALLED, COMMAND_ERROR };

struct command_json {
	struct output out; /* --json */
	const char *path;  /* not owned */
	char *text;        /* allocated; NULL: not yet, or no more */
	size_t len, done;
};

struct command {
	struct machine *m; /* not owned; NULL: no command */
	const struct config *config;

	int end[GUEST_STREAMS];    /* the device's, until command_connect() */
	int stream[GUEST_STREAMS]; /* the user's, until they are taken; control is ours */
	struct loop_source control, delivered_src, timer;
	struct command_discard {
		struct loop_source src;
		struct loop *loop;
	} discard[GUEST_STREAMS]; /* of output that nobody took */
	unsigned delivered;       /* streams of which all has come: a mask, atomic */
	char line[GUEST_MAX_LINE];
	size_t line_len;

	enum command_end ended;
	int value; /* the status, or the signal */
	char error[GUEST_MAX_LINE];
	bool started, oom, full, timed_out, grace_over;
	int64_t init_us;               /* that the guest's init took */
	uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC; 0: not yet */
	char *kernel;                  /* that was found; NULL: the user's */
	struct command_console console;
	struct command_json json;
	struct ratelimit log;
};

/* 0 or -errno, logged. */
int command_init(struct command *cmd, struct machine *m) __must_check;
int command_connect(struct command *cmd) __must_check;
int command_begin(struct command *cmd) __must_check;
int command_start(struct command *cmd) __must_check;
void command_finish(struct command *cmd);
void command_destroy(struct command *cmd);

/* The user's end of one of the three streams, which is the caller's from here on; -1: taken
 * before. */
int command_take_stream(struct command *cmd, unsigned nr);

/* A line to the guest's init. Any thread, from command_init() to command_destroy(). */
void command_tell(const struct command *cmd, const char *fmt, ...) __printf(2, 3);

/* The exit status of `minivmm run`, once the loop has ended. */
int command_status(const struct command *cmd);

/* The command has come to its end, whatever its status, and there is no more to say about it. */
bool command_went_well(const struct command *cmd);

/* The kernel to boot, for messages, too. -ENOENT, logged: there is none. (run_kernel.c) */
int command_find_kernel(struct command *cmd, const char **path) __must_check;

/* Is a kernel that boots one that can run commands, which is Linux? 0 or -EINVAL, logged.
 * (run_kernel.c) */
int command_check_kernel(const struct boot_request *r) __must_check;

/* Makes the initrd of the guest's init, its orders, and the modules of this kernel that it needs,
 * behind the user's (or none). 0 or -errno, logged. (command_initrd.c) */
int command_initrd(struct command *cmd, const struct file *kernel, const struct file *user,
		   struct initramfs *a) __must_check;

/* What --json asks for. It is opened, and emptied where it is a file, at the beginning, so that
 * another run's isn't taken for this one's: 0 or -errno, logged. command_finish() writes it.
 * (command_json.c) */
int command_empty_json(struct command *cmd) __must_check;
void command_write_json(struct command *cmd);

/* Is there something that had to wait, for what others write, or for a reader? command_json_finish()
 * writes it, and waits at most 5 s for a reader; what is lost is logged. Then it
 * is closed. */
bool command_json_waits(const struct command_json *j);
void command_json_finish(struct command_json *j);

/* Where the shares go, as text for the orders: "share" records, each after those that it is below.
 * 0 or -errno, logged. (run_shares.c) */
int command_put_shares(const struct command_config *c, FILE *orders) __must_check;

/* Who the command runs as, as text for the orders: "uid", "gid" and "group" records. 0 or -errno,
 * logged. (run_user.c) */
int command_put_user(const struct config *c, FILE *orders) __must_check;
