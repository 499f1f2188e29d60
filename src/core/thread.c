/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "vmm/log.h"

struct start {
	void *(*fn)(void *arg);
	void *arg;
	struct log_sink *sink;
};

static void *run(void *arg)
{
	const struct start s = *(struct start *)arg;

	free(arg);
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
	rc = pthread_attr_init(&attr);
	if (rc == 0) {
		rc = pthread_attr_setsigmask_np(&attr, &blocked);
		rc = rc ?: pthread_create(t, &attr, run, s);
		pthread_attr_destroy(&attr);
	}
	if (rc)
		free(s);
	else
		pthread_setname_np(*t, name);
	return -rc;
}
