/* SPDX-License-Identifier: BSD-2-Clause */
/* The program: options in, exit status out. Nothing else exits. */
#include <stdio.h>

#include "backend/tty.h"
#include "config.h"
#include "doctor.h"
#include "machine.h"
#include "signals.h"
#include "vcpu.h"

enum status { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_CRASHED = 3 };

static int status_of(const struct machine *m)
{
	switch (m->end) {
	case END_POWER_OFF:
	case END_RESET:
	case END_QUIT:
		return STATUS_OK;
	case END_CRASHED:
		return STATUS_CRASHED;
	case END_DEBUG_EXIT:
		return (int)m->end_value;
	case END_NONE:
	case END_KILLED:
	case END_FAILED:
		break;
	}
	return STATUS_FAILED;
}

/* One life of the machine, from power-on to its end. Sets *reset when the guest asked for another,
 * and nobody for the end. */
static int run_once(const struct config *c, struct machine *m, bool *reset)
{
	struct signals signals = { .signal_fd = -1, .timer_fd = -1 };
	int status = STATUS_FAILED;

	*reset = false;
	if (machine_init(m, c) == 0 && signals_init(&signals, m) == 0) {
		machine_run(m);
		status = status_of(m);
		*reset = m->end == END_RESET && !signals_came(&signals);
		if (c->stats)
			machine_print_stats(m);
	}
	signals_destroy(&signals);
	machine_destroy(m);
	return status;
}

static int run(const struct config *c)
{
	static struct machine m; /* large; one a process here */
	struct config life = *c;
	bool reset;
	int status;

	tty_reserve_stdio();
	signals_block();
	vcpu_signal_setup();
	do {
		status = run_once(&life, &m, &reset);
		life.append_output = true; /* one log of all lives */
		reset = reset && c->on_reset == ON_RESET_RESTART;
		if (reset)
			log_info("the guest asked for a reset: restarting it");
	} while (reset);
	return status;
}

static int dry_run(const struct config *c)
{
	static struct machine m;
	int status = STATUS_FAILED;

	if (machine_init(&m, c) == 0) {
		machine_print(&m);
		status = STATUS_OK;
	}
	machine_destroy(&m);
	return status;
}

/* What --help and its like print is all that they do, so losing it is a failure. */
static int printed(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	log_errno("standard output");
	return STATUS_FAILED;
}

int main(int argc, char **argv)
{
	struct config c;
	int status = STATUS_USAGE;

	if (config_parse(&c, argc, argv) == 0) {
		log_set_level(c.log_level);
		switch (c.action) {
		case ACTION_RUN:
			status = run(&c);
			break;
		case ACTION_DRY_RUN:
			status = printed(dry_run(&c));
			break;
		case ACTION_HELP:
			config_help(stdout);
			status = printed(STATUS_OK);
			break;
		case ACTION_VERSION:
			config_version(stdout);
			status = printed(STATUS_OK);
			break;
		case ACTION_DOCTOR:
			status = printed(doctor() == 0 ? STATUS_OK : STATUS_FAILED);
			break;
		}
	}
	config_destroy(&c);
	return status;
}
