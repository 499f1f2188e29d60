/* SPDX-License-Identifier: BSD-2-Clause */
#include "relay.h"

#include <errno.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

/* No more is read from there. */
static void end_from(struct relay *r)
{
	if (r->from < 0)
		return;
	if (r->from_kind == RELAY_SOCKET)
		shutdown(r->from, SHUT_RD);
	else if (r->from_kind == RELAY_PIPE)
		close(r->from); /* its writer gets SIGPIPE */
	r->from = -1;
}

/* The input of a terminal ends by its end-of-file character, at the beginning of a line. The first
 * one ends a line that has no end yet. */
static void type_end(int fd)
{
	struct termios t;

	/* If there is no room for it, nobody reads the input that is there, and the end may be
	 * lost. */
	for (int i = 0; i < 2; i++)
		if (tcgetattr(fd, &t) < 0 || write(fd, &t.c_cc[VEOF], 1) < 0)
			return;
}

/* No more is written there: the reader finds the end. */
static void end_to(struct relay *r)
{
	if (r->to < 0)
		return;
	if (r->to_kind == RELAY_SOCKET)
		shutdown(r->to, SHUT_WR);
	else if (r->to_kind == RELAY_PIPE)
		close(r->to);
	else
		type_end(r->to);
	r->to = -1;
}

void relay_stop(struct relay *r)
{
	end_from(r);
	r->len = 0;
	end_to(r);
}

void relay_poll(const struct relay *r, struct pollfd p[2])
{
	p[0] = (struct pollfd){ .fd = r->len ? -1 : r->from, .events = POLLIN };
	/* Even without anything to write we want to know whether the reader is gone. (A process
	 * that reads from our socket writes nothing to it, so if that direction ends, it is gone.)
	 * The input side of a terminal, however, may hang up and come back. */
	p[1] = (struct pollfd){ .fd = !r->len && r->to_kind == RELAY_TERMINAL ? -1 : r->to,
				.events = r->len ? POLLOUT : 0 };
	if (r->to_kind == RELAY_SOCKET)
		p[1].events |= POLLRDHUP;
}

static void fill(struct relay *r)
{
	ssize_t n = read(r->from, r->buffer, sizeof(r->buffer));

	if (n > 0) {
		r->head = 0;
		r->len = (size_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		end_from(r); /* EIO: a terminal that nobody has open any more */
	}
}

static void drain(struct relay *r)
{
	ssize_t n = r->to_kind == RELAY_SOCKET
			    ? send(r->to, r->buffer + r->head, r->len, MSG_NOSIGNAL)
			    : write(r->to, r->buffer + r->head, r->len);

	if (n >= 0) {
		r->head += (size_t)n;
		r->len -= (size_t)n;
	} else if (errno != EAGAIN && errno != EINTR) {
		relay_stop(r);
	}
}

void relay_move(struct relay *r, const struct pollfd p[2])
{
	if (p[1].fd >= 0 && p[1].revents & (POLLERR | POLLHUP | POLLRDHUP)) {
		relay_stop(r);
		return;
	}
	if (p[0].fd >= 0 && p[0].revents)
		fill(r);
	/* What has just come most likely fits, so it is written at once. */
	if (r->len)
		drain(r);
	if (r->from < 0 && !r->len)
		end_to(r);
}
