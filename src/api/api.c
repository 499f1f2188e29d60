/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's machines (include/minivmm.h): each has a thread of its own, which runs one struct
 * machine, or one after the other if on-reset says so.
 *
 * The lock is held while the state changes, and around every call on the machine from outside. Such
 * a call reaches the struct machine only while live, when its threads exist. The machine's thread
 * never waits for the guest with the lock held. Events are told without the lock; messages may come
 * with any lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "api/api.h"
#include "host/given.h"
#include "config/command.h"
#include "machine/life.h"
#include "host/paths.h"
#include "vmm/event.h"
#include "vmm/thread.h"
#include "vmm/text.h"

_Static_assert(MINIVMM_NOT_ENDED == (int)END_NONE && MINIVMM_POWER_OFF == (int)END_POWER_OFF &&
		       MINIVMM_RESET == (int)END_RESET && MINIVMM_CRASHED == (int)END_CRASHED &&
		       MINIVMM_DEBUG_EXIT == (int)END_DEBUG_EXIT && MINIVMM_QUIT == (int)END_QUIT &&
		       MINIVMM_KILLED == (int)END_KILLED && MINIVMM_FAILED == (int)END_FAILED &&
		       MINIVMM_COMMAND == (int)END_COMMAND,
	       "the same by another name");

/* -- the machine's thread -------------------------------------------------------------------- */

static void tell(struct minivmm *vm, enum minivmm_event event)
{
	if (vm->event)
		vm->event(vm->event_ctx, (int)event);
}

static void log_stats(const struct machine *m)
{
	struct machine_figures f;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	machine_figures(m, &f);
	machine_print_stats(&f, out);
	if (text_end(out, &text))
		log_block(LOG_ASKED, text);
	free(text);
}

/* The caller holds the lock. After an error the machine has ended. */
static int power_on(struct minivmm *vm, bool again)
{
	struct machine *m = vm->m;
	int rc;

	if (again && (vm->button || vm->at_once))
		machine_end(m, END_RESET, 0); /* the user has asked for no other life */
	else if (vm->at_once)
		machine_end(m, END_KILLED, 0);
	if (vm->paused)
		machine_pause(m);
	rc = machine_start(m);
	if (rc < 0)
		machine_end(m, END_FAILED, 0);
	if (vm->button)
		machine_press_power_button(m);
	vm->live = true;
	return rc;
}

static const char *in_words(enum machine_end end)
{
	switch (end) {
	case END_POWER_OFF:
		return "the guest powered off";
	case END_RESET:
		return "the guest asked for a reset";
	case END_CRASHED:
		return "the guest crashed";
	case END_DEBUG_EXIT:
		return "the guest exited with a status";
	case END_QUIT:
		return "it was quit at its terminal";
	case END_KILLED:
		return "it was stopped";
	case END_COMMAND:
		return "the command ended";
	case END_NONE:
	case END_FAILED:
		break;
	}
	return "it failed";
}

/* Sets why, after the machine has come to an end. */
static void say_why(struct minivmm *vm)
{
	const bool error = vm->end == END_CRASHED || vm->end == END_FAILED ||
			   (vm->config->command.argv && !command_went_well(machine_command(vm->m)));

	pthread_mutex_lock(&vm->why_lock);
	if (error && *vm->error)
		snprintf(vm->why, sizeof(vm->why), "%s", vm->error);
	else
		snprintf(vm->why, sizeof(vm->why), "%s", in_words(vm->end));
	pthread_mutex_unlock(&vm->why_lock);
}

/* Returns whether there is another life after that end. lingers: if so, the machine waits for it
 * until this is called again. */
static bool lives_again(struct minivmm *vm, enum machine_end end, bool lingers)
{
	bool again;

	pthread_mutex_lock(&vm->lock);
	again = end == END_RESET && vm->config->on_reset == ON_RESET_RESTART && !vm->button &&
		!vm->at_once;
	vm->lingers = lingers && again;
	pthread_mutex_unlock(&vm->lock);
	return again;
}

/* Waits between two lives while the terminal and the like are still served, so that the user can
 * quit. Returns how the machine ends if something other than the reset is the reason, or
 * END_NONE. */
static enum machine_end linger(struct minivmm *vm, uint64_t life_ns)
{
	const enum machine_end end = machine_how(vm->m);
	enum machine_end how = END_NONE;
	uint64_t until;

	if (!lives_again(vm, end, false))
		return END_NONE;
	until = monotonic_ns() + life_pause(&vm->short_lives, life_ns);
	while (how == END_NONE && monotonic_ns() < until) {
		machine_rearm(vm->m);
		if (!lives_again(vm, end, true))
			break;
		how = machine_linger(vm->m, until);
	}
	(void)lives_again(vm, end, false);
	return how;
}

/* Serves one life, from when it was switched on to its end. */
static void live(struct minivmm *vm)
{
	const uint64_t begin = monotonic_ns();
	struct machine *m = vm->m;
	enum machine_end called_off;

	machine_serve(m);
	called_off = linger(vm, monotonic_ns() - begin);
	pthread_mutex_lock(&vm->lock);
	vm->live = false;
	vm->end = called_off == END_NONE ? machine_how(m) : called_off;
	pthread_mutex_unlock(&vm->lock);
	if (!vm->config->command.argv)
		say_why(vm); /* before messages about what goes wrong while it stops */
	machine_stop(m);
	pthread_mutex_lock(&vm->lock);
	vm->status = machine_status(m, vm->end); /* only now: a result may be lost */
	pthread_mutex_unlock(&vm->lock);
	if (vm->config->command.argv)
		say_why(vm); /* the command's end is known only now */
	if (vm->config->stats)
		log_stats(m);
	vm->json = command_take_json(machine_command(m));
	machine_free(m);
	vm->m = NULL;
}

static int make_machine(struct minivmm *vm)
{
	const struct machine_owner owner = {
		.kept = vm->kept,
		.patience = &vm->patience,
		.descriptors = vm->from->descriptors,
	};

	return machine_new(&vm->m, vm->config, &owner);
}

/* Makes a new machine in the place of the one that is gone. Returns false if that failed. */
static bool revive(struct minivmm *vm)
{
	struct api_log again = vm->log;
	struct log_sink *before;
	int rc;

	log_info("the guest asked for a reset: restarting it");
	patience_renew(&vm->patience);
	if (again.sink.level > LOG_ERROR)
		again.sink.level = LOG_ERROR; /* the other messages were said before */
	before = log_use(&again.sink);
	rc = make_machine(vm);
	log_use(before);
	if (rc == 0) {
		pthread_mutex_lock(&vm->lock);
		(void)power_on(vm, true); /* it lives, if only to end at once */
		pthread_mutex_unlock(&vm->lock);
		return true;
	}
	pthread_mutex_lock(&vm->lock);
	vm->end = END_FAILED;
	vm->status = MINIVMM_EXIT_FAILED;
	pthread_mutex_unlock(&vm->lock);
	say_why(vm);
	return false;
}

/* The caller holds the lock. Those who wait for the end may go on. */
static void be_over(struct minivmm *vm)
{
	event_signal(vm->end_fd);
	vm->over = true;
	pthread_cond_broadcast(&vm->changed);
}

static void *vm_thread(void *arg)
{
	struct minivmm *vm = arg;

	pthread_mutex_lock(&vm->lock); /* waits until the machine is switched on */
	pthread_mutex_unlock(&vm->lock);
	tell(vm, MINIVMM_STARTED);
	live(vm);
	while (lives_again(vm, vm->end, false) && revive(vm)) {
		tell(vm, MINIVMM_RESTARTED);
		live(vm);
	}
	pthread_mutex_lock(&vm->lock);
	vm->state = ENDED;
	pthread_mutex_unlock(&vm->lock);
	tell(vm, MINIVMM_ENDED);
	pthread_mutex_lock(&vm->lock);
	be_over(vm);
	pthread_mutex_unlock(&vm->lock);
	return NULL;
}

/* -- life ------------------------------------------------------------------------------------ */

static void vm_free(struct minivmm *vm)
{
	pthread_mutex_destroy(&vm->lock);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->why_lock);
	close_fd(&vm->end_fd);
	output_close(&vm->json.out);
	free(vm->json.text);
	machine_forget(vm->kept);
	patience_destroy(&vm->patience);
	minivmm_config_free(vm->from);
	free(vm);
}

/* Makes all but the struct machine. */
static struct minivmm *vm_new(struct minivmm_config *c)
{
	struct minivmm *vm = calloc(1, sizeof(*vm));
	pthread_condattr_t attr;

	if (!vm)
		return NULL;
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	vm->from = c;
	vm->config = &c->c;
	vm->event = c->event;
	vm->event_ctx = c->event_ctx;
	vm->json.out.fd = -1;
	vm->patience.lost_fd = -1;
	vm->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_init(&vm->why_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vm->changed, &attr);
	pthread_condattr_destroy(&attr);
	api_log_init(&vm->log, c->c.log_level, c->log.fn, c->log.ctx);
	vm->log.why = vm->error;
	vm->log.why_size = sizeof(vm->error);
	vm->log.lock = &vm->why_lock;
	return vm;
}

static int build(void *arg)
{
	return make_machine(arg);
}

static int dismantle(void *arg)
{
	struct minivmm *vm = arg;

	machine_free(vm->m);
	vm->m = NULL;
	return 0;
}

static int finish_json(void *arg)
{
	return command_json_finish(arg);
}

/* Writes what had to wait. Returns 0 or -errno, logged. */
static int finish_result(struct minivmm *vm)
{
	struct log_sink *before;

	if (!command_json_waits(&vm->json))
		return 0;
	before = api_enter(&vm->log);
	return api_leave(before, api_on_thread(finish_json, &vm->json));
}

int minivmm_create(struct minivmm_config *c, struct minivmm **vm)
{
	struct minivmm *v;
	struct log_sink *before;
	char text[GIVEN_TEXT];
	bool given;
	int rc;

	*vm = NULL;
	if (c->broken)
		return api_refuse(-EINVAL, "an option of this configuration was refused");
	/* This comes first: soon a descriptor of ours may have the number of one that is closed
	 * now. */
	given = given_are_open(&c->c, text);
	v = vm_new(c);
	if (!v)
		return api_refuse(-ENOMEM, "out of memory");
	before = api_enter(&v->log);
	rc = v->end_fd < 0 ? log_errno("eventfd") : patience_init(&v->patience);
	if (rc == 0)
		rc = config_check(v->config);
	if (rc == 0 && !given)
		rc = log_ret(-EBADF, "%s", text);
	if (rc == 0)
		rc = paths_check(v->config);
	if (rc == 0 && c->c.on_reset == ON_RESET_RESTART)
		rc = (v->kept = machine_keep()) ? 0 : -ENOMEM;
	if (rc == 0)
		rc = api_on_thread(build, v);
	rc = api_leave(before, rc);
	if (rc < 0) {
		vm_free(v);
	} else {
		c->used = true;
		*vm = v;
	}
	return rc;
}

/* The caller holds the lock. The machine could not start. */
static int never_lived(struct minivmm *vm, int rc)
{
	machine_end(vm->m, END_FAILED, 0);
	machine_stop(vm->m);
	vm->live = false;
	vm->state = ENDED;
	vm->end = END_FAILED;
	vm->status = machine_status(vm->m, END_FAILED);
	say_why(vm);
	be_over(vm);
	return rc;
}

/* The caller holds the lock. The vCPUs are started before the thread: the guest's boot is what
 * takes time. */
static int start(struct minivmm *vm)
{
	int rc = power_on(vm, false);

	if (rc < 0)
		return never_lived(vm, rc);
	vm->state = STARTED;
	errno = -thread_start(&vm->thread, "minivmm", vm_thread, vm);
	if (errno)
		return never_lived(vm, log_errno("thread of the machine"));
	vm->has_thread = true;
	return 0;
}

int minivmm_start(struct minivmm *vm)
{
	struct log_sink *before = api_enter(&vm->log);
	int rc;

	api_call(vm);
	rc = vm->state == NEW ? start(vm) : api_refuse(-EALREADY, "the machine was started before");
	api_return(vm);
	return api_leave(before, rc);
}

int minivmm_wait(struct minivmm *vm, int timeout_ms)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	api_call(vm);
	if (vm->state == NEW)
		rc = api_refuse(-EINVAL, "the machine was not started");
	while (!vm->over && rc == 0)
		rc = timeout_ms < 0 ? pthread_cond_wait(&vm->changed, &vm->lock)
				    : -pthread_cond_timedwait(&vm->changed, &vm->lock, &until);
	if (vm->over)
		rc = 0;
	api_return(vm);
	return rc == -ETIMEDOUT ? api_refuse(rc, "the machine has not ended yet") : rc;
}

int minivmm_end_fd(const struct minivmm *vm)
{
	return vm->end_fd;
}

int minivmm_destroy(struct minivmm *vm)
{
	struct log_sink *before;
	bool has_thread;
	int rc;

	if (!vm)
		return 0;
	if (api_call_running(vm) == 0)
		api_stop(vm, MINIVMM_AT_ONCE);
	has_thread = vm->has_thread;
	api_return(vm);
	if (has_thread) {
		pthread_join(vm->thread, NULL);
	} else {
		before = api_enter(&vm->log);
		if (api_on_thread(dismantle, vm) < 0)
			dismantle(vm);
		api_leave(before, 0);
	}
	rc = finish_result(vm);
	pthread_mutex_lock(&vm->lock);
	while (__atomic_load_n(&vm->inside, __ATOMIC_RELAXED))
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
	vm_free(vm);
	return rc;
}
