/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/command.h"

#include "arch/arch.h"
#include "command/initramfs.h"
#include "machine/devices.h"

static void end(void *ctx, enum machine_end why)
{
	machine_end(ctx, why, 0);
}

static void stop_guest(void *ctx)
{
	machine_stop_guest(ctx);
}

static struct vcpu_clock tell_clock(void *ctx)
{
	const struct machine *m = ctx;

	return vcpu_clock(&m->vcpu[0]);
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
		.descriptors = m->owner.descriptors,
		.resolv = &m->resolv,
		.dry = m->owner.dry,
	};

	int rc = command_init(&m->command, m->config, &host);

	return rc == 0 && m->config->command.argv ? command_find_kernel(&m->command) : rc;
}

int machine_command_initrd(struct machine *m, struct boot_request *r, const struct file *initrd,
			   struct initramfs *a)
{
	const char *module[DEVICES_MAX_MODULES];
	int rc = 0;

	r->initrd = initrd->data;
	r->initrd_len = initrd->len;
	r->initrd_name = m->config->initrd;
	if (m->config->command.argv) {
		devices_modules(m, module);
		rc = command_initrd(&m->command, initrd, module, a);
		r->initrd = a->data;
		r->initrd_len = a->len;
		r->initrd_name = "of run";
	}
	return rc;
}
