/* SPDX-License-Identifier: BSD-2-Clause */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "relay.h"

#define PIPE_SIZE (256 << 10)

struct running {
	struct job *job;
	pid_t pid;
	int status;
	bool ended, abandoned;
	int signals;  /* signalfd of SIGCHLD */
	int terminal; /* the master side; -1: there is none */
	struct relay relay[3];
	char line[GUEST_MAX_LINE]; /* a line from the host, as far as it has come */
	size_t line_len;
};

long long job_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void job_say(const struct job *j, const char *fmt, ...)
{
	char line[GUEST_MAX_LINE];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	if (len > (int)sizeof(line) - 2)
		len = (int)sizeof(line) - 2;
	for (int i = 0; i < len; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[len] = '\n';
	/* A few short lines always fit. */
	send(j->stream[GUEST_CONTROL], line, (size_t)len + 1, MSG_NOSIGNAL);
}

void job_say_end(const struct job *j, int status)
{
	if (WIFSIGNALED(status))
		job_say(j, "signal %d", WTERMSIG(status));
	else
		job_say(j, "exit %d", WEXITSTATUS(status));
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void set_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void set_relay(struct relay *r, enum relay_end from_kind, int from, enum relay_end to_kind,
		      int to)
{
	r->from_kind = from_kind;
	r->from = from;
	r->to_kind = to_kind;
	r->to = to;
	r->len = 0;
}

/* Duplicates fd, to be closed by exec(): otherwise COMMAND would have it beside its three streams,
 * and could not close those. */
static int again(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* Standard error has no stream of its own. */
static void leave_out_stderr(struct running *r)
{
	set_relay(&r->relay[2], RELAY_PIPE, -1, RELAY_SOCKET, r->job->stream[GUEST_STDERR]);
	relay_stop(&r->relay[2]);
}

/* Makes three pipes, or two. child[] are COMMAND's ends. */
static bool make_pipes(struct running *r, int child[3])
{
	const bool one = r->job->orders->one_output;
	const int *stream = r->job->stream;
	int end[3][2];

	for (int i = 0; i < (one ? 2 : 3); i++) {
		if (pipe2(end[i], O_CLOEXEC) < 0)
			return false;
		/* Larger pipes, if we may have them, mean fewer switches between COMMAND and us. */
		fcntl(end[i][0], F_SETPIPE_SZ, PIPE_SIZE);
		/* The side for reading is the first of a pipe: COMMAND's for input, ours for
		 * output. */
		child[i] = end[i][i == 0 ? 0 : 1];
		/* COMMAND opens /dev/stderr as its own user. */
		if (geteuid() == 0 && fchown(child[i], r->job->orders->uid, (gid_t)-1) < 0)
			return false;
		set_nonblocking(end[i][i == 0 ? 1 : 0]);
	}
	set_relay(&r->relay[0], RELAY_SOCKET, stream[GUEST_STDIN], RELAY_PIPE, end[0][1]);
	set_relay(&r->relay[1], RELAY_PIPE, end[1][0], RELAY_SOCKET, stream[GUEST_STDOUT]);
	if (one) {
		leave_out_stderr(r);
		return (child[2] = again(child[1])) >= 0;
	}
	set_relay(&r->relay[2], RELAY_PIPE, end[2][0], RELAY_SOCKET, stream[GUEST_STDERR]);
	return true;
}

static void set_size(int terminal, unsigned short rows, unsigned short cols)
{
	const struct winsize size = { .ws_row = rows, .ws_col = cols };

	ioctl(terminal, TIOCSWINSZ, &size);
}

/* Makes a terminal for all three. */
static bool make_terminal(struct running *r, int child[3])
{
	const struct orders *o = r->job->orders;
	const int *stream = r->job->stream;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), slave;
	char name[64];

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)) ||
	    (slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
		return false;
	set_size(master, o->rows, o->cols);
	if (geteuid() == 0 && fchown(slave, o->uid, (gid_t)-1) < 0)
		return false;
	r->terminal = master;
	child[0] = slave;
	child[1] = again(slave);
	child[2] = again(slave);
	set_relay(&r->relay[0], RELAY_SOCKET, stream[GUEST_STDIN], RELAY_TERMINAL, master);
	set_relay(&r->relay[1], RELAY_TERMINAL, master, RELAY_SOCKET, stream[GUEST_STDOUT]);
	leave_out_stderr(r);
	return true;
}

/* Returns false if there is nothing to wait for; the host was told why. */
static bool start(struct running *r)
{
	const struct orders *o = r->job->orders;
	int child[3] = { -1, -1, -1 }, started[2] = { -1, -1 };
	char byte;

	if (!(o->terminal ? make_terminal(r, child) : make_pipes(r, child)) ||
	    pipe2(started, O_CLOEXEC) < 0 || (r->pid = fork()) < 0) {
		job_say(r->job, "error the command can't be started: %s", strerror(errno));
		return false;
	}
	if (r->pid == 0)
		command_exec(o, child, started[1]);
	for (int i = 0; i < 3; i++)
		close_fd(&child[i]);
	close_fd(&started[1]);
	/* It is closed by exec(), or by the child's death before it. */
	if (read(started[0], &byte, 1) == 0)
		job_say(r->job, "started %lld", (job_clock_ns() - r->job->begun_ns) / 1000);
	close_fd(&started[0]);
	return true;
}

/* Sends a signal to the foreground group of COMMAND's terminal, or otherwise to COMMAND's group. */
static void forward(const struct running *r, int signal_nr)
{
	pid_t group = r->terminal >= 0 ? tcgetpgrp(r->terminal) : r->pid;

	if (signal_nr > 0 && signal_nr <= SIGRTMAX && !r->ended && group > 1)
		kill(-group, signal_nr);
}

static void obey(const struct running *r, const char *line)
{
	unsigned rows, cols;
	int nr;

	if (sscanf(line, "signal %d", &nr) == 1)
		forward(r, nr);
	else if (sscanf(line, "size %u %u", &rows, &cols) == 2 && r->terminal >= 0)
		set_size(r->terminal, (unsigned short)rows, (unsigned short)cols);
}

static void read_control(struct running *r)
{
	ssize_t n = recv(r->job->stream[GUEST_CONTROL], r->line + r->line_len,
			 sizeof(r->line) - 1 - r->line_len, 0);
	char *end;

	if (n <= 0) {
		r->abandoned = n == 0 || (errno != EAGAIN && errno != EINTR);
		return;
	}
	r->line_len += (size_t)n;
	r->line[r->line_len] = '\0';
	while ((end = memchr(r->line, '\n', r->line_len))) {
		*end = '\0';
		obey(r, r->line);
		r->line_len -= (size_t)(end + 1 - r->line);
		memmove(r->line, end + 1, r->line_len + 1);
	}
	if (r->line_len == sizeof(r->line) - 1)
		r->line_len = 0; /* no line is that long */
}

/* Takes the status of every child that has ended, our own or one left to us. */
static void reap(struct running *r)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(r->signals, &info, sizeof(info)) < 0 && errno != EAGAIN)
		return;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != r->pid)
			continue;
		r->status = status;
		r->ended = true;
	}
	if (!r->ended)
		return;
	r->job->ended(r->pid);
	relay_stop(&r->relay[0]);
}

/* Is there nothing left to send? */
static bool all_over(const struct running *r)
{
	return r->ended && relay_over(&r->relay[1]) && relay_over(&r->relay[2]);
}

static void attend(struct running *r)
{
	struct pollfd p[8];

	while (!r->abandoned && !all_over(r)) {
		for (int i = 0; i < 3; i++)
			relay_poll(&r->relay[i], &p[2 * i]);
		p[6] = (struct pollfd){ .fd = r->job->stream[GUEST_CONTROL], .events = POLLIN };
		p[7] = (struct pollfd){ .fd = r->ended ? -1 : r->signals, .events = POLLIN };
		if (poll(p, 8, -1) < 0)
			continue;
		for (int i = 0; i < 3; i++)
			relay_move(&r->relay[i], &p[2 * i]);
		if (p[6].revents)
			read_control(r);
		if (p[7].fd >= 0 && p[7].revents)
			reap(r);
	}
}

int job_run(struct job *j)
{
	static struct running r; /* static, because its buffers are large; a process has one */
	sigset_t child;

	r = (struct running){ .job = j, .terminal = -1 };
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	r.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r.signals < 0 || !start(&r))
		return -1;
	attend(&r);
	close_fd(&r.signals);
	if (!r.ended)
		return -1;
	if (j->inspect)
		j->inspect(j);
	return r.status;
}
