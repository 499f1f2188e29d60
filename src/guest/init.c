/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PID 1 of a guest of `minivmm run`: does what its orders say (orders.h), runs COMMAND (job.c),
 * reports its end (wire.h). It is static and small, because it is copied into each guest's memory,
 * and makes few system calls, because COMMAND starts after them.
 *
 * It trusts the host. Nothing that COMMAND or a network does can make it end early.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "counter.h"
#include "command.h"
#include "job.h"
#include "mounts.h"
#include "net.h"
#include "places.h"

#define CONNECT_MS      30000
#define SYSLOG_READ_ALL 3 /* syslog(2) */

static struct orders orders;
static struct job job = { .orders = &orders, .stream = { -1, -1, -1, -1 } };

static _Noreturn void power_off(void)
{
	sync(); /* for disks and shares; the root's layer is volatile */
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* Says so to the host, or on the kernel's console if there is no connection. */
static _Noreturn void fail(const char *what)
{
	const char *why = strerror(errno);
	int fd;

	if (job.stream[GUEST_CONTROL] >= 0) {
		job_say(&job, "error %s: %s", what, why);
		/* The host ends us, or is gone. */
		poll(&(struct pollfd){ .fd = job.stream[GUEST_CONTROL], .events = POLLRDHUP }, 1,
		     CONNECT_MS);
	} else if ((fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC)) >= 0) {
		dprintf(fd, "<2>minivmm's init: %s: %s\n", what, why);
	}
	power_off();
}

/* Reads a whole file, and puts a NUL after it. */
static char *read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !(text = malloc((size_t)st.st_size + 1)))
		fail(path);
	*len = 0;
	while ((n = read(fd, text + *len, (size_t)st.st_size - *len)) > 0)
		*len += (size_t)n;
	close(fd);
	text[*len] = '\0';
	return text;
}

static void load_modules(void)
{
	for (size_t i = 0; i < orders.nr_modules; i++) {
		int fd = open(orders.module[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			fail(orders.module[i]);
		close(fd);
		unlink(orders.module[i]); /* frees its memory for COMMAND */
	}
}

/* All connections are begun at once; then each is waited for. */
static void connect_streams(void)
{
	for (unsigned i = 0; i < GUEST_STREAMS; i++) {
		const struct sockaddr_vm a = { .svm_family = AF_VSOCK,
					       .svm_cid = GUEST_HOST_CID,
					       .svm_port = GUEST_PORT(i) };
		int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd < 0)
			fail("AF_VSOCK (does the kernel have virtio's?)");
		if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
			fail("the connection to the host");
		job.stream[i] = fd;
	}
	for (int i = GUEST_STREAMS - 1; i >= 0; i--) {
		struct pollfd p = { .fd = job.stream[i], .events = POLLOUT };
		socklen_t len = sizeof(errno);

		errno = ETIMEDOUT;
		if (poll(&p, 1, CONNECT_MS) > 0)
			getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &errno, &len);
		if (errno) {
			job.stream[GUEST_CONTROL] = -1;
			fail("the connection to the host");
		}
	}
}

/* Reads the first line of control, and no byte after it. */
static void read_line(char *line, size_t size)
{
	struct pollfd p = { .fd = job.stream[GUEST_CONTROL], .events = POLLIN };
	char *end = NULL;
	ssize_t n;

	while (!end) {
		errno = ETIMEDOUT;
		if (poll(&p, 1, CONNECT_MS) <= 0)
			fail("the host's first line");
		n = recv(p.fd, line, size, MSG_PEEK);
		end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
		if (!end && (n == 0 || n == (ssize_t)size))
			fail("the host's first line");
	}
	recv(p.fd, line, (size_t)(end + 1 - line), 0);
	*end = '\0';
}

static void set_clock(void)
{
	struct clock_sample sample;
	char line[GUEST_MAX_LINE];
	unsigned long long now;

	read_line(line, sizeof(line));
	errno = EINVAL;
	if (!clock_parse(&sample, line))
		fail(line);
	now = clock_at(&sample, counter_read());
	if (now)
		clock_settime(CLOCK_REALTIME, &(struct timespec){ (time_t)(now / 1000000000),
								  (long)(now % 1000000000) });
}

/* A guest has a PID namespace of its own, so all that is left is COMMAND's. */
static void end_the_rest(pid_t command __attribute__((unused)))
{
	if (getpid() == 1)
		kill(-1, SIGKILL);
}

/* Returns a count of /proc/vmstat; -1: this kernel doesn't have it. */
static long vmstat(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "re");
	char line[128];
	long value = -1;
	size_t len = strlen(name);

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ' ')
			value = atol(line + len);
	if (f)
		fclose(f);
	return value;
}

/* Is text in the end of the kernel's log? */
static bool logged(const char *text)
{
	static char log[16384];
	int len = klogctl(SYSLOG_READ_ALL, log, sizeof(log) - 1);

	log[len > 0 ? len : 0] = '\0';
	return strstr(log, text);
}

static void inspect(const struct job *j)
{
	long kills = vmstat("oom_kill");

	if (kills > 0 || (kills < 0 && logged("Out of memory: Killed")))
		job_say(j, "oom");
	if (overlay_full())
		job_say(j, "full");
}

static void block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void set_up(void)
{
	const char *wrong = orders.root ? mount_root(&orders) : NULL;

	if (!wrong)
		wrong = mount_all();
	if (wrong)
		fail(wrong);
	wrong = places_make(&orders); /* before the shares, so that it writes to none of them */
	if (wrong)
		job_say(&job, "warn the directory that %s names can't be made: %s", wrong,
			strerror(errno));
	wrong = mount_shares(&orders);
	if (wrong)
		fail(wrong);
	command_raise_bounds(&orders);
	net_loopback();
	if (orders.net && (wrong = net_addresses(orders.dns6, orders.resolv_options)))
		job_say(&job, "warn --net: %s", wrong);
	if (orders.hostname && sethostname(orders.hostname, strlen(orders.hostname)) < 0)
		fail("hostname");
}

int main(void)
{
	const char *wrong;
	size_t len;
	char *text;
	int status;

	if (getpid() != 1) {
		fprintf(stderr, "This is the init of minivmm's guests.\n");
		return 1;
	}
	job.begun_ns = job_clock_ns();
	block_signals();
	wrong = mount_early();
	if (wrong)
		fail(wrong);
	text = read_file(GUEST_ORDERS, &len);
	wrong = orders_parse(&orders, text, len);
	errno = EINVAL;
	if (wrong)
		fail(wrong);
	load_modules();
	connect_streams();
	set_up();
	set_clock(); /* the host's line has come by now */
	job.ended = end_the_rest;
	job.inspect = inspect;
	status = job_run(&job);
	if (status >= 0) {
		sync(); /* before the host ends us */
		job_say_end(&job, status);
	}
	/* The host hangs up when it has everything, or it is gone. */
	poll(&(struct pollfd){ .fd = job.stream[GUEST_CONTROL], .events = POLLRDHUP }, 1, -1);
	power_off();
}
