/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's configurations, and what it says in text (include/minivmm.h). */
#include "api/api.h"
#include "host/given.h"
#include "config/command.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "host/doctor.h"
#include "host/paths.h"
#include "kernels/dir.h"
#include "vmm/thread.h"
#include "vmm/text.h"

_Static_assert(MINIVMM_ACTION_BOOT == (int)ACTION_BOOT &&
		       MINIVMM_ACTION_DRY_RUN == (int)ACTION_DRY_RUN &&
		       MINIVMM_ACTION_HELP == (int)ACTION_HELP &&
		       MINIVMM_ACTION_VERSION == (int)ACTION_VERSION &&
		       MINIVMM_ACTION_DOCTOR == (int)ACTION_DOCTOR &&
		       MINIVMM_ACTION_COMMAND == (int)ACTION_COMMAND,
	       "the same by another name");
_Static_assert(MINIVMM_ASKED == (int)LOG_ASKED && MINIVMM_ERROR == (int)LOG_ERROR &&
		       MINIVMM_WARN == (int)LOG_WARN && MINIVMM_INFO == (int)LOG_INFO,
	       "the same by another name");

/* -- messages -------------------------------------------------------------------------------- */

static _Thread_local char last_error[512];

static void keep_line(char *to, size_t size, const char *text)
{
	static const char prefix[] = "minivmm: "; /* of messages of several lines */

	if (!strncmp(text, prefix, strlen(prefix)))
		text += strlen(prefix);
	snprintf(to, size, "%.*s", (int)log_cut(text, min(strcspn(text, "\n"), size - 1)), text);
}

static void on_message(struct log_sink *s, enum log_level level, const char *text)
{
	struct api_log *l = container_of(s, struct api_log, sink);

	if (level == LOG_ERROR && !l->foreign)
		keep_line(last_error, sizeof(last_error), text);
	if (level == LOG_ERROR && l->why) {
		pthread_mutex_lock(l->lock);
		keep_line(l->why, l->why_size, text);
		pthread_mutex_unlock(l->lock);
	}
	if (l->fn)
		l->fn(l->ctx, (int)level, text);
}

void api_log_init(struct api_log *l, enum log_level level, minivmm_log_fn *fn, void *ctx)
{
	*l = (struct api_log){ .sink = { .message = on_message, .level = level },
			       .fn = fn,
			       .ctx = ctx };
}

struct log_sink *api_enter(struct api_log *l)
{
	last_error[0] = '\0';
	return log_use(&l->sink);
}

int api_leave(struct log_sink *before, int rc)
{
	log_use(before);
	if (rc < 0 && !last_error[0])
		snprintf(last_error, sizeof(last_error), "%s",
			 strerrordesc_np(-rc) ?: "unknown error");
	return rc;
}

int api_refuse(int rc, const char *text)
{
	snprintf(last_error, sizeof(last_error), "%s", text);
	return rc;
}

struct job {
	int (*fn)(void *arg);
	void *arg;
	int rc;
	char error[sizeof(last_error)];
};

static void *do_job(void *arg)
{
	struct job *j = arg;

	j->rc = j->fn(j->arg);
	memcpy(j->error, last_error, sizeof(j->error));
	return NULL;
}

int api_on_thread(int (*fn)(void *arg), void *arg)
{
	struct job j = { .fn = fn, .arg = arg };
	pthread_t thread;

	errno = -thread_start(&thread, "minivmm", do_job, &j);
	if (errno)
		return log_errno("thread for the caller");
	pthread_join(thread, NULL);
	memcpy(last_error, j.error, sizeof(last_error));
	return j.rc;
}

const char *minivmm_error(void)
{
	return last_error;
}

void minivmm_log_stderr(void *ctx __unused, int level __unused, const char *text)
{
	log_print(text);
}

const char *minivmm_version(void)
{
	return MINIVMM_VERSION;
}

/* -- configurations -------------------------------------------------------------------------- */

struct minivmm_config *minivmm_config_new(void)
{
	struct minivmm_config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	config_init(&c->c);
	c->c.serial.kind = HOST_NONE;
	c->refs = 1;
	api_log_init(&c->log, c->c.log_level, NULL, NULL);
	return c;
}

void minivmm_config_free(struct minivmm_config *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	config_destroy(&c->c);
	free(c);
}

int minivmm_config_set(struct minivmm_config *c, const char *name, const char *value)
{
	struct log_sink *before;
	int rc;

	if (c->used)
		return api_refuse(
			-EBUSY,
			"a machine was made of this configuration; make another configuration for another machine");
	before = api_enter(&c->log);
	rc = config_set(&c->c, name, value, &c->seen);
	c->broken |= rc < 0;
	c->log.sink.level = c->c.log_level;
	return api_leave(before, rc);
}

/* The command gets the limit of now: a program may raise its own afterwards. */
static void remember_descriptors(struct minivmm_config *c)
{
	struct rlimit limit;

	if (c->c.command.argv && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		c->descriptors = limit.rlim_cur;
}

int minivmm_config_command(struct minivmm_config *c, char *const argv[])
{
	struct log_sink *before;
	int rc;

	if (c->used || c->c.command.argv)
		return api_refuse(
			-EBUSY,
			"the configuration has a command already, or a machine was made of it");
	before = api_enter(&c->log);
	rc = config_command(&c->c, argv, c->seen);
	remember_descriptors(c);
	c->broken |= rc < 0;
	return api_leave(before, rc);
}

void minivmm_config_log(struct minivmm_config *c, minivmm_log_fn *fn, void *ctx)
{
	c->log.fn = fn;
	c->log.ctx = ctx;
}

void minivmm_config_events(struct minivmm_config *c, minivmm_event_fn *fn, void *ctx)
{
	c->event = fn;
	c->event_ctx = ctx;
}

int minivmm_config_args(struct minivmm_config *c, int argc, char *const argv[])
{
	struct log_sink *before;
	int rc;

	if (c->used || c->seen || c->c.command.argv)
		return api_refuse(-EBUSY, "a command line can only set a new configuration");
	before = api_enter(&c->log);
	rc = config_parse(&c->c, argc, argv);
	remember_descriptors(c);
	c->broken |= rc < 0;
	c->seen = UINT64_MAX;
	c->log.sink.level = c->c.log_level;
	return api_leave(before, rc == 0 ? (int)c->c.action : rc);
}

/* -- text ------------------------------------------------------------------------------------ */

static int print_machine(const struct minivmm_config *c, FILE *out)
{
	const struct machine_owner owner = { .descriptors = c->descriptors, .dry = true };
	struct machine *m;
	char text[GIVEN_TEXT];
	int rc;

	if (c->broken)
		return log_ret(-EINVAL, "an option of this configuration was refused");
	rc = config_check(&c->c);
	if (rc == 0 && !given_are_open(&c->c, text))
		rc = log_ret(-EBADF, "%s", text);
	if (rc == 0)
		rc = paths_check(&c->c);
	if (rc == 0)
		rc = machine_new(&m, &c->c, &owner);
	if (rc < 0)
		return rc;
	machine_print(m, out);
	machine_free(m);
	return 0;
}

static int print_text(const struct minivmm_config *c, enum minivmm_action what, FILE *out)
{
	switch (what) {
	case MINIVMM_ACTION_DRY_RUN:
		return print_machine(c, out);
	case MINIVMM_ACTION_HELP:
		config_help(out);
		return 0;
	case MINIVMM_ACTION_VERSION:
		config_version(out);
		return 0;
	case MINIVMM_ACTION_DOCTOR:
		return doctor(out, dir_look);
	case MINIVMM_ACTION_BOOT:
	case MINIVMM_ACTION_COMMAND:
		break;
	}
	return log_ret(-EINVAL, "there is no such text");
}

int minivmm_text(const struct minivmm_config *c, enum minivmm_action what, char **text)
{
	struct api_log log;
	struct log_sink *before;
	size_t len = 0;
	FILE *out;
	int rc;

	*text = NULL;
	out = open_memstream(text, &len);
	if (!out)
		return api_refuse(-ENOMEM, "out of memory");
	api_log_init(&log, c ? c->c.log_level : LOG_WARN, c ? c->log.fn : NULL,
		     c ? c->log.ctx : NULL);
	before = api_enter(&log);
	rc = print_text(c, what, out);
	if (!text_end(out, text))
		rc = log_ret(-ENOMEM, "out of memory");
	if (len == 0) {
		free(*text);
		*text = NULL;
	}
	return api_leave(before, rc);
}
