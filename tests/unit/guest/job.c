/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the guest's init that runs COMMAND, as a process of this machine, with socket pairs
 * for its connections. Nothing here depends on time: alarm() ends a test that hangs. Processes that
 * get signals do not fork at that time: dash would lose them. */
#include "guest/job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "vmm/types.h"

struct trial {
	int fd[GUEST_STREAMS]; /* the host's ends */
	pid_t pid;
	char control[1024], out[4096], err[4096];
};

static struct orders orders;
/* The special orders of a trial; ordinary() clears them after each. */
static struct orders wanted;

static void ordinary(void)
{
	wanted = (struct orders){ .umask = 027, .directory = "/usr" };
}

static void end_group(pid_t command)
{
	kill(-command, SIGKILL);
}

static _Noreturn void be_the_guest(struct trial *t, const int end[GUEST_STREAMS])
{
	struct job j = { .orders = &orders, .ended = end_group };
	sigset_t child;
	int status;

	for (int i = 0; i < GUEST_STREAMS; i++) {
		close(t->fd[i]);
		j.stream[i] = end[i];
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	status = job_run(&j);
	if (status >= 0)
		job_say_end(&j, status);
	_exit(0);
}

static void begin(struct trial *t, const char *const argv[], bool terminal)
{
	static char *env[] = { "PATH=/etc/passwd:/usr/bin:/bin", "COLOUR=blue", NULL };
	int end[GUEST_STREAMS];

	orders = wanted;
	orders.uid = getuid();
	orders.gid = getgid();
	orders.terminal = terminal;
	orders.rows = 33;
	orders.cols = 77;
	orders.argv = (char **)argv;
	orders.env = wanted.env ?: env;
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < GUEST_STREAMS; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		t->fd[i] = pair[0];
		end[i] = pair[1];
		fcntl(end[i], F_SETFL, O_NONBLOCK);
	}
	alarm(100);
	t->pid = fork();
	assert_true(t->pid >= 0);
	if (t->pid == 0)
		be_the_guest(t, end);
	for (int i = 0; i < GUEST_STREAMS; i++)
		close(end[i]);
}

static void begin_shell(struct trial *t, const char *script)
{
	begin(t, (const char *const[]){ "sh", "-c", script, NULL }, false);
}

static void end_stream(struct trial *t, int i)
{
	close_fd(&t->fd[i]);
}

/* Reads all of it, as text. */
static void read_all(int fd, char *text, size_t room)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, text + len, room - 1 - len, 0)) > 0)
		len += (size_t)n;
	text[len] = '\0';
}

/* Reads what it says until it ends, without the time that init took. */
static void read_control(struct trial *t)
{
	char *started, *line;

	read_all(t->fd[GUEST_CONTROL], t->control, sizeof(t->control));
	started = strstr(t->control, "started ");
	if (!started)
		return;
	started += strlen("started");
	line = strchr(started, '\n');
	assert_non_null(line);
	memmove(started, line, strlen(line) + 1);
}

/* Reads what it prints and says until it ends. */
static void finish(struct trial *t)
{
	read_all(t->fd[GUEST_STDOUT], t->out, sizeof(t->out));
	read_all(t->fd[GUEST_STDERR], t->err, sizeof(t->err));
	read_control(t);
	for (int i = 0; i < GUEST_STREAMS; i++)
		end_stream(t, i);
	assert_int_equal(waitpid(t->pid, NULL, 0), t->pid);
}

static void every_status_is_told(void **state __unused)
{
	struct trial t;
	char script[32], said[32];

	for (int i = 0; i < 256; i++) {
		snprintf(script, sizeof(script), "exit %d", i);
		snprintf(said, sizeof(said), "started\nexit %d\n", i);
		begin_shell(&t, script);
		finish(&t);
		assert_string_equal(t.control, said);
	}
}

static void the_signal_that_ended_it_is_told(void **state __unused)
{
	struct trial t;

	begin_shell(&t, "kill -KILL $$");
	finish(&t);
	assert_string_equal(t.control, "started\nsignal 9\n");
	begin_shell(&t, "kill -TERM $$");
	finish(&t);
	assert_string_equal(t.control, "started\nsignal 15\n");
}

static char here[] = "/tmp/minivmm-job-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned next;
	char *p = path[next++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", here, name);
	return p;
}

static const char *make(const char *name, const void *bytes, size_t len, mode_t mode)
{
	const char *path = in_dir(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

#define MAKE(name, text, mode) make(name, text, sizeof(text) - 1, mode)

/* It ends with this status and only the sentence, which shows that it was never started. */
static void cannot_run(const char *command, int status, const char *why)
{
	char said[512];
	struct trial t;

	begin(&t, (const char *const[]){ command, NULL }, false);
	finish(&t);
	snprintf(said, sizeof(said), "exit %d\n", status);
	assert_string_equal(t.control, said);
	snprintf(said, sizeof(said), "minivmm: %s: %s\n", command, why);
	assert_string_equal(t.err, said);
}

/* The statuses of a shell: 127 for a file that doesn't exist, 126 for one that can't be run. */
static void what_cannot_run_ends_as_in_a_shell(void **state __unused)
{
	static const char elf[] = "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1\0\0\0";
	char name[400];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cannot_run("no-such-program", 127, "No such file or directory");
	cannot_run("", 127, "No such file or directory");
	cannot_run("/no/such/program", 127, "No such file or directory");
	cannot_run("/etc/passwd", 126, "Permission denied");
	cannot_run("/etc/passwd/x", 126, "Not a directory");
	cannot_run("/usr", 126, "Permission denied");
	cannot_run("bin/", 126, "Permission denied");
	cannot_run(name, 126, "File name too long");
	cannot_run(make("foreign", elf, sizeof(elf), 0755), 126, "Exec format error");
	cannot_run(MAKE("garbage", "\1\2\3\0echo no\n", 0755), 126, "Exec format error");
	cannot_run(MAKE("lost", "#!/no/such/interpreter\n", 0755), 127,
		   "No such file or directory");
	cannot_run(MAKE("text", "echo no\n", 0644), 126, "Permission denied");
	if (geteuid())
		cannot_run(MAKE("closed", "echo no\n", 0111), 126, "Permission denied");
}

static void a_script_needs_no_first_line(void **state __unused)
{
	const char *path = MAKE("script", "echo \"$0 $#:$1:$2:$3\"; exit 7\n", 0755);
	char said[256];
	struct trial t;

	begin(&t, (const char *const[]){ path, "one two", "", "*", NULL }, false);
	finish(&t);
	snprintf(said, sizeof(said), "%s 3:one two::*\n", path);
	assert_string_equal(t.out, said);
	assert_string_equal(t.control, "started\nexit 7\n");
	path = MAKE("empty", "", 0755);
	begin(&t, (const char *const[]){ path, NULL }, false);
	finish(&t);
	assert_string_equal(t.control, "started\nexit 0\n");
	path = MAKE("late", "exit 3\n\0\1\2", 0755); /* data after a script, as in an installer */
	begin(&t, (const char *const[]){ path, NULL }, false);
	finish(&t);
	assert_string_equal(t.control, "started\nexit 3\n");
}

static void path_is_searched_as_execvp_does(void **state __unused)
{
	char path[256], *env[] = { path, NULL };
	struct trial t;

	/* A file that may not be run is passed over if there is another. */
	assert_int_equal(mkdir(in_dir("a"), 0755), 0);
	assert_int_equal(mkdir(in_dir("b"), 0755), 0);
	MAKE("a/found", "echo wrong\n", 0644);
	MAKE("a/only", "echo wrong\n", 0644);
	MAKE("b/found", "echo \"right $1\"\n", 0755);
	snprintf(path, sizeof(path), "PATH=/no/such:/etc/passwd:%s/a:%s/b", here, here);
	wanted.env = env;
	begin(&t, (const char *const[]){ "found", "one", NULL }, false);
	finish(&t);
	assert_string_equal(t.out, "right one\n");
	cannot_run("only", 126, "Permission denied");
	cannot_run("none", 127, "No such file or directory");
	/* An empty part is the working directory; if PATH is missing, there is a default. */
	snprintf(path, sizeof(path), "PATH=/no/such:");
	wanted.directory = in_dir("b");
	begin(&t, (const char *const[]){ "found", "two", NULL }, false);
	finish(&t);
	assert_string_equal(t.out, "right two\n");
	snprintf(path, sizeof(path), "NOPATH=");
	begin(&t, (const char *const[]){ "sh", "-c", "echo here", NULL }, false);
	finish(&t);
	assert_string_equal(t.out, "here\n");
	ordinary();
}

/* A limit above what this kernel allows becomes what it allows. */
static void limits_come_as_near_as_they_can(void **state __unused)
{
	struct rlimit was, less;
	struct trial t;
	unsigned long soft, hard;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	less = (struct rlimit){ 100, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
	wanted.nr_limits = 2;
	wanted.limit[0].resource = RLIMIT_NOFILE;
	wanted.limit[0].value = (struct rlimit){ RLIM_INFINITY - 1, RLIM_INFINITY };
	wanted.limit[1].resource = RLIMIT_CORE;
	wanted.limit[1].value = (struct rlimit){ 0, 0 };
	begin_shell(&t, "ulimit -Sn; ulimit -Hn; ulimit -c");
	finish(&t);
	assert_int_equal(sscanf(t.out, "%lu %lu", &soft, &hard), 2);
	assert_true(soft == hard && hard >= was.rlim_max);
	assert_string_equal(strrchr(t.out, '\n') - 2, "\n0\n");
	/* A possible limit is kept, with its separate soft limit. */
	wanted.limit[0].value = (struct rlimit){ 77, 99 };
	begin_shell(&t, "ulimit -Sn; ulimit -Hn");
	finish(&t);
	assert_string_equal(t.out, "77\n99\n");
	ordinary();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void each_stream_has_its_own(void **state __unused)
{
	struct trial t;

	begin_shell(&t, "echo out; echo err >&2; echo again > /dev/stdout; echo too > /dev/stderr");
	finish(&t);
	assert_string_equal(t.out, "out\nagain\n");
	assert_string_equal(t.err, "err\ntoo\n");
}

/* Ten thousand lines in turn, which the host takes slowly. */
static void one_output_keeps_its_order(void **state __unused)
{
	static char text[256 * KIB];
	struct trial t;
	const char *at = text;
	char line[32];

	wanted.one_output = true;
	begin_shell(
		&t,
		"i=0; while [ $i -lt 5000 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done; echo late >/dev/stderr");
	ordinary();
	read_all(t.fd[GUEST_STDOUT], text, sizeof(text));
	finish(&t);
	assert_string_equal(t.err, "");
	assert_string_equal(t.control, "started\nexit 0\n");
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(line, sizeof(line), "%s %u\n", i & 1 ? "err" : "out", i / 2);
		assert_true(!strncmp(at, line, strlen(line)));
		at += strlen(line);
	}
	assert_string_equal(at, "late\n");
}

/* Its reader goes away: the command notices with either stream. */
static void one_output_can_be_closed(void **state __unused)
{
	struct trial t;
	char byte;

	wanted.one_output = true;
	begin_shell(&t, "exec yes >&2");
	ordinary();
	assert_int_equal(recv(t.fd[GUEST_STDOUT], &byte, 1, 0), 1);
	assert_int_equal(recv(t.fd[GUEST_STDERR], &byte, 1, 0), 0);
	end_stream(&t, GUEST_STDOUT);
	read_control(&t);
	assert_string_equal(t.control, "started\nsignal 13\n");
	finish(&t);
}

/* Pipes or a terminal: how many descriptors of the command are its standard output. With one more,
 * it could close its own and nobody would see their end. */
static void it_has_its_streams_once(void **state __unused)
{
	static const char *const script[] = {
		"sh", "-c",
		"for f in /proc/$$/fd/*; do [ $f -ef /proc/$$/fd/1 ] && echo one; done; exit 0",
		NULL
	};
	struct trial t;

	begin(&t, script, false);
	finish(&t);
	assert_string_equal(t.out, "one\n");
	wanted.one_output = true;
	begin(&t, script, false);
	ordinary();
	finish(&t);
	assert_string_equal(t.out, "one\none\n");
	begin(&t, script, true);
	finish(&t);
	assert_string_equal(t.out, "one\r\none\r\none\r\n");
}

static void it_gets_what_was_ordered(void **state __unused)
{
	struct trial t;

	begin_shell(&t, "pwd; umask; echo $COLOUR; echo ${HOME-none}; ulimit -n");
	finish(&t);
	assert_true(!strncmp(t.out, "/usr\n0027\nblue\nnone\n", 20));
	begin_shell(&t, "[ $$ = \"$(cut -d ' ' -f 6 </proc/$$/stat)\" ] && echo leads its session");
	finish(&t);
	assert_string_equal(t.out, "leads its session\n");
	begin_shell(&t, "grep -E '^Sig(Blk|Ign)' /proc/self/status");
	finish(&t);
	assert_string_equal(t.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void a_directory_that_is_not_there_is_said(void **state __unused)
{
	struct trial t;

	wanted.directory = "/no-such-directory";
	begin_shell(&t, "true");
	ordinary();
	finish(&t);
	assert_string_equal(
		t.err,
		"minivmm: working directory /no-such-directory: No such file or directory\n");
	assert_non_null(strstr(t.control, "exit 126\n"));
	/* In the guest's own directories, the message names the way out. */
	wanted.directory = "/run/no-such-directory";
	begin_shell(&t, "true");
	ordinary();
	finish(&t);
	assert_string_equal(
		t.err,
		"minivmm: /run/no-such-directory: the guest's /run and /dev/shm are its own, without the host's files; minivmm run --share DIR gives it a directory there\nminivmm: working directory /run/no-such-directory: No such file or directory\n");
	assert_non_null(strstr(t.control, "exit 126\n"));
}

/* It writes and reads at the same time, at any speed. */
static void much_goes_both_ways_unchanged(void **state __unused)
{
	static uint8_t in[3 * MIB], out[3 * MIB];
	struct trial t;
	size_t sent = 0, got = 0;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 31 >> 4);
	begin_shell(&t, "cat; echo done >&2");
	while (got < sizeof(out)) {
		struct pollfd p[2] = {
			{ .fd = sent < sizeof(in) ? t.fd[GUEST_STDIN] : -1, .events = POLLOUT },
			{ .fd = t.fd[GUEST_STDOUT], .events = POLLIN },
		};
		ssize_t n;

		assert_true(poll(p, 2, -1) > 0);
		if (p[0].revents) {
			n = send(p[0].fd, in + sent, min(sizeof(in) - sent, 100000ul),
				 MSG_DONTWAIT);
			sent += n > 0 ? (size_t)n : 0;
			if (sent == sizeof(in))
				shutdown(p[0].fd, SHUT_WR);
		}
		if (p[1].revents) {
			n = recv(p[1].fd, out + got, sizeof(out) - got, MSG_DONTWAIT);
			assert_true(n != 0);
			got += n > 0 ? (size_t)n : 0;
		}
	}
	finish(&t);
	assert_memory_equal(in, out, sizeof(in));
	assert_string_equal(t.out, "");
	assert_string_equal(t.err, "done\n");
	assert_string_equal(t.control, "started\nexit 0\n");
}

static void a_reader_that_goes_gives_it_sigpipe(void **state __unused)
{
	struct trial t;
	char byte;

	begin(&t, (const char *const[]){ "yes", NULL }, false);
	assert_int_equal(recv(t.fd[GUEST_STDOUT], &byte, 1, 0), 1);
	end_stream(&t, GUEST_STDOUT);
	read_control(&t);
	assert_string_equal(t.control, "started\nsignal 13\n");
	finish(&t);
}

static void input_that_nobody_reads_is_refused(void **state __unused)
{
	static char data[100000];
	struct trial t;
	char c;

	begin_shell(&t, "exec <&-; echo closed; exec cat /dev/zero >&2");
	assert_int_equal(recv(t.fd[GUEST_STDOUT], &c, 1, 0), 1);
	while (send(t.fd[GUEST_STDIN], data, sizeof(data), MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EPIPE);
	end_stream(&t, GUEST_STDERR);
	finish(&t);
	assert_string_equal(t.control, "started\nsignal 13\n");
}

static void what_it_leaves_running_does_not_hold_the_streams(void **state __unused)
{
	struct trial t;

	begin_shell(&t, "sleep 1000 & echo $!; exit 3");
	finish(&t);
	assert_string_equal(t.control, "started\nexit 3\n");
	assert_true(atoi(t.out) > 1);
}

static void tell(struct trial *t, const char *line)
{
	assert_int_equal(send(t->fd[GUEST_CONTROL], line, strlen(line), 0), strlen(line));
}

static void signals_are_forwarded_to_all_of_it(void **state __unused)
{
	struct trial t;
	char c;

	begin_shell(&t, "trap 'echo caught; exit 5' USR1; echo; while :; do :; done");
	assert_int_equal(recv(t.fd[GUEST_STDOUT], &c, 1, 0), 1);
	tell(&t, "nonsense\nsignal x\nsignal 100000\nsignal -1\nsig");
	tell(&t, "nal 10\n");
	finish(&t);
	assert_string_equal(t.out, "caught\n");
	assert_string_equal(t.control, "started\nexit 5\n");
	begin(&t, (const char *const[]){ "sleep", "1000", NULL }, false);
	tell(&t, "signal 2\n");
	finish(&t);
	assert_string_equal(t.control, "started\nsignal 2\n");
}

static void a_host_that_is_gone_is_the_end(void **state __unused)
{
	struct trial t;
	char c;

	begin_shell(&t, "echo; exec cat");
	assert_int_equal(recv(t.fd[GUEST_STDOUT], &c, 1, 0), 1);
	end_stream(&t, GUEST_CONTROL);
	assert_int_equal(waitpid(t.pid, NULL, 0), t.pid); /* and cat's input ends with it */
	for (int i = 0; i < GUEST_STREAMS; i++)
		end_stream(&t, i);
}

/* Reads the terminal until it shows the text. */
static void await(struct trial *t, const char *text)
{
	size_t len = strlen(t->out);

	while (!strstr(t->out, text)) {
		ssize_t n = recv(t->fd[GUEST_STDOUT], t->out + len, sizeof(t->out) - 1 - len, 0);

		assert_true(n > 0);
		len += (size_t)n;
		t->out[len] = '\0';
	}
}

static void type(struct trial *t, const char *text)
{
	assert_int_equal(send(t->fd[GUEST_STDIN], text, strlen(text), 0), strlen(text));
}

static void it_can_have_a_terminal(void **state __unused)
{
	struct trial t;

	begin(&t,
	      (const char *const[]){
		      "sh", "-c",
		      "test -t 0 && test -t 1 && test -t 2 && echo terminal && stty size; read -r a; echo \"got $a\"; cat; echo end; exec cat",
		      NULL },
	      true);
	await(&t, "terminal\r\n33 77\r\n");
	type(&t, "one\n");
	await(&t, "got one\r\n");
	type(&t, "two\n\004"); /* Ctrl-D */
	await(&t, "two\r\ntwo\r\nend\r\n");
	type(&t, "three");
	end_stream(&t, GUEST_STDIN); /* ends the stream, too, after a line without an end */
	await(&t, "threethree");
	finish(&t);
	assert_string_equal(t.control, "started\nexit 0\n");
}

static void its_terminal_changes_size(void **state __unused)
{
	struct trial t;

	begin(&t,
	      (const char *const[]){
		      "sh", "-c", "trap 'stty size; exit 7' WINCH; echo ready; while :; do :; done",
		      NULL },
	      true);
	await(&t, "ready\r\n");
	tell(&t, "size 50 100\n");
	await(&t, "50 100\r\n");
	finish(&t);
	assert_string_equal(t.control, "started\nexit 7\n");
}

static void ctrl_c_interrupts_it(void **state __unused)
{
	struct trial t;

	begin(&t, (const char *const[]){ "cat", NULL }, true);
	type(&t, "ready\n");
	await(&t, "ready\r\nready\r\n");
	type(&t, "\003");
	finish(&t);
	assert_string_equal(t.control, "started\nsignal 2\n");
}

static int make_dir(void **state __unused)
{
	ordinary();
	return mkdtemp(here) ? 0 : -1;
}

static int remove_dir(void **state __unused)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", here);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_is_told),
		cmocka_unit_test(the_signal_that_ended_it_is_told),
		cmocka_unit_test(what_cannot_run_ends_as_in_a_shell),
		cmocka_unit_test(a_script_needs_no_first_line),
		cmocka_unit_test(path_is_searched_as_execvp_does),
		cmocka_unit_test(limits_come_as_near_as_they_can),
		cmocka_unit_test(each_stream_has_its_own),
		cmocka_unit_test(one_output_keeps_its_order),
		cmocka_unit_test(one_output_can_be_closed),
		cmocka_unit_test(it_has_its_streams_once),
		cmocka_unit_test(it_gets_what_was_ordered),
		cmocka_unit_test(a_directory_that_is_not_there_is_said),
		cmocka_unit_test(much_goes_both_ways_unchanged),
		cmocka_unit_test(a_reader_that_goes_gives_it_sigpipe),
		cmocka_unit_test(input_that_nobody_reads_is_refused),
		cmocka_unit_test(what_it_leaves_running_does_not_hold_the_streams),
		cmocka_unit_test(signals_are_forwarded_to_all_of_it),
		cmocka_unit_test(a_host_that_is_gone_is_the_end),
		cmocka_unit_test(it_can_have_a_terminal),
		cmocka_unit_test(its_terminal_changes_size),
		cmocka_unit_test(ctrl_c_interrupts_it),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
