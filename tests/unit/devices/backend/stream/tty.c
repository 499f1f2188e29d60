/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serial port's host ends, and the program's terminal: what happens to a terminal, pipes and
 * files. Each standard input and output is tried in a child, which is this program again: test_tty
 * CHILD-MODE.
 */
#include "backend/stream/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "term.h"
#include "capture.h"
#include "test.h"
#include "vmm/log.h"

static bool is_raw(int fd)
{
	struct termios t;

	return tcgetattr(fd, &t) == 0 && !(t.c_lflag & (ICANON | ISIG | ECHO)) &&
	       !(t.c_oflag & OPOST);
}

/* -- the child: a device on the other end of tty_stdio() ------------------------------------- */

static struct {
	struct loop loop;
	pthread_mutex_t lock;
	struct stream *s;
	size_t left;  /* bytes to echo, then it ends */
	bool obeys;   /* it also does what the bytes say */
	bool neglect; /* it never reads */
} child = { .lock = PTHREAD_MUTEX_INITIALIZER, .left = SIZE_MAX };

static void say(const void *text, size_t len)
{
	if (stream_write(child.s, text, len) != len)
		_exit(99); /* a test here is never that slow to read */
}

static int *volatile nowhere;

static void obey(uint8_t byte)
{
	switch (byte) {
	case 'q':
		exit(3);
	case 'a':
		abort();
	case 's':
		*nowhere = 0;
	}
}

static void child_ready(void *ctx __unused)
{
	uint8_t byte;
	ssize_t n;

	while (!child.neglect && child.left && (n = stream_read(child.s, &byte, 1)) != 0) {
		if (n == STREAM_BREAK) {
			say("<break>", 7);
			continue;
		}
		if (child.obeys)
			obey(byte);
		say(&byte, 1);
		child.left--;
	}
	if (child.left == 0)
		loop_stop(&child.loop);
}

static void child_power(void *ctx, enum power_event what, unsigned value)
{
	if (ctx == &child && what == POWER_QUIT && value == 0)
		loop_stop(&child.loop);
}

/* Another device prints the terminal's size on standard output. */
static void say_beside(void)
{
	struct stream *s;
	uint16_t cols, rows;
	char text[32];
	int len;

	if (!tty_size(&cols, &rows) || tty_stdout(&s, &child.loop, "serial port", NULL) < 0)
		_exit(93);
	stream_attach(s, child_ready, NULL, &child.lock);
	len = snprintf(text, sizeof(text), "%ux%u\n", cols, rows);
	if (stream_write(s, text, (size_t)len) != (size_t)len || stream_read(s, text, 1) != 0)
		_exit(92);
	stream_destroy(s);
}

static int child_main(const char *mode)
{
	struct power power = { child_power, &child };

	signal(SIGPIPE, SIG_IGN);
	term_reserve_stdio();
	if (loop_init(&child.loop) < 0 ||
	    tty_stdio(&child.s, &child.loop, "serial port", &power, NULL) < 0)
		return 98;
	if (isatty(STDIN_FILENO) && term_raw(STDIN_FILENO) < 0)
		return 91;
	child.obeys = strcmp(mode, "obey") == 0;
	child.neglect = strcmp(mode, "neglect") == 0;
	if (strncmp(mode, "echo", 4) == 0)
		child.left = strtoul(mode + 4, NULL, 10);
	stream_attach(child.s, child_ready, NULL, &child.lock);
	pthread_mutex_lock(&child.lock);
	say("hello\n", 6);
	if (strcmp(mode, "both") == 0)
		say_beside();
	child_ready(NULL);
	pthread_mutex_unlock(&child.lock);
	if (loop_run(&child.loop) < 0)
		return 97;
	stream_destroy(child.s);
	term_restore();
	loop_destroy(&child.loop);
	return isatty(STDIN_FILENO) && is_raw(STDIN_FILENO) ? 94 : 0;
}

static void become(const char *mode, int in, int out, int err)
{
	if ((in < 0 ? close(0) : dup2(in, 0)) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(96);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	execl("/proc/self/exe", "test_tty", mode, NULL);
	_exit(95);
}

/* -- helpers of the parent ------------------------------------------------------------------- */

#define PATIENCE 30000 /* in ms: longer than any machine takes */

static bool wait_raw(int fd, bool raw)
{
	unsigned i = 0;

	while (is_raw(fd) != raw && i++ < PATIENCE)
		usleep(1000);
	return is_raw(fd) == raw;
}

static int wait_for(pid_t pid, int flags)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, flags), pid);
	return status;
}

/* Reads from fd until it has said text; false if it ends before that. */
static bool says(int fd, const char *text)
{
	static char said[65536];
	size_t len = 0;

	while (len == 0 || !memmem(said, len, text, strlen(text))) {
		ssize_t n = read(fd, said + len, sizeof(said) - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
	}
	return true;
}

static void type(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

struct terminal {
	int master, slave, null;
	struct termios before;
};

static void terminal_open(struct terminal *t)
{
	assert_int_equal(openpty(&t->master, &t->slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(t->slave, &t->before), 0);
	t->before.c_cc[VERASE] = '#'; /* a user's preference, which must survive */
	t->before.c_iflag |= IXANY;
	assert_int_equal(tcsetattr(t->slave, TCSANOW, &t->before), 0);
	assert_int_equal(tcgetattr(t->slave, &t->before), 0);
	t->null = open("/dev/null", O_RDWR);
}

static void terminal_close(struct terminal *t)
{
	close(t->master);
	close(t->slave);
	close(t->null);
}

/* Starts a child that has the terminal to itself. */
static pid_t terminal_start(struct terminal *t, const char *mode)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setsid();
		ioctl(t->slave, TIOCSCTTY, 0);
		become(mode, t->slave, t->slave, t->null);
	}
	assert_true(wait_raw(t->slave, true));
	assert_true(says(t->master, "hello\n")); /* without a \r: the guest's output is unchanged */
	return pid;
}

static bool is_as_before(const struct terminal *t)
{
	const struct termios *b = &t->before;
	struct termios now;

	return tcgetattr(t->slave, &now) == 0 && now.c_iflag == b->c_iflag &&
	       now.c_oflag == b->c_oflag && now.c_cflag == b->c_cflag &&
	       now.c_lflag == b->c_lflag && memcmp(now.c_cc, b->c_cc, sizeof(now.c_cc)) == 0;
}

/* -- terminals ------------------------------------------------------------------------------- */

static void typed_ends_restore_the_terminal(void **state __unused)
{
	const struct {
		const char *keys;
		int status; /* -1: killed, or ended by a sanitizer */
	} t[] = { { "\001x", 0 }, { "q", 3 << 8 }, { "a", -1 }, { "s", -1 } };
	struct terminal term;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		int status;
		pid_t pid;

		terminal_open(&term);
		pid = terminal_start(&term, "obey");
		type(term.master, t[i].keys);
		status = wait_for(pid, 0);
		assert_true(t[i].status < 0 ? status != 0 : status == t[i].status);
		assert_true(is_as_before(&term));
		terminal_close(&term);
	}
}

static void signals_restore_the_terminal(void **state __unused)
{
	static const int sig[] = { SIGTERM, SIGHUP,  SIGINT,  SIGQUIT, SIGABRT,
				   SIGBUS,  SIGSEGV, SIGXCPU, SIGFPE,  SIGILL };
	struct terminal term;

	for (size_t i = 0; i < ARRAY_SIZE(sig); i++) {
		int status;
		pid_t pid;

		terminal_open(&term);
		pid = terminal_start(&term, "obey");
		kill(pid, sig[i]);
		status = wait_for(pid, 0);
		/* The signal itself ended it, except after a sanitizer's report. */
		assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == sig[i] : status != 0);
		assert_true(is_as_before(&term));
		terminal_close(&term);
	}
}

static void escapes_do_what_they_say(void **state __unused)
{
	struct terminal term;
	pid_t pid;

	terminal_open(&term);
	pid = terminal_start(&term, "serve");
	type(term.master, "1\0012\001\0013\001a4\003\032\0015");
	assert_true(says(term.master, "1\0013\0014\003\032"));
	type(term.master, "[\001c]");
	assert_true(says(term.master, "[<break>]"));
	type(term.master, "\001h");
	assert_true(says(term.master, "Ctrl-A x"));
	type(term.master, "\001x");
	assert_int_equal(wait_for(pid, 0), 0);
	terminal_close(&term);
}

static void another_device_can_write_to_the_terminal(void **state __unused)
{
	const struct winsize size = { .ws_row = 33, .ws_col = 77 };
	struct terminal term;
	pid_t pid;

	terminal_open(&term);
	assert_int_equal(ioctl(term.master, TIOCSWINSZ, &size), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setsid();
		ioctl(term.slave, TIOCSCTTY, 0);
		become("both", term.slave, term.slave, term.null);
	}
	assert_true(says(term.master, "hello\n77x33\n"));
	type(term.master, "[and the first reads]");
	assert_true(says(term.master, "[and the first reads]"));
	assert_true(is_raw(term.slave));
	type(term.master, "\001x");
	assert_int_equal(wait_for(pid, 0), 0);
	assert_true(is_as_before(&term));
	terminal_close(&term);
}

static void quitting_works_while_the_guest_reads_nothing(void **state __unused)
{
	struct terminal term;
	pid_t pid;

	terminal_open(&term);
	pid = terminal_start(&term, "neglect");
	for (unsigned i = 0; i < 50; i++)
		type(term.master, "is anybody there?\r");
	type(term.master, "\001x");
	assert_int_equal(wait_for(pid, 0), 0);
	assert_true(is_as_before(&term));
	terminal_close(&term);
}

static void an_orphan_is_not_stopped(void **state __unused)
{
	struct terminal term;
	pid_t pid;

	terminal_open(&term);
	pid = terminal_start(&term, "serve"); /* a session of its own, with no shell in it */
	kill(pid, SIGTSTP);
	type(term.master, "[still here]");
	assert_true(says(term.master, "[still here]"));
	/* While it is stopped for a moment, the terminal itself echoes, and is not raw yet. */
	assert_true(wait_raw(term.slave, true));
	kill(pid, SIGTSTP); /* once more */
	type(term.master, "[still here]");
	assert_true(says(term.master, "[still here]"));
	assert_true(wait_raw(term.slave, true));
	kill(pid, SIGTERM);
	wait_for(pid, 0);
	assert_true(is_as_before(&term));
	terminal_close(&term);
}

#define STEP(what)                                                                                 \
	do {                                                                                       \
		step++;                                                                            \
		if (!(what))                                                                       \
			_exit((int)step);                                                          \
	} while (0)

/* A shell with one job, which is stopped and continued in every way. Exits with 0, or with the
 * number of the step that failed. */
static void shell(struct terminal *t, bool background)
{
	struct termios shells;
	unsigned step = 0;
	int status;
	pid_t job;

	setsid();
	ioctl(t->slave, TIOCSCTTY, 0);
	signal(SIGTTOU, SIG_IGN);
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		if (!background)
			tcsetpgrp(t->slave, getpid());
		signal(SIGTTOU, SIG_DFL);
		become("obey", t->slave, t->slave, t->null);
	}
	if (background) {
		STEP(says(t->master, "hello"));
		STEP(!is_raw(t->slave));
		STEP(tcsetpgrp(t->slave, job) == 0);
		STEP(kill(job, SIGCONT) == 0); /* "fg" */
	}
	STEP(wait_raw(t->slave, true));
	STEP(kill(job, SIGTSTP) == 0);
	STEP(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status));
	STEP(!is_raw(t->slave));
	STEP(kill(job, SIGCONT) == 0);
	STEP(wait_raw(t->slave, true));
	STEP(kill(job, SIGSTOP) == 0);
	STEP(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status));
	shells = t->before;
	shells.c_cc[VERASE] = '@';
	STEP(tcsetattr(t->slave, TCSANOW, &shells) == 0); /* as shells do */
	STEP(kill(job, SIGCONT) == 0);
	STEP(wait_raw(t->slave, true));
	STEP(kill(job, SIGTSTP) == 0); /* a second time */
	STEP(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status));
	STEP(!is_raw(t->slave));
	STEP(is_as_before(t));
	STEP(tcsetpgrp(t->slave, getpgrp()) == 0);
	STEP(kill(job, SIGCONT) == 0); /* "bg": it may not change the terminal */
	usleep(20000);
	STEP(!is_raw(t->slave));
	cfmakeraw(&t->before); /* an editor in the foreground */
	STEP(tcsetattr(t->slave, TCSANOW, &t->before) == 0);
	STEP(kill(job, SIGTERM) == 0);
	STEP(waitpid(job, &status, WUNTRACED) == job && WIFSIGNALED(status));
	STEP(is_raw(t->slave)); /* it is not disturbed */
	_exit(0);
}

static void job_control_works(void **state __unused)
{
	for (unsigned background = 0; background < 2; background++) {
		struct terminal term;
		pid_t pid;
		int status;

		terminal_open(&term);
		pid = fork();
		if (pid == 0)
			shell(&term, background);
		status = wait_for(pid, 0);
		if (status)
			fail_msg("step %d", WEXITSTATUS(status));
		terminal_close(&term);
	}
}

/* -- pipes and files ------------------------------------------------------------------------- */

/* Runs a child in mode with standard input in (-1: closed), and returns what it says in *said. */
static void run_child(const char *mode, int in, char *said, size_t size, size_t *len)
{
	int out[2];
	pid_t pid;
	ssize_t n;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0)
		become(mode, in, out[1], 2);
	close(out[1]);
	for (*len = 0; (n = read(out[0], said + *len, size - *len)) > 0; *len += (size_t)n)
		;
	assert_int_equal(wait_for(pid, 0), 0);
	close(out[0]);
}

static void a_pipe_is_passed_on_byte_by_byte(void **state __unused)
{
	uint8_t bytes[512];
	char said[1024];
	size_t len;
	int in[2];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 256);
	memcpy(bytes + 100, "\001x", 2);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(write(in[1], bytes, sizeof(bytes)), sizeof(bytes));
	run_child("echo512", in[0], said, sizeof(said), &len);
	assert_int_equal(len, 6 + sizeof(bytes));
	assert_memory_equal(said + 6, bytes, sizeof(bytes));
	assert_int_equal(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0); /* only we may set it */
	close(in[0]);
	close(in[1]);
}

static void a_file_is_input_to_its_end(void **state __unused)
{
	FILE *f = tmpfile();
	char said[65536];
	size_t len;

	for (unsigned i = 0; i < 5000; i++)
		fprintf(f, "%08u\n", i);
	rewind(f);
	run_child("echo45000", fileno(f), said, sizeof(said), &len);
	assert_int_equal(len, 6 + 45000);
	assert_memory_equal(said + len - 9, "00004999\n", 9);
	fclose(f);
}

static void no_input_is_no_trouble(void **state __unused)
{
	int null = open("/dev/null", O_RDONLY);
	char said[64];
	size_t len;

	run_child("echo0", -1, said, sizeof(said), &len);
	assert_int_equal(len, 6);
	run_child("echo0", null, said, sizeof(said), &len);
	assert_int_equal(len, 6);
	close(null);
}

static void a_file_gets_the_output(void **state __unused)
{
	struct capture c;
	char path[] = "/tmp/minivmm-tty-XXXXXX", text[16];
	int fd = mkstemp(path);
	struct kept kept = { 0 };
	struct stream *s;
	struct loop loop;

	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(write(fd, "what was there", 14), 14);
	assert_int_equal(tty_file(&s, &loop, "serial port", "file", path, &kept), 0);
	stream_attach(s, child_ready, NULL, &child.lock);
	assert_int_equal(stream_write(s, "new", 3), 3);
	stream_destroy(s);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 3);
	assert_memory_equal(text, "new", 3);
	assert_int_equal(tty_file(&s, &loop, "serial port", "file", "/nonexistent", &kept), 0);
	stream_attach(s, child_ready, NULL, &child.lock);
	assert_int_equal(stream_write(s, "er", 2), 2);
	stream_destroy(s);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "newer", 5);
	kept_end(&kept);
	close(fd);
	unlink(path);

	capture_begin(&c);
	assert_int_equal(tty_file(&s, &loop, "--gpio", "log", "/nonexistent/file", NULL), -ENOENT);
	assert_string_equal(capture_end(&c),
			    "minivmm: --gpio: log=/nonexistent/file: No such file or directory\n");
	log_set_level(LOG_QUIET);
	assert_int_equal(tty_file(&s, &loop, "serial port", "file", "/nonexistent/file", NULL),
			 -ENOENT);
	assert_null(s);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(tty_file(&s, &loop, "serial port", "file", path, NULL), -ENXIO);
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(tty_file(&s, &loop, "serial port", "file", path, NULL), -ELOOP);
	assert_null(s);
	unlink(path);
	log_set_level(LOG_WARN);
	loop_destroy(&loop);
}

/* Ours is a copy: the caller's descriptor does not change, and may be closed. */
static void a_descriptor_is_used_as_it_was_opened(void **state __unused)
{
	int pair[2], fds[2];
	struct stream *s;
	struct loop loop;
	char text[16];

	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(tty_fd(&s, &loop, "serial port", pair[1], NULL), 0);
	close(pair[1]);
	stream_attach(s, child_ready, NULL, &child.lock);
	assert_int_equal(stream_write(s, "out", 3), 3);
	assert_int_equal(read(pair[0], text, sizeof(text)), 3);
	stream_destroy(s);
	assert_int_equal(read(pair[0], text, sizeof(text)), 0);
	close(pair[0]);

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(tty_fd(&s, &loop, "serial port", fds[1], NULL), 0);
	stream_attach(s, child_ready, NULL, &child.lock);
	assert_int_equal(stream_write(s, "out", 3), 3);
	assert_int_equal(read(fds[0], text, sizeof(text)), 3);
	stream_destroy(s);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(tty_fd(&s, &loop, "serial port", fds[0], NULL), 0);
	stream_attach(s, child_ready, NULL, &child.lock);
	assert_int_equal(stream_write(s, "no way out", 10), 10); /* is lost */
	stream_destroy(s);
	close(fds[0]);
	close(fds[1]);

	log_set_level(LOG_QUIET);
	assert_int_equal(tty_fd(&s, &loop, "serial port", fds[0], NULL), -EBADF);
	assert_null(s);
	log_set_level(LOG_WARN);
	loop_destroy(&loop);
}

/* -- a pseudo-terminal of ours --------------------------------------------------------------- */

static void *run(void *loop)
{
	assert_int_equal(loop_run(loop), 0);
	return NULL;
}

/* Opens one; finds its path in the line on standard error. */
static void pty_open(struct stream **s, struct loop *loop, char *path, size_t size)
{
	int err[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(err), 0);
	dup2(err[1], STDERR_FILENO);
	assert_int_equal(tty_pty(s, loop, "serial port", NULL), 0);
	dup2(saved, STDERR_FILENO);
	n = read(err[0], path, size - 1);
	assert_true(n > 0 && path[n - 1] == '\n');
	path[n - 1] = '\0';
	memmove(path, strstr(path, "/dev/pts/"), strlen(strstr(path, "/dev/pts/")) + 1);
	close(err[0]);
	close(err[1]);
	close(saved);
}

static void a_pty_is_opened_and_closed_at_will(void **state __unused)
{
	char path[256];
	struct loop loop;
	pthread_t thread;

	assert_int_equal(loop_init(&loop), 0);
	pty_open(&child.s, &loop, path, sizeof(path));
	stream_attach(child.s, child_ready, NULL, &child.lock);
	pthread_create(&thread, NULL, run, &loop);
	for (unsigned i = 0; i < 3; i++) {
		int fd;

		/* Nobody has it open: the guest need not wait for anybody. */
		pthread_mutex_lock(&child.lock);
		for (unsigned k = 0; k < 1000; k++)
			assert_int_equal(stream_write(child.s, path, sizeof(path)), sizeof(path));
		pthread_mutex_unlock(&child.lock);

		fd = open(path, O_RDWR | O_NOCTTY);
		assert_true(fd >= 0);
		type(fd, "echo"); /* the child's device above, on our loop */
		assert_true(says(fd, "echo"));
		type(fd, "\001x");
		assert_true(says(fd, "\001x")); /* there are no escapes here */
		close(fd);
	}
	loop_stop(&loop);
	pthread_join(thread, NULL);
	stream_destroy(child.s);
	loop_destroy(&loop);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typed_ends_restore_the_terminal),
		cmocka_unit_test(signals_restore_the_terminal),
		cmocka_unit_test(escapes_do_what_they_say),
		cmocka_unit_test(another_device_can_write_to_the_terminal),
		cmocka_unit_test(quitting_works_while_the_guest_reads_nothing),
		cmocka_unit_test(an_orphan_is_not_stopped),
		cmocka_unit_test(job_control_works),
		cmocka_unit_test(a_pipe_is_passed_on_byte_by_byte),
		cmocka_unit_test(a_file_is_input_to_its_end),
		cmocka_unit_test(no_input_is_no_trouble),
		cmocka_unit_test(a_file_gets_the_output),
		cmocka_unit_test(a_descriptor_is_used_as_it_was_opened),
		cmocka_unit_test(a_pty_is_opened_and_closed_at_will),
	};

	if (argc > 1)
		return child_main(argv[1]);
#ifdef __SANITIZE_THREAD__
	printf("1..0 # SKIP TSan holds signals back and runs handlers later, which is what most of these test; one thread here\n");
	return 0;
#endif
	/* nohup(1) and the like make some signals ignored, and the children would inherit that. */
	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("tty", tests, NULL, NULL);
}
