/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "machine/machine.h"

#define GRACE_SECONDS 5             /* from --timeout's SIGTERM to the end */
#define MAX_INIT_US   1000000000000 /* nothing takes as long */
#define OUTPUTS       (1u << GUEST_STDOUT | 1u << GUEST_STDERR)

enum { STATUS_TIMEOUT = 124, STATUS_FAILED = 125, STATUS_SIGNAL = 128 };

/* -- what the guest says -- */

static bool all_delivered(const struct run *r)
{
	return (__atomic_load_n(&r->delivered, __ATOMIC_ACQUIRE) & OUTPUTS) == OUTPUTS;
}

static void end_if_done(struct run *r)
{
	if (r->ended == RUN_ERROR || (r->ended && all_delivered(r)))
		machine_end(r->m, END_COMMAND, 0);
}

/* The last line, which nothing that the guest has to say or do comes after (guest/wire.h). So it is
 * stopped here: from now on only readers are waited for, and no limit is left for it to escape. */
static void has_ended(struct run *r, enum run_end how, int value)
{
	if (r->ended)
		return;
	r->ended = how;
	r->value = value;
	r->ended_ns = monotonic_ns();
	machine_stop_guest(r->m);
	virtio_vsock_guest_stopped(&r->m->vsock);
}

/* From the guest: nothing in it is to be believed but by us who print it. */
static void on_line(struct run *r, const char *line)
{
	int value;
	long long us;

	if (sscanf(line, "started %lld", &us) == 1 && us >= 0 && us < MAX_INIT_US && !r->started) {
		r->started = true;
		r->started_ns = monotonic_ns();
		r->init_us = us;
	} else if (!strcmp(line, "oom")) {
		r->oom = true;
	} else if (!strcmp(line, "full")) {
		r->full = true;
	} else if (!strncmp(line, "warn ", 5)) {
		guest_err(&r->log, "the guest: %s", line + 5);
	} else if (!strncmp(line, "error ", 6)) {
		snprintf(r->error, sizeof(r->error), "%s", line + 6);
		has_ended(r, RUN_ERROR, 0);
	} else if (sscanf(line, "exit %d", &value) == 1) {
		has_ended(r, RUN_EXITED, value & 0xff);
	} else if (sscanf(line, "signal %d", &value) == 1) {
		has_ended(r, RUN_SIGNALLED, value & 0x7f);
	}
}

static void on_control(struct loop_source *src, uint32_t events __unused)
{
	struct run *r = container_of(src, struct run, control);
	ssize_t n = recv(src->fd, r->line + r->line_len, sizeof(r->line) - 1 - r->line_len,
			 MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_remove(&r->m->loop, src); /* the guest closed it; how it ends comes later */
		src->fd = -1;
		return;
	}
	r->line_len += (size_t)n;
	while ((end = memchr(r->line, '\n', r->line_len))) {
		*end = '\0';
		on_line(r, r->line);
		r->line_len -= (size_t)(end + 1 - r->line);
		memmove(r->line, end + 1, r->line_len);
	}
	if (r->line_len == sizeof(r->line) - 1)
		r->line_len = 0; /* no line is as long */
	end_if_done(r);
}

/* Any thread, with the device's lock held. */
static void on_delivered(void *ctx, uint32_t port)
{
	const uint64_t one = 1;
	struct run *r = ctx;

	__atomic_or_fetch(&r->delivered, 1u << (port - GUEST_PORT(0)), __ATOMIC_RELEASE);
	if (write(r->delivered_src.fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN would mean that it is pending */
}

static void on_delivered_event(struct loop_source *src, uint32_t events __unused)
{
	struct run *r = container_of(src, struct run, delivered_src);
	uint64_t nr;

	if (read(src->fd, &nr, sizeof(nr)) == sizeof(nr))
		end_if_done(r);
}

/* -- its time -- */

static int set_timer(const struct run *r, unsigned seconds)
{
	const struct itimerspec t = { .it_value.tv_sec = seconds };

	return timerfd_settime(r->timer.fd, 0, &t, NULL);
}

static void on_timer(struct loop_source *src, uint32_t events __unused)
{
	struct run *r = container_of(src, struct run, timer);
	uint64_t nr;

	if (read(src->fd, &nr, sizeof(nr)) < 0 || r->ended)
		return; /* the guest runs no more; its last output may take the reader longer */
	r->grace_over = r->timed_out || !r->started;
	r->timed_out = true;
	if (!r->grace_over) {
		run_tell(r, "signal %d", SIGTERM);
		r->grace_over = set_timer(r, GRACE_SECONDS) < 0;
	}
	if (r->grace_over)
		machine_end(r->m, END_KILLED, 0);
}

void run_tell(const struct run *r, const char *fmt, ...)
{
	char line[96];
	va_list ap;
	int len;

	if (!r->m || r->stream[GUEST_CONTROL] < 0)
		return;
	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	line[len++] = '\n';
	/* Lost only if thousands wait there that the guest doesn't read. */
	if (send(r->stream[GUEST_CONTROL], line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* -- life -- */

static void run_none(struct run *r)
{
	*r = (struct run){
		.control.fd = -1,
		.delivered_src.fd = -1,
		.timer.fd = -1,
		.console.log.fd = -1,
		.json.out.fd = -1,
	};
	for (unsigned i = 0; i < GUEST_STREAMS; i++)
		r->end[i] = r->stream[i] = -1;
}

int run_init(struct run *r, struct machine *m)
{
	const bool live = m->config->action != ACTION_DRY_RUN;
	int rc;

	run_none(r);
	if (!m->config->run.argv)
		return 0;
	r->m = m;
	r->config = m->config;
	rc = live ? run_empty_json(r) : 0;
	if (rc == 0)
		rc = run_console_open(&r->console, live ? m->config->run.console_log : NULL);
	for (unsigned i = 0; i < GUEST_STREAMS && rc == 0; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return log_errno("run: socketpair");
		r->stream[i] = pair[0];
		r->end[i] = pair[1];
	}
	return rc;
}

int run_connect(struct run *r)
{
	int rc = 0;

	for (unsigned i = 0; i < GUEST_STREAMS && rc == 0 && r->m; i++)
		rc = virtio_vsock_offer(&r->m->vsock, GUEST_PORT(i), take_fd(&r->end[i]));
	if (r->m)
		virtio_vsock_on_delivered(&r->m->vsock, on_delivered, r);
	return rc;
}

/* The first line that the guest gets (wire.h). */
static void tell_clock(struct run *r)
{
	const struct vcpu_clock c = vcpu_clock(&r->m->vcpu[0]);

	run_tell(r, "clock %llu %llu %u", (unsigned long long)c.tsc, (unsigned long long)c.real_ns,
		 c.khz);
}

int run_begin(struct run *r)
{
	if (!r->m)
		return 0;
	tell_clock(r);
	r->control = (struct loop_source){ .fd = r->stream[GUEST_CONTROL], .fn = on_control };
	r->delivered_src = (struct loop_source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
						 .fn = on_delivered_event };
	r->timer = (struct loop_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.fn = on_timer,
	};
	if (r->delivered_src.fd < 0 || r->timer.fd < 0)
		return log_errno("run: eventfd or timerfd");
	if (loop_add(&r->m->loop, &r->control, EPOLLIN) < 0 ||
	    loop_add(&r->m->loop, &r->delivered_src, EPOLLIN) < 0 ||
	    loop_add(&r->m->loop, &r->timer, EPOLLIN) < 0 ||
	    (r->config->run.timeout && set_timer(r, r->config->run.timeout) < 0))
		return log_errno("run: waiting for the guest");
	return 0;
}

/* Output that nobody took. */
static void on_discard(struct loop_source *src, uint32_t events __unused)
{
	struct run_discard *d = container_of(src, struct run_discard, src);
	char bytes[4096];

	if (recv(src->fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 0)
		loop_remove(d->loop, src);
}

/* What nobody has taken by now: input is at its end, output is thrown away. */
int run_start(struct run *r)
{
	if (!r->m)
		return 0;
	close_fd(&r->stream[GUEST_STDIN]);
	for (unsigned i = GUEST_STDOUT; i <= GUEST_STDERR; i++) {
		if (r->stream[i] < 0)
			continue;
		r->discard[i] =
			(struct run_discard){ .src = { .fd = r->stream[i], .fn = on_discard },
					      .loop = &r->m->loop };
		if (loop_add(&r->m->loop, &r->discard[i].src, EPOLLIN) < 0)
			return log_errno("run: waiting for output");
	}
	return 0;
}

int run_take_stream(struct run *r, unsigned nr)
{
	return r->m && nr < GUEST_CONTROL ? take_fd(&r->stream[nr]) : -1;
}

int run_status(const struct run *r)
{
	if (r->timed_out)
		return STATUS_TIMEOUT;
	switch (r->ended) {
	case RUN_EXITED:
		return r->value;
	case RUN_SIGNALLED:
		return STATUS_SIGNAL + r->value;
	case RUN_ERROR:
	case RUN_UNKNOWN:
		break;
	}
	return STATUS_FAILED;
}

/* -- what there is to say about it -- */

static void say_console(const struct run *r)
{
	static const char head[] = "minivmm: the last lines of its kernel:\n";
	char text[4096];
	size_t len = sizeof(head) - 1;

	memcpy(text, head, sizeof(head));
	run_console_tail(&r->console, 40, text + len, sizeof(text) - len);
	if (text[len])
		log_block(LOG_ERROR, text);
}

/* It ended, and COMMAND had not. What the kernel said comes first: the reason is the last error,
 * which minivmm_why() returns. */
static void say_failure(const struct run *r)
{
	const char *when =
		r->started ? "before the command had ended" : "before the command was started";
	const char *what;

	switch (r->m->end) {
	case END_POWER_OFF:
		what = "the guest switched itself off";
		break;
	case END_RESET:
		what = "the guest reset itself (its kernel panicked, or was told to reboot)";
		break;
	case END_CRASHED:
		what = "the guest crashed";
		break;
	case END_FAILED:
		what = "minivmm could not go on";
		break;
	default:
		return; /* who stopped it knows */
	}
	say_console(r);
	log_msg(LOG_ERROR, "run: %s %s", what, when);
}

static void say_timeout(const struct run *r)
{
	const unsigned seconds = r->config->run.timeout;

	if (!r->started) {
		say_console(r);
		log_msg(LOG_ERROR,
			"run: the guest had not started the command within the %u s of --timeout",
			seconds);
	} else if (r->grace_over) {
		log_msg(LOG_ERROR,
			"run: the command was still there %d s after --timeout's SIGTERM: ended the guest",
			GRACE_SECONDS);
	} else {
		log_msg(LOG_ERROR, "run: ended the command after the %u s of --timeout", seconds);
	}
}

static void say_how_it_ended(const struct run *r)
{
	if (r->timed_out) {
		say_timeout(r);
	} else if (r->ended == RUN_ERROR) {
		say_console(r);
		log_msg(LOG_ERROR, "run: the guest could not start the command: %s", r->error);
	} else if (!r->ended) {
		say_failure(r);
	}
	if (r->oom)
		log_msg(LOG_ERROR,
			"run: the guest ran out of memory, and its kernel killed a process; it has %llu MiB, and --memory gives it more",
			r->config->memory.size / MIB);
	if (r->full)
		log_msg(LOG_ERROR,
			"run: the layer over the guest's root is full; --overlay-size makes it larger, and needs --memory");
}

void run_finish(struct run *r)
{
	if (!r->m)
		return;
	/* Who took one still reads it; nobody else does. */
	close_fd(&r->stream[GUEST_STDOUT]);
	close_fd(&r->stream[GUEST_STDERR]);
	virtio_vsock_finish(&r->m->vsock);
	run_write_json(r);
	say_how_it_ended(r); /* last, as minivmm_why() has it */
}

bool run_went_well(const struct run *r)
{
	return (r->ended == RUN_EXITED || r->ended == RUN_SIGNALLED) && !r->timed_out && !r->oom &&
	       !r->full;
}

void run_destroy(struct run *r)
{
	if (!r->m)
		return;
	for (unsigned i = 0; i < GUEST_STREAMS; i++) {
		close_fd(&r->end[i]);
		close_fd(&r->stream[i]);
	}
	close_fd(&r->delivered_src.fd);
	close_fd(&r->timer.fd);
	run_console_close(&r->console);
	run_json_finish(&r->json);
	free(r->kernel);
	run_none(r);
}
