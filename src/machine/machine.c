/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's parts, one after the other. The devices at I/O ports and the like are the
 * architecture's board (board.h). docs/adding-a-device.md says how a device is added.
 */
#include "machine/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "arch/arch.h"
#include "machine/command.h"
#include "machine/console.h"
#include "machine/devices.h"
#include "machine/dry_run.h"
#include "machine/kernel.h"
#include "machine/transport.h"
#include "vmm/thread.h"

#define PATIENCE_NS 20000000000ull /* for all readers of what the guest said last */

/* -- the parts ------------------------------------------------------------------------------- */

/* Shared directories have a thread of their own: a request to the host's file system may take
 * long. */
static unsigned nr_io_threads(const struct machine *m)
{
	return m->config->io_threads + (m->nr_shared_dirs > 0);
}

static int init_ram(struct machine *m)
{
	const struct kept *before = MACHINE_KEPT(m, kvm);
	const unsigned how = (config_shares_memory(m->config) ? RAM_SHARED : 0) |
			     (before && kept_has(before, 0) ? RAM_AGAIN : 0);
	int rc = ram_alloc(&m->ram, &m->config->memory, how);

	return rc == 0 ? ram_layout(&m->ram, &m->mem) : rc;
}

/* Without it the loops don't poll, and all else works. */
static int open_load(struct machine *m)
{
	struct kept *kept = MACHINE_KEPT(m, load);

	if (!m->config->poll || m->owner.dry)
		return 0;
	m->load_fd = kept_open(kept, 0);
	if (m->load_fd >= 0)
		return 0;
	m->load_fd = polling_open();
	return m->load_fd < 0 ? 0 : kept_keep(kept, 0, m->load_fd, "/proc/loadavg");
}

static int init_loops(struct machine *m)
{
	int rc = open_load(m);

	if (rc == 0)
		rc = loop_init(&m->loop);
	m->loop.patience = m->owner.patience;
	for (unsigned i = 0; i < nr_io_threads(m) && rc == 0; i++) {
		rc = loop_init(&m->io[i].loop);
		m->io[i].loop.patience = m->owner.patience;
		loop_poll(&m->io[i].loop, m->load_fd);
	}
	return rc;
}

/* Makes the whole address map: the board's part, and that of the virtio devices. */
static int map_devices(struct machine *m)
{
	int rc = board_map(&m->board, &m->mmio);

	if (rc == 0)
		rc = transport_map(m);
	bus_freeze(&m->mmio);
	return rc;
}

static int init_devices(struct machine *m)
{
	struct board_host host = {
		.vm = &m->vm,
		.pci = &m->pci,
		.power = { .event = machine_on_power, .ctx = m },
	};
	int rc = machine_console_open(m, &host.power);

	if (rc < 0)
		return rc;
	host.serial = m->serial;
	board_init(&m->board, m->config, &host);
	return devices_init(m);
}

/* -- what firmware would do ------------------------------------------------------------------ */

static int place_tables(struct machine *m)
{
	struct virtio_place virtio[MACHINE_MAX_VIRTIO];
	struct device_places places = { 0 };

	transport_describe(m, &places, virtio);
	return board_place_tables(&m->board, &m->mem, &places);
}

/* -- KVM ------------------------------------------------------------------------------------- */

static int init_vm(struct machine *m)
{
	int rc = vm_init(&m->vm, MACHINE_KEPT(m, kvm));

	for (size_t i = 0; i < m->mem.nr && rc == 0; i++)
		rc = vm_add_memory(&m->vm, m->mem.region[i].base, m->mem.region[i].size,
				   m->mem.region[i].host);
	if (rc == 0)
		transport_show(m);
	return rc == 0 ? vm_init_arch(&m->vm, m->config->nested) : rc;
}

static void *make_vcpus(void *arg)
{
	struct machine *m = arg;

	for (unsigned i = 0; i < m->config->cpus && m->vcpus_rc == 0; i++) {
		struct vcpu *v = &m->vcpu[m->nr_vcpus++];

		m->vcpus_rc =
			vcpu_init(v, &m->vm, i, m->config->cpus, &m->board, &m->mmio, &m->mem);
		v->timed = m->config->stats || m->config->command.json;
	}
	return NULL;
}

/* KVM takes as long for a vCPU as we take for devices and a small kernel, and needs nothing of
 * them; nor does anything look at a vCPU until await_vcpus(). */
static void begin_vcpus(struct machine *m)
{
	m->makes_vcpus = thread_start(&m->vcpu_maker, "vcpus", make_vcpus, m) == 0;
	if (!m->makes_vcpus)
		make_vcpus(m);
}

static int await_vcpus(struct machine *m)
{
	if (m->makes_vcpus)
		pthread_join(m->vcpu_maker, NULL);
	m->makes_vcpus = false;
	return m->vcpus_rc;
}

static int enter_kernel(struct machine *m)
{
	int rc = await_vcpus(m);

	return rc == 0 ? board_enter_kernel(&m->board, &m->vcpu[0]) : rc;
}

/* -- life ------------------------------------------------------------------------------------ */

/* Marks every descriptor as closed; every pointer is NULL already: destroy() is safe from
 * here on. */
static void machine_none(struct machine *m, const struct config *c)
{
	m->config = c;
	vm_none(&m->vm);
	m->load_fd = -1;
	m->kernel.cache.dir = -1;
	m->loop = (struct loop){ .epoll_fd = -1, .wake_fd = -1 };
	for (size_t i = 0; i < ARRAY_SIZE(m->io); i++)
		m->io[i].loop = m->loop;
}

static int init(struct machine *m, const struct config *c, const struct machine_owner *o)
{
	const bool live = !o->dry;
	int rc;

	machine_none(m, c);
	m->owner = *o;
	m->nr_shared_dirs = config_shared_dirs(c, m->shared_dir);
	m->times.begin = monotonic_ns();
	fd_budget_init(&m->fds, fd_budget_limit());
	rc = machine_command_init(m);
	if (rc == 0 && !live)
		rc = dry_run_check(c);
	if (rc == 0)
		rc = init_ram(m);
	if (rc == 0)
		rc = init_loops(m);
	if (rc == 0)
		transport_init(m);
	m->times.memory = monotonic_ns();
	if (rc == 0 && live)
		rc = init_vm(m);
	if (rc == 0 && live)
		begin_vcpus(m);
	m->times.kvm = monotonic_ns();
	if (rc == 0)
		rc = init_devices(m);
	if (rc == 0)
		rc = map_devices(m);
	if (rc == 0)
		rc = place_tables(m);
	m->times.devices = monotonic_ns();
	if (rc == 0)
		rc = machine_place_kernel(m);
	m->times.kernel = monotonic_ns();
	if (rc == 0 && live)
		rc = enter_kernel(m);
	if (rc == 0 && live)
		rc = command_begin(&m->command);
	m->times.vcpus = monotonic_ns();
	return rc;
}

static void destroy(struct machine *m)
{
	(void)await_vcpus(m);
	machine_leave_kernel(m);
	machine_console_close(m);
	transport_destroy(m);
	devices_destroy(m);
	command_destroy(&m->command);
	board_destroy(&m->board);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_destroy(&m->vcpu[i]);
	vm_destroy(&m->vm);
	for (size_t i = 0; i < ARRAY_SIZE(m->io); i++)
		loop_destroy(&m->io[i].loop);
	loop_destroy(&m->loop);
	close_fd(&m->load_fd);
	ram_free(&m->ram);
	free(m->cmdline);
	m->cmdline = NULL;
}

int machine_new(struct machine **m, const struct config *c, const struct machine_owner *o)
{
	int rc;

	*m = calloc(1, sizeof(**m));
	rc = *m ? init(*m, c, o) : log_ret(-ENOMEM, "out of memory");
	if (rc < 0) {
		machine_free(*m);
		*m = NULL;
	}
	return rc;
}

void machine_free(struct machine *m)
{
	if (m)
		destroy(m);
	free(m);
}

enum machine_end machine_how(const struct machine *m)
{
	return __atomic_load_n(&m->end, __ATOMIC_ACQUIRE);
}

struct command *machine_command(struct machine *m)
{
	return &m->command;
}

static void *io_thread(void *arg)
{
	struct io_thread *io = arg;

	if (loop_run(&io->loop) < 0)
		machine_end(io->machine, END_FAILED, 0);
	return NULL;
}

static int start_io_threads(struct machine *m)
{
	for (unsigned i = 0; i < nr_io_threads(m); i++) {
		struct io_thread *io = &m->io[i];

		io->machine = m;
		errno = -thread_start(&io->thread, "io", io_thread, io);
		if (errno)
			return log_errno("I/O thread %u", i);
		io->started = true;
	}
	return 0;
}

static int start_vcpus(struct machine *m)
{
	int rc = 0;

	for (unsigned i = 0; i < m->nr_vcpus && rc == 0; i++)
		rc = vcpu_start(&m->vcpu[i], machine_on_vcpu_end, m);
	return rc;
}

void machine_stop_guest(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_ask(&m->vcpu[i], VCPU_STOP);
}

/* vCPUs come first, because they make new work for the I/O threads. */
static void stop_threads(struct machine *m)
{
	__atomic_store_n(&m->stopping, true, __ATOMIC_RELAXED);
	board_stop(&m->board); /* a vCPU may be waiting in there */
	machine_stop_guest(m);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_join(&m->vcpu[i]);
	for (size_t i = 0; i < ARRAY_SIZE(m->io); i++) {
		if (!m->io[i].started)
			continue;
		loop_stop(&m->io[i].loop);
		pthread_join(m->io[i].thread, NULL);
		m->io[i].started = false;
	}
}

/* The vCPUs come first, because the guest's boot is what takes time; kicks wait in their eventfds. */
int machine_start(struct machine *m)
{
	int rc = command_start(&m->command);

	if (rc == 0)
		rc = start_vcpus(m);
	if (rc == 0)
		rc = start_io_threads(m);
	if (rc == 0)
		machine_keep_kernel(m);
	return rc;
}

void machine_serve(struct machine *m)
{
	if (loop_run(&m->loop) < 0)
		machine_end(m, END_FAILED, 0);
}

void machine_stop(struct machine *m)
{
	if (m->owner.patience)
		patience_begin(m->owner.patience, PATIENCE_NS);
	stop_threads(m);
	machine_leave_kernel(m);
	machine_console_close(m);
	command_finish(&m->command);
}

void machine_press_power_button(struct machine *m)
{
	board_press_power_button(&m->board);
}

int64_t machine_move_balloon(struct machine *m, int64_t bytes)
{
	struct virtio_dev *vd = machine_device(m, VIRTIO_ID_BALLOON);

	return vd ? (int64_t)virtio_balloon_move(vd, bytes) : -ENOTSUP;
}

void machine_pause(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_ask(&m->vcpu[i], VCPU_PAUSE);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_await_outside(&m->vcpu[i]);
}

void machine_resume(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_ask(&m->vcpu[i], VCPU_GO_ON);
}
