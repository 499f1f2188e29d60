/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/stream/fdstream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <sys/eventfd.h>

#include "vmm/log.h"

#define FLUSH_TIMEOUT_MS 2000 /* without a byte taken */

/* Returns what poll(2) says of side; 0 if it would wait. A hang-up counts: read() and write()
 * report it. */
static short side_poll(const struct fdstream_side *side, short events, int timeout_ms)
{
	struct pollfd p = { .fd = side->fd, .events = events };

	return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

/* Waits until the output has room or has hung up, for as long as the end of the machine may
 * take. */
static bool await_room(const struct fdstream *f)
{
	struct pollfd p = { .fd = f->out.fd, .events = POLLOUT };

	return patience_poll(f->loop->patience, &p, FLUSH_TIMEOUT_MS) > 0;
}

/* Watches side for events, once. */
static void side_arm(struct fdstream *f, struct fdstream_side *side, uint32_t events)
{
	if (side->fd < 0 || side->armed)
		return;
	side->armed = loop_change(f->loop, &side->src, events | EPOLLONESHOT) == 0;
}

static void side_close(struct fdstream *f, struct fdstream_side *side)
{
	if (side->fd >= 0)
		loop_remove(f->loop, &side->src);
	close_fd(&side->fd);
	close_fd(&side->always_ready);
	side->armed = false;
}

/* -- input ----------------------------------------------------------------------------------- */

void fdstream_input(struct fdstream *f, uint16_t entry)
{
	f->input[(f->in.head + f->in.len++) % FDSTREAM_INPUT] = entry;
}

static void keep_byte(struct fdstream *f, uint8_t byte)
{
	fdstream_input(f, byte);
}

void fdstream_watch_input(struct fdstream *f)
{
	if (f->in.len < FDSTREAM_INPUT)
		side_arm(f, &f->in, EPOLLIN);
}

bool fdstream_watch_hang_up(struct fdstream *f)
{
	if (side_poll(&f->in, POLLIN, 0) & (POLLHUP | POLLERR))
		return true;
	side_arm(f, &f->in, 0);
	return false;
}

/* False if there is no point in watching the input. */
static bool fill(struct fdstream *f)
{
	uint8_t bytes[1024];
	ssize_t n;

	if (!side_poll(&f->in, POLLIN, 0))
		return true;
	n = read(f->in.fd, bytes, min(sizeof(bytes), (size_t)(FDSTREAM_INPUT - f->in.len)));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	for (ssize_t i = 0; i < n; i++)
		f->key(f, bytes[i]);
	return true;
}

static void input_ready(struct loop_source *src, uint32_t events __unused)
{
	struct fdstream *f = container_of(src, struct fdstream, in.src);

	f->in.armed = false;
	if (f->in.len < FDSTREAM_INPUT) {
		if (fill(f))
			fdstream_watch_input(f);
		else if (f->ended)
			f->ended(f);
		else if (!f->reopens)
			side_close(f, &f->in);
	}
	if (f->in.len && f->hungry) {
		f->hungry = false;
		stream_ready(&f->stream);
	}
}

static void drop_input(struct fdstream *f, size_t nr)
{
	f->in.head = (f->in.head + (uint32_t)nr) % FDSTREAM_INPUT;
	f->in.len -= (uint32_t)nr;
}

/* Takes the bytes that come before a break. Returns how many. */
static size_t take_bytes(struct fdstream *f, uint8_t *bytes, size_t len)
{
	const size_t head = f->in.head, most = min(len, (size_t)f->in.len);
	size_t n = 0;

	for (; n < most; n++) {
		const uint16_t entry = f->input[(head + n) % FDSTREAM_INPUT];

		if (entry == FDSTREAM_BREAK)
			break;
		bytes[n] = (uint8_t)entry;
	}
	drop_input(f, n);
	return n;
}

ssize_t fdstream_read(struct stream *s, void *buf, size_t len)
{
	struct fdstream *f = container_of(s, struct fdstream, stream);
	const size_t n = take_bytes(f, buf, len);

	if (n == 0 && len && f->in.len) {
		drop_input(f, 1);
		return STREAM_BREAK;
	}
	f->hungry = f->in.len == 0;
	fdstream_watch_input(f);
	return (ssize_t)n;
}

/* -- output ---------------------------------------------------------------------------------- */

static void output_failed(struct fdstream *f)
{
	int err = errno;

	f->out.len = 0;
	side_close(f, &f->out);
	if (f->ended)
		return;
	errno = err;
	log_errno("%s: writing to %s; what the guest says is dropped from here on", f->what,
		  f->name);
}

/* Returns how much one write may write without waiting; 0: nothing. */
static size_t may_write(struct fdstream *f)
{
	size_t len = min((size_t)f->out.len, (size_t)(FDSTREAM_OUTPUT - f->out.head));
	short events;

	if (f->nonblocking || !len)
		return len;
	events = side_poll(&f->out, POLLOUT, 0);
	if (f->reopens && events & POLLHUP)
		f->out.len = 0;
	return events && f->out.len ? min(len, f->write_most) : 0;
}

static void push(struct fdstream *f)
{
	size_t len;

	while ((len = may_write(f)) > 0) {
		ssize_t n = write(f->out.fd, f->output + f->out.head, len);

		if (n > 0) {
			f->out.head = (f->out.head + (uint32_t)n) % FDSTREAM_OUTPUT;
			f->out.len -= (uint32_t)n;
		} else if (n == 0 || errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			output_failed(f);
		}
	}
	if (f->out.len == 0)
		f->out.head = 0; /* so that it stays in the pages that were touched */
	else
		side_arm(f, &f->out, EPOLLOUT);
}

static void output_ready(struct loop_source *src, uint32_t events __unused)
{
	struct fdstream *f = container_of(src, struct fdstream, out.src);

	f->out.armed = false;
	push(f);
	if (f->starved && f->out.len < FDSTREAM_OUTPUT) {
		f->starved = false;
		stream_ready(&f->stream);
	}
}

size_t fdstream_write(struct stream *s, const void *buf, size_t len)
{
	struct fdstream *f = container_of(s, struct fdstream, stream);
	size_t n = 0;

	while (n < len && f->out.fd >= 0 && f->out.len < FDSTREAM_OUTPUT) {
		uint32_t tail = (f->out.head + f->out.len) % FDSTREAM_OUTPUT;
		uint32_t room = FDSTREAM_OUTPUT - max(tail, f->out.len);
		size_t part = min(len - n, (size_t)room);

		memcpy(f->output + tail, (const uint8_t *)buf + n, part);
		f->out.len += (uint32_t)part;
		n += part;
		if (!f->out.armed) /* otherwise it would only be told to wait again */
			push(f);
	}
	if (f->out.fd < 0)
		return len;
	f->starved = n < len;
	return n;
}

bool fdstream_flush(struct stream *s)
{
	struct fdstream *f = container_of(s, struct fdstream, stream);
	bool whole;

	while (f->out.len && await_room(f))
		push(f);
	whole = f->out.len == 0;
	if (!whole)
		log_warn("%s: nobody reads %s: the last %u bytes are lost", f->what, f->name,
			 f->out.len);
	f->out.len = 0;
	return whole;
}

/* -- both ------------------------------------------------------------------------------------ */

void fdstream_start(struct stream *s)
{
	struct fdstream *f = container_of(s, struct fdstream, stream);

	f->in.src.lock = f->out.src.lock = s->lock;
	f->hungry = true;
	fdstream_watch_input(f);
}

static int side_open(struct fdstream *f, struct fdstream_side *side, int fd)
{
	int rc = 0;

	side->fd = side->src.fd = fd;
	side->always_ready = -1;
	if (fd < 0)
		return 0;
	rc = loop_add(f->loop, &side->src, EPOLLONESHOT);
	if (rc == -EPERM) {
		side->always_ready = side->src.fd = eventfd(1, EFD_CLOEXEC);
		rc = side->src.fd < 0 ? -errno : loop_add(f->loop, &side->src, EPOLLONESHOT);
	}
	errno = -rc;
	return rc < 0 ? log_errno("%s: watching %s", f->what, f->name) : 0;
}

int fdstream_connect(struct fdstream *f, int in, int out)
{
	int in_rc, out_rc;

	side_close(f, &f->in);
	side_close(f, &f->out);
	f->out.len = f->out.head = 0;
	in_rc = side_open(f, &f->in, in);
	out_rc = side_open(f, &f->out, out);
	return in_rc < 0 ? in_rc : out_rc;
}

int fdstream_open(struct fdstream *f, struct loop *loop, int in, int out, const char *what,
		  const char *name)
{
	f->loop = loop;
	f->name = name;
	snprintf(f->what, sizeof(f->what), "%s", what);
	f->in.fd = f->out.fd = f->in.always_ready = f->out.always_ready = -1;
	f->key = keep_byte;
	f->write_most = PIPE_BUF;
	f->in.src.fn = input_ready;
	f->out.src.fn = output_ready;
	return fdstream_connect(f, in, out);
}

void fdstream_close(struct fdstream *f)
{
	fdstream_flush(&f->stream);
	side_close(f, &f->in);
	side_close(f, &f->out);
}
