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
 * What it takes: SIGRTMAX goes between threads of its own, so don't send that one to the process
 * (Valgrind keeps it for itself, so machines don't run there). What a machine's guest brings about
 * (sockets of --net user and --vsock, files in shared directories) takes up to a quarter of the
 * process's soft limit of open files, and none of the last eighth; that limit is often far below
 * the hard one and may be raised (setrlimit(2)) before the machine is made. A script of --net is a
 * child process, whose status is lost where SIGCHLD is ignored or somebody waits for any child: it
 * then counts as 0.
 *
 * Errors: a function that returns int returns 0 or more, or the negative of a code of <errno.h>;
 * minivmm_error() then says in words what failed and what to do.
 *
 * Processes: fork() is for exec: guest memory is not there in a child, in which no function of this
 * library may be called, and the descriptors that it has (files with their locks, sockets) stay
 * open until it execs or exits.
 *
 * Threads: any number of machines may live in a process. The functions of a machine may be called
 * by any thread at any time, from minivmm_create() until minivmm_destroy() is called; those of a
 * configuration by one thread at a time. Calls that have begun return when it is destroyed, which
 * waits for them.
 *
 * The process's environment is read by minivmm_config_*() and minivmm_create(), and changed by
 * nothing here: call setenv() while none of those runs.
 *
 * Callbacks come from threads of the machine, and messages also from those that call a function. A
 * callback returns soon. It calls nothing of this library but minivmm_log_stderr() and, of
 * MINIVMM_ENDED, minivmm_end(), minivmm_status() and minivmm_why(). The machine may hold locks
 * while a message is delivered, and calls wait for callbacks: so a callback takes no lock of yours
 * that is held anywhere while you call a function of that machine, minivmm_destroy() among them.
 * Once minivmm_wait() has returned 0 or minivmm_destroy() has returned, none comes any more.
 *
 * Memory: strings that are passed in are copied, unless it is said otherwise.
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct minivmm_config; /* what a machine is made of */
struct minivmm;        /* a machine */

/* The library's version, as "0.1.0". What a version 0.N has, a later one of the same N has, too. */
const char *minivmm_version(void);

/* Why the function of this library that was called last on this thread failed: one line. For after
 * an error, as one that succeeds may leave it or clear it. Valid until the thread's next call. */
const char *minivmm_error(void);

/* -- messages and events --------------------------------------------------------------------- */

enum minivmm_level {
	MINIVMM_ASKED, /* what an option asked for: statistics, the name of a pseudo-terminal */
	MINIVMM_ERROR,
	MINIVMM_WARN,
	MINIVMM_INFO,
};

/* A message, as far as the option log-level lets it through. text is printable UTF-8: one line
 * without its end or, of statistics and crashes, several, each with '\n'. Any thread, also several
 * at once. */
typedef void minivmm_log_fn(void *ctx, int level, const char *text);

/* One to use: prints on standard error what the program minivmm prints there. */
void minivmm_log_stderr(void *ctx, int level, const char *text);

enum minivmm_event {
	MINIVMM_STARTED,   /* the guest runs */
	MINIVMM_RESTARTED, /* it has reset, and runs anew (option on-reset) */
	/* Once, the last event: minivmm_end() and the like say how. Whoever waits for the end goes
	 * on when the callback has returned. */
	MINIVMM_ENDED,
};

/* Something happened. The thread of the machine, which waits for it to return. */
typedef void minivmm_event_fn(void *ctx, int event);

/* -- configurations -------------------------------------------------------------------------- */

/* A configuration of defaults: those of the command line, but for the serial port, which is not
 * there. NULL: out of memory. */
struct minivmm_config *minivmm_config_new(void);

/* Frees what only c has. Machines that were created with it go on. NULL is fine. */
void minivmm_config_free(struct minivmm_config *c);

/* Gives an option of the command line its value: names, values and errors are those of minivmm(1),
 * e.g. "disk", "a.img,readonly=on". value is NULL for a switch. Nothing is opened yet. Options that
 * may be repeated on the command line may be set repeatedly.
 *
 * To have a console, port or the serial port as a descriptor, make a socketpair(2) and set "fd=N",
 * where N is one end of it. minivmm_create() makes a copy of its own; yours is used again only for
 * the size of a terminal's window, and may be closed without one.
 *
 * -EINVAL: no such option, or not this value; c is good for nothing but minivmm_config_free() then.
 * -EBUSY: a machine was created with c. */
int minivmm_config_set(struct minivmm_config *c, const char *name, const char *value);

/* Makes it a machine that runs a command, as "minivmm run" does: argv ends with NULL. The options
 * of run ("root", "share", …) are for minivmm_config_set(), before or after this. Once: -EBUSY. */
int minivmm_config_command(struct minivmm_config *c, char *const argv[]);

/* Who gets messages of c's and its machines', and who their events. NULL: nobody, the default. ctx
 * is passed on. For machines that are created from now on. */
void minivmm_config_log(struct minivmm_config *c, minivmm_log_fn *fn, void *ctx);
void minivmm_config_events(struct minivmm_config *c, minivmm_event_fn *fn, void *ctx);

/* What a command line asks for. */
enum minivmm_action {
	MINIVMM_ACTION_BOOT,    /* a machine */
	MINIVMM_ACTION_DRY_RUN, /* minivmm_text() of the same name, as below */
	MINIVMM_ACTION_HELP,
	MINIVMM_ACTION_VERSION,
	MINIVMM_ACTION_DOCTOR,
	MINIVMM_ACTION_COMMAND, /* a machine that runs a command */
};

/* Sets c, which is new, from a whole command line of minivmm(1), where the serial port is on
 * standard input and output by default, and a command's outputs are auto: one if this process's
 * standard output and standard error are the same file. An enum minivmm_action, or -EINVAL. */
int minivmm_config_args(struct minivmm_config *c, int argc, char *const argv[]);

/* What the program prints for what: for MINIVMM_ACTION_DRY_RUN the machine that c asks for, which
 * it checks and does not start; the others don't look at c. *text is for free(3), and NULL when
 * there is none. -ENOTSUP with a text: the doctor has found that no guest can run here. */
int minivmm_text(const struct minivmm_config *c, enum minivmm_action what, char **text);

/* -- a machine's life ------------------------------------------------------------------------ */

/* Makes the machine that c asks for: opens its files, takes (lazily) its memory, loads its kernel.
 * From then on c can't be changed; it may be freed, and used for more machines. *vm is for
 * minivmm_destroy(); after an error it is NULL, and c as it was. A disk's overlay=temp is made in
 * the directory that TMPDIR names, which is read here and nowhere else, or in /var/tmp. */
int minivmm_create(struct minivmm_config *c, struct minivmm **vm);

/* Starts it, in threads of its own, and returns. Once: -EALREADY. After any other error it has
 * ended (MINIVMM_FAILED), without events. */
int minivmm_start(struct minivmm *vm);

/* Waits until it has ended and has let go of its files: 0. Or for timeout_ms (-1: for ever):
 * -ETIMEDOUT. -EINVAL: it was not started. */
int minivmm_wait(struct minivmm *vm, int timeout_ms);

/* A descriptor for poll(2), which is readable once the machine has ended. It is the machine's, not
 * to be read, and valid until minivmm_destroy(). */
int minivmm_end_fd(const struct minivmm *vm);

/* Ends it if it runs, waits for that, and frees it. By no callback. NULL is fine. Whoever reads
 * slowly what the guest said last is waited for, 20 s for all of them together. */
void minivmm_destroy(struct minivmm *vm);

/* -- while it runs --------------------------------------------------------------------------- */

/* Those that return int return -EINVAL before the start, and -ESRCH after the end. */

/* Stops its processors, and returns when none is in the guest; devices finish what they have begun.
 * And lets them go on. Both may be said repeatedly, and before the start: then it starts paused. */
int minivmm_pause(struct minivmm *vm);
int minivmm_resume(struct minivmm *vm);

enum minivmm_stop {
	MINIVMM_POWER_BUTTON, /* asks the guest: what it does is up to its kernel */
	MINIVMM_AT_ONCE,      /* pulls the plug; what the guest flushed to its disks is there */
};
/* Begins its end; minivmm_wait() waits for it. Whatever on-reset says, it does not run anew. Before
 * the start, too: that is then done as soon as it is started. Once it is about to end, AT_ONCE
 * means that no reader of what it said last is waited for any more. */
int minivmm_stop(struct minivmm *vm, enum minivmm_stop how);

/* Moves the balloon's target by that many bytes, as far as it goes. Where it is then; -ENOTSUP:
 * there is no balloon; -EAGAIN: there is none just now, as the guest resets or ends. */
long long minivmm_balloon(struct minivmm *vm, long long bytes);
/* Bytes of the guest's memory. */
unsigned long long minivmm_memory(const struct minivmm *vm);

/* The size of the terminal behind the console may have changed: tells the guest. */
int minivmm_window_changed(struct minivmm *vm);

/* Is some part of it on standard input and output? What mode a terminal there is in is the
 * program's to choose. */
int minivmm_on_stdio(const struct minivmm *vm);

/* -- a command's machine ---------------------------------------------------------------------- */

enum minivmm_stream { MINIVMM_STDIN, MINIVMM_STDOUT, MINIVMM_STDERR };

/* A stream of the command's: one end of a stream socket, blocking, which is yours from here on.
 * Once for each of them, after minivmm_create() and before minivmm_start(): -EBADF. Close
 * MINIVMM_STDIN (or shutdown(2) it for writing) to give the command its end of file; read the
 * others to theirs, which the machine waits for, or close them, which the command notices when it
 * writes. Of those that are not taken, input is at its end and output is thrown away. With option
 * terminal, input and output of that are the first two. With option outputs=one, what the command
 * writes to standard error comes in MINIVMM_STDOUT too, in the order in which it was written, and
 * MINIVMM_STDERR is at its end. */
int minivmm_stream(struct minivmm *vm, enum minivmm_stream which);

/* Sends the command, and what it has started in its process group, a signal. */
int minivmm_signal(struct minivmm *vm, int signal);

/* How large its terminal is now (option terminal). */
int minivmm_window_size(struct minivmm *vm, unsigned rows, unsigned columns);
/* Has it one? */
int minivmm_has_terminal(const struct minivmm *vm);

/* Adds a line to its messages, of enum minivmm_level level. Not from callbacks. */
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

/* The status that the program minivmm exits with after that, as minivmm(1) has it. -EAGAIN: it has
 * not ended. */
int minivmm_status(struct minivmm *vm);

/* How it ended, in a line of words; "" as long as it has not. Valid until minivmm_destroy(). */
const char *minivmm_why(struct minivmm *vm);

#ifdef __cplusplus
}
#endif
