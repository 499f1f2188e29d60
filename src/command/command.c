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

#include "arch/arch.h"
#include "minivmm.h"
#include "virtio/vsock.h"
#include "vmm/event.h"

#define GRACE_SECONDS 5             /* from --timeout's SIGTERM to the end */
#define MAX_INIT_US   1000000000000 /* no guest's init takes that long */
#define OUTPUTS       (1u << GUEST_STDOUT | 1u << GUEST_STDERR)

/* -- what the guest says --------------------------------------------------------------------- */

static bool all_delivered(const struct command *cmd)
{
	return (__atomic_load_n(&cmd->delivered, __ATOMIC_ACQUIRE) & OUTPUTS) == OUTPUTS;
}

static void end_if_done(struct command *cmd)
{
	if (cmd->ended == COMMAND_ERROR || (cmd->ended && all_delivered(cmd)))
		cmd->host.end(cmd->host.ctx, END_COMMAND);
}

/* The guest has sent its last line, after which it has nothing to say or do (guest/wire.h). So it
 * is stopped here: from now on only readers are waited for, and the guest can't outlast a limit. */
static void has_ended(struct command *cmd, enum command_end how, int value)
{
	if (cmd->ended)
		return;
	cmd->ended = how;
	cmd->value = value;
	cmd->ended_ns = monotonic_ns();
	cmd->host.stop_guest(cmd->host.ctx);
	virtio_vsock_guest_stopped(cmd->vsock);
}

/* The line comes from the guest and is untrusted: it is only printed. */
static void on_line(struct command *cmd, const char *line)
{
	int value;
	long long us;

	if (sscanf(line, "started %lld", &us) == 1 && us >= 0 && us < MAX_INIT_US &&
	    !cmd->started) {
		cmd->started = true;
		cmd->started_ns = monotonic_ns();
		cmd->init_us = us;
	} else if (!strcmp(line, "oom")) {
		cmd->oom = true;
	} else if (!strcmp(line, "full")) {
		cmd->full = true;
	} else if (!strncmp(line, "warn ", 5)) {
		guest_err(&cmd->log, "the guest: %s", line + 5);
	} else if (!strncmp(line, "error ", 6)) {
		snprintf(cmd->error, sizeof(cmd->error), "%s", line + 6);
		has_ended(cmd, COMMAND_ERROR, 0);
	} else if (sscanf(line, "exit %d", &value) == 1) {
		has_ended(cmd, COMMAND_EXITED, value & 0xff);
	} else if (sscanf(line, "signal %d", &value) == 1) {
		has_ended(cmd, COMMAND_SIGNALLED, value & 0x7f);
	}
}

static void on_control(struct loop_source *src, uint32_t events __unused)
{
	struct command *cmd = container_of(src, struct command, control);
	ssize_t n = recv(src->fd, cmd->line + cmd->line_len, sizeof(cmd->line) - 1 - cmd->line_len,
			 MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_remove(cmd->host.loop, src); /* the guest closed it; its end comes later */
		src->fd = -1;
		return;
	}
	cmd->line_len += (size_t)n;
	while ((end = memchr(cmd->line, '\n', cmd->line_len))) {
		*end = '\0';
		on_line(cmd, cmd->line);
		cmd->line_len -= (size_t)(end + 1 - cmd->line);
		memmove(cmd->line, end + 1, cmd->line_len);
	}
	if (cmd->line_len == sizeof(cmd->line) - 1)
		cmd->line_len = 0; /* no line is that long */
	end_if_done(cmd);
}

/* Any thread may call this, with the device's lock held. */
static void on_delivered(void *ctx, uint32_t port)
{
	struct command *cmd = ctx;

	__atomic_or_fetch(&cmd->delivered, 1u << (port - GUEST_PORT(0)), __ATOMIC_RELEASE);
	event_signal(cmd->delivered_src.fd);
}

static void on_delivered_event(struct loop_source *src, uint32_t events __unused)
{
	struct command *cmd = container_of(src, struct command, delivered_src);

	if (event_take(src->fd))
		end_if_done(cmd);
}

/* -- its time -------------------------------------------------------------------------------- */

static int set_timer(const struct command *cmd, unsigned seconds)
{
	const struct itimerspec t = { .it_value.tv_sec = seconds };

	return timerfd_settime(cmd->timer.fd, 0, &t, NULL);
}

static void on_timer(struct loop_source *src, uint32_t events __unused)
{
	struct command *cmd = container_of(src, struct command, timer);
	uint64_t nr;

	if (read(src->fd, &nr, sizeof(nr)) < 0 || cmd->ended)
		return; /* only readers are waited for now */
	cmd->grace_over = cmd->timed_out || !cmd->started;
	cmd->timed_out = true;
	if (!cmd->grace_over) {
		command_tell(cmd, "signal %d", SIGTERM);
		cmd->grace_over = set_timer(cmd, GRACE_SECONDS) < 0;
	}
	if (cmd->grace_over)
		cmd->host.end(cmd->host.ctx, END_KILLED);
}

void command_tell(const struct command *cmd, const char *fmt, ...)
{
	char line[96];
	va_list ap;
	int len;

	if (!cmd->config || cmd->stream[GUEST_CONTROL] < 0)
		return;
	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	line[len++] = '\n';
	/* A line is lost only if thousands wait there that the guest doesn't read. */
	if (send(cmd->stream[GUEST_CONTROL], line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* -- life ------------------------------------------------------------------------------------ */

static void command_none(struct command *cmd)
{
	*cmd = (struct command){
		.control.fd = -1,
		.delivered_src.fd = -1,
		.timer.fd = -1,
		.console.log.fd = -1,
		.json.out.fd = -1,
	};
	for (unsigned i = 0; i < GUEST_STREAMS; i++)
		cmd->end[i] = cmd->stream[i] = -1;
}

int command_init(struct command *cmd, const struct config *c, const struct command_host *host)
{
	const bool live = !host->dry;
	int rc;

	command_none(cmd);
	if (!c->command.argv)
		return 0;
	cmd->config = c;
	cmd->host = *host;
	rc = live ? command_empty_json(cmd) : 0;
	if (rc == 0)
		rc = command_console_open(&cmd->console, live ? c->command.console_log : NULL);
	for (unsigned i = 0; i < GUEST_STREAMS && rc == 0; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return log_errno("run: socketpair");
		cmd->stream[i] = pair[0];
		cmd->end[i] = pair[1];
	}
	return rc;
}

int command_connect(struct command *cmd, struct virtio_vsock *vsock)
{
	int rc = 0;

	if (!cmd->config)
		return 0;
	cmd->vsock = vsock;
	for (unsigned i = 0; i < GUEST_STREAMS && rc == 0; i++)
		rc = virtio_vsock_offer(vsock, GUEST_PORT(i), take_fd(&cmd->end[i]));
	virtio_vsock_on_delivered(vsock, on_delivered, cmd);
	return rc;
}

/* Sends the first line that the guest gets (wire.h). */
static void tell_clock(struct command *cmd)
{
	const struct vcpu_clock c = cmd->host.clock(cmd->host.ctx);

	command_tell(cmd, "clock %llu %llu %u", (unsigned long long)c.counter,
		     (unsigned long long)c.real_ns, c.khz);
}

int command_begin(struct command *cmd)
{
	if (!cmd->config)
		return 0;
	tell_clock(cmd);
	cmd->control = (struct loop_source){ .fd = cmd->stream[GUEST_CONTROL], .fn = on_control };
	cmd->delivered_src = (struct loop_source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
						   .fn = on_delivered_event };
	cmd->timer = (struct loop_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.fn = on_timer,
	};
	if (cmd->delivered_src.fd < 0 || cmd->timer.fd < 0)
		return log_errno("run: eventfd or timerfd");
	if (loop_add(cmd->host.loop, &cmd->control, EPOLLIN) < 0 ||
	    loop_add(cmd->host.loop, &cmd->delivered_src, EPOLLIN) < 0 ||
	    loop_add(cmd->host.loop, &cmd->timer, EPOLLIN) < 0 ||
	    (cmd->config->command.timeout && set_timer(cmd, cmd->config->command.timeout) < 0))
		return log_errno("run: waiting for the guest");
	return 0;
}

/* Throws output away that nobody took. */
static void on_discard(struct loop_source *src, uint32_t events __unused)
{
	struct command_discard *d = container_of(src, struct command_discard, src);
	char bytes[4096];

	if (recv(src->fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 0)
		loop_remove(d->loop, src);
}

/* From now on nobody can take a stream: the input of those left is at its end, and their output is
 * thrown away. */
int command_start(struct command *cmd)
{
	if (!cmd->config)
		return 0;
	close_fd(&cmd->stream[GUEST_STDIN]);
	for (unsigned i = GUEST_STDOUT; i <= GUEST_STDERR; i++) {
		if (cmd->stream[i] < 0)
			continue;
		cmd->discard[i] =
			(struct command_discard){ .src = { .fd = cmd->stream[i], .fn = on_discard },
						  .loop = cmd->host.loop };
		if (loop_add(cmd->host.loop, &cmd->discard[i].src, EPOLLIN) < 0)
			return log_errno("run: waiting for output");
	}
	return 0;
}

int command_take_stream(struct command *cmd, unsigned nr)
{
	return cmd->config && nr < GUEST_CONTROL ? take_fd(&cmd->stream[nr]) : -1;
}

int command_status(const struct command *cmd)
{
	if (cmd->timed_out)
		return MINIVMM_EXIT_TIMEOUT;
	if (cmd->json.lost)
		return MINIVMM_EXIT_COMMAND_FAILED;
	switch (cmd->ended) {
	case COMMAND_EXITED:
		return cmd->value;
	case COMMAND_SIGNALLED:
		return MINIVMM_EXIT_SIGNAL + cmd->value;
	case COMMAND_ERROR:
	case COMMAND_UNKNOWN:
		break;
	}
	return MINIVMM_EXIT_COMMAND_FAILED;
}

/* -- what there is to say about it ----------------------------------------------------------- */

static void say_console(const struct command *cmd)
{
	static const char head[] = "minivmm: the last lines of its kernel:\n";
	char text[4096];
	size_t len = sizeof(head) - 1;

	memcpy(text, head, sizeof(head));
	command_console_tail(&cmd->console, 40, text + len, sizeof(text) - len);
	if (text[len])
		log_block(LOG_ERROR, text);
}

/* A kernel whose drivers nobody knows may lack that of the transport, without which the guest's
 * init can't reach us. */
static void say_advice(const struct command *cmd, char *text, size_t size)
{
	text[0] = '\0';
	if (!cmd->started && !cmd->drivers.dir && cmd->other_transport)
		snprintf(
			text, size,
			"; if its kernel has no driver for these virtio devices, try --transport %s",
			cmd->other_transport);
}

/* The guest ended before COMMAND had. What the kernel said comes first, because minivmm_why()
 * returns the last error. */
static void say_failure(const struct command *cmd, enum machine_end end)
{
	const char *when =
		cmd->started ? "before the command had ended" : "before the command was started";
	const char *what;
	char advice[128];

	switch (end) {
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
		return; /* whoever stopped it knows why */
	}
	say_console(cmd);
	say_advice(cmd, advice, sizeof(advice));
	log_msg(LOG_ERROR, "run: %s %s%s", what, when, advice);
}

static void say_timeout(const struct command *cmd)
{
	const unsigned seconds = cmd->config->command.timeout;

	if (!cmd->started) {
		say_console(cmd);
		log_msg(LOG_ERROR,
			"run: the guest had not started the command within the %u s of --timeout",
			seconds);
	} else if (cmd->grace_over) {
		log_msg(LOG_ERROR,
			"run: the command was still running %d s after --timeout's SIGTERM: ended the guest",
			GRACE_SECONDS);
	} else {
		log_msg(LOG_ERROR, "run: ended the command after the %u s of --timeout", seconds);
	}
}

static void say_how_it_ended(const struct command *cmd, enum machine_end end)
{
	if (cmd->timed_out) {
		say_timeout(cmd);
	} else if (cmd->ended == COMMAND_ERROR) {
		say_console(cmd);
		log_msg(LOG_ERROR, "run: the guest could not start the command: %s", cmd->error);
	} else if (!cmd->ended) {
		say_failure(cmd, end);
	}
	if (cmd->oom)
		log_msg(LOG_ERROR,
			"run: the guest ran out of memory, and its kernel killed a process; it has %llu MiB, and --memory gives it more",
			cmd->config->memory.size / MIB);
	if (cmd->full)
		log_msg(LOG_ERROR,
			"run: the layer over the guest's root is full; --overlay-size makes it larger, and may need more --memory");
}

void command_finish(struct command *cmd)
{
	struct machine_figures f;

	if (!cmd->config)
		return;
	/* Whoever took one of these still reads it; nobody else does. */
	close_fd(&cmd->stream[GUEST_STDOUT]);
	close_fd(&cmd->stream[GUEST_STDERR]);
	virtio_vsock_finish(cmd->vsock);
	cmd->host.figures(cmd->host.ctx, &f);
	command_write_json(cmd, &f);
	say_how_it_ended(cmd, f.end); /* last, because minivmm_why() returns it */
}

bool command_went_well(const struct command *cmd)
{
	return (cmd->ended == COMMAND_EXITED || cmd->ended == COMMAND_SIGNALLED) &&
	       !cmd->timed_out && !cmd->oom && !cmd->full && !cmd->json.lost;
}

void command_destroy(struct command *cmd)
{
	if (!cmd->config)
		return;
	for (unsigned i = 0; i < GUEST_STREAMS; i++) {
		close_fd(&cmd->end[i]);
		close_fd(&cmd->stream[i]);
	}
	close_fd(&cmd->delivered_src.fd);
	close_fd(&cmd->timer.fd);
	command_console_close(&cmd->console);
	(void)!command_json_finish(&cmd->json);
	free(cmd->kernel);
	drivers_free(&cmd->drivers);
	command_none(cmd);
}
