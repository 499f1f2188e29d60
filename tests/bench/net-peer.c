#define _GNU_SOURCE
/* SPDX-License-Identifier: BSD-2-Clause */
/* net-peer: does what guests ask for, one connection at a time, for ever. */
#include "net.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static char buf[NET_CHUNK];

static void grant(int s)
{
	uint64_t left = NET_BYTES;
	ssize_t n;
	char what;

	if (read(s, &what, 1) != 1)
		return;
	switch (what) {
	case WISH_OUT:
		while (left && (n = read(s, buf, sizeof(buf))) > 0)
			left -= (uint64_t)n;
		if (!left && write(s, buf, 1) < 0)
			warn("write");
		break;
	case WISH_IN:
		while (left && (n = write(s, buf, left < sizeof(buf) ? left : sizeof(buf))) > 0)
			left -= (uint64_t)n;
		break;
	case WISH_TURNS:
		while (read(s, buf, 1) == 1 && write(s, buf, 1) == 1)
			;
		break;
	}
}

int main(void)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(NET_PORT) };
	int l = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	signal(SIGPIPE, SIG_IGN);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(l, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(l, 1) < 0)
		err(1, "port %d", NET_PORT);
	for (;;) {
		int s = accept(l, NULL, NULL);

		if (s < 0)
			err(1, "accept");
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		grant(s);
		close(s);
	}
}
