/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/thread.h"

#include <errno.h>
#include <signal.h>

#include "test.h"
#include "vmm/log.h"

static void *look(void *arg)
{
	sigset_t *mask = arg;

	pthread_sigmask(SIG_BLOCK, NULL, mask);
	return log_used();
}

static void no_message(struct log_sink *s __unused, enum log_level level __unused,
		       const char *text __unused)
{
}

static void it_inherits_the_sink_and_takes_no_signal(void **state __unused)
{
	static const int blocked[] = { SIGINT,  SIGTERM, SIGHUP,  SIGPIPE,
				       SIGXFSZ, SIGUSR1, SIGCHLD, SIGALRM };
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTTIN };
	struct log_sink sink = { .message = no_message };
	sigset_t mask, before, after;
	pthread_t t;
	void *used;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	assert_null(log_use(&sink));
	assert_int_equal(thread_start(&t, "a", look, &mask), 0);
	assert_ptr_equal(log_use(NULL), &sink);
	assert_int_equal(pthread_join(t, &used), 0);
	assert_ptr_equal(used, &sink);
	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++)
		assert_int_equal(sigismember(&mask, blocked[i]), 1);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		assert_int_equal(sigismember(&mask, own[i]), 0);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	assert_int_equal(sigismember(&before, SIGPIPE), sigismember(&after, SIGPIPE));
}

static void *write_to(void *arg)
{
	static int err;

	err = write(*(int *)arg, "x", 1) < 0 ? errno : 0;
	return &err;
}

static void a_closed_pipe_is_an_error_of_the_write(void **state __unused)
{
	pthread_t t;
	void *err;
	int p[2];

	assert_int_equal(pipe(p), 0);
	close(p[0]);
	assert_int_equal(thread_start(&t, "a", write_to, &p[1]), 0);
	assert_int_equal(pthread_join(t, &err), 0);
	assert_int_equal(*(int *)err, EPIPE);
	close(p[1]);
}

static void *name_of(void *arg)
{
	pthread_getname_np(pthread_self(), arg, 16);
	return NULL;
}

static void it_has_its_name_before_it_runs(void **state __unused)
{
	pthread_t t;
	char name[16];

	assert_int_equal(thread_start(&t, "a name of fifte", name_of, name), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_string_equal(name, "a name of fifte");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_inherits_the_sink_and_takes_no_signal),
		cmocka_unit_test(a_closed_pipe_is_an_error_of_the_write),
		cmocka_unit_test(it_has_its_name_before_it_runs),
	};

	return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
