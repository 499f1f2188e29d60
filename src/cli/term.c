/* SPDX-License-Identifier: BSD-2-Clause */
#include "term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define __unused      __attribute__((unused))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Signals that end a process unless the program handles them. */
static const int ends[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
			    SIGALRM, SIGXCPU, SIGXFSZ, SIGSYS,  SIGABRT };
static const int faults[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };

/* The one terminal of the process: signal handlers must find it. */
static struct {
	int fd;      /* -1: there was none yet */
	bool wanted; /* atomic: raw whenever we are in the foreground */
	bool raw;    /* atomic: it is raw now, and cooked is its mode before */
	struct termios cooked;
	struct sigaction old[_NSIG]; /* set before its handler is installed, and constant then */
} term = { .fd = -1 };

/* May we change the terminal? Not while it belongs to another job of the shell. */
static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(term.fd);

	/* It fails for a terminal that is not our session's: there are no jobs then. */
	return group < 0 || group == getpgrp();
}

/* Sets the mode with SIGTTOU blocked, which would stop us if we have lost the foreground
 * meanwhile. */
static int set_mode(const struct termios *mode)
{
	sigset_t ttou, before;
	int rc;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &before);
	rc = tcsetattr(term.fd, TCSANOW, mode);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static int enter(void)
{
	struct termios mode;

	if (!__atomic_load_n(&term.wanted, __ATOMIC_ACQUIRE) || !in_foreground())
		return 0;
	if (tcgetattr(term.fd, &mode) < 0)
		return -1;
	if (!__atomic_load_n(&term.raw, __ATOMIC_ACQUIRE))
		term.cooked = mode;
	/* This comes first: at worst a signal between the two restores a mode that is unchanged. */
	__atomic_store_n(&term.raw, true, __ATOMIC_RELEASE);
	cfmakeraw(&mode);
	return set_mode(&mode);
}

static void leave(void)
{
	if (__atomic_load_n(&term.raw, __ATOMIC_ACQUIRE) && in_foreground())
		set_mode(&term.cooked);
	__atomic_store_n(&term.raw, false, __ATOMIC_RELEASE);
}

void term_restore(void)
{
	__atomic_store_n(&term.wanted, false, __ATOMIC_RELEASE);
	leave();
}

static void on_end(int sig, siginfo_t *info __unused, void *context __unused)
{
	term_restore();
	sigaction(sig, &term.old[sig], NULL);
	raise(sig);
}

/* After this the fault happens again by itself, with all that a debugger or sanitizer wants to
 * know. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	if (info->si_code <= 0) {
		on_end(sig, info, context); /* somebody sent it */
		return;
	}
	term_restore();
	sigaction(sig, &term.old[sig], NULL);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = fn,
				    .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

	sigfillset(&action.sa_mask);
	sigaction(sig, &action, NULL);
}

/* Stops the process by the signal's default action, which does nothing where no shell could
 * continue it. */
static void on_stop(int sig, siginfo_t *info __unused, void *context __unused)
{
	int err = errno;
	sigset_t stop;

	leave();
	sigaction(sig, &term.old[sig], NULL);
	raise(sig);
	sigemptyset(&stop);
	sigaddset(&stop, sig);
	pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
	handle(sig, on_stop);
	enter();
	errno = err;
}

/* We may be in the foreground now, or SIGSTOP, which can't be handled, may have stopped us. */
static void on_continue(int sig __unused, siginfo_t *info __unused, void *context __unused)
{
	int err = errno;

	enter();
	kill(getpid(), SIGWINCH); /* its size may have changed, too */
	errno = err;
}

/* Installs fn for sig, unless the signal is ignored, or (only_default) the program has a handler of
 * its own. */
static void install(int sig, void (*fn)(int, siginfo_t *, void *), bool only_default)
{
	struct sigaction *old = &term.old[sig];

	sigaction(sig, NULL, old);
	if (old->sa_handler == SIG_DFL || (!only_default && old->sa_handler != SIG_IGN))
		handle(sig, fn);
}

static void install_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		install(ends[i], on_end, true);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) /* a sanitizer's handler comes after ours */
		install(faults[i], on_fault, false);
	install(SIGTSTP, on_stop, true);
	handle(SIGCONT, on_continue);
	atexit(term_restore);
}

int term_raw(int fd)
{
	bool first = term.fd < 0;

	term_restore();
	term.fd = fd;
	if (first)
		install_all();
	__atomic_store_n(&term.wanted, true, __ATOMIC_RELEASE);
	return enter() < 0 ? -errno : 0;
}

void term_reserve_stdio(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;
	if (fd >= 0)
		close(fd);
}
