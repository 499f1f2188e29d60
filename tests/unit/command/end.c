/* SPDX-License-Identifier: BSD-2-Clause */
/* How a command's machine ends: by what a guest says, which may be a lie, and by its time limit.
 * The guest is a driver of the machine's virtio-vsock device in this file. */
#include "command/command.h"

#include <linux/virtio_vsock.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "ring.h"
#include "arch/arch.h"
#include "capture.h"
#include "config/config.h"
#include "virtio/vsock.h"

#define CID  3u
#define RX   0u
#define TX   1u
#define DATA (64 * KIB) /* in one packet */

struct rig {
	struct command cmd;
	struct config c;
	struct loop loop;
	struct virtio_vsock vsock;
	struct driver d;
	gpa_t out;
	enum machine_end end; /* that the command has asked for */
	bool stopped;         /* the guest */
};

/* -- the machine, as the command sees it ------------------------------------------------------ */

static void end(void *ctx, enum machine_end why)
{
	struct rig *t = ctx;

	if (t->end == END_NONE)
		t->end = why;
}

static void stop_guest(void *ctx)
{
	((struct rig *)ctx)->stopped = true;
}

static struct vcpu_clock tell_clock(void *ctx __unused)
{
	return (struct vcpu_clock){ .khz = 1000 };
}

static void figures(void *ctx, struct machine_figures *f)
{
	*f = (struct machine_figures){ .end = ((struct rig *)ctx)->end };
}

static void rig_up(struct rig *t)
{
	static char *command[] = { "true", NULL };
	const struct vsock_options o = { .cid = CID };
	const struct command_host host = { .loop = &t->loop,
					   .end = end,
					   .stop_guest = stop_guest,
					   .clock = tell_clock,
					   .figures = figures,
					   .ctx = t };

	memset(t, 0, sizeof(*t));
	t->c.command.argv = command;
	assert_int_equal(loop_init(&t->loop), 0);
	assert_int_equal(command_init(&t->cmd, &t->c, &host), 0);
	assert_int_equal(virtio_vsock_init(&t->vsock, &o, &t->loop), 0);
	assert_int_equal(command_connect(&t->cmd, &t->vsock), 0);
	assert_int_equal(command_begin(&t->cmd), 0);
	driver_init(&t->d, &t->vsock.vd);
	assert_true(driver_start(&t->d, 0));
	t->d.next_alloc = VIRTIO_MAX_QUEUES * RING_BYTES;
	t->out = driver_alloc(&t->d, 128 * KIB);
}

static void rig_down(struct rig *t)
{
	driver_destroy(&t->d);
	virtio_vsock_destroy(&t->vsock);
	command_destroy(&t->cmd);
	loop_destroy(&t->loop);
}

/* Runs the machine's loop until it would wait. */
static void settle(struct rig *t)
{
	struct epoll_event ev;

	while (epoll_wait(t->loop.epoll_fd, &ev, 1, 0) == 1) {
		struct loop_source *src = ev.data.ptr;

		if (src)
			src->fn(src, ev.events);
		else
			break; /* the machine has stopped */
	}
}

static void send_packet(struct rig *t, uint16_t op, unsigned stream, const void *data, uint32_t len)
{
	const struct virtio_vsock_hdr h = {
		.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = 1000 + stream,
		.dst_port = GUEST_PORT(stream),
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? VIRTIO_VSOCK_SHUTDOWN_SEND : 0,
		.buf_alloc = VSOCK_BUFFER,
	};
	struct ring_elem e;

	memcpy(ram_at(&t->d.ram, t->out, sizeof(h)), &h, sizeof(h));
	if (len)
		memcpy(ram_at(&t->d.ram, t->out + sizeof(h), len), data, len);
	ring_send(&t->d.ring[TX],
		  (struct ring_buf[]){ { t->out, sizeof(h), false },
				       { t->out + sizeof(h), len, false } },
		  2);
	driver_kick(&t->d, TX);
	(void)ring_take(&t->d.ring[TX], &e);
}

static void connect_all(struct rig *t)
{
	for (unsigned i = 0; i < GUEST_STREAMS; i++)
		send_packet(t, VIRTIO_VSOCK_OP_REQUEST, i, NULL, 0);
	settle(t);
}

static void say(struct rig *t, const char *line)
{
	send_packet(t, VIRTIO_VSOCK_OP_RW, GUEST_CONTROL, line, (uint32_t)strlen(line));
	settle(t);
}

/* Makes its time limit pass without waiting for it. */
static void let_time_pass(struct rig *t)
{
	const struct itimerspec now = { .it_value.tv_nsec = 1 };
	struct pollfd p = { .fd = t->cmd.timer.fd, .events = POLLIN };

	assert_int_equal(timerfd_settime(p.fd, 0, &now, NULL), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
	settle(t);
}

static bool guest_is_stopped(const struct rig *t)
{
	return t->stopped;
}

/* Sends more output than the socket pair holds. Returns how much. */
static size_t send_much(struct rig *t, unsigned stream)
{
	static uint8_t data[DATA];
	size_t sent = 0;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (; sent < 4 * DATA; sent += DATA) {
		send_packet(t, VIRTIO_VSOCK_OP_RW, stream, data, DATA);
		settle(t);
	}
	return sent;
}

/* Reads all that comes, to the end. */
static size_t read_all(struct rig *t, int fd)
{
	static uint8_t buf[4096];
	size_t total = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], (uint8_t)((total + (size_t)i) % DATA * 7));
		total += (size_t)n;
		settle(t);
	}
	assert_int_equal(n, 0);
	return total;
}

static void a_guest_that_says_exit_and_goes_on_is_stopped(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	connect_all(&t);
	say(&t, "started 1\n");
	assert_false(guest_is_stopped(&t));
	say(&t, "exit 7\n"); /* while all of its streams are open */
	assert_true(guest_is_stopped(&t));
	assert_int_equal(t.end, END_COMMAND);
	assert_int_equal(command_status(&t.cmd), 7);
	rig_down(&t);
}

static void one_that_never_opened_its_streams_is_stopped_too(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	send_packet(&t, VIRTIO_VSOCK_OP_REQUEST, GUEST_CONTROL, NULL, 0);
	say(&t, "signal 9\n");
	assert_true(guest_is_stopped(&t));
	assert_int_equal(t.end, END_COMMAND);
	assert_int_equal(command_status(&t.cmd), 128 + 9);
	rig_down(&t);
}

/* ends_stream: whether the guest has ended the stream. */
static void a_slow_reader_gets_all(bool ends_stream)
{
	struct rig t;
	size_t sent;
	int out;

	rig_up(&t);
	connect_all(&t);
	out = command_take_stream(&t.cmd, GUEST_STDOUT);
	say(&t, "started 1\n");
	sent = send_much(&t, GUEST_STDOUT);
	if (ends_stream) {
		send_packet(&t, VIRTIO_VSOCK_OP_SHUTDOWN, GUEST_STDOUT, NULL, 0);
		send_packet(&t, VIRTIO_VSOCK_OP_SHUTDOWN, GUEST_STDERR, NULL, 0);
	}
	say(&t, "exit 0\n");
	assert_true(guest_is_stopped(&t));
	assert_int_equal(t.end, END_NONE); /* the reader has not taken everything yet */
	let_time_pass(&t);
	let_time_pass(&t);
	assert_int_equal(t.end, END_NONE);
	assert_int_equal(read_all(&t, out), sent);
	assert_int_equal(t.end, END_COMMAND);
	assert_int_equal(command_status(&t.cmd), 0);
	close(out);
	rig_down(&t);
}

static void a_slow_reader_has_all_the_time(void **state __unused)
{
	a_slow_reader_gets_all(true);
	a_slow_reader_gets_all(false);
}

static void time_is_over_whatever_the_guest_says(void **state __unused)
{
	static const char *const words[] = { "", "started 1\nstarted 2\n", "warn wait\noom\nfull\n",
					     "exit\n", "signal\nexit x\n" };
	struct capture c;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct rig t;

		rig_up(&t);
		connect_all(&t);
		capture_begin(&c);
		say(&t, words[i]);
		let_time_pass(&t); /* it is sent SIGTERM */
		say(&t, words[i]);
		let_time_pass(&t); /* the grace period ends */
		(void)capture_end(&c);
		assert_int_equal(t.end, END_KILLED);
		assert_int_equal(command_status(&t.cmd), 124);
		rig_down(&t);
	}
}

/* The guest's exit in the grace period ends the machine, but does not give it the guest's
 * status. */
static void a_late_exit_is_a_timeout_still(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	connect_all(&t);
	say(&t, "started 1\n");
	let_time_pass(&t);
	assert_int_equal(t.end, END_NONE);
	say(&t, "exit 0\n");
	assert_true(guest_is_stopped(&t));
	assert_int_equal(t.end, END_COMMAND);
	assert_int_equal(command_status(&t.cmd), 124);
	rig_down(&t);
}

/* The first reason for an end counts. */
static void nothing_comes_after_the_last_line(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	connect_all(&t);
	say(&t, "exit 3\nexit 0\nerror no\nsignal 1\n");
	assert_int_equal(t.end, END_COMMAND);
	assert_int_equal(command_status(&t.cmd), 3);
	rig_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_that_says_exit_and_goes_on_is_stopped),
		cmocka_unit_test(one_that_never_opened_its_streams_is_stopped_too),
		cmocka_unit_test(a_slow_reader_has_all_the_time),
		cmocka_unit_test(time_is_over_whatever_the_guest_says),
		cmocka_unit_test(a_late_exit_is_a_timeout_still),
		cmocka_unit_test(nothing_comes_after_the_last_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
