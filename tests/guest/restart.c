/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that restarts, in a directory in which it (here: this test) has changed every name.
 * restart IMAGES; prints TAP; skips without /dev/kvm. It also runs under TSan.
 *
 * From the start to the end its threads look up no name except below a descriptor (names_guard.h).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "minivmm.h"
#include "names_guard.h"

#define RESTARTS 6

static int points, failures;

static void point(bool ok, const char *name)
{
	failures += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ++points, name);
	fflush(stdout);
}

static void bail(const char *why)
{
	printf("Bail out! %s: %s (%s)\n", why, strerror(errno), minivmm_error());
	exit(1);
}

/* -- the machine ----------------------------------------------------------------------------- */

static char dir[] = "/tmp/restart-XXXXXX", old[64], victim[64];
static char pty[PATH_MAX];
static struct minivmm *vm;
static int serial;
static int restarted, ptys; /* atomic */

static void on_log(void *ctx, int level, const char *text)
{
	const char *at = strstr(text, "/dev/pts/");

	(void)ctx;
	if (level == MINIVMM_ASKED && at) {
		snprintf(pty, sizeof(pty), "%s", at);
		__atomic_add_fetch(&ptys, 1, __ATOMIC_ACQ_REL);
		return;
	}
	printf("# %d %s\n", level, text);
}

static void on_event(void *ctx, int event)
{
	(void)ctx;
	if (event == MINIVMM_RESTARTED)
		__atomic_add_fetch(&restarted, 1, __ATOMIC_ACQ_REL);
}

static const char *in_dir(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make_file(const char *name, off_t size)
{
	int fd = open(in_dir(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, size) < 0)
		bail(name);
	close(fd);
}

/* Listens for as long as this process lives; never answers. */
static void listen_at(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.60s/%.40s", dir, name);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 100) < 0)
		bail(name);
}

static void set(struct minivmm_config *c, const char *name, const char *fmt)
{
	char value[PATH_MAX];
	const char *at = fmt ? strchr(fmt, '@') : NULL;
	size_t n = 0;

	for (; at; fmt = at + 1, at = strchr(fmt, '@'))
		n += (size_t)snprintf(value + n, sizeof(value) - n, "%.*s%s", (int)(at - fmt), fmt,
				      dir);
	if (fmt)
		snprintf(value + n, sizeof(value) - n, "%s", fmt);
	if (minivmm_config_set(c, name, fmt ? value : NULL) < 0)
		bail(name);
}

/* Is it built in, and is the library there? */
static bool has_slirp(struct minivmm_config *c)
{
	char *text = NULL;
	bool is_in = minivmm_text(c, MINIVMM_ACTION_VERSION, &text) == 0 && strstr(text, "slirp");

	free(text);
	return is_in && dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
}

/* Sets all options that take a path, and those by number. */
static void make(const char *image)
{
	struct minivmm_config *c = minivmm_config_new();
	char command[2 * PATH_MAX], fd[32];
	int pair[2];

	if (!mkdtemp(dir) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		bail("mkdtemp");
	snprintf(old, sizeof(old), "%s.old", dir);
	snprintf(victim, sizeof(victim), "%s.victim", dir);
	snprintf(command, sizeof(command),
		 "cp %s %s/kernel && mkdir %s %s/share %s/net && echo untouched >%s", image, dir,
		 old, dir, dir, victim);
	if (system(command) != 0)
		bail("cp");
	listen_at("net/peer");
	make_file("initrd", 4096);
	make_file("raw", 1 << 20);
	make_file("base", 1 << 20);
	serial = pair[0];
	snprintf(fd, sizeof(fd), "fd=%d", pair[1]);
	minivmm_config_log(c, on_log, NULL);
	minivmm_config_events(c, on_event, NULL);
	set(c, "kernel", "@/kernel");
	set(c, "kernel-cache", "@/cache");
	set(c, "initrd", "@/initrd");
	set(c, "memory", "64M");
	set(c, "on-reset", "restart");
	set(c, "serial", fd);
	set(c, "console", "file=@/log");
	set(c, "port", "name=s,socket=@/socket");
	set(c, "port", "name=p,pty");
	set(c, "disk", "@/raw");
	set(c, "disk", "@/base,overlay=@/overlay");
	set(c, "disk", "@/base,overlay=temp");
	set(c, "fs", "tag=t,path=@/share");
	set(c, "vsock", "cid=7,socket=@/vsock");
	set(c, "balloon", NULL);
	set(c, "net", "socket=@/net/peer");
	if (has_slirp(c))
		set(c, "net", "user");
	if (access("/dev/net/tun", R_OK | W_OK) == 0 && geteuid() == 0)
		set(c, "net", "tap=auto");
	if (minivmm_create(c, &vm) < 0)
		bail("create");
	minivmm_config_free(c);
	close(pair[1]); /* it is kept, too */
}

static sem_t go;

/* The life of the machine: the guard watches this thread and all that it starts. */
static void *live(void *arg)
{
	sem_t *guarded = arg;
	const bool ok = guard_me();

	sem_post(guarded);
	if (!ok)
		return NULL;
	if (minivmm_start(vm) < 0)
		bail("start");
	sem_wait(&go);
	minivmm_destroy(vm);
	return NULL;
}

/* -- what is looked at ----------------------------------------------------------------------- */

static bool talks(void)
{
	struct pollfd p = { .fd = serial, .events = POLLIN };
	char byte;

	return poll(&p, 1, 60000) > 0 && read(serial, &byte, 1) == 1 && byte == '.';
}

static void *listen_to_it(void *arg)
{
	char buf[4096];

	(void)arg;
	while (read(serial, buf, sizeof(buf)) > 0)
		;
	return NULL;
}

static void tell(char letter)
{
	if (send(serial, &letter, 1, MSG_NOSIGNAL) != 1 && errno != EPIPE)
		bail("the serial port");
}

static const char *const names[] = { "kernel", "initrd", "raw",    "base",  "overlay",
				     "share",  "log",    "socket", "vsock", "net" };

/* Changes the names as a guest would that shares the directory. */
static void swap_names(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char to[128];

		snprintf(to, sizeof(to), "%s/%s", old, names[i]);
		if (rename(in_dir(names[i]), to) < 0 || symlink(victim, in_dir(names[i])) < 0)
			bail(names[i]);
	}
}

/* Is the file among our descriptors? Other threads may close theirs meanwhile: for TSan that is a
 * race with fstat(), but not with the system call itself. */
static bool is_open(const char *path)
{
	struct stat want, st;

	if (stat(path, &want) < 0)
		bail(path);
	for (int fd = 3; fd < 1024; fd++)
		if (syscall(SYS_fstat, fd, &st) == 0 && st.st_dev == want.st_dev &&
		    st.st_ino == want.st_ino)
			return true;
	return false;
}

static bool old_is_open(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", old, name);
	return is_open(path);
}

/* Connects a client to the listener at the old socket. */
static bool connects(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.60s/%.40s", old, name);
	ok = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ||
	     errno == EAGAIN; /* many wait already */
	close(fd);
	return ok;
}

static bool is_untouched(void)
{
	char text[64] = "";
	FILE *f = fopen(victim, "re");
	bool ok = f && fgets(text, sizeof(text), f) && !strcmp(text, "untouched\n") &&
		  fgetc(f) == EOF;

	if (f)
		fclose(f);
	return ok;
}

static bool opens(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool lives(void)
{
	return minivmm_end(vm) == MINIVMM_NOT_ENDED;
}

static void restart_it(void)
{
	bool connected = true;

	for (int i = 1; i <= RESTARTS && lives(); i++) {
		tell('r');
		while (__atomic_load_n(&restarted, __ATOMIC_ACQUIRE) < i && lives())
			connected = connects("socket") && connects("vsock") && connected;
	}
	point(lives(), "it restarts, though all its files' names lead elsewhere");
	point(connected, "whoever connects meanwhile waits for the next life");
}

static void look_at_it(void)
{
	bool all = true;

	for (size_t i = 2; i < 7; i++)
		all = old_is_open(names[i]) && all;
	point(all && old_is_open("kernel") && old_is_open("initrd"),
	      "its later lives have the files of the first");
	point(!is_open(victim) && is_untouched(), "and not those that the names lead to");
	point(__atomic_load_n(&ptys, __ATOMIC_ACQUIRE) == 1 && opens(pty),
	      "the pseudo-terminal is the same, and was told of once");
}

/* -- one that does nothing but reset itself -------------------------------------------------- */

static int told; /* atomic: it was told that it is kept waiting */

static void on_waiting(void *ctx, int level, const char *text)
{
	(void)ctx;
	if (level == MINIVMM_WARN && strstr(text, "kept waiting"))
		__atomic_add_fetch(&told, 1, __ATOMIC_ACQ_REL);
}

static void resets_for_ever(const char *image, enum minivmm_stop how, enum minivmm_end end,
			    const char *name)
{
	struct minivmm_config *c = minivmm_config_new();
	struct minivmm *m;

	__atomic_store_n(&told, 0, __ATOMIC_RELEASE);
	minivmm_config_log(c, on_waiting, NULL);
	if (minivmm_config_set(c, "kernel", image) < 0 ||
	    minivmm_config_set(c, "memory", "64M") < 0 ||
	    minivmm_config_set(c, "on-reset", "restart") < 0 || minivmm_create(c, &m) < 0 ||
	    minivmm_start(m) < 0)
		bail(image);
	while (!__atomic_load_n(&told, __ATOMIC_ACQUIRE))
		usleep(1000);
	usleep(1000000); /* it may or may not be waiting; longer each time */
	point(minivmm_pause(m) == 0 && minivmm_resume(m) == 0 && minivmm_stop(m, how) == 0 &&
		      minivmm_wait(m, 60000) == 0 && minivmm_end(m) == end,
	      name);
	minivmm_destroy(m);
	minivmm_config_free(c);
}

static void clean_up(void)
{
	char command[2 * PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf %s %s %s", dir, old, victim);
	if (system(command) != 0)
		bail("rm");
}

int main(int argc, char **argv)
{
	pthread_t life, watch, listener;
	char image[PATH_MAX];
	sem_t guarded;
	struct stat st;

	if (argc != 2) {
		printf("Bail out! restart IMAGES\n");
		return 1;
	}
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("1..0 # SKIP no /dev/kvm that this user may use\n");
		return 0;
	}
	snprintf(image, sizeof(image), "%.4000s/talk.bz", argv[1]); /* it is kept unpacked */
	if (access(image, R_OK) < 0)
		snprintf(image, sizeof(image), "%.4000s/talk.bin", argv[1]);
	make(image);
	sem_init(&guarded, 0, 0);
	sem_init(&go, 0, 0);
	pthread_create(&life, NULL, live, &guarded);
	sem_wait(&guarded);
	if (guard_fd < 0) {
		printf("1..0 # SKIP seccomp's user notification is not to be had: %s\n",
		       strerror(errno));
		minivmm_destroy(vm);
		clean_up();
		return 0;
	}
	pthread_create(&watch, NULL, guard, NULL);
	point(talks(), "it lives");
	swap_names();
	pthread_create(&listener, NULL, listen_to_it, NULL);
	restart_it();
	look_at_it();
	tell('p');
	point(minivmm_wait(vm, 60000) == 0 && minivmm_end(vm) == MINIVMM_POWER_OFF,
	      "and it ends as it is told");
	sem_post(&go);
	pthread_join(life, NULL);
	pthread_join(watch, NULL);
	pthread_join(listener, NULL);
	point(lstat(in_dir("socket"), &st) == 0 && S_ISLNK(st.st_mode) && is_untouched(),
	      "nothing of others' is removed at the end");
	fputs(caught, stdout);
	printf("# %u calls with a name were looked at\n", looked_at);
	point(!*caught, "from its start to its end nothing was opened by name");
	clean_up();
	snprintf(image, sizeof(image), "%.4000s/reset.bin", argv[1]);
	resets_for_ever(image, MINIVMM_AT_ONCE, MINIVMM_KILLED, "it can be stopped between lives");
	resets_for_ever(image, MINIVMM_POWER_BUTTON, MINIVMM_RESET,
			"the power button ends it between lives");
	printf("1..%d\n", points);
	return failures > 0;
}
