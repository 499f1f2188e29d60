#define _GNU_SOURCE
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's init for the benchmarks, static. It says that it is there; then, by the kernel's
 * command line:
 *
 * - bench=DISK: reads that disk past the guest's page cache, as dd iflag=direct bs=1M does, then 4
 *   KiB at random places, 1 and 32 at a time, by Linux AIO
 * - net=1: measures the network (net.h)
 * - fs=1: runs programs of the file system that has the virtio-fs tag root, on its directory
 *   /run/share
 *
 * In the end it powers off.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

#define MIB      (1u << 20)
#define BLOCK    4096
#define REQUESTS 1000
#define DEPTH    32

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	perror(what);
	reboot(RB_POWER_OFF);
}

/* Returns MiB a second. */
static double sequential(int fd, uint64_t size)
{
	char *buf = aligned_alloc(BLOCK, MIB);
	double start = seconds();

	for (uint64_t off = 0; off < size; off += MIB)
		if (pread(fd, buf, MIB, (off_t)off) != MIB)
			fail("read");
	return (double)(size / MIB) / (seconds() - start);
}

/* Returns requests a second with depth of them in flight. */
static double at_random(int fd, uint64_t size, unsigned depth)
{
	char *buf = aligned_alloc(BLOCK, DEPTH * BLOCK);
	struct iocb cb[DEPTH] = { 0 }, *list[DEPTH];
	struct io_event events[DEPTH];
	aio_context_t ctx = 0;
	const unsigned requests = REQUESTS * (depth > 1 ? 8 : 1);
	unsigned done = 0, started = 0;
	uint64_t x = 88172645463325252ull;
	double start;

	if (syscall(SYS_io_setup, DEPTH, &ctx) < 0)
		fail("io_setup");
	for (unsigned i = 0; i < depth; i++)
		cb[i] = (struct iocb){
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = (uint32_t)fd,
			.aio_buf = (uintptr_t)(buf + i * BLOCK),
			.aio_nbytes = BLOCK,
			.aio_data = i,
		};
	for (unsigned i = 0; i < depth; i++)
		events[i].data = i;
	start = seconds();
	for (long ready = depth; done < requests;) {
		long n = 0;

		for (long i = 0; i < ready && started < requests; i++, started++) {
			struct iocb *c = &cb[events[i].data];

			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			c->aio_offset = (int64_t)(x % (size / BLOCK) * BLOCK);
			list[n++] = c;
		}
		if (n && syscall(SYS_io_submit, ctx, n, list) != n)
			fail("io_submit");
		ready = syscall(SYS_io_getevents, ctx, 1, depth, events, NULL);
		if (ready <= 0)
			fail("io_getevents");
		for (long i = 0; i < ready; i++)
			if (events[i].res != BLOCK)
				fail("a read at random");
		done += (unsigned)ready;
	}
	return requests / (seconds() - start);
}

/* Returns how many seconds a command takes. */
static double command(const char *line)
{
	double start = seconds();
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", line, NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		fail(line);
	return seconds() - start;
}

static void fs_bench(void)
{
	mkdir("/root", 0755);
	if (mount("root", "/root", "virtiofs", MS_RDONLY, NULL) < 0 || chroot("/root") < 0 ||
	    chdir("/") < 0)
		fail("virtiofs");
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("tmp", "/tmp", "tmpfs", 0, NULL);
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("HOME", "/tmp", 1);
	command("git --version; tar --version; dd --version >/dev/null"); /* for the cache */
	printf("bench-result %.3f",
	       command("git --no-optional-locks -c safe.directory=* -C /run/share/tree status --porcelain"));
	printf(" %.3f", command("tar -c /run/share/again 2>/dev/null | cat >/dev/null"));
	printf(" %.3f\n", command("dd if=/run/share/big of=/dev/null bs=1M 2>/dev/null"));
}

int main(void)
{
	char cmdline[4096] = "", device[64] = "", uptime[64] = "";
	const char *arg;
	uint64_t size = 0;
	int fd;

	fd = open("/dev/console", O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	write(1, "bench-user-space\n", 17);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mkdir("/proc", 0555);
	mount("proc", "/proc", "proc", 0, NULL);
	fd = open("/proc/uptime", O_RDONLY);
	if (read(fd, uptime, sizeof(uptime) - 1) > 0)
		printf("bench-uptime %s", uptime);
	fd = open("/proc/cmdline", O_RDONLY);
	if (read(fd, cmdline, sizeof(cmdline) - 1) < 0)
		fail("command line");
	if (strstr(cmdline, "net=1"))
		net_bench();
	if (strstr(cmdline, "fs=1"))
		fs_bench();
	arg = strstr(cmdline, "bench=");
	if (arg && sscanf(arg, "bench=%60s", device) == 1) {
		fd = open(device, O_RDONLY | O_DIRECT);
		if (fd < 0 || ioctl(fd, _IOR(0x12, 114, size_t), &size) < 0) /* BLKGETSIZE64 */
			fail(device);
		printf("bench-result %.1f", sequential(fd, size));
		printf(" %.0f", at_random(fd, size, 1));
		printf(" %.0f\n", at_random(fd, size, DEPTH));
		fflush(stdout);
	}
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
