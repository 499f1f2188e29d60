/* SPDX-License-Identifier: BSD-2-Clause */
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "give_back.h"

#define POWER_OFF_SECONDS 30
#define POWER_OFF_TEXT    "30 s"

struct signals {
	int signal_fd, timer_fd;
	struct minivmm *vm; /* not owned */
	bool asked;         /* the power button was pressed */
	bool ended;         /* it was told to end at once */
	struct timespec when;
};

/* If it were blocked, it would be queued, although it is ignored. */
static void add(sigset_t *set, int signal)
{
	struct sigaction now;

	if (sigaction(signal, NULL, &now) < 0 || now.sa_handler != SIG_IGN)
		sigaddset(set, signal);
}

static sigset_t to_guest(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGWINCH);
	return set;
}

sigset_t signals_ending(bool quit)
{
	sigset_t set;

	sigemptyset(&set);
	add(&set, SIGTERM);
	add(&set, SIGINT);
	add(&set, SIGHUP);
	if (quit)
		add(&set, SIGQUIT);
	return set;
}

sigset_t signals_taken(bool quit)
{
	const sigset_t guests = to_guest(), ending = signals_ending(quit);
	sigset_t set;

	sigorset(&set, &guests, &ending);
	return set;
}

long long signals_ms_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - then->tv_sec) * 1000ll + (now.tv_nsec - then->tv_nsec) / 1000000;
}

void signals_prepare(void)
{
	const sigset_t set = to_guest();

	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* our own output beyond ulimit -f: the write fails instead */
}

void signals_block(void)
{
	const sigset_t set = signals_taken(false);

	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* timeout(1) sends a signal to its child and then to the child's group: within a second, the two
 * count as one request. */
static bool asked_just_now(const struct signals *s)
{
	struct itimerspec left;

	return s->asked && timerfd_gettime(s->timer_fd, &left) == 0 &&
	       left.it_value.tv_sec >= POWER_OFF_SECONDS - 1;
}

static void end_at_once(struct signals *s)
{
	if (!s->ended)
		clock_gettime(CLOCK_MONOTONIC, &s->when);
	s->ended = true;
	minivmm_stop(s->vm, MINIVMM_AT_ONCE);
}

/* Another of the signals that end us has come while the guest is ending: it ends us, whatever we
 * are waiting for. */
static void end_us(const struct signals *s, int signal)
{
	const sigset_t set = signals_ending(false);

	if (signals_ms_since(&s->when) < 1000) /* perhaps the same request: timeout(1) again */
		return;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(signal);
}

static void power_off_politely(struct signals *s)
{
	const struct itimerspec t = { .it_value.tv_sec = POWER_OFF_SECONDS };

	if (asked_just_now(s))
		return;
	if (s->asked) {
		end_at_once(s);
		minivmm_log(s->vm, MINIVMM_WARN, "second SIGTERM: ending the guest");
		return;
	}
	s->asked = true;
	minivmm_stop(s->vm, MINIVMM_POWER_BUTTON);
	if (timerfd_settime(s->timer_fd, 0, &t, NULL) < 0)
		end_at_once(s);
	minivmm_log(s->vm, MINIVMM_INFO, "SIGTERM: pressing the guest's power button");
}

static void move_balloon(struct minivmm *vm, int eighths)
{
	if (minivmm_balloon(vm, (long long)(minivmm_memory(vm) / 8) * eighths) == -ENOTSUP)
		minivmm_log(vm, MINIVMM_WARN,
			    "a signal for the balloon, and the guest has none (see --balloon)");
}

static void on_signal(struct signals *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGUSR1:
		move_balloon(s->vm, 1);
		break;
	case SIGUSR2:
		move_balloon(s->vm, -1);
		break;
	case SIGWINCH:
		minivmm_window_changed(s->vm);
		break;
	default:
		if (s->ended)
			end_us(s, (int)info.ssi_signo);
		else if (info.ssi_signo == SIGTERM)
			power_off_politely(s);
		else
			end_at_once(s);
		break;
	}
}

static void on_timer(struct signals *s)
{
	const struct itimerspec never = { 0 };

	timerfd_settime(s->timer_fd, 0, &never, NULL);
	end_at_once(s);
	minivmm_log(s->vm, MINIVMM_WARN,
		    "the guest did not power off within " POWER_OFF_TEXT " of SIGTERM: ending it");
}

static void serve(struct signals *s)
{
	struct pollfd p[] = {
		{ .fd = minivmm_end_fd(s->vm), .events = POLLIN },
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->timer_fd, .events = POLLIN },
	};

	give_back_after_start(p, 3);
	while (!p[0].revents) {
		if (poll(p, 3, -1) < 0)
			continue; /* EINTR, by SIGCONT */
		if (p[1].revents)
			on_signal(s);
		if (p[2].revents)
			on_timer(s);
	}
}

int signals_until_end(struct minivmm *vm)
{
	const sigset_t set = signals_taken(false);
	struct signals s = { .vm = vm };
	char text[128];
	int rc = 0;

	s.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s.signal_fd < 0 || s.timer_fd < 0) {
		rc = -errno;
		snprintf(text, sizeof(text), "signalfd or timerfd: %s", strerror(-rc));
		minivmm_log(vm, MINIVMM_ERROR, text);
	} else {
		serve(&s);
	}
	if (s.signal_fd >= 0)
		close(s.signal_fd);
	if (s.timer_fd >= 0)
		close(s.timer_fd);
	return rc;
}
