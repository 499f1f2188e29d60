#define _GNU_SOURCE
/* SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	reboot(RB_POWER_OFF);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(ip),
				     .sin_port = htons(port) };
}

static void configure(void)
{
	struct sockaddr_in own = address(NET_GUEST, 0), mask = address(0xffffff00, 0);
	struct ifreq r = { .ifr_name = "eth0" };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(&r.ifr_addr, &own, sizeof(own));
	if (ioctl(s, SIOCSIFADDR, &r) < 0)
		fail("eth0");
	memcpy(&r.ifr_netmask, &mask, sizeof(mask));
	if (ioctl(s, SIOCSIFNETMASK, &r) < 0)
		fail("eth0's mask");
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		fail("eth0 up");
	close(s);
}

static int wish(char what)
{
	struct sockaddr_in peer = address(NET_PEER, NET_PORT);
	int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (connect(s, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		fail("connect");
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (write(s, &what, 1) != 1)
		fail("write");
	return s;
}

static double stream(char what)
{
	char *buf = malloc(NET_CHUNK), byte;
	double start;
	int s = wish(what);

	memset(buf, 0x5a, NET_CHUNK);
	start = seconds();
	for (uint64_t left = NET_BYTES; left;) {
		size_t len = left < NET_CHUNK ? left : NET_CHUNK;
		ssize_t n = what == WISH_OUT ? write(s, buf, len) : read(s, buf, len);

		if (n <= 0)
			fail("stream");
		left -= (uint64_t)n;
	}
	if (what == WISH_OUT && read(s, &byte, 1) != 1)
		fail("the peer has not got all");
	close(s);
	free(buf);
	return (double)(NET_BYTES >> 20) / (seconds() - start);
}

static double turns(void)
{
	int s = wish(WISH_TURNS);
	double start = seconds();
	char byte = 1;

	for (unsigned i = 0; i < NET_TURNS; i++)
		if (write(s, &byte, 1) != 1 || read(s, &byte, 1) != 1)
			fail("turn");
	close(s);
	return NET_TURNS / (seconds() - start);
}

void net_bench(void)
{
	configure();
	printf("bench-result %.1f", stream(WISH_OUT));
	printf(" %.1f", stream(WISH_IN));
	printf(" %.0f\n", turns());
}
