/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library as its users use it: several machines in one process, used by several threads.
 *
 *	library IMAGES
 *
 * It prints TAP, and skips without /dev/kvm. It also runs under TSan.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "minivmm.h"

static const char *kernel, *spinning; /* bare/talk.c, bare/spin.c */
static int points, failures;

static void point(bool ok, const char *name)
{
	failures += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ++points, name);
	fflush(stdout);
}

/* The callbacks' record of what they were told. */
struct heard {
	pthread_mutex_t lock;
	char log[4096];
	int started, restarted, ended;
	struct minivmm *ends; /* or NULL: the last event asks it to end, which takes a while */
	int end, status;
};

static void on_log(void *ctx, int level, const char *text)
{
	struct heard *h = ctx;
	size_t len;

	pthread_mutex_lock(&h->lock);
	len = strlen(h->log);
	snprintf(h->log + len, sizeof(h->log) - len, "%d %s\n", level, text);
	pthread_mutex_unlock(&h->lock);
}

static void on_event(void *ctx, int event)
{
	struct heard *h = ctx;

	pthread_mutex_lock(&h->lock);
	h->started += event == MINIVMM_STARTED;
	h->restarted += event == MINIVMM_RESTARTED;
	pthread_mutex_unlock(&h->lock);
	if (event == MINIVMM_ENDED && h->ends) {
		usleep(50000);
		h->end = minivmm_end(h->ends);
		h->status = minivmm_status(h->ends);
	}
	h->ended += event == MINIVMM_ENDED;
}

struct guest {
	struct minivmm *vm;
	int serial; /* our end */
	struct heard heard;
};

/* Makes a machine and does not start it. options: NAME, VALUE, …, NULL. */
static void make(struct guest *g, const char *const options[])
{
	struct minivmm_config *c = minivmm_config_new();
	int pair[2], rc = 0;
	char fd[16];

	*g = (struct guest){ .heard.lock = PTHREAD_MUTEX_INITIALIZER };
	if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	g->serial = pair[0];
	snprintf(fd, sizeof(fd), "fd=%d", pair[1]);
	minivmm_config_log(c, on_log, &g->heard);
	minivmm_config_events(c, on_event, &g->heard);
	rc |= minivmm_config_set(c, "kernel", kernel);
	rc |= minivmm_config_set(c, "memory", "64M");
	rc |= minivmm_config_set(c, "serial", fd);
	for (; options && *options; options += 2)
		rc |= minivmm_config_set(c, options[0], options[1]);
	if (rc < 0 || minivmm_create(c, &g->vm) < 0) {
		printf("Bail out! %s\n", minivmm_error());
		exit(1);
	}
	minivmm_config_free(c);
	if (!options)
		close(pair[1]);
}

static void destroy(struct guest *g)
{
	minivmm_destroy(g->vm);
	close(g->serial);
}

/* Returns whether the guest says something. */
static bool talks(struct guest *g)
{
	struct pollfd p = { .fd = g->serial, .events = POLLIN };
	char byte;

	return poll(&p, 1, 60000) > 0 && read(g->serial, &byte, 1) == 1 && byte == '.';
}

/* Reads until the guest is silent. False: it said more than can have been under way. */
static bool falls_silent(struct guest *g)
{
	struct pollfd p = { .fd = g->serial, .events = POLLIN };
	size_t heard = 0;
	char buf[4096];

	while (poll(&p, 1, 300) > 0 && heard < 4 << 20) {
		ssize_t n = read(g->serial, buf, sizeof(buf));

		heard += n > 0 ? (size_t)n : 0;
	}
	return heard < 4 << 20;
}

static void *listen_to(void *arg)
{
	struct guest *g = arg;
	char buf[4096];

	while (read(g->serial, buf, sizeof(buf)) > 0)
		;
	return NULL;
}

static void tell(struct guest *g, char letter)
{
	if (write(g->serial, &letter, 1) != 1)
		abort();
}

/* -- one after the other --------------------------------------------------------------------- */

/* A whole life; returns whether all was as it should be. */
static void *life(void *arg)
{
	struct guest g;
	pthread_t listener;
	bool ok;

	make(&g, NULL);
	ok = minivmm_wait(g.vm, 0) == -EINVAL && minivmm_status(g.vm) == -EAGAIN;
	ok = minivmm_start(g.vm) == 0 && ok;
	ok = minivmm_start(g.vm) == -EALREADY && ok;
	ok = talks(&g) && ok;
	ok = minivmm_wait(g.vm, 10) == -ETIMEDOUT && ok;
	ok = minivmm_pause(g.vm) == 0 && falls_silent(&g) && ok;
	ok = minivmm_resume(g.vm) == 0 && talks(&g) && ok;
	pthread_create(&listener, NULL, listen_to, &g);
	tell(&g, 'p');
	ok = minivmm_wait(g.vm, -1) == 0 && ok;
	pthread_join(listener, NULL); /* the guest's end of the socket is closed */
	ok = minivmm_end(g.vm) == MINIVMM_POWER_OFF && minivmm_status(g.vm) == 0 && ok;
	ok = !strcmp(minivmm_why(g.vm), "the guest powered off") && ok;
	ok = minivmm_pause(g.vm) == -ESRCH && minivmm_stop(g.vm, MINIVMM_AT_ONCE) == -ESRCH && ok;
	destroy(&g);
	ok = g.heard.started == 1 && g.heard.ended == 1 && !*g.heard.log && ok;
	*(bool *)arg = ok;
	return NULL;
}

static void lives_at_once(void)
{
	pthread_t thread[3];
	bool ok[3], all = true;

	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, life, &ok[i]);
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		all = all && ok[i];
	}
	point(all, "three machines at once: start, pause, resume, power off");
}

static void nobody_reads(void)
{
	struct guest g;
	int before = -1, unread = 0;

	make(&g, NULL);
	minivmm_start(g.vm);
	while (unread == 0 || unread != before) { /* until its vCPU waits for room */
		before = unread;
		usleep(100000);
		ioctl(g.serial, FIONREAD, &unread);
	}
	point(minivmm_pause(g.vm) == 0, "a guest that waits for its reader can be paused");
	point(falls_silent(&g) && minivmm_resume(g.vm) == 0 && talks(&g), "and goes on");
	close(g.serial); /* SIGPIPE would kill this process */
	g.serial = -1;
	usleep(10000);
	minivmm_stop(g.vm, MINIVMM_AT_ONCE);
	point(minivmm_wait(g.vm, 60000) == 0 && minivmm_end(g.vm) == MINIVMM_KILLED &&
		      minivmm_status(g.vm) == 1,
	      "a guest whose reader is gone can be stopped");
	minivmm_destroy(g.vm);
}

static int restarts(struct guest *g)
{
	int n;

	pthread_mutex_lock(&g->heard.lock);
	n = g->heard.restarted;
	pthread_mutex_unlock(&g->heard.lock);
	return n;
}

static void ways_to_end(void)
{
	static const char *const restart[] = { "on-reset", "restart", NULL };
	struct pollfd p = { .events = POLLIN };
	struct guest g;
	pthread_t listener;

	make(&g, NULL);
	minivmm_start(g.vm);
	p.fd = minivmm_end_fd(g.vm);
	pthread_create(&listener, NULL, listen_to, &g);
	tell(&g, 'c');
	point(poll(&p, 1, 60000) == 1 && minivmm_end(g.vm) == MINIVMM_CRASHED &&
		      minivmm_status(g.vm) == 3 && strstr(minivmm_why(g.vm), "panicked") &&
		      strstr(g.heard.log, "1 the guest's kernel panicked"),
	      "a panic: the descriptor, status, words, message");
	pthread_join(listener, NULL);
	destroy(&g);

	make(&g, restart);
	minivmm_start(g.vm);
	pthread_create(&listener, NULL, listen_to, &g);
	for (int i = 1; i <= 3; i++) {
		tell(&g, 'r');
		while (restarts(&g) < i)
			usleep(1000);
	}
	tell(&g, 'p');
	point(minivmm_wait(g.vm, 60000) == 0 && minivmm_end(g.vm) == MINIVMM_POWER_OFF &&
		      restarts(&g) == 3,
	      "on-reset=restart");
	minivmm_destroy(g.vm);
	shutdown(g.serial, SHUT_RDWR);
	pthread_join(listener, NULL);
	close(g.serial);

	make(&g, restart);
	minivmm_start(g.vm);
	pthread_create(&listener, NULL, listen_to, &g);
	minivmm_stop(g.vm, MINIVMM_POWER_BUTTON);
	tell(&g, 'r');
	point(minivmm_wait(g.vm, 60000) == 0 && minivmm_status(g.vm) == 0 && !restarts(&g),
	      "a reset after the power button is the end");
	minivmm_destroy(g.vm);
	shutdown(g.serial, SHUT_RDWR);
	pthread_join(listener, NULL);
	close(g.serial);
}

/* -- all at once ----------------------------------------------------------------------------- */

static void *pause_and_resume(void *arg)
{
	struct guest *g = arg;

	for (int i = 0; i < 100; i++) {
		minivmm_pause(g->vm);
		minivmm_resume(g->vm);
	}
	return NULL;
}

static void *stop(void *arg)
{
	struct guest *g = arg;

	minivmm_stop(g->vm, MINIVMM_AT_ONCE);
	return NULL;
}

static void *start(void *arg)
{
	struct guest *g = arg;

	minivmm_start(g->vm);
	return NULL;
}

static void storms(void)
{
	struct guest g[2];
	pthread_t thread[6], listener[2];
	bool ok = true;

	for (int i = 0; i < 2; i++) {
		make(&g[i], NULL);
		minivmm_start(g[i].vm);
		pthread_create(&listener[i], NULL, listen_to, &g[i]);
	}
	for (int i = 0; i < 6; i++)
		pthread_create(&thread[i], NULL, pause_and_resume, &g[i % 2]);
	for (int i = 0; i < 6; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < 2; i++) {
		tell(&g[i], 'p');
		ok = minivmm_wait(g[i].vm, 60000) == 0 &&
		     minivmm_end(g[i].vm) == MINIVMM_POWER_OFF && ok;
		pthread_join(listener[i], NULL);
		destroy(&g[i]);
	}
	point(ok, "pausing and resuming from several threads");

	for (int i = 0; i < 20; i++) {
		make(&g[0], NULL);
		pthread_create(&thread[0], NULL, start, &g[0]);
		pthread_create(&thread[1], NULL, stop, &g[0]);
		pthread_create(&thread[2], NULL, pause_and_resume, &g[0]);
		for (int t = 0; t < 3; t++)
			pthread_join(thread[t], NULL);
		ok = minivmm_wait(g[0].vm, 60000) == 0 && minivmm_end(g[0].vm) == MINIVMM_KILLED &&
		     ok;
		destroy(&g[0]);
	}
	point(ok, "stopping and pausing while it starts");
}

static void destroyed_in_every_state(void)
{
	struct guest g;

	make(&g, NULL);
	destroy(&g);
	make(&g, NULL);
	minivmm_start(g.vm);
	destroy(&g);
	make(&g, NULL);
	minivmm_pause(g.vm);
	minivmm_start(g.vm);
	point(falls_silent(&g), "it can be started paused");
	minivmm_resume(g.vm);
	point(talks(&g), "and resumed");
	minivmm_pause(g.vm);
	destroy(&g);
	minivmm_destroy(NULL);
	minivmm_config_free(NULL);
	point(true, "destroyed before the start, running and paused");
}

/* Processors that never leave the guest by themselves are made to leave: one that spins, three that
 * wait to be started. */
static void a_guest_that_spins(const char *name)
{
	struct minivmm_config *c = minivmm_config_new();
	struct minivmm *vm;
	bool ok = true;

	if (minivmm_config_set(c, "kernel", spinning) < 0 ||
	    minivmm_config_set(c, "memory", "64M") < 0 || minivmm_config_set(c, "cpus", "4") < 0 ||
	    minivmm_create(c, &vm) < 0)
		abort();
	minivmm_start(vm);
	for (int i = 0; i < 20; i++) {
		usleep(1000);
		ok = minivmm_pause(vm) == 0 && minivmm_resume(vm) == 0 && ok;
	}
	minivmm_stop(vm, MINIVMM_AT_ONCE);
	ok = minivmm_wait(vm, 60000) == 0 && minivmm_end(vm) == MINIVMM_KILLED && ok;
	minivmm_destroy(vm);
	minivmm_config_free(c);
	point(ok, name);
}

/* ulimit -i 0, or all the pending signals that the user may have are used up: the limit is for all
 * of the user's processes together. */
static void without_pending_signals(void)
{
	struct rlimit was, none;

	if (getrlimit(RLIMIT_SIGPENDING, &was) < 0)
		return;
	none = (struct rlimit){ 0, was.rlim_max };
	setrlimit(RLIMIT_SIGPENDING, &none);
	a_guest_that_spins("even where no signal can be queued");
	setrlimit(RLIMIT_SIGPENDING, &was);
}

/* -- calls, callbacks and the end ------------------------------------------------------------ */

/* A thread that calls a function of the machine, and stores its id before that. */
struct caller {
	struct guest *g;
	pid_t id; /* atomic */
	pthread_t thread;
	int rc;
};

static void *wait_for_ever(void *arg)
{
	struct caller *c = arg;

	__atomic_store_n(&c->id, gettid(), __ATOMIC_RELEASE);
	c->rc = minivmm_wait(c->g->vm, -1);
	return NULL;
}

/* Waits until it sleeps. */
static void await_asleep(struct caller *c)
{
	char path[64], line[256];

	for (int seen = 0; seen < 5; usleep(1000)) {
		const pid_t id = __atomic_load_n(&c->id, __ATOMIC_ACQUIRE);
		FILE *f = NULL;

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", id);
		if (id)
			f = fopen(path, "re");
		seen = f && fgets(line, sizeof(line), f) && strstr(line, ") S ") ? seen + 1 : 0;
		if (f)
			fclose(f);
	}
}

static void destroyed_while_waited_for(void)
{
	struct caller c[4];
	struct guest g;
	bool ok = true;

	for (int turn = 0; turn < 10; turn++) {
		make(&g, NULL);
		minivmm_start(g.vm);
		for (int i = 0; i < 4; i++) {
			c[i] = (struct caller){ .g = &g, .rc = -1 };
			pthread_create(&c[i].thread, NULL, wait_for_ever, &c[i]);
		}
		for (int i = 0; i < 4; i++)
			await_asleep(&c[i]);
		destroy(&g);
		for (int i = 0; i < 4; i++) {
			pthread_join(c[i].thread, NULL);
			ok = c[i].rc == 0 && ok;
		}
	}
	point(ok, "destroyed while threads wait for its end");
}

static void the_last_callback(void)
{
	struct guest g;
	bool ok;

	make(&g, NULL);
	g.heard.ends = g.vm;
	minivmm_start(g.vm);
	minivmm_stop(g.vm, MINIVMM_AT_ONCE);
	ok = minivmm_wait(g.vm, 60000) == 0 && g.heard.ended == 1;
	ok = g.heard.end == MINIVMM_KILLED && g.heard.status == 1 && ok;
	destroy(&g);
	point(ok, "the last event knows the end, and the end comes after it");
}

/* A user's lock: the caller holds it, and the callback that hears the balloon's message wants
 * it. */
static pthread_mutex_t users = PTHREAD_MUTEX_INITIALIZER;
static int heard_balloon; /* atomic */

static void on_balloon(void *ctx, int level, const char *text)
{
	(void)ctx;
	(void)level;
	if (!strstr(text, "balloon"))
		return;
	__atomic_store_n(&heard_balloon, 1, __ATOMIC_RELEASE);
	pthread_mutex_lock(&users);
	pthread_mutex_unlock(&users);
}

static void *deflate(void *vm)
{
	minivmm_balloon(vm, 1 << 20);
	return NULL;
}

static void messages_hold_up_nobody(void)
{
	struct minivmm_config *c = minivmm_config_new();
	struct minivmm *vm;
	pthread_t thread;
	bool ok;

	minivmm_config_log(c, on_balloon, NULL);
	if (minivmm_config_set(c, "kernel", spinning) < 0 ||
	    minivmm_config_set(c, "memory", "64M") < 0 ||
	    minivmm_config_set(c, "balloon", NULL) < 0 ||
	    minivmm_config_set(c, "log-level", "info") < 0 || minivmm_create(c, &vm) < 0)
		abort();
	ok = minivmm_balloon(vm, 1) == -EINVAL;
	minivmm_start(vm);
	pthread_mutex_lock(&users);
	pthread_create(&thread, NULL, deflate, vm);
	while (!__atomic_load_n(&heard_balloon, __ATOMIC_ACQUIRE))
		usleep(1000);
	ok = minivmm_pause(vm) == 0 && minivmm_resume(vm) == 0 && ok;
	pthread_mutex_unlock(&users);
	pthread_join(thread, NULL);
	ok = minivmm_balloon(vm, 0) == 1 << 20 && ok;
	minivmm_destroy(vm);
	minivmm_config_free(c);
	point(ok, "a call goes on while another's message is being delivered");
}

/* -- errors ---------------------------------------------------------------------------------- */

static int threads_left = -1; /* that can be made; -1: no limit */

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	if (threads_left == 0)
		return EAGAIN;
	if (threads_left > 0)
		threads_left--;
	return __real_pthread_create(t, attr, fn, arg);
}

static void no_threads(void)
{
	struct minivmm_config *c = minivmm_config_new();
	struct minivmm *vm;
	struct guest g;
	bool ok;

	threads_left = 0;
	ok = minivmm_config_set(c, "kernel", kernel) == 0 && minivmm_create(c, &vm) == -EAGAIN &&
	     strstr(minivmm_error(), "temporarily");
	minivmm_config_free(c);
	for (int left = 0; left < 3; left++) { /* of an I/O thread, a vCPU, the machine */
		struct pollfd p = { .events = POLLIN };

		threads_left = -1;
		make(&g, NULL);
		p.fd = minivmm_end_fd(g.vm);
		threads_left = left;
		ok = minivmm_start(g.vm) == -EAGAIN && strstr(minivmm_error(), "thread") && ok;
		ok = poll(&p, 1, 0) == 1 && minivmm_wait(g.vm, 0) == 0 && ok;
		ok = minivmm_end(g.vm) == MINIVMM_FAILED && minivmm_status(g.vm) == 1 && ok;
		ok = strstr(minivmm_why(g.vm), "thread") && ok;
		ok = minivmm_start(g.vm) == -EALREADY && minivmm_pause(g.vm) == -ESRCH && ok;
		destroy(&g); /* still without threads */
		ok = !g.heard.started && !g.heard.ended && ok;
	}
	threads_left = -1;
	point(ok, "threads that can't be made are an error of the start");
}

/* SIGXFSZ would kill this process. */
static void no_room(void)
{
	char base[] = "/tmp/library-XXXXXX", overlay[64], disk[128];
	struct minivmm_config *c = minivmm_config_new();
	struct rlimit before, tight;
	struct minivmm *vm;
	int fd = mkstemp(base), rc;

	if (fd < 0 || ftruncate(fd, 1 << 20) < 0 || getrlimit(RLIMIT_FSIZE, &before) < 0)
		abort();
	snprintf(overlay, sizeof(overlay), "%s.overlay", base);
	snprintf(disk, sizeof(disk), "%s,overlay=%s", base, overlay);
	tight = (struct rlimit){ .rlim_cur = 512, .rlim_max = before.rlim_max };
	rc = minivmm_config_set(c, "kernel", kernel) | minivmm_config_set(c, "disk", disk);
	setrlimit(RLIMIT_FSIZE, &tight);
	rc = rc == 0 ? minivmm_create(c, &vm) : 0;
	setrlimit(RLIMIT_FSIZE, &before);
	point(rc == -EFBIG && strstr(minivmm_error(), overlay),
	      "no room for a file is an error of its machine");
	minivmm_config_free(c);
	close(fd);
	unlink(base);
	unlink(overlay);
}

static void messages_of_the_users(void)
{
	struct guest g;
	bool ok;

	make(&g, NULL);
	minivmm_start(g.vm);
	ok = minivmm_start(g.vm) == -EALREADY;
	minivmm_log(g.vm, MINIVMM_ERROR, "mine\t\303\274");
	ok = strstr(minivmm_error(), "before") && strstr(g.heard.log, "1 mine\\x09\303\274\n") &&
	     ok;
	destroy(&g);
	point(ok, "the user's own messages are no errors of the library's");
}

static void errors(void)
{
	struct heard h = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct minivmm_config *c = minivmm_config_new();
	struct minivmm *vm;
	char *text;
	bool ok;

	minivmm_config_log(c, on_log, &h);
	ok = minivmm_create(c, &vm) == -EINVAL && !vm && strstr(minivmm_error(), "--kernel");
	ok = minivmm_config_set(c, "kernel", "/nonexistent") == 0 && ok;
	ok = minivmm_create(c, &vm) == -ENOENT && !vm &&
	     strstr(minivmm_error(), "/nonexistent: No such file") &&
	     strstr(h.log, "/nonexistent: No such file") && ok;
	ok = minivmm_config_set(c, "stats", NULL) == 0 && ok;
	minivmm_config_free(c);
	point(ok, "no machine without a kernel");
	c = minivmm_config_new();
	ok = minivmm_config_set(c, "kernel", kernel) == 0 && minivmm_create(c, &vm) == 0;
	ok = minivmm_config_set(c, "stats", NULL) == -EBUSY && *minivmm_error() && ok;
	minivmm_config_free(c);
	minivmm_destroy(vm);
	point(ok, "a machine's configuration is constant");
	c = minivmm_config_new();
	ok = minivmm_config_set(c, "kernel", kernel) == 0;
	ok = minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text) == 0 && strstr(text, "command line") &&
	     ok;
	free(text);
	minivmm_config_free(c);
	point(ok, "a dry run");
}

/* The state that belongs to the program and not to the library. */
struct process {
	sigset_t mask;
	struct sigaction action[65];
};

static void look(struct process *p)
{
	memset(p, 0, sizeof(*p));
	pthread_sigmask(SIG_BLOCK, NULL, &p->mask);
	for (int i = 1; i < 65; i++)
		sigaction(i, NULL, &p->action[i]);
}

static bool same(const struct process *a, const struct process *b)
{
	for (int i = 1; i < 65; i++)
		if (a->action[i].sa_handler != b->action[i].sa_handler ||
		    (i < 32 && sigismember(&a->mask, i) != sigismember(&b->mask, i)))
			return false;
	return true;
}

int main(int argc, char **argv)
{
	char talk[4096], spin[4096], said[256];
	struct process before, after;
	int err[2], saved;

	if (argc != 2) {
		printf("Bail out! library IMAGES\n");
		return 1;
	}
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("1..0 # SKIP no /dev/kvm that this user may use\n");
		return 0;
	}
	snprintf(talk, sizeof(talk), "%s/talk.bin", argv[1]);
	snprintf(spin, sizeof(spin), "%s/spin.bin", argv[1]);
	kernel = talk;
	spinning = spin;
	if (pipe2(err, O_NONBLOCK) < 0)
		return 1;
	look(&before);
	saved = dup(STDERR_FILENO);
	dup2(err[1], STDERR_FILENO);
	errors();
	lives_at_once();
	dup2(saved, STDERR_FILENO);
	point(read(err[0], said, sizeof(said)) < 0, "nothing is said on standard error");
	nobody_reads();
	ways_to_end();
	a_guest_that_spins("a guest that spins can be paused and stopped");
	without_pending_signals();
	storms();
	destroyed_in_every_state();
	destroyed_while_waited_for();
	the_last_callback();
	messages_hold_up_nobody();
	no_threads();
	no_room();
	messages_of_the_users();
	look(&after);
	point(same(&before, &after), "signals are as they were");
	printf("1..%d\n", points);
	return failures > 0;
}
