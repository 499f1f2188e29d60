/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a machine ends: what its devices and vCPUs say of it, and the first reason that counts.
 *
 * A Linux that panics resets the machine like one that reboots. A driver of pvpanic would tell of
 * it, but is often a module that is not loaded. So on x86 the default command line has
 * reboot=panic_warm: a kernel that resets the machine after a panic then asks for a warm boot, in
 * the BIOS's data area; on any other reset it asks for a cold one. Either way a panic is not a
 * reset: it is never followed by another life.
 */
#include "machine/machine.h"

#include "arch/arch.h"
#include "minivmm.h"

void machine_end(struct machine *m, enum machine_end why, unsigned value)
{
	enum machine_end none = END_NONE;

	if (__atomic_compare_exchange_n(&m->end, &none, why, false, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		m->end_value = value; /* read after the threads are joined */
	else if (why == END_QUIT || why == END_KILLED)
		__atomic_store_n(&m->called_off, why, __ATOMIC_RELEASE);
	/* A guest that has switched itself off must not run on. */
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_enter_no_more(&m->vcpu[i]);
	loop_stop(&m->loop);
}

/* Did the kernel leave the mark of a panic before it reset the machine? Only a Linux whose command
 * line asks for it does (cmdline_marks_panics()); other kernels may leave anything there. */
static bool left_a_mark(const struct machine *m)
{
	return m->marks_panics && kernel_left_panic(&m->mem);
}

/* A guest may report a panic by one instruction that writes a thousand times, so it is logged
 * once. */
static void end_by_panic(struct machine *m)
{
	if (__atomic_load_n(&m->end, __ATOMIC_ACQUIRE) == END_NONE)
		log_msg(LOG_ERROR, "the guest's kernel panicked (its console says why)");
	machine_end(m, END_CRASHED, 0);
}

void machine_on_power(void *ctx, enum power_event what, unsigned value)
{
	struct machine *m = ctx;

	switch (what) {
	case POWER_OFF:
		machine_end(m, END_POWER_OFF, 0);
		break;
	case POWER_RESET:
		if (left_a_mark(m))
			end_by_panic(m);
		else
			machine_end(m, END_RESET, 0);
		break;
	case POWER_PANIC:
		end_by_panic(m);
		break;
	case POWER_DEBUG_EXIT:
		machine_end(m, END_DEBUG_EXIT, value);
		break;
	case POWER_QUIT:
		machine_end(m, END_QUIT, 0);
		break;
	}
}

void machine_on_vcpu_end(void *ctx, enum vcpu_end end)
{
	struct machine *m = ctx;

	switch (end) {
	case VCPU_STOPPED:
		break;
	case VCPU_POWER_OFF:
		machine_on_power(m, POWER_OFF, 0);
		break;
	case VCPU_RESET:
		machine_on_power(m, POWER_RESET, 0);
		break;
	case VCPU_PANIC:
		machine_on_power(m, POWER_PANIC, 0);
		break;
	case VCPU_CRASHED:
		/* A panicking kernel may reset by a triple fault (reboot=t). */
		if (left_a_mark(m))
			end_by_panic(m);
		machine_end(m, END_CRASHED, 0);
		break;
	case VCPU_FAILED:
		machine_end(m, END_FAILED, 0);
		break;
	}
}

int machine_status(const struct machine *m, enum machine_end end)
{
	if (m->config->command.argv)
		return command_status(&m->command);
	switch (end) {
	case END_POWER_OFF:
	case END_RESET:
	case END_QUIT:
		return MINIVMM_EXIT_OK;
	case END_CRASHED:
		return MINIVMM_EXIT_CRASHED;
	case END_DEBUG_EXIT:
		return (int)m->end_value;
	case END_NONE:
	case END_KILLED:
	case END_FAILED:
	case END_COMMAND:
		break;
	}
	return MINIVMM_EXIT_FAILED;
}
