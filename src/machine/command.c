/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/command.h"

static void end(void *ctx, enum machine_end why)
{
	machine_end(ctx, why, 0);
}

static void stop_guest(void *ctx)
{
	machine_stop_guest(ctx);
}

static struct command_clock tell_clock(void *ctx)
{
	const struct machine *m = ctx;
	const struct vcpu_clock c = vcpu_clock(&m->vcpu[0]);

	return (struct command_clock){ .counter = c.counter, .real_ns = c.real_ns, .khz = c.khz };
}

static void figures(void *ctx, struct machine_figures *f)
{
	machine_figures(ctx, f);
}

int machine_command_init(struct machine *m)
{
	const struct command_host host = {
		.loop = &m->loop,
		.end = end,
		.stop_guest = stop_guest,
		.clock = tell_clock,
		.figures = figures,
		.ctx = m,
	};

	return command_init(&m->command, m->config, &host);
}
