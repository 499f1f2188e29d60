/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's calls on a machine, from any thread; api.c runs it. */
#include <errno.h>

#include "api/api.h"

void api_call(struct minivmm *vm)
{
	__atomic_add_fetch(&vm->inside, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&vm->lock);
}

void api_return(struct minivmm *vm)
{
	if (__atomic_sub_fetch(&vm->inside, 1, __ATOMIC_RELAXED) == 0)
		pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void api_hold(struct minivmm *vm)
{
	__atomic_add_fetch(&vm->inside, 1, __ATOMIC_RELAXED);
}

void api_let_go(struct minivmm *vm)
{
	pthread_mutex_lock(&vm->lock);
	api_return(vm);
}

int api_call_running(struct minivmm *vm)
{
	api_call(vm);
	return vm->state == NEW ? -EINVAL : vm->state == ENDED ? -ESRCH : 0;
}

int api_return_running(struct minivmm *vm, int rc)
{
	api_return(vm);
	return rc == -EINVAL  ? api_refuse(rc, "the machine was not started")
	       : rc == -ESRCH ? api_refuse(rc, "the machine has ended")
			      : rc;
}

void api_stop(struct minivmm *vm, enum minivmm_stop how)
{
	vm->button |= how == MINIVMM_POWER_BUTTON;
	vm->at_once |= how != MINIVMM_POWER_BUTTON;
	if (vm->lingers && how == MINIVMM_POWER_BUTTON)
		machine_end(vm->m, END_RESET, 0); /* it ends as it did: by a reset */
	else if (vm->live && how == MINIVMM_POWER_BUTTON)
		machine_press_power_button(vm->m);
	else if (vm->live)
		machine_end(vm->m, END_KILLED, 0);
}

static int set_paused(struct minivmm *vm, bool paused)
{
	int rc = api_call_running(vm);

	if (rc != -ESRCH)
		vm->paused = paused;
	if (rc == 0 && vm->live)
		(paused ? machine_pause : machine_resume)(vm->m);
	return api_return_running(vm, rc == -EINVAL ? 0 : rc);
}

int minivmm_pause(struct minivmm *vm)
{
	return set_paused(vm, true);
}

int minivmm_resume(struct minivmm *vm)
{
	return set_paused(vm, false);
}

int minivmm_stop(struct minivmm *vm, enum minivmm_stop how)
{
	int rc = api_call_running(vm);

	if (rc == 0 && how != MINIVMM_POWER_BUTTON && !vm->live)
		patience_lose(&vm->patience); /* it ends already; somebody reads slowly */
	if (rc != -ESRCH)
		api_stop(vm, how);
	return api_return_running(vm, rc == -EINVAL ? 0 : rc);
}

long long minivmm_balloon(struct minivmm *vm, long long bytes)
{
	struct log_sink *before = api_enter(&vm->log);
	long long target = 0;
	int rc;

	api_hold(vm);
	rc = api_call_running(vm);
	if (rc == 0 && vm->config->balloon.on && !vm->live)
		rc = api_refuse(-EAGAIN, "the guest is about to run anew, or to end");
	else if (rc == 0)
		target = vm->config->balloon.on ? machine_move_balloon(vm->m, bytes) : -ENOTSUP;
	if (target == -ENOTSUP)
		rc = api_refuse(-ENOTSUP, "the guest has no balloon");
	rc = api_return_running(vm, rc);
	if (rc == 0)
		log_info("balloon: the target is now %llu MiB", (unsigned long long)target / MIB);
	api_let_go(vm);
	rc = api_leave(before, rc);
	return rc < 0 ? rc : target;
}

unsigned long long minivmm_memory(const struct minivmm *vm)
{
	return vm->config->memory.size;
}

int minivmm_window_changed(struct minivmm *vm)
{
	int rc = api_call_running(vm);

	if (rc == 0 && vm->live)
		machine_window_changed(vm->m);
	return api_return_running(vm, rc);
}

int minivmm_on_stdio(const struct minivmm *vm)
{
	const struct config *c = vm->config;

	for (size_t i = 0; i < c->nr_ports; i++)
		if (c->port[i].end.kind == HOST_STDIO)
			return 1;
	return c->serial.kind == HOST_STDIO || c->console.kind == HOST_STDIO;
}

int minivmm_stream(struct minivmm *vm, enum minivmm_stream which)
{
	int fd = -1;

	api_call(vm);
	if (!vm->config->command.argv)
		fd = api_refuse(-ENOTSUP, "the machine runs no command");
	else if (vm->state == NEW)
		fd = command_take_stream(machine_command(vm->m), (unsigned)which);
	if (fd == -1)
		fd = api_refuse(-EBADF, "the stream was taken before, or the machine was started");
	api_return(vm);
	return fd;
}

int minivmm_signal(struct minivmm *vm, int signal)
{
	int rc = api_call_running(vm);

	if (rc == 0 && !vm->config->command.argv)
		rc = api_refuse(-ENOTSUP, "the machine runs no command");
	else if (rc == 0 && vm->live)
		command_tell(machine_command(vm->m), "signal %d", signal);
	return api_return_running(vm, rc);
}

int minivmm_window_size(struct minivmm *vm, unsigned rows, unsigned columns)
{
	int rc = api_call_running(vm);

	if (rc == 0 && !vm->config->command.terminal)
		rc = api_refuse(-ENOTSUP, "the machine runs no command at a terminal");
	else if (rc == 0 && vm->live)
		command_tell(machine_command(vm->m), "size %u %u", rows, columns);
	return api_return_running(vm, rc);
}

int minivmm_has_terminal(const struct minivmm *vm)
{
	return vm->config->command.terminal;
}

void minivmm_log(struct minivmm *vm, int level, const char *text)
{
	struct log_sink *before;
	struct api_log log;

	api_hold(vm);
	api_log_init(&log, vm->config->log_level, vm->log.fn, vm->log.ctx);
	log.foreign = true;
	before = log_use(&log.sink);
	log_msg((enum log_level)level, "%s", text);
	log_use(before);
	api_let_go(vm);
}

enum minivmm_end minivmm_end(struct minivmm *vm)
{
	enum minivmm_end end;

	api_call(vm);
	end = vm->state == ENDED ? (enum minivmm_end)vm->end : MINIVMM_NOT_ENDED;
	api_return(vm);
	return end;
}

int minivmm_status(struct minivmm *vm)
{
	int status;

	api_call(vm);
	status = vm->state == ENDED ? vm->status
				    : api_refuse(-EAGAIN, "the machine has not ended yet");
	api_return(vm);
	return status;
}

const char *minivmm_why(struct minivmm *vm)
{
	return minivmm_end(vm) == MINIVMM_NOT_ENDED ? "" : vm->why;
}
