/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libminivmm: virtual machines in your process.
 *
 *	struct minivmm_config *c = minivmm_config_new();
 *	struct minivmm *vm;
 *
 *	minivmm_config_set(c, "kernel", "bzImage");
 *	minivmm_config_set(c, "memory", "512M");
 *	if (minivmm_create(c, &vm) < 0)
 *		errx(1, "%s", minivmm_error());
 *	minivmm_start(vm);
 *	minivmm_wait(vm, -1);
 *	printf("%d: %s\n", minivmm_status(vm), minivmm_why(vm));
 *	minivmm_destroy(vm);
 *	minivmm_config_free(c);
 *
 * What the library leaves alone: it does not exit, prints nothing, installs no signal handler, and
 * changes no signal mask but those of its own threads. Every call returns. It reads and writes
 * standard input and output only where an option says stdio. (It does abort() when it finds itself
 * in error, as assert() does.)
 *
 * What it takes: the threads of a machine signal each other with SIGSTKFLT, so don't send that one
 * to the process. The descriptors that a machine's guest causes to be opened (sockets of --net user
 * and --vsock, files in shared directories) take up to a quarter of the process's soft limit of
 * open files, and none of its last eighth; that limit is often far below the hard one, and may be
 * raised (setrlimit(2)) before the machine is made. A script of --net is a child process, whose
 * status is lost if SIGCHLD is ignored or another thread waits for any child: then it counts as 0.
 *
 * Errors: a function that returns int returns 0 or more, or the negative of a code of <errno.h>;
 * minivmm_error() then says in words what failed and what to do.
 *
 * Processes: fork() only to exec. A child has no guest memory, may call no function of this
 * library, and keeps the descriptors (files with their locks, sockets) open until it execs or
 * exits.
 *
 * Threads: any number of machines may live in a process. The functions of a machine may be called
 * by any thread at any time, from minivmm_create() until minivmm_destroy() is called; those of a
 * configuration by one thread at a time. minivmm_destroy() waits until calls that have begun have
 * returned.
 *
 * minivmm_config_*() and minivmm_create() read the process's environment, and nothing here changes
 * it: call setenv() while none of them runs.
 *
 * Callbacks are called by threads of the machine, and those for messages also by threads that call
 * a function here. A callback must return soon. It may call nothing of this library but
 * minivmm_log_stderr() and, when the event is MINIVMM_ENDED, minivmm_end(), minivmm_status() and
 * minivmm_why(). The machine may hold locks while a message is delivered, and calls wait for
 * callbacks: so a callback must take no lock of yours that is held anywhere while you call a
 * function of that machine, minivmm_destroy() among them. Once minivmm_wait() has returned 0 or
 * minivmm_destroy() has returned, no callback comes any more.
 *
 * Memory: strings that are passed in are copied, unless a function says otherwise.
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct minivmm_config; /* what a machine is made of */
struct minivmm;        /* a machine */

/* The library's version, as "0.1.0". All that a version 0.N has, later versions 0.N have as
 * well. */
const char *minivmm_version(void);

/* Says in one line why the function of this library that was called last on this thread failed. Ask
 * after an error only: a call that succeeds may keep or clear the text. Valid until the thread's
 * next call. */
const char *minivmm_error(void);

/* -- messages and events --------------------------------------------------------------------- */

enum minivmm_level {
	MINIVMM_ASKED, /* what an option asked for: statistics, the name of a pseudo-terminal */
	MINIVMM_ERROR,
	MINIVMM_WARN,
	MINIVMM_INFO,
};

/* Gets a message that the option log-level lets through. text is printable UTF-8: one line without
 * its end or, for statistics and crashes, several, each with '\n'. It may be called by any thread,
 * also by several at once. */
typedef void minivmm_log_fn(void *ctx, int level, const char *text);

/* A ready-made one: prints on standard error what the program minivmm prints there. */
void minivmm_log_stderr(void *ctx, int level, const char *text);

enum minivmm_event {
	MINIVMM_STARTED,   /* the guest runs */
	MINIVMM_RESTARTED, /* it has reset, and runs anew (option on-reset) */
	/* The last event, which comes once: minivmm_end() and the like say how. Whoever waits for
	 * the end goes on after the callback has returned. */
	MINIVMM_ENDED,
};

/* Something happened. The machine's own thread calls this, and waits for it to return. */
typedef void minivmm_event_fn(void *ctx, int event);

/* -- configurations -------------------------------------------------------------------------- */

/* Returns a configuration with the command line's defaults, except that it has no serial port.
 * NULL: out of memory. */
struct minivmm_config *minivmm_config_new(void);

/* Frees what only c has. Machines that were created with it go on. c may be NULL. */
void minivmm_config_free(struct minivmm_config *c);

/* Gives an option of the command line its value: names, values and errors are those of minivmm(1),
 * e.g. "disk", "a.img,readonly=on". value is NULL for a switch. Nothing is opened yet. Options that
 * may be repeated on the command line may be set repeatedly.
 *
 * To have a console, port or the serial port as a descriptor, make a socketpair(2) and set "fd=N",
 * where N is one end of it. minivmm_create() duplicates N. After that yours is used only for the
 * size of a terminal's window: if it isn't a terminal, you may close it.
 *
 * -EINVAL: there is no such option, or it can't have this value; then c can only be freed. -EBUSY:
 * a machine was created with c. */
int minivmm_config_set(struct minivmm_config *c, const char *name, const char *value);

/* Makes it a machine that runs a command, as "minivmm run" does: argv ends with NULL. The options
 * of run ("root", "share", …) are set by minivmm_config_set(), before or after this. A second call
 * returns -EBUSY. */
int minivmm_config_command(struct minivmm_config *c, char *const argv[]);

/* These set who gets the messages of c and of its machines, and who gets their events. NULL, the
 * default: nobody. ctx is passed on. They apply to machines that are created from now on. */
void minivmm_config_log(struct minivmm_config *c, minivmm_log_fn *fn, void *ctx);
void minivmm_config_events(struct minivmm_config *c, minivmm_event_fn *fn, void *ctx);

/* A command line asks for one of these. */
enum minivmm_action {
	MINIVMM_ACTION_BOOT,    /* start a machine */
	MINIVMM_ACTION_DRY_RUN, /* print minivmm_text() for it; so do the next three */
	MINIVMM_ACTION_HELP,
	MINIVMM_ACTION_VERSION,
	MINIVMM_ACTION_DOCTOR,
	MINIVMM_ACTION_COMMAND, /* start a machine that runs a command */
};

/* Sets c, which is new, from a whole command line of minivmm(1). Here the serial port is on
 * standard input and output by default, and a command's outputs are auto: one, if this process's
 * standard output and standard error are the same file. Returns an enum minivmm_action, -EINVAL,
 * or -EBUSY: c is not new. */
int minivmm_config_args(struct minivmm_config *c, int argc, char *const argv[]);

/* Makes the text that the program prints for what. For MINIVMM_ACTION_DRY_RUN it describes the
 * machine that c asks for, which is checked and not started; the others don't look at c. *text is
 * the caller's to free(3), and NULL if there is none. -ENOTSUP with a text: the doctor has found
 * that no guest can run here. */
int minivmm_text(const struct minivmm_config *c, enum minivmm_action what, char **text);

/* -- a machine's life ------------------------------------------------------------------------ */

/* Makes the machine that c asks for: opens its files, takes its memory (lazily), loads its kernel.
 * From then on c can't be changed; it may be freed, and used for more machines. minivmm_destroy()
 * frees *vm; after an error that is NULL, and c is as it was. A disk's overlay=temp is made in the
 * directory that TMPDIR names, which is read here and nowhere else, or in /var/tmp. An unpacked
 * kernel is kept on disk and mapped the next time; kernel-cache says where, or off. */
int minivmm_create(struct minivmm_config *c, struct minivmm **vm);

/* Starts it, in threads of its own, and returns. A second call returns -EALREADY. After any other
 * error the machine has ended (MINIVMM_FAILED), without events. */
int minivmm_start(struct minivmm *vm);

/* Waits until it has ended and has let go of its files, and returns 0. -ETIMEDOUT: that took longer
 * than timeout_ms (-1: for ever). -EINVAL: it was not started. */
int minivmm_wait(struct minivmm *vm, int timeout_ms);

/* Returns a descriptor for poll(2), which is readable once the machine has ended. It belongs to the
 * machine, must not be read, and is valid until minivmm_destroy(). */
int minivmm_end_fd(const struct minivmm *vm);

/* Ends it if it runs, waits for that, and frees it. No callback may call this. vm may be NULL.
 * Whoever reads slowly what the guest said last is waited for, 20 s for all of them together.
 * Returns 0; or an error, and vm is gone all the same: what had to wait of a command's result (option
 * json) could not be written, which minivmm_status() did not know. */
int minivmm_destroy(struct minivmm *vm);

/* -- while it runs --------------------------------------------------------------------------- */

/* The functions that do something to the machine return -EINVAL before the start and -ESRCH after
 * the end, unless they say otherwise. Those that tell something of it may be called at any time. */

/* minivmm_pause() stops its processors and returns when none is in the guest; devices finish what
 * they have begun. minivmm_resume() lets them go on. Both may be called repeatedly, and before the
 * start: then a paused machine starts paused. */
int minivmm_pause(struct minivmm *vm);
int minivmm_resume(struct minivmm *vm);

enum minivmm_stop {
	MINIVMM_POWER_BUTTON, /* asks the guest: what it does is up to its kernel */
	MINIVMM_AT_ONCE,      /* switches it off; what the guest flushed to its disks is there */
};
/* Begins its end; minivmm_wait() waits for it. The machine does not run anew, whatever on-reset
 * says. It may be called before the start, too: then it takes effect at the start. When the machine
 * is about to end already, AT_ONCE means that no reader of what its guest said last is waited for
 * any more. */
int minivmm_stop(struct minivmm *vm, enum minivmm_stop how);

/* Moves the balloon's target by that many bytes, or as far as it can go. Returns where it is then.
 * -ENOTSUP: there is no balloon. -EAGAIN: there is none just now, as the guest resets or ends. */
long long minivmm_balloon(struct minivmm *vm, long long bytes);
/* Returns how many bytes of memory the guest has. */
unsigned long long minivmm_memory(const struct minivmm *vm);

/* Tells the guest that the size of the console's terminal may have changed. */
int minivmm_window_changed(struct minivmm *vm);

/* Is some part of it on standard input and output? If that is a terminal, the program chooses its
 * mode. */
int minivmm_on_stdio(const struct minivmm *vm);

/* -- a command's machine --------------------------------------------------------------------- */

enum minivmm_stream { MINIVMM_STDIN, MINIVMM_STDOUT, MINIVMM_STDERR };

/* Returns one end of a stream socket, blocking, which is a stream of the command's and belongs to
 * the caller. It is called at most once for each stream, after minivmm_create() and before
 * minivmm_start(): otherwise it returns -EBADF. -ENOTSUP: the machine runs no command.
 *
 * Close MINIVMM_STDIN (or shutdown(2) it for writing) to give the command its end of file. Read the
 * others to their end, which the machine waits for, or close them, which the command notices when
 * it writes. If a stream is not asked for, input is at its end and output is thrown away.
 *
 * With option terminal, the first two are the terminal's input and output. With option outputs=one,
 * what the command writes to standard error comes in MINIVMM_STDOUT too, in the order in which it
 * was written, and MINIVMM_STDERR is at its end. */
int minivmm_stream(struct minivmm *vm, enum minivmm_stream which);

/* Sends a signal to the command and to what it has started in its process group. -ENOTSUP: the
 * machine runs no command. */
int minivmm_signal(struct minivmm *vm, int signal);

/* Tells the command how large its terminal is now (option terminal). -ENOTSUP: it has none. */
int minivmm_window_size(struct minivmm *vm, unsigned rows, unsigned columns);
/* Has the command a terminal? */
int minivmm_has_terminal(const struct minivmm *vm);

/* Adds a line to the machine's messages, of enum minivmm_level level. Callbacks may not call
 * this. */
void minivmm_log(struct minivmm *vm, int level, const char *text);

/* -- how it ended ---------------------------------------------------------------------------- */

enum minivmm_end {
	MINIVMM_NOT_ENDED,
	MINIVMM_POWER_OFF,  /* the guest switched itself off */
	MINIVMM_RESET,      /* the guest asked for a reset */
	MINIVMM_CRASHED,    /* the guest's kernel panicked, or its processor could not go on */
	MINIVMM_DEBUG_EXIT, /* the guest gave a status (option debug-exit) */
	MINIVMM_QUIT,       /* Ctrl-A x in its terminal */
	MINIVMM_KILLED,     /* MINIVMM_AT_ONCE */
	MINIVMM_FAILED,     /* the host could not go on */
	MINIVMM_COMMAND,    /* the command ended: minivmm_status() is its status */
};
enum minivmm_end minivmm_end(struct minivmm *vm);

/* The statuses that the program minivmm exits with, as in minivmm(1). Any other status is the
 * guest's own: the one that it wrote (option debug-exit), or that of the command. */
enum minivmm_exit_status {
	MINIVMM_EXIT_OK = 0,      /* the guest powered off or reset, or was quit at its terminal */
	MINIVMM_EXIT_FAILED = 1,  /* the host could not go on, or the machine was stopped */
	MINIVMM_EXIT_USAGE = 2,   /* the command line is wrong; only the program returns this */
	MINIVMM_EXIT_CRASHED = 3, /* the guest crashed */

	/* For a command's machine. The guest returns 126 and 127, as a shell does, for a command
	 * that can't be run and for one that doesn't exist. */
	MINIVMM_EXIT_TIMEOUT = 124,        /* option timeout ended it */
	MINIVMM_EXIT_COMMAND_FAILED = 125, /* the host or the guest failed */
	MINIVMM_EXIT_SIGNAL = 128,         /* plus N: signal N ended the command */
};

/* Returns the status that the program minivmm exits with after that: an enum minivmm_exit_status,
 * or the guest's own. -EAGAIN: the machine has not ended. */
int minivmm_status(struct minivmm *vm);

/* Says in one line how it ended; "" before that. Valid until minivmm_destroy(). */
const char *minivmm_why(struct minivmm *vm);

#ifdef __cplusplus
}
#endif
