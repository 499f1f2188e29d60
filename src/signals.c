/* SPDX-License-Identifier: BSD-2-Clause */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#define POWER_OFF_SECONDS 30

/* Those that are for the guest's end. */
static sigset_t ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

static sigset_t taken_signals(void)
{
	sigset_t set = ending_signals();

	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGWINCH);
	return set;
}

void signals_block(void)
{
	const sigset_t set = taken_signals();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a disk beyond ulimit -f: an error of that write, no more */
}

/* timeout(1) sends a signal to its child and again to the child's group: within a second, that is
 * one request. */
static bool asked_just_now(const struct signals *s)
{
	struct itimerspec left;

	return s->asked && timerfd_gettime(s->timer_fd, &left) == 0 &&
	       left.it_value.tv_sec >= POWER_OFF_SECONDS - 1;
}

static void power_off_politely(struct signals *s)
{
	const struct itimerspec t = { .it_value.tv_sec = POWER_OFF_SECONDS };

	if (asked_just_now(s))
		return;
	if (s->asked) {
		log_warn("second SIGTERM: ending the guest");
		machine_end(s->machine, END_KILLED, 0);
		return;
	}
	s->asked = true;
	log_info("SIGTERM: pressing the guest's power button");
	machine_press_power_button(s->machine);
	if (timerfd_settime(s->timer_fd, 0, &t, NULL) < 0) {
		log_errno("timer of %d s", POWER_OFF_SECONDS);
		machine_end(s->machine, END_KILLED, 0);
	}
}

static void on_signal(struct loop_source *src, uint32_t events __unused)
{
	struct signals *s = container_of(src, struct signals, signal);
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGUSR1:
		machine_move_balloon(s->machine, 1);
		break;
	case SIGUSR2:
		machine_move_balloon(s->machine, -1);
		break;
	case SIGWINCH:
		machine_window_changed(s->machine);
		break;
	case SIGTERM:
		s->end = true;
		power_off_politely(s);
		break;
	default:
		s->end = true;
		machine_end(s->machine, END_KILLED, 0);
		break;
	}
}

static void on_timer(struct loop_source *src, uint32_t events __unused)
{
	struct signals *s = container_of(src, struct signals, timer);

	log_warn("the guest did not power off within %d s of SIGTERM: ending it",
		 POWER_OFF_SECONDS);
	machine_end(s->machine, END_KILLED, 0);
}

int signals_init(struct signals *s, struct machine *m)
{
	const sigset_t set = taken_signals();

	*s = (struct signals){ .signal_fd = -1, .timer_fd = -1, .machine = m };
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->signal_fd < 0 || s->timer_fd < 0)
		return log_errno("signalfd or timerfd");
	s->signal = (struct loop_source){ .fd = s->signal_fd, .fn = on_signal };
	s->timer = (struct loop_source){ .fd = s->timer_fd, .fn = on_timer };
	if (loop_add(&m->loop, &s->signal, EPOLLIN) < 0 ||
	    loop_add(&m->loop, &s->timer, EPOLLIN) < 0)
		return log_ret(-EIO, "can't wait for signals");
	return 0;
}

void signals_destroy(struct signals *s)
{
	close_fd(&s->signal_fd);
	close_fd(&s->timer_fd);
}

bool signals_came(const struct signals *s)
{
	const sigset_t set = ending_signals();
	sigset_t pending;

	sigpending(&pending);
	sigandset(&pending, &pending, &set);
	return s->end || !sigisemptyset(&pending);
}
