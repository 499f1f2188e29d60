/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's own limit: what frames and output cost a process without a guest.
 *   wire tap NAME WORD...   frames to and from a TAP, one by one: words as those of net.c
 *   wire write - WORD...    writes to standard output (size, count, runs); says so on standard error
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "frame.h"
#include "words.h"

#define HEADER sizeof(struct frame_virtio)

static uint8_t frame[HEADER + FRAME_MAX], got[2 * HEADER + FRAME_MAX];

static int open_tap(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	const int len = HEADER, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &len) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
		err(1, "%s", name);
	return fd;
}

static void put(int fd, size_t len)
{
	if (write(fd, frame, len) != (ssize_t)len)
		err(1, "write");
}

static void take(int fd, size_t len)
{
	if (read(fd, got, sizeof(got)) != (ssize_t)len)
		err(1, "read");
}

/* Returns when the part that counts began. */
static uint64_t repetition(int fd, const char *op, size_t len, uint64_t count)
{
	uint64_t start = __rdtsc();

	for (uint64_t i = 0; i < count; i++) {
		put(fd, len);
		if (!strcmp(op, "turn"))
			take(fd, len);
	}
	if (strcmp(op, "receive"))
		return start;
	start = __rdtsc();
	for (uint64_t i = 0; i < count; i++)
		take(fd, len);
	return start;
}

int main(int argc, char **argv)
{
	words = argv + 3;
	if (argc < 3)
		errx(2, "wire tap NAME | write - WORD...");
	const bool tap = !strcmp(argv[1], "tap");
	const char *op = word("op", "send");
	const uint64_t count = number("count", "1000"), runs = number("runs", "3");
	uint32_t size = (uint32_t)number("size", "64");
	const int fd = tap ? open_tap(argv[2]) : STDOUT_FILENO;

	if (tap) {
		size = size > FRAME_GSO ? FRAME_MAX : size;
		frame_make((struct frame_virtio *)frame, frame + HEADER, size,
			   strcmp(op, "send") ? FRAME_ECHO : FRAME_DROP, 0, true);
	}
	for (uint64_t run = 0; run <= runs; run++) {
		const uint64_t start = repetition(fd, op, tap ? HEADER + size : size, count);

		if (run)
			fprintf(tap ? stdout : stderr, "cycles %ju\n",
				(uintmax_t)((__rdtsc() - start) / count));
	}
}
