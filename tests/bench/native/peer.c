/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other end on the host, of both monitors alike. Says "ready" when it can be reached, and goes
 * on until it is killed.
 *   peer user            UDP datagrams at 127.0.0.1, FRAME_PORT; frame.h says what it does with them
 *   peer socket PATH     the same for frames at a stream UNIX socket that it makes, each after its
 *                        length (32 bits in network order), for one client after the other
 *   peer stream PATH     bytes there: the first of a connection is 'd' (drop all that follow), 'e'
 *                        (return them), or 's' (send without end)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "frame.h"

#define LENGTH 4u

static uint8_t in[1 << 18], out[1 << 18];

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static unsigned times(uint8_t op, uint8_t count)
{
	return op == FRAME_ECHO ? 1 : op == FRAME_BURST ? count : 0;
}

/* -- datagrams ------------------------------------------------------------------------------- */

static int bind_port(uint16_t port)
{
	const struct sockaddr_in here = { .sin_family = AF_INET,
					  .sin_port = htons(port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&here, sizeof(here)) < 0)
		err(1, "port %d", port);
	return fd;
}

static void serve_datagrams(void)
{
	const int fd = bind_port(FRAME_PORT), sink = bind_port(FRAME_SINK), little = 1;

	setsockopt(sink, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	ready();
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		const ssize_t n = recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&from, &len);

		for (unsigned i = n < 2 ? 0 : times(in[0], in[1]); i > 0; i--)
			if (sendto(fd, in, (size_t)n, 0, (struct sockaddr *)&from, len) < 0)
				err(1, "sendto");
	}
}

/* -- UNIX sockets ---------------------------------------------------------------------------- */

/* Clients of a UNIX socket at path, which is made. */
static int listen_at(const char *path)
{
	struct sockaddr_un here = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(here.sun_path))
		errx(1, "%s is too long", path);
	strcpy(here.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&here, sizeof(here)) < 0 ||
	    listen(fd, 8) < 0)
		err(1, "%s", path);
	ready();
	return fd;
}

/* False: the client has gone. */
static bool put(int fd, const uint8_t *from, size_t len)
{
	while (len) {
		const ssize_t n = send(fd, from, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		from += n;
		len -= (size_t)n;
	}
	return true;
}

/* Answers the frame at `at`, whose length is before it. Answers are gathered in out. False: the
 * client has gone. */
static bool answer(int fd, const uint8_t *at, size_t len, size_t *gathered)
{
	for (unsigned i = times(at[LENGTH + FRAME_HEAD], at[LENGTH + FRAME_HEAD + 1]); i > 0; i--) {
		if (*gathered + len > sizeof(out)) {
			if (!put(fd, out, *gathered))
				return false;
			*gathered = 0;
		}
		memcpy(out + *gathered, at, len);
		*gathered += len;
	}
	return true;
}

/* Answers all whole frames of in[0..have). Returns how many bytes they have, or 0: the client has
 * gone, or there is none. */
static size_t answer_all(int fd, size_t have)
{
	size_t done = 0, gathered = 0;

	while (have - done >= LENGTH) {
		uint32_t len;

		memcpy(&len, in + done, LENGTH);
		len = LENGTH + be32toh(len);
		if (len < LENGTH + FRAME_MIN - 4 || len > sizeof(in) || len > have - done)
			break;
		if (!answer(fd, in + done, len, &gathered))
			return 0;
		done += len;
	}
	return put(fd, out, gathered) ? done : 0;
}

static void serve_frames(int fd)
{
	size_t have = 0;
	ssize_t n;

	while ((n = recv(fd, in + have, sizeof(in) - have, 0)) > 0) {
		size_t done = answer_all(fd, have += (size_t)n);

		memmove(in, in + done, have - done);
		have -= done;
	}
}

static void serve_stream(int fd)
{
	char what;
	ssize_t n = recv(fd, &what, 1, 0);

	if (n <= 0)
		return;
	while (what == 's' && put(fd, out, sizeof(out)))
		;
	while ((n = recv(fd, in, sizeof(in), 0)) > 0 && (what == 'd' || put(fd, in, (size_t)n)))
		;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "user"))
		serve_datagrams();
	if (argc != 3 || (strcmp(argv[1], "socket") && strcmp(argv[1], "stream")))
		errx(2, "usage: peer user | socket PATH | stream PATH");
	for (int at = listen_at(argv[2]);;) {
		const int fd = accept4(at, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			err(1, "accept");
		if (!strcmp(argv[1], "socket"))
			serve_frames(fd);
		else
			serve_stream(fd);
		close(fd);
	}
}
