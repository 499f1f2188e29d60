/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/log.h"

struct start {
	void *(*fn)(void *arg);
	void *arg;
	struct log_sink *sink;
	char name[16];
};

static void *run(void *arg)
{
	const struct start s = *(struct start *)arg;

	free(arg);
	/* Here it takes one call; the other thread would have to open, write and close a file. */
	pthread_setname_np(pthread_self(), s.name);
	log_use(s.sink);
	return s.fn(s.arg);
}

/* SIGPIPE and SIGXFSZ are among the blocked ones: the write that caused them fails instead. */
static sigset_t blocked_signals(void)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
				   SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(&set, own[i]);
	return set;
}

int thread_start(pthread_t *t, const char *name, void *(*fn)(void *arg), void *arg)
{
	const sigset_t blocked = blocked_signals();
	struct start *s = malloc(sizeof(*s));
	pthread_attr_t attr;
	int rc;

	if (!s)
		return -ENOMEM;
	*s = (struct start){ .fn = fn, .arg = arg, .sink = log_used() };
	snprintf(s->name, sizeof(s->name), "%s", name);
	rc = pthread_attr_init(&attr);
	if (rc == 0) {
		rc = pthread_attr_setsigmask_np(&attr, &blocked);
		rc = rc ?: pthread_create(t, &attr, run, s);
		pthread_attr_destroy(&attr);
	}
	if (rc)
		free(s);
	return -rc;
}
