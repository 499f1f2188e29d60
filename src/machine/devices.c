/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/devices.h"

#include "config/command.h"
#include "machine/console.h"
#include "machine/fs.h"
#include "machine/net.h"
#include "machine/transport.h"

/* -- one by one ------------------------------------------------------------------------------ */

static int init_disk(struct machine *m, size_t i)
{
	struct loop *loop = &m->io[i % m->config->io_threads].loop;
	const struct disk_config *d = &m->config->disk[i];
	const struct disk_options o = {
		.path = d->path,
		.readonly = d->readonly,
		.id = d->id,
		.format = d->format,
		.sector = (uint32_t)d->sector,
		.overlay = d->overlay,
		.temp = d->temp,
		.dry = m->owner.dry,
		.kept = MACHINE_KEPT(m, disk[i]),
	};
	int rc = virtio_blk_init(&m->disk[i], &o);

	return rc == 0 ? machine_add_virtio(m, &m->disk[i].vd, loop) : rc;
}

static int init_disks(struct machine *m)
{
	int rc = 0;

	while (m->nr_disks < m->config->nr_disks && rc == 0)
		rc = init_disk(m, m->nr_disks++); /* destroyed even if it is only half made */
	return rc;
}

static void destroy_disks(struct machine *m)
{
	for (size_t i = 0; i < m->nr_disks; i++)
		virtio_blk_destroy(&m->disk[i]);
	m->nr_disks = 0;
}

/* A command's kernel gets its seed from us, and needs no driver for it. */
static int init_rng(struct machine *m)
{
	if (m->config->command.argv)
		return 0;
	virtio_init(&m->rng, &virtio_rng_ops, 0);
	return machine_add_virtio(m, &m->rng, &m->io[0].loop);
}

static int init_vsock(struct machine *m)
{
	const struct vsock_config *c = &m->config->vsock;
	const unsigned cid = config_cid(m->config);
	const bool live = !m->owner.dry;
	const struct vsock_options o = {
		.cid = cid,
		.path = c->path,
		.dry = !live,
		.fds = &m->fds,
		.kept = MACHINE_KEPT(m, vsock),
	};
	int rc;

	if (!cid)
		return 0;
	rc = c->vhost ? vsock_vhost_init(&m->vsock_vhost, cid, live, o.kept)
		      : virtio_vsock_init(&m->vsock, &o, &m->io[0].loop);
	if (rc == 0)
		rc = command_connect(&m->command, &m->vsock);
	if (rc < 0)
		return rc;
	return machine_add_virtio(m, c->vhost ? &m->vsock_vhost.vd : &m->vsock.vd, &m->io[0].loop);
}

static void destroy_vsock(struct machine *m)
{
	virtio_vsock_destroy(&m->vsock);
	vsock_vhost_destroy(&m->vsock_vhost);
}

/* -- all of them ----------------------------------------------------------------------------- */

/* The guest finds them in this order. HERE: init makes what the options ask for, which may be
 * nothing; destroy is safe after any init, and without one. OPTION: the option is a member of
 * struct config, and the device's own ops make and destroy it. */
#define HERE(init_, destroy_)                                                                      \
	{                                                                                          \
		.init = init_, .destroy = destroy_                                                 \
	}
#define OPTION(member_, ops_)                                                                      \
	{                                                                                          \
		.ops = &(ops_), .options = offsetof(struct config, member_)                        \
	}

static const struct row {
	int (*init)(struct machine *m);
	void (*destroy)(struct machine *m);
	const struct virtio_ops *ops;
	size_t options;
} devices[] = {
	HERE(init_disks, destroy_disks), /* first, because Linux calls them vda, vdb, … */
	HERE(machine_net_init, machine_net_destroy),
	HERE(init_rng, NULL),
	OPTION(balloon, virtio_balloon_ops),
	HERE(init_vsock, destroy_vsock),
	HERE(machine_fs_init, machine_fs_destroy),
	HERE(machine_console_add, machine_console_destroy),
};
_Static_assert(ARRAY_SIZE(devices) <= MACHINE_MAX_MADE, "m->made has room for all");

static uint64_t take_back(void *ctx, const struct iovec *range, unsigned nr)
{
	return ram_release(ctx, range, nr);
}

/* A command's machine has a balloon that nobody asked for only where its kernel can use it, and
 * where the guest's memory isn't to be there at all times. */
static bool goes_without(const struct machine *m, const struct virtio_ops *ops)
{
	return ops == &virtio_balloon_ops && m->config->balloon.by_default &&
	       (m->config->memory.prefault || drivers_lack(&m->command.drivers, ops->module));
}

static int make(struct machine *m, size_t i)
{
	const struct virtio_host host = {
		.loop = &m->io[0].loop,
		.dry = m->owner.dry,
		.kept = MACHINE_KEPT(m, made[i]),
		.fds = &m->fds,
		.memory = m->config->memory.size,
		.release = m->ram.releasable ? take_back : NULL,
		.ctx = &m->ram,
	};
	const void *options = (const uint8_t *)m->config + devices[i].options;
	struct virtio_dev *vd = NULL;
	int rc = goes_without(m, devices[i].ops) ? 0 : devices[i].ops->make(&vd, options, &host);

	if (rc < 0 || !vd)
		return rc;
	m->made[i] = vd;
	return machine_add_virtio(m, vd, host.loop);
}

int devices_init(struct machine *m)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(devices) && rc == 0; i++)
		rc = devices[i].init ? devices[i].init(m) : make(m, i);
	return rc;
}

void devices_destroy(struct machine *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		if (devices[i].destroy)
			devices[i].destroy(m);
		if (m->made[i])
			m->made[i]->ops->destroy(m->made[i]);
		m->made[i] = NULL;
	}
}

struct virtio_dev *machine_device(const struct machine *m, uint32_t device_id)
{
	for (size_t i = 0; i < m->nr_virtio; i++)
		if (m->virtio[i].vd->ops->device_id == device_id)
			return m->virtio[i].vd;
	return NULL;
}

void devices_modules(const struct machine *m, const char *module[DEVICES_MAX_MODULES])
{
	size_t nr = 0;

	module[nr++] = transport_module(m);
	for (size_t i = 0; i < m->nr_virtio; i++)
		if (m->virtio[i].vd->ops->module)
			module[nr++] = m->virtio[i].vd->ops->module;
	module[nr] = NULL;
}
