/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command in a guest (`minivmm run`): its streams, what it and the guest's init say to each other
 * (guest/wire.h), the time limit, how it ended. It sees its machine as a struct command_host.
 *
 * Its life: command_init() comes first, command_connect() when the virtio-vsock device is made, and
 * command_begin() when everything is. The user then takes the streams that he wants. After that
 * command_start() is called, before the machine's loop runs, on which the rest happens.
 * command_finish() comes when all threads are gone, then command_destroy(). In a machine without a
 * command all of them do nothing.
 */
#pragma once

#include "host/file.h"
#include "guest/wire.h"
#include "command/console.h"
#include "command/drivers.h"
#include "machine/figures.h"
#include "vmm/log.h"
#include "vmm/loop.h"

struct boot_request;
struct initramfs;
struct resolv;
struct vcpu_clock;
struct virtio_vsock;

/* What a command needs of the machine that runs it. These functions get ctx as their first
 * argument. They are called by the loop's thread, or by a thread that calls a function below. */
struct command_host {
	struct loop *loop; /* it outlives the command */
	/* Ends the machine: END_COMMAND, or END_KILLED when the command's time is over. */
	void (*end)(void *ctx, enum machine_end why);
	/* Stops the guest; the devices and the loop go on. */
	void (*stop_guest)(void *ctx);
	/* These two do what vcpu_clock() and machine_figures() do. */
	struct vcpu_clock (*clock)(void *ctx);
	void (*figures)(void *ctx, struct machine_figures *f);
	void *ctx;

	uint64_t descriptors; /* the most that the command may have; 0: as many as we may */
	bool dry;             /* the command is only described, and nothing is opened for it */
	/* How this host looks for names, if the guest has a network of --net user. It is read
	 * before command_initrd(). */
	const struct resolv *resolv;
};

enum command_end { COMMAND_UNKNOWN, COMMAND_EXITED, COMMAND_SIGNALLED, COMMAND_ERROR };

struct command_json {
	struct output out; /* --json */
	const char *path;  /* not owned */
	char *text;        /* allocated; NULL: not written yet, or done */
	size_t len, done;
	bool lost; /* it could not be stored */
};

struct command {
	const struct config *config; /* not owned; NULL: no command */
	struct command_host host;
	struct virtio_vsock *vsock; /* not owned; from command_connect() on */

	int end[GUEST_STREAMS];    /* the device's, until command_connect() */
	int stream[GUEST_STREAMS]; /* the user's, until they are taken; control is always ours */
	struct loop_source control, delivered_src, timer;
	struct command_discard {
		struct loop_source src;
		struct loop *loop;
	} discard[GUEST_STREAMS]; /* for output that nobody took */
	unsigned delivered;       /* streams whose bytes have all arrived: a mask, atomic */
	char line[GUEST_MAX_LINE];
	size_t line_len;

	enum command_end ended;
	int value; /* the status, or the signal */
	char error[GUEST_MAX_LINE];
	bool started, oom, full, timed_out, grace_over;
	int64_t init_us;               /* time that the guest's init took */
	uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC; 0: not yet */
	char *kernel;                  /* the kernel that was found; NULL: the user's is used */
	struct drivers drivers;        /* of that kernel; command_find_kernel() finds them */
	/* What --transport could be instead, if the machine chose and its user didn't; or NULL. */
	const char *other_transport;
	struct command_console console;
	struct command_json json;
	struct ratelimit log;
};

/* These return 0 or -errno, logged. They are called in this order, as said above. *c and *vsock, the
 * machine's device, outlive the command; *host is copied. */
int command_init(struct command *cmd, const struct config *c,
		 const struct command_host *host) __must_check;
int command_connect(struct command *cmd, struct virtio_vsock *vsock) __must_check;
int command_begin(struct command *cmd) __must_check;
int command_start(struct command *cmd) __must_check;
void command_finish(struct command *cmd);
void command_destroy(struct command *cmd);

/* Returns the user's end of one of the three streams, which then belongs to the caller; -1: it was
 * taken before. */
int command_take_stream(struct command *cmd, unsigned nr);

/* Sends a line to the guest's init. Any thread may call it, from command_init() to
 * command_destroy(). */
void command_tell(const struct command *cmd, const char *fmt, ...) __printf(2, 3);

/* Returns the exit status of `minivmm run`, once the loop has ended. */
int command_status(const struct command *cmd);

/* Has the command come to its end, whatever its status, with nothing more to say about it? */
bool command_went_well(const struct command *cmd);

/* Finds the kernel to boot, and its drivers. Returns 0; -ENOENT, logged: there is none; or another
 * -errno, logged, if the lists of its modules can't be read. That the kernel itself can't be read
 * is left to its reader. command_kernel() returns its path then. (kernel.c) */
int command_find_kernel(struct command *cmd) __must_check;
const char *command_kernel(const struct command *cmd);

/* Can this kernel, which boots, run commands? It must be Linux. Returns 0 or -EINVAL, logged.
 * (kernel.c) */
int command_check_kernel(const struct boot_request *r) __must_check;

/* Makes the initrd: the user's (or none), followed by ours, which has the guest's init, its orders,
 * and the modules of this kernel that it needs, if the kernel has modules. modules lists what the
 * machine's devices need, in the order in which they are loaded; NULL ends it. Returns 0 or -errno,
 * logged. (initrd.c) */
int command_initrd(const struct command *cmd, const struct file *user, const char *const modules[],
		   struct initramfs *a) __must_check;

/* The first opens the file of --json, and empties it if it is regular, at the beginning, so that
 * another run's isn't taken for this one's. It returns 0 or -errno, logged. The second writes it,
 * with the figures of the machine, which has ended; command_finish() calls that. (json.c) */
int command_empty_json(struct command *cmd) __must_check;
void command_write_json(struct command *cmd, const struct machine_figures *f);

/* command_take_json() gives the caller what is left to be written, for after command_destroy().
 * command_json_waits(): does some of it have to wait, for others that write there, too, or for a
 * reader? command_json_finish() writes that, waits at most 5 s for a reader, logs if something is
 * lost, and closes it. It returns 0, or -EIO: it could not be stored, now or before. */
struct command_json command_take_json(struct command *cmd);
bool command_json_waits(const struct command_json *j);
int command_json_finish(struct command_json *j) __must_check;

/* Writes where the shares go, as text for the orders: "share" records, each after those that it is
 * below. Returns 0 or -errno, logged. (shares.c) */
int command_put_shares(const struct command_config *c, FILE *orders) __must_check;

/* Writes which user the command runs as, as text for the orders: "uid", "gid" and "group" records.
 * Returns 0 or -errno, logged. (user.c) */
int command_put_user(const struct config *c, FILE *orders) __must_check;
