/* SPDX-License-Identifier: BSD-2-Clause */
/* clang-format off */
/*
 * vsock ADDRESS WHAT [N]: both ends of the vsock tests, in guests and on the host.
 *
 * ADDRESS is vsock:CID:PORT or unix:PATH to connect, connect:PATH:PORT to connect by way of
 * "CONNECT PORT", listen:PORT (AF_VSOCK) or listen:PATH to accept. WHAT is one of
 *	give N   send N bytes, shut down sending, wait until the peer is done: "gave N"
 *	take     receive until the peer has no more: "took N"
 *	trade N  give, and receive what comes back after that: "gave N", "took N"
 *	return   receive until the peer has no more, then send as many bytes: "took N", "gave N"
 *	many N   N connections at once, over each a number there and back: "many N"
 *	echo N   accept N connections and send back what comes: "echoed N"
 *	refused  fail to connect: "refused"
 * It says "listening at PORT" (or PATH) once it does. The bytes are those of a random number
 * generator: the receiver computes them, too, and compares all.
 */
/* clang-format on */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK   (256 * 1024)
#define MAX_FDS 1024

static _Noreturn void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* -- addresses ------------------------------------------------------------------------------- */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_vm vm;
		struct sockaddr_un un;
	};
	socklen_t len;
	const char *listens; /* where; NULL: it connects */
	unsigned port;       /* to be asked for by CONNECT; 0: none */
};

static void set_unix(struct address *a, const char *path)
{
	a->un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strncpy(a->un.sun_path, path, sizeof(a->un.sun_path) - 1);
	a->len = sizeof(a->un);
}

static void set_vsock(struct address *a, unsigned cid, unsigned port)
{
	a->vm = (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
	a->len = sizeof(a->vm);
}

static struct address parse(const char *text)
{
	struct address a = { 0 };
	char path[100];
	unsigned cid, port;

	if (sscanf(text, "vsock:%u:%u", &cid, &port) == 2) {
		set_vsock(&a, cid, port);
	} else if (sscanf(text, "connect:%99[^:]:%u", path, &a.port) == 2) {
		set_unix(&a, path);
	} else if (sscanf(text, "unix:%99s", path) == 1) {
		set_unix(&a, path);
	} else if (sscanf(text, "listen:%u", &port) == 1) {
		a.listens = text + strlen("listen:");
		set_vsock(&a, VMADDR_CID_ANY, port);
	} else if (sscanf(text, "listen:%99s", path) == 1) {
		a.listens = text + strlen("listen:");
		set_unix(&a, path);
	} else {
		errno = EINVAL;
		fail(text);
	}
	return a;
}

static int listen_at(const struct address *a)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, &a->any, a->len) < 0 || listen(fd, 128) < 0)
		fail("listen");
	printf("listening at %s\n", a->listens);
	fflush(stdout);
	return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
	for (const char *p = data; len;) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0)
			fail("send");
		p += n;
		len -= (size_t)n;
	}
}

/* -1: refused. */
static int connect_to(const struct address *a)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM, 0);
	char line[32];

	if (fd < 0)
		fail("socket");
	if (connect(fd, &a->any, a->len) < 0) {
		if (errno == ECONNREFUSED || errno == ECONNRESET)
			return close(fd), -1;
		fail("connect");
	}
	if (!a->port)
		return fd;
	snprintf(line, sizeof(line), "CONNECT %u\n", a->port);
	send_all(fd, line, strlen(line));
	for (unsigned i = 0; i < sizeof(line); i++) {
		if (recv(fd, line + i, 1, 0) != 1)
			return close(fd), -1;
		if (line[i] == '\n')
			return strncmp(line, "OK ", 3) ? -1 : fd;
	}
	return close(fd), -1;
}

static int open_one(const struct address *a)
{
	int fd = a->listens ? accept(listen_at(a), NULL, NULL) : connect_to(a);

	if (fd < 0)
		fail("refused");
	return fd;
}

/* -- bytes ----------------------------------------------------------------------------------- */

struct stream {
	uint64_t state, bytes;
	uint64_t chunk[CHUNK / 8]; /* the next one */
};

static struct stream stream; /* gone through once, or twice */

static void stream_start(void)
{
	stream.state = 88172645463325252u;
	stream.bytes = 0;
}

/* xorshift64 */
static void stream_next(void)
{
	uint64_t x = stream.state;

	for (size_t i = 0; i < CHUNK / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		stream.chunk[i] = x;
	}
	stream.state = x;
}

static void give(int fd, uint64_t n)
{
	for (stream_start(); stream.bytes < n;) {
		size_t len = n - stream.bytes < CHUNK ? n - stream.bytes : CHUNK;

		stream_next();
		send_all(fd, stream.chunk, len);
		stream.bytes += len;
	}
	shutdown(fd, SHUT_WR);
	printf("gave %llu\n", (unsigned long long)n);
	fflush(stdout);
}

static uint64_t take(int fd)
{
	static char got[CHUNK];
	size_t len;

	stream_start();
	do {
		stream_next();
		for (len = 0; len < CHUNK;) {
			ssize_t n = recv(fd, got + len, CHUNK - len, 0);

			if (n < 0)
				fail("recv");
			if (n == 0)
				break;
			len += (size_t)n;
		}
		if (memcmp(got, stream.chunk, len)) {
			printf("wrong: near byte %llu\n", (unsigned long long)stream.bytes);
			exit(1);
		}
		stream.bytes += len;
	} while (len == CHUNK);
	printf("took %llu\n", (unsigned long long)stream.bytes);
	fflush(stdout);
	return stream.bytes;
}

/* -- many at once ---------------------------------------------------------------------------- */

static void many(const struct address *a, unsigned n)
{
	int fd[MAX_FDS];

	for (unsigned i = 0; i < n; i++)
		fd[i] = open_one(a);
	for (unsigned i = 0; i < n; i++)
		send_all(fd[i], &i, sizeof(i));
	for (unsigned i = 0; i < n; i++) {
		unsigned got = ~i;

		if (recv(fd[i], &got, sizeof(got), MSG_WAITALL) != sizeof(got) || got != i)
			fail("an echo");
	}
	for (unsigned i = 0; i < n; i++)
		close(fd[i]);
	printf("many %u\n", n);
}

static void echo(const struct address *a, unsigned n)
{
	struct pollfd p[MAX_FDS];
	int listener = listen_at(a);

	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct pollfd){ .fd = accept(listener, NULL, NULL), .events = POLLIN };
		if (p[i].fd < 0)
			fail("accept");
	}
	for (unsigned left = n; left;) {
		if (poll(p, n, -1) < 0)
			fail("poll");
		for (unsigned i = 0; i < n; i++) {
			char bytes[64];
			ssize_t got;

			if (p[i].fd < 0 || !p[i].revents)
				continue;
			got = recv(p[i].fd, bytes, sizeof(bytes), 0);
			if (got > 0) {
				send_all(p[i].fd, bytes, (size_t)got);
				continue;
			}
			close(p[i].fd);
			p[i].fd = -1;
			left--;
		}
	}
	printf("echoed %u\n", n);
}

static void wait_for_end(int fd)
{
	char byte;

	if (recv(fd, &byte, 1, 0) > 0)
		fail("more than the end");
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	struct address a;
	int fd;

	if (argc < 3)
		return 2;
	a = parse(argv[1]);
	if (!strcmp(what, "refused")) {
		if (connect_to(&a) >= 0)
			fail("it is not refused");
		printf("refused\n");
	} else if (!strcmp(what, "many")) {
		many(&a, n < MAX_FDS ? (unsigned)n : MAX_FDS);
	} else if (!strcmp(what, "echo")) {
		echo(&a, n < MAX_FDS ? (unsigned)n : MAX_FDS);
	} else {
		fd = open_one(&a);
		if (!strcmp(what, "give") || !strcmp(what, "trade"))
			give(fd, n);
		if (!strcmp(what, "give"))
			wait_for_end(fd);
		if (!strcmp(what, "take") || !strcmp(what, "trade"))
			take(fd);
		if (!strcmp(what, "return"))
			give(fd, take(fd));
		close(fd);
	}
	return 0;
}
