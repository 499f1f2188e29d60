/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each standard stream is copied by a thread of its own, which waits as long as it takes: other
 * processes may share its descriptor, so we must not set O_NONBLOCK on it. Output is over when the
 * guest has ended it and all is written. A thread that still waits for input then is left behind.
 */
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "give_back.h"
#include "signals.h"
#include "take_terminal.h"
#include "term.h"

/* How long we wait, after a second signal, for a machine that doesn't end, and for a reader of our
 * output. */
#define PATIENCE_S 5

struct copy {
	int from, to;
	bool output; /* from the guest */
	bool started;
	int error; /* atomic: errno of a write that lost output; 0: none did */
	pthread_t thread;
};

struct session {
	struct minivmm *vm;
	int signal_fd;
	struct copy copy[3];
	int signalled; /* the first signal that ended it; 0: none */
	struct timespec when;
	bool ended_by_force;
	bool left; /* the machine doesn't end, and we no longer wait for it */
};

/* -- streams --------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) { /* another process has set O_NONBLOCK */
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
			continue;
		}
		if (n < 0 && errno != EINTR)
			return false;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Returns false, unless a read has failed because the terminal's input belongs to another job now.
 * Then it waits a second, and the caller tries again. */
static bool in_background(int fd)
{
	pid_t owner = errno == EIO ? tcgetpgrp(fd) : -1;

	if (owner <= 0 || owner == getpgrp())
		return false;
	sleep(1);
	return true;
}

static void *copy_stream(void *arg)
{
	struct copy *c = arg;
	char buffer[65536];
	bool taken = true;
	sigset_t set;

	/* The command may not want any input, so our reading of it in the background must not stop
	 * us. */
	sigemptyset(&set);
	sigaddset(&set, SIGTTIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	while (taken) {
		ssize_t n = read(c->from, buffer, sizeof(buffer));

		if (n < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ .fd = c->from, .events = POLLIN }, 1, -1);
			continue;
		}
		if (n < 0 && (errno == EINTR || in_background(c->from)))
			continue;
		if (n <= 0)
			break;
		taken = write_all(c->to, buffer, (size_t)n);
	}
	/* A reader that has gone wanted no more. Any other error loses output. */
	if (!taken && c->output && errno != EPIPE)
		__atomic_store_n(&c->error, errno, __ATOMIC_RELAXED);
	/* Either the input is at its end, or the guest is told that nobody reads its output. */
	if (c->output)
		close(c->from);
	else
		shutdown(c->to, SHUT_WR);
	return NULL;
}

static int take_streams(struct session *s)
{
	static const int own[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };

	for (unsigned i = 0; i < 3; i++) {
		struct copy *c = &s->copy[i];
		int fd = minivmm_stream(s->vm, (enum minivmm_stream)i);

		if (fd < 0)
			return fd;
		c->output = i != MINIVMM_STDIN;
		c->from = c->output ? fd : own[i];
		c->to = c->output ? own[i] : fd;
	}
	return 0;
}

static int start_copies(struct session *s)
{
	for (unsigned i = 0; i < 3; i++) {
		struct copy *c = &s->copy[i];
		int rc = pthread_create(&c->thread, NULL, copy_stream, c);

		if (rc)
			return -rc;
		c->started = true;
	}
	return 0;
}

/* The guest is gone, so its output ends. Unless patient, slow readers are waited for PATIENCE_S at
 * most. */
static void join_outputs(struct session *s, bool patient)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	for (unsigned i = MINIVMM_STDOUT; i <= MINIVMM_STDERR; i++) {
		if (!s->copy[i].started)
			continue;
		if (patient)
			pthread_join(s->copy[i].thread, NULL);
		else
			pthread_timedjoin_np(s->copy[i].thread, NULL, &until);
	}
}

/* Looks at the outputs that have ended. Returns false, after a message, if something was lost. */
static bool all_written(struct session *s)
{
	static const char *const name[] = { "", "standard output", "standard error" };
	char text[160];
	bool all = true;

	for (unsigned i = MINIVMM_STDOUT; i <= MINIVMM_STDERR; i++) {
		const int error = __atomic_load_n(&s->copy[i].error, __ATOMIC_RELAXED);

		if (!error)
			continue;
		snprintf(text, sizeof(text),
			 "run: %s: %s: the rest of what the command wrote is lost", name[i],
			 strerror(error));
		minivmm_log(s->vm, MINIVMM_ERROR, text);
		all = false;
	}
	return all;
}

/* -- signals --------------------------------------------------------------------------------- */

/* There is no guest any more that could be told, so signals end us: the reader of our output may
 * keep us for ever. Signals that have come by now were for the command. */
static void signals_end_us(const struct session *s)
{
	const sigset_t set = signals_ending(true);
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) > 0)
		;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void tell_size(const struct session *s)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ||
	    ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		minivmm_window_size(s->vm, size.ws_row, size.ws_col);
}

/* timeout(1) sends a signal to its child and then to the child's group: the two count as one. */
static bool just_came(struct session *s)
{
	const long long ms = signals_ms_since(&s->when);

	clock_gettime(CLOCK_MONOTONIC, &s->when);
	return ms < 100;
}

/* The third signal ends us, whatever we are waiting for. */
static void end_by_force(struct session *s, int signal)
{
	if (s->ended_by_force) {
		signals_end_us(s);
		raise(signal);
	}
	s->ended_by_force = true;
	s->signalled = signal;
	minivmm_stop(s->vm, MINIVMM_AT_ONCE);
	minivmm_log(s->vm, MINIVMM_WARN, "run: second signal: ending the guest");
}

static void on_signal(struct session *s)
{
	struct signalfd_siginfo info;
	int signal;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	signal = (int)info.ssi_signo;
	if (signal == SIGWINCH) {
		tell_size(s);
		return;
	}
	if (signal == SIGUSR1 || signal == SIGUSR2) {
		minivmm_signal(s->vm, signal);
		return;
	}
	if (s->signalled) {
		if (!just_came(s))
			end_by_force(s, signal);
		return;
	}
	(void)just_came(s);
	s->signalled = signal;
	minivmm_signal(s->vm, signal);
}

static void until_end(struct session *s)
{
	struct pollfd p[] = {
		{ .fd = minivmm_end_fd(s->vm), .events = POLLIN },
		{ .fd = s->signal_fd, .events = POLLIN },
	};

	give_back_after_start(p, 2);
	while (!p[0].revents && !s->left) {
		int n = poll(p, 2, s->ended_by_force ? PATIENCE_S * 1000 : -1);

		s->left = n == 0;
		if (n > 0 && p[1].revents) /* otherwise EINTR, by SIGCONT */
			on_signal(s);
	}
}

/* -- all of it ------------------------------------------------------------------------------- */

static int run(struct session *s)
{
	const sigset_t set = signals_taken(true);
	int status;

	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0 || (minivmm_has_terminal(s->vm) && take_terminal(s->vm) < 0) ||
	    take_streams(s) < 0 || minivmm_start(s->vm) < 0 || start_copies(s) < 0)
		return MINIVMM_EXIT_COMMAND_FAILED;
	tell_size(s);
	until_end(s);
	signals_end_us(s);
	if (s->left) {
		minivmm_log(s->vm, MINIVMM_ERROR,
			    "run: the machine does not end: leaving it as it is");
		return MINIVMM_EXIT_SIGNAL + s->signalled;
	}
	status = minivmm_status(s->vm);
	join_outputs(s, !s->ended_by_force && minivmm_end(s->vm) != MINIVMM_KILLED);
	if (s->ended_by_force)
		return MINIVMM_EXIT_SIGNAL + s->signalled;
	return all_written(s) || status == MINIVMM_EXIT_TIMEOUT ? status
								: MINIVMM_EXIT_COMMAND_FAILED;
}

int run_command(struct minivmm_config *c)
{
	const sigset_t set = signals_taken(true);
	/* It is static, because threads that are left behind use it. */
	static struct session s = { .signal_fd = -1 };
	int status;

	term_reserve_stdio();
	signals_prepare();
	if (minivmm_create(c, &s.vm) < 0)
		return MINIVMM_EXIT_COMMAND_FAILED;
	sigprocmask(SIG_BLOCK, &set, NULL);
	status = run(&s);
	if (!s.left && minivmm_destroy(s.vm) < 0 && status != MINIVMM_EXIT_TIMEOUT &&
	    !s.ended_by_force)
		status = MINIVMM_EXIT_COMMAND_FAILED;
	term_restore();
	return status;
}
