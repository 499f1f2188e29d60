/* SPDX-License-Identifier: BSD-2-Clause */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "places.h"

#define SHELL       "/bin/sh"
#define NR_OPEN     "/proc/sys/fs/nr_open"
#define FILE_MAX    "/proc/sys/fs/file-max"
#define MOST_OPEN   0x7fffffc0ul /* every kernel accepts this as NR_OPEN */
#define FIRST_OPEN  1048576ul    /* NR_OPEN's default */
#define SCRIPT_HEAD 256          /* bytes that are read to tell a script from other files */

/* Says on COMMAND's own standard error why it isn't run, as a shell would, and exits. */
static _Noreturn void refuse(int status, const char *what, const char *name)
{
	fprintf(stderr, "minivmm: %s%s: %s\n", what, name, strerror(errno));
	_exit(status);
}

/* Says, if path may exist on the host, why the guest doesn't have it. Keeps errno. */
static void advise(const char *path)
{
	if (errno != ENOENT || !place_is_guests(path))
		return;
	fprintf(stderr,
		"minivmm: %s: the guest's /run and /dev/shm are its own, without the host's files; minivmm run --share DIR gives it a directory there\n",
		path);
	errno = ENOENT;
}

static void take_streams(const int fd[3], bool terminal)
{
	setsid();
	if (terminal)
		ioctl(fd[0], TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		if (dup2(fd[i], i) < 0)
			_exit(126);
}

/* -- limits ---------------------------------------------------------------------------------- */

static void write_number(const char *path, unsigned long value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "%lu", value);
	close(fd);
}

void command_raise_bounds(const struct orders *o)
{
	unsigned long most = 0;

	for (size_t i = 0; i < o->nr_limits; i++)
		if (o->limit[i].resource == RLIMIT_NOFILE)
			most = o->limit[i].value.rlim_max;
	if (most > FIRST_OPEN)
		write_number(NR_OPEN, most < MOST_OPEN ? most : MOST_OPEN);
	/* By default this bound depends on the guest's memory, which may be small. The limits are
	 * what restricts a process, as on a host with systemd. */
	write_number(FILE_MAX, LONG_MAX);
}

/* Returns the largest number of descriptors that setrlimit(2) takes from root. */
static rlim_t most_open(void)
{
	FILE *f = fopen(NR_OPEN, "re");
	unsigned long most = FIRST_OPEN;

	if (f && fscanf(f, "%lu", &most) != 1)
		most = FIRST_OPEN;
	if (f)
		fclose(f);
	return most;
}

static void lower(struct rlimit *l, rlim_t most)
{
	l->rlim_max = l->rlim_max < most ? l->rlim_max : most;
	l->rlim_cur = l->rlim_cur < most ? l->rlim_cur : most;
}

/* Sets the limit, or as much of it as the kernel takes. */
static void set_limit(__typeof__(RLIMIT_CPU) resource, struct rlimit l)
{
	struct rlimit was;

	if (setrlimit(resource, &l) == 0)
		return;
	if (resource == RLIMIT_NOFILE) {
		lower(&l, most_open());
		if (setrlimit(resource, &l) == 0)
			return;
	}
	/* Either we may not raise it, or the kernel doesn't know it. */
	if (getrlimit(resource, &was) < 0)
		return;
	lower(&l, was.rlim_max);
	if (setrlimit(resource, &l) < 0)
		return;
}

/* -- the user -------------------------------------------------------------------------------- */

static void become_user(const struct orders *o)
{
	umask(o->umask);
	for (size_t i = 0; i < o->nr_limits; i++)
		set_limit((__typeof__(RLIMIT_CPU))o->limit[i].resource, o->limit[i].value);
	if ((geteuid() == 0 && setgroups(o->nr_groups, o->group) < 0) ||
	    setresgid(o->gid, o->gid, o->gid) < 0 || setresuid(o->uid, o->uid, o->uid) < 0)
		refuse(126, "can't become the user", "");
	if (chdir(o->directory) < 0) {
		advise(o->directory);
		refuse(126, "working directory ", o->directory);
	}
}

/* -- execvp(3) ------------------------------------------------------------------------------- */

/* May the shell run what the kernel doesn't? Returns 0, or the error if not. As in most shells, a
 * file with a NUL byte in its first line is not a script. */
static int check_script(const char *file)
{
	char head[SCRIPT_HEAD];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, head, sizeof(head)) : -1;
	const int error = len < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < len && head[i] != '\n'; i++)
		if (!head[i])
			return ENOEXEC;
	return error;
}

/* Runs SHELL FILE ARGUMENT... */
static void exec_script(char *file, char *const argv[])
{
	size_t nr = 0;
	char **args;

	while (argv[nr])
		nr++;
	args = calloc(nr + 2, sizeof(*args));
	if (!args)
		return;
	args[0] = SHELL;
	args[1] = file;
	for (size_t i = 1; i < nr; i++)
		args[i + 1] = argv[i];
	execv(SHELL, args);
	free(args);
}

/* Runs the file. Returns errno. */
static int exec_file(char *file, char *const argv[])
{
	int error;

	execv(file, argv);
	if (errno != ENOEXEC)
		return errno;
	error = check_script(file);
	if (error)
		return error;
	exec_script(file, argv);
	return ENOEXEC;
}

/* Is it the file itself that can't be run? EACCES also comes from a directory of PATH that may not
 * be searched. */
static bool is_there(const char *file, int error)
{
	return error != ENOENT && error != ENOTDIR && error != ESTALE &&
	       (error != EACCES || !access(file, F_OK));
}

/* Tries one directory after the other. Returns why the first file found can't be run, or ENOENT. A
 * file that may not be run doesn't end the search. */
static int exec_in_path(const char *name, char *const argv[])
{
	const char *path = getenv("PATH") ?: "/bin:/usr/bin";
	int first = ENOENT;
	char file[4096];

	for (size_t len; *name; path += len + 1) {
		int error = ENOENT;

		len = strcspn(path, ":");
		if (snprintf(file, sizeof(file), "%.*s%s%s", (int)len, path, len ? "/" : "", name) <
		    (int)sizeof(file))
			error = exec_file(file, argv);
		if (is_there(file, error) && first == ENOENT)
			first = error;
		if (!path[len] || (first != ENOENT && first != EACCES))
			break;
	}
	return first;
}

_Noreturn void command_exec(const struct orders *o, const int fd[3], int started)
{
	char *name = o->argv[0];
	sigset_t none;
	int error;

	take_streams(fd, o->terminal);
	become_user(o);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	environ = o->env;
	error = strchr(name, '/') ? exec_file(name, o->argv) : exec_in_path(name, o->argv);
	/* A byte says that COMMAND was not started. */
	if (write(started, "", 1) < 0)
		_exit(126);
	errno = error;
	advise(name);
	refuse(error == ENOENT ? 127 : 126, "", name);
}
