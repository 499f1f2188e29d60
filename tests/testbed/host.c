/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host KERNEL INITRD CPUS MEGABYTES SECONDS PATIENCE [SHARE…] -- COMMAND…: the caller's half of the
 * test bed. Starts QEMU with the emulated host and virtiofsd with the caller's file system, and
 * carries COMMAND's streams, terminal and exit status (wire.h). The script testbed checks and makes
 * the arguments; SECONDS or PATIENCE 0 means no limit; file descriptor 3 holds COMMAND's
 * environment, in hexadecimal.
 *
 * Nothing may be left over, however this ends, even by SIGKILL. Therefore there are two processes:
 *
 * The outer one, which the caller knows, waits for the inner one and passes on its exit status or
 * its own death by a signal.
 *
 * The inner one is PID 1 of a PID namespace, so QEMU and virtiofsd die with it, and alone in a
 * mount namespace, where a tmpfs over /mnt holds all files, so they vanish with the processes. It
 * ends when the outer one's end of a pipe closes.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "machine.h"
#include "wire.h"

struct stream {
	int port, fd; /* our end of the port, and the caller's file descriptor */
	int ended;    /* a byte is written here when the stream has ended */
	bool *heard;  /* set when it has carried something; atomic */
};

struct bed {
	const struct options *options;
	int port[NR_PORTS + 1]; /* our ends; [0] is not one */
	struct stream out[3];   /* PORT_OUT, PORT_ERR, PORT_TTY */
	int tty;                /* a file descriptor that is the terminal, or -1 */
	bool raw;
	struct termios termios; /* COMMAND's terminal as the caller left it */
	struct spec spec;
	char *tail;
	size_t tail_len;
	pid_t qemu, virtiofsd;
	bool started, lost; /* COMMAND runs, or did; L1 is gone */
	int status;         /* COMMAND's, or -1 */
	int streams_open, ended;

	char qemu_proc[PROC_LEN];
	bool heard;        /* COMMAND has printed something since the last look; atomic */
	uint64_t quiet_ns; /* how long it printed nothing, minus QEMU's waits for processors */
	uint64_t looked_ns, waited_ns;
};

/* -- before they part ------------------------------------------------------------------------ */

static void append(FILE *f, const char *s)
{
	fwrite(s, strlen(s) + 1, 1, f);
}

/* Describes COMMAND and the environment that it shall believe itself to be in. */
static void make_spec(struct bed *b)
{
	const struct options *o = b->options;
	struct spec *s = &b->spec;
	char *cwd = get_current_dir_name();
	gid_t groups[NGROUPS_MAX];
	int nr_groups = getgroups(NGROUPS_MAX, groups);
	FILE *env = fdopen(o->environ, "re"), *tail = open_memstream(&b->tail, &b->tail_len);
	unsigned char byte;

	if (!cwd || nr_groups < 0 || !env || !tail)
		err(BED_FAILED, "describe the command: working directory, groups or environment");
	s->uid = geteuid();
	s->gid = getegid();
	umask(s->umask = umask(0));
	for (int i = 0; i < RLIM_NLIMITS; i++)
		getrlimit((__rlimit_resource_t)i, &s->limits[i]);

	fwrite(groups, sizeof(*groups), s->nr_groups = (uint32_t)nr_groups, tail);
	append(tail, cwd);
	for (; s->nr_shares < o->nr_shares; s->nr_shares++)
		append(tail, o->shares[s->nr_shares]);
	for (; s->nr_args < o->nr_command; s->nr_args++)
		append(tail, o->command[s->nr_args]);
	for (; fscanf(env, "%2hhx", &byte) == 1; s->nr_env += byte == 0)
		fputc(byte, tail);
	fclose(env);
	if (fclose(tail) == EOF || b->tail_len > UINT32_MAX)
		err(BED_FAILED, "describe the command");
	s->tail_len = (uint32_t)b->tail_len;
	free(cwd);
}

/*
 * Finds out which of the three streams are the terminal. None is one when we run in the background,
 * where taking the terminal over would only stop us: `timeout 60 testbed …` is enough for that.
 */
static void find_terminal(struct bed *b)
{
	b->tty = -1;
	for (int fd = 2; fd >= 0; fd--)
		if (isatty(fd) && tcgetpgrp(fd) == getpgrp()) {
			b->spec.ttys |= 1u << fd;
			b->tty = fd;
		}
	if (b->tty < 0)
		return;
	tcgetattr(b->tty, &b->termios);
	ioctl(b->tty, TIOCGWINSZ, &b->spec.winsize);
	b->spec.termios = b->termios;
	if ((b->spec.ttys & 3) != 3)
		b->spec.termios.c_oflag &= ~(tcflag_t)OPOST; /* the caller's does it */
}

/* -- the inner process ----------------------------------------------------------------------- */

/*
 * Input is passed on as it is typed, and the terminal in L1 interprets it. The same is done for
 * output, unless standard output is elsewhere: then another program of a pipeline may print on this
 * terminal.
 */
static void set_raw(struct bed *b)
{
	struct termios raw = b->termios;

	if (!(b->spec.ttys & 1))
		return;
	cfmakeraw(&raw);
	if (!(b->spec.ttys & 2))
		raw.c_oflag = b->termios.c_oflag;
	b->raw = tcsetattr(b->tty, TCSADRAIN, &raw) == 0;
}

static void restore_terminal(struct bed *b)
{
	if (b->raw)
		tcsetattr(b->tty, TCSADRAIN, &b->termios);
	b->raw = false;
}

static _Noreturn void leave(struct bed *b, int status)
{
	restore_terminal(b);
	_exit(status); /* as PID 1 of the namespace: all its processes end, too */
}

/* Shows the last kilobytes of a file. */
static void show_end(const char *path)
{
	char text[4097], *save, *line;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const off_t size = lseek(fd, 0, SEEK_END), room = sizeof(text) - 1;
	ssize_t len = pread(fd, text, sizeof(text) - 1, size > room ? size - room : 0);

	close(fd);
	text[len > 0 ? len : 0] = '\0';
	for (line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		fprintf(stderr, "  | %s\n", line);
}

static _Noreturn void fail(struct bed *b, const char *what)
{
	restore_terminal(b);
	fprintf(stderr, "testbed: %s; its console and log ended with:\n", what);
	show_end(CONSOLE);
	show_end(LOG);
	leave(b, BED_FAILED);
}

static void start_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, arg))
		errx(BED_FAILED, "no thread");
}

static void *send_spec(void *arg)
{
	struct bed *b = arg;

	clock_gettime(CLOCK_REALTIME, &b->spec.now);
	write_all(b->port[PORT_CTL], &b->spec, sizeof(b->spec));
	write_all(b->port[PORT_CTL], b->tail, b->spec.tail_len);
	return NULL;
}

static void *pump_in(void *arg)
{
	const struct bed *b = arg;
	struct frame f;
	ssize_t n;

	do {
		n = read_some(0, f.data, FRAME_MAX);
		f.len = n > 0 ? (uint16_t)n : 0;
	} while (frame_write(b->port[PORT_IN], &f) && n > 0);
	return NULL;
}

/* When the caller's end is closed, the agent is told, and what is still under way is dropped. */
static void *pump_out(void *arg)
{
	const struct stream *s = arg;
	bool open = true;
	struct frame f;

	while (frame_read(s->port, &f)) {
		__atomic_store_n(s->heard, true, __ATOMIC_RELAXED);
		if (!open || write_all(s->fd, f.data, f.len))
			continue;
		open = false;
		if (errno != EPIPE && errno != EIO)
			warn("write to file descriptor %d", s->fd);
		write_all(s->port, "", 1);
	}
	write_all(s->ended, "", 1);
	return NULL;
}

/* Called when COMMAND is about to run. */
static void start_streams(struct bed *b)
{
	const uint32_t ttys = b->spec.ttys;

	set_raw(b);
	start_thread(pump_in, b);
	for (int i = 0; i < 3; i++) {
		const int fd = i < 2 ? i + 1 : b->tty;

		b->out[i] = (struct stream){ b->port[PORT_OUT + i], fd, b->ended, &b->heard };
		if (i < 2 ? ttys & 1u << fd : b->tty < 0)
			write_all(b->ended, "", 1); /* it carries nothing */
		else
			start_thread(pump_out, &b->out[i]);
	}
}

static void send_size(const struct bed *b)
{
	struct winsize size;

	if (b->tty >= 0 && ioctl(b->tty, TIOCGWINSZ, &size) == 0)
		write_all(b->port[PORT_CTL], &size, sizeof(size));
}

/* Returns whether a process that we need has died. */
static bool lost_one(const struct bed *b)
{
	bool lost = false;

	for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;)
		lost |= pid == b->qemu || pid == b->virtiofsd;
	return lost;
}

static void handle_signal(struct bed *b, uint32_t sig)
{
	if (sig == SIGTERM)
		leave(b, BED_FAILED);
	if (sig == SIGWINCH && b->started)
		send_size(b);
	if (sig == SIGCHLD && lost_one(b))
		b->lost = true;
	if (b->lost && !b->started)
		fail(b, "the emulated host did not boot");
	if (sig == SIGALRM) {
		restore_terminal(b);
		fprintf(stderr, "testbed: stopped after %u seconds (--timeout)\n",
			b->options->seconds);
		leave(b, TIMED_OUT);
	}
}

/*
 * Adds to the time in which nothing has happened. On a busy machine, the emulated one stands still
 * for lack of a processor: that time doesn't count.
 */
static void count_quiet_time(struct bed *b)
{
	const uint64_t waited = waited_ns(b->qemu_proc);
	const uint64_t in_vain = (waited - b->waited_ns) / b->options->cpus;
	struct timespec t;
	uint64_t now, since;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	since = b->looked_ns ? now - b->looked_ns : 0;
	b->looked_ns = now;
	b->waited_ns = waited;
	if (__atomic_exchange_n(&b->heard, false, __ATOMIC_RELAXED))
		b->quiet_ns = 0;
	else if (since > in_vain)
		b->quiet_ns += since - in_vain;
}

/* Called once a second. */
static void look_for_progress(struct bed *b)
{
	const unsigned patience = b->options->patience;
	uint64_t quiet_s;

	count_quiet_time(b);
	quiet_s = b->quiet_ns / 1000000000;
	if (!b->started && quiet_s >= BOOT_SECONDS)
		fail(b, "the emulated host did not boot in time");
	if (!b->started || !patience || quiet_s < patience)
		return;
	restore_terminal(b);
	fprintf(stderr, "testbed: stopped after %u seconds without output (--patience)\n",
		patience);
	leave(b, TIMED_OUT);
}

static void handle_report(struct bed *b, const struct report *r)
{
	switch (r->what) {
	case READY:
		start_thread(send_spec, b);
		break;
	case STARTED:
		b->started = true;
		b->quiet_ns = 0;
		alarm(b->options->seconds);
		start_streams(b);
		send_size(b);
		break;
	case FINISHED:
		b->status = r->status;
		break;
	}
}

/* Runs until COMMAND has ended and all its output is written, or L1 is lost and all that came is
 * written. */
static _Noreturn void run(struct bed *b, int lifeline, int signals)
{
	struct signalfd_siginfo sig;
	struct report report;
	int ended[2];
	char byte;

	if (pipe2(ended, O_CLOEXEC) < 0)
		err(BED_FAILED, "pipe");
	b->ended = ended[1];
	b->streams_open = 3;
	b->status = -1;
	struct pollfd p[] = {
		{ .fd = lifeline, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = b->port[PORT_CTL], .events = POLLIN },
		{ .fd = ended[0], .events = POLLIN },
	};
	while (b->streams_open > 0 || (b->status < 0 && !b->lost)) {
		poll(p, 4, 1000);
		if (p[0].revents)
			leave(b, BED_FAILED);
		if (p[1].revents && read_all(signals, &sig, sizeof(sig)))
			handle_signal(b, sig.ssi_signo);
		if (p[2].revents && read_all(p[2].fd, &report, sizeof(report)))
			handle_report(b, &report);
		else if (p[2].revents)
			p[2].fd = -1; /* after QEMU's end SIGCHLD follows */
		if (p[3].revents && read_all(ended[0], &byte, 1))
			b->streams_open--;
		look_for_progress(b);
	}
	if (b->status < 0)
		fail(b, "the emulated host ended before the command did");
	leave(b, b->status);
}

static _Noreturn void inside(struct bed *b, int lifeline, const sigset_t *signals)
{
	int qemu_port[NR_PORTS + 1], pair[2];

	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	make_tree(b->options);
	for (int i = PORT_CTL; i <= NR_PORTS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			err(BED_FAILED, "socketpair");
		b->port[i] = pair[0];
		qemu_port[i] = pair[1];
	}
	b->spec.descriptors = (uint32_t)raise_descriptors();
	b->virtiofsd = start_virtiofsd();
	b->qemu = start_qemu(b->options, qemu_port, b->qemu_proc);
	for (int i = PORT_CTL; i <= NR_PORTS; i++)
		close(qemu_port[i]); /* so that the death of QEMU ends our streams */
	run(b, lifeline, signalfd(-1, signals, SFD_CLOEXEC));
}

/*
 * The outer process. A signal that would end it first ends the inner one; then it kills the outer
 * one, as the caller expects.
 */
static _Noreturn void outside(pid_t inner, const sigset_t *signals)
{
	int fatal = 0, status;

	for (;;) {
		int sig = sigwaitinfo(signals, NULL);

		if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP) {
			fatal = sig;
			kill(inner, SIGTERM);
		} else if (sig == SIGCHLD && waitpid(inner, &status, WNOHANG) == inner) {
			break;
		}
	}
	if (fatal) {
		signal(fatal, SIG_DFL);
		sigprocmask(SIG_UNBLOCK, signals, NULL);
		raise(fatal);
	}
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : BED_FAILED);
}

/* The signals that we handle. Those that the caller ignores (nohup, a shell's background job) shall
 * stay ignored. */
static void block_signals(sigset_t *set)
{
	static const int all[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGWINCH, SIGALRM };
	struct sigaction old;

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (i >= 3 || (sigaction(all[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN))
			sigaddset(set, all[i]);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static int open_or_die(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(BED_FAILED, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct bed b = { .options = &o };
	int lifeline[2], i = 7;
	sigset_t signals;

	if (argc < 9)
		errx(BED_FAILED, "run the script testbed instead");
	program_invocation_short_name = (char *)"testbed";
	/* A standard stream that the caller closed becomes an empty one. */
	while (open("/dev/null", O_RDWR | O_CLOEXEC) < 3)
		;
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* QEMU must not have the caller's files */
	o.environ = 3;
	o.kernel = open_or_die(argv[1]);
	o.initrd = open_or_die(argv[2]);
	o.cpus = (unsigned)atoi(argv[3]);
	o.megabytes = (unsigned)atoi(argv[4]);
	o.seconds = (unsigned)atoi(argv[5]);
	o.patience = (unsigned)atoi(argv[6]);
	o.shares = argv + i;
	while (strcmp(argv[i], "--"))
		i++;
	o.nr_shares = (uint32_t)(argv + i - o.shares);
	o.command = argv + i + 1;
	o.nr_command = (uint32_t)(argc - i - 1);

	block_signals(&signals);
	make_spec(&b);
	find_terminal(&b);
	enter_namespaces();
	if (pipe2(lifeline, O_CLOEXEC) < 0)
		err(BED_FAILED, "pipe");
	pid_t inner = fork();
	if (inner < 0)
		err(BED_FAILED, "fork");
	if (inner > 0) {
		close(lifeline[0]);
		outside(inner, &signals);
	}
	close(lifeline[1]);
	inside(&b, lifeline[0], &signals);
}
