/* SPDX-License-Identifier: BSD-2-Clause */
#include "kvm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "arch/arch.h"
#include "vmm/log.h"
#include "vmm/thread.h"

/* This signal interrupts KVM_RUN. The vCPU's thread blocks it except during KVM_RUN, so that it
 * ends that call and is never delivered: it needs no handler. No kernel sends it and hardly any
 * program uses it: if it were sent to the process, and no other thread took it, it would be lost
 * here. It is not a real-time signal: those can't be sent when the user has as many pending as he
 * may (ulimit -i). */
#define VCPU_SIGNAL SIGSTKFLT

static int set_signal_mask(const struct vcpu *v)
{
	const uint64_t blocked = ~(1ull << (VCPU_SIGNAL - 1)); /* the kernel's sigset_t */
	_Alignas(struct kvm_signal_mask)
		uint8_t buf[sizeof(struct kvm_signal_mask) + sizeof(blocked)];
	struct kvm_signal_mask *mask = (struct kvm_signal_mask *)buf;

	mask->len = sizeof(blocked);
	memcpy(mask->sigset, &blocked, sizeof(blocked));
	if (ioctl(v->fd, KVM_SET_SIGNAL_MASK, mask) < 0)
		return log_errno("KVM: signal mask of vCPU %u", v->id);
	return 0;
}

int vcpu_init(struct vcpu *v, const struct vm *vm, unsigned id, unsigned cpus, struct board *board,
	      struct bus *mmio, const struct gmem *mem)
{
	void *run;
	int rc;

	*v = (struct vcpu){ .id = id, .fd = -1, .board = board, .mmio = mmio, .mem = mem };
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (long)id);
	if (v->fd < 0)
		return log_errno("KVM: create vCPU %u of %u", id, cpus);
	run = mmap(NULL, vm->run_page_len, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED)
		return log_errno("KVM: map vCPU %u", id);
	v->run_page = run;
	v->run_page_len = vm->run_page_len;
	rc = set_signal_mask(v);
	return rc == 0 ? vcpu_init_arch(v, vm, cpus) : rc;
}

void vcpu_destroy(struct vcpu *v)
{
	if (v->run_page)
		munmap(v->run_page, v->run_page_len);
	v->run_page = NULL;
	close_fd(&v->fd);
}

void vcpu_ask(struct vcpu *v, enum vcpu_ask ask)
{
	pthread_mutex_lock(&v->lock);
	if (v->ask != VCPU_STOP)
		v->ask = ask;
	pthread_cond_broadcast(&v->changed);
	if (v->ask != VCPU_GO_ON) {
		/* Either the vCPU, which sets inside before KVM looks at the flag (KVM api 5,
		 * immediate_exit), finds the flag set; or we find the vCPU inside. */
		__atomic_store_n(&v->run_page->immediate_exit, 1, __ATOMIC_SEQ_CST);
		if (v->started && __atomic_load_n(&v->inside, __ATOMIC_SEQ_CST))
			pthread_kill(v->thread, VCPU_SIGNAL);
	}
	pthread_mutex_unlock(&v->lock);
}

void vcpu_await_outside(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	while (v->ask == VCPU_PAUSE && __atomic_load_n(&v->inside, __ATOMIC_SEQ_CST))
		pthread_cond_wait(&v->changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

bool vcpu_await_parked(struct vcpu *v)
{
	bool parked;

	pthread_mutex_lock(&v->lock);
	while (v->ask == VCPU_PAUSE && v->running)
		pthread_cond_wait(&v->changed, &v->lock);
	parked = v->ask == VCPU_PAUSE;
	pthread_mutex_unlock(&v->lock);
	return parked;
}

void vcpu_enter_no_more(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->ask = VCPU_STOP;
	pthread_cond_broadcast(&v->changed);
	__atomic_store_n(&v->run_page->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&v->lock);
}

/* Signals that came are still pending, because this thread blocks them. More come only while the
 * sender holds the lock and the vCPU is inside. */
static void take_signals(void)
{
	static const struct timespec at_once;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_SIGNAL);
	while (sigtimedwait(&set, NULL, &at_once) > 0)
		;
}

/* Called with the lock held, when nothing that the guest's last instruction began is unfinished. */
static void park(struct vcpu *v)
{
	v->running = false;
	pthread_cond_broadcast(&v->changed);
}

/* Called between two KVM_RUNs, after a signal: waits while paused. Returns false if the vCPU must
 * stop. */
static bool vcpu_may_run(struct vcpu *v)
{
	bool go;

	pthread_mutex_lock(&v->lock);
	park(v);
	while (v->ask == VCPU_PAUSE)
		pthread_cond_wait(&v->changed, &v->lock);
	take_signals();
	go = v->running = v->ask == VCPU_GO_ON;
	if (go)
		__atomic_store_n(&v->run_page->immediate_exit, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&v->lock);
	return go;
}

/* -- the exits ------------------------------------------------------------------------------- */

void vcpu_note_access(struct vcpu *v, uint64_t addr, uint64_t value, unsigned size, bool mmio,
		      bool write)
{
	v->access[v->nr_accesses++ % VCPU_ACCESSES] = (struct vcpu_access){
		.addr = addr, .value = value, .size = (uint8_t)size, .mmio = mmio, .write = write
	};
}

/* The guest touched an address without a memory slot. KVM splits what crosses a page; len is 1 to
 * 8, and not always a power of two. Devices see 1, 2, 4 or 8 bytes; no device answers an access of
 * another size. */
static int exit_mmio(struct vcpu *v)
{
	const gpa_t addr = v->run_page->mmio.phys_addr;
	const unsigned len = v->run_page->mmio.len;
	uint8_t *data = v->run_page->mmio.data;
	const uint64_t written = load_le(data, min(len, 8u));
	const bool write = v->run_page->mmio.is_write;
	bool hit = false;

	if (!is_power_of_two(len) || len > 8)
		memset(data, 0xff, sizeof(v->run_page->mmio.data));
	else if (write)
		hit = bus_write(v->mmio, addr, len, written);
	else
		store_le(data, len, bus_read(v->mmio, addr, len, &hit));
	v->stats.unclaimed += !hit;
	vcpu_note_access(v, addr, write ? written : load_le(data, min(len, 8u)), len, true, write);
	return VCPU_RESUME;
}

/* Somebody wants attention (by a signal, or by vcpu_ask); the loop looks before it enters again. */
static int exit_intr(struct vcpu *v __unused)
{
	return VCPU_RESUME;
}

static int exit_system_event(struct vcpu *v)
{
	switch (v->run_page->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return VCPU_POWER_OFF;
	case KVM_SYSTEM_EVENT_RESET:
		return VCPU_RESET;
	case KVM_SYSTEM_EVENT_CRASH:
		return VCPU_PANIC;
	}
	return VCPU_RESUME; /* wake-up and suspend: nothing to do */
}

static int exit_internal_error(struct vcpu *v)
{
	static const char *const words[] = {
		[0] = "an internal error of KVM",
		[KVM_INTERNAL_ERROR_EMULATION] = "KVM can't emulate this instruction",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once that KVM can't merge",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "KVM failed to deliver an event",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] =
			"the CPU gave KVM an exit that it does not know",
	};
	const uint32_t error = v->run_page->internal.suberror;

	vcpu_explain(v, words[error < ARRAY_SIZE(words) && words[error] ? error : 0], NULL);
	return VCPU_CRASHED;
}

static int exit_unknown(struct vcpu *v)
{
	char why[96];

	snprintf(why, sizeof(why), "KVM reports exit reason %u, which minivmm does not handle",
		 v->run_page->exit_reason);
	vcpu_explain(v, why, NULL);
	return VCPU_CRASHED;
}

/* Every architecture has these exits. The others are in the architecture's table, which takes
 * precedence. */
static const struct vcpu_exit exits[VCPU_EXIT_REASONS] = {
	[KVM_EXIT_UNKNOWN] = { "unknown", exit_unknown },
	[KVM_EXIT_MMIO] = { "mmio", exit_mmio },
	[KVM_EXIT_INTR] = { "intr", exit_intr },
	[KVM_EXIT_SYSTEM_EVENT] = { "system-event", exit_system_event },
	[KVM_EXIT_INTERNAL_ERROR] = { "internal-error", exit_internal_error },
};

/* Returns the row for a reason, or NULL. */
static const struct vcpu_exit *find_exit(unsigned reason)
{
	if (reason >= ARRAY_SIZE(exits))
		return NULL;
	if (arch_exits[reason].handle)
		return &arch_exits[reason];
	return exits[reason].handle ? &exits[reason] : NULL;
}

const char *vcpu_exit_name(unsigned reason)
{
	const struct vcpu_exit *e = find_exit(reason);

	return e ? e->name : NULL;
}

int vcpu_handle(struct vcpu *v)
{
	const uint32_t reason = v->run_page->exit_reason;
	const struct vcpu_exit *e = find_exit(reason);

	if (!e)
		return exit_unknown(v);
	v->stats.exits[reason]++;
	return e->handle(v);
}

/* Somebody may be waiting for the vCPU to be outside. */
static void tell_outside(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
}

/* Calls KVM_RUN, and times it if v->timed. Returns 0 after an exit, or -errno. */
static int vcpu_enter(struct vcpu *v, uint64_t *left)
{
	uint64_t entered = v->timed ? monotonic_ns() : 0;
	int rc;

	__atomic_store_n(&v->inside, true, __ATOMIC_SEQ_CST); /* pairs with vcpu_ask() */
	rc = ioctl(v->fd, KVM_RUN, 0L) < 0 ? -errno : 0;
	__atomic_store_n(&v->inside, false, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->run_page->immediate_exit, __ATOMIC_SEQ_CST))
		tell_outside(v);
	if (v->timed && !v->stats.first_run_ns)
		v->stats.first_run_ns = entered;
	if (v->timed) {
		v->stats.host_ns += *left ? entered - *left : 0;
		*left = monotonic_ns();
		v->stats.guest_ns += *left - entered;
	}
	return rc;
}

enum vcpu_end vcpu_run(struct vcpu *v)
{
	uint64_t left = 0;
	int next = vcpu_may_run(v) ? VCPU_RESUME : VCPU_STOPPED;

	while (next == VCPU_RESUME) {
		int rc = vcpu_enter(v, &left);

		if (rc == 0) {
			next = vcpu_handle(v);
		} else if (rc == -EINTR || rc == -EAGAIN) {
			/* EAGAIN: the vCPU took an INIT while it waited. */
			v->stats.interrupted++;
			if (!vcpu_may_run(v))
				next = VCPU_STOPPED;
		} else {
			errno = -rc;
			log_errno("KVM: run vCPU %u", v->id);
			next = VCPU_FAILED;
		}
	}
	pthread_mutex_lock(&v->lock);
	park(v);
	pthread_mutex_unlock(&v->lock);
	return (enum vcpu_end)next;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	v->ended(v->ctx, vcpu_run(v));
	return NULL;
}

int vcpu_start(struct vcpu *v, void (*ended)(void *ctx, enum vcpu_end end), void *ctx)
{
	char name[16];

	v->ended = ended;
	v->ctx = ctx;
	snprintf(name, sizeof(name), "vcpu%u", v->id);
	errno = -thread_start(&v->thread, name, vcpu_thread, v);
	if (errno)
		return log_errno("thread of vCPU %u", v->id);
	v->started = true;
	return 0;
}

void vcpu_join(struct vcpu *v)
{
	if (v->started)
		pthread_join(v->thread, NULL);
	v->started = false;
}
