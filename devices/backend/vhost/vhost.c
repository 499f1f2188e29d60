/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vhost, as <linux/vhost.h> describes it. If the driver fills a queue with nonsense, the kernel
 * stops serving it, without a message and without harm to anyone else.
 *
 * Deliberately missing: the dirty log, backend features, an IOTLB.
 */
#include "backend/vhost/vhost.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <sys/ioctl.h>

#include "vmm/event.h"

#define RING_FEATURES                                                                              \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                \
	 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX))

/* The guest can make this happen as often as it starts its device, so the messages are limited. */
static int failed(const struct vhost *v, const char *what)
{
	return guest_errno(&v->vd->log, "%s: vhost: %s", v->option, what);
}

static int open_device(struct vhost *v, const char *path, const char *module)
{
	const char *option = v->option;

	v->fd = open(path, O_RDWR | O_CLOEXEC);
	if (v->fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return log_ret(
			-errno,
			"%s: this host has no %s; load its module, as in sudo modprobe %s, or leave out vhost=on",
			option, path, module);
	if (v->fd < 0 && errno == EACCES)
		return log_ret(
			-errno,
			"%s: you may not open %s; sudo setfacl -m u:$USER:rw %s lets you, or leave out vhost=on",
			option, path, path);
	if (v->fd < 0)
		return log_errno("%s: %s", option, path);
	if (ioctl(v->fd, VHOST_SET_OWNER) < 0)
		return log_errno("%s: vhost: VHOST_SET_OWNER", option);
	return 0;
}

int vhost_open(struct vhost *v, const char *option, const char *path, const char *module,
	       struct kept *kept, unsigned nr)
{
	int rc;

	*v = (struct vhost){ .option = option };
	rc = v->fd = kept_open(kept, nr);
	if (rc == -ENOENT) {
		rc = open_device(v, path, module);
		if (rc == 0)
			rc = kept_keep(kept, nr, v->fd, option);
	} else if (rc < 0) {
		return log_errno("%s: %s", option, path);
	}
	if (rc < 0)
		return rc;
	if (ioctl(v->fd, VHOST_GET_FEATURES, &v->features) < 0)
		return log_errno("%s: vhost: VHOST_GET_FEATURES", option);
	return 0;
}

void vhost_close(struct vhost *v)
{
	close_fd(&v->fd);
}

uint64_t vhost_offer(const struct vhost *v, uint64_t features)
{
	return features & ~VIRTIO_BIT(VIRTIO_F_RING_RESET) & (v->features | ~RING_FEATURES);
}

static int share_memory(const struct vhost *v, const struct gmem *mem)
{
	union {
		struct vhost_memory table;
		char space[sizeof(struct vhost_memory) +
			   GMEM_MAX_REGIONS * sizeof(struct vhost_memory_region)];
	} u = { .table.nregions = (uint32_t)mem->nr };

	for (size_t i = 0; i < mem->nr; i++)
		u.table.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->region[i].base,
			.memory_size = mem->region[i].size,
			.userspace_addr = (uintptr_t)mem->region[i].host,
		};
	return ioctl(v->fd, VHOST_SET_MEM_TABLE, &u) < 0 ? failed(v, "VHOST_SET_MEM_TABLE") : 0;
}

static int start_ring(const struct vhost *v, unsigned ring)
{
	const struct virtio_dev *vd = v->vd;
	const unsigned queue = v->first + ring;
	const struct virtq *q = &vd->q[queue];
	const struct vhost_vring_state num = { .index = ring, .num = q->state.size };
	const struct vhost_vring_state base = { .index = ring, .num = q->state.next_avail };
	const struct vhost_vring_addr addr = {
		.index = ring,
		.desc_user_addr = (uintptr_t)q->desc,
		.avail_user_addr = (uintptr_t)q->avail,
		.used_user_addr = (uintptr_t)q->used,
	};
	struct vhost_vring_file kick = { .index = ring }, call = { .index = ring };

	assert(q->state.ready);
	vd->transport->watch_kicks(vd->transport_ctx, queue, false);
	kick.fd = vd->transport->kick_fd(vd->transport_ctx, queue);
	call.fd = vd->transport->call_fd(vd->transport_ctx, queue);
	if (call.fd < 0)
		return call.fd; /* has been logged */
	if (ioctl(v->fd, VHOST_SET_VRING_NUM, &num) < 0)
		return failed(v, "VHOST_SET_VRING_NUM");
	if (ioctl(v->fd, VHOST_SET_VRING_BASE, &base) < 0)
		return failed(v, "VHOST_SET_VRING_BASE");
	if (ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr) < 0)
		return failed(v, "VHOST_SET_VRING_ADDR");
	if (ioctl(v->fd, VHOST_SET_VRING_KICK, &kick) < 0)
		return failed(v, "VHOST_SET_VRING_KICK");
	if (ioctl(v->fd, VHOST_SET_VRING_CALL, &call) < 0)
		return failed(v, "VHOST_SET_VRING_CALL");
	return 0;
}

int vhost_start(struct vhost *v, struct virtio_dev *vd, unsigned first, unsigned nr)
{
	uint64_t features = vd->state.driver_features & v->features;
	int rc;

	v->vd = vd;
	v->first = first;
	v->nr = nr;
	if (ioctl(v->fd, VHOST_SET_FEATURES, &features) < 0)
		return failed(v, "VHOST_SET_FEATURES");
	rc = share_memory(v, vd->mem);
	for (unsigned i = 0; i < nr && rc == 0; i++)
		rc = start_ring(v, i);
	return rc;
}

void vhost_kick(const struct vhost *v)
{
	for (unsigned i = 0; i < v->nr; i++)
		event_signal(v->vd->transport->kick_fd(v->vd->transport_ctx, v->first + i));
}

static void stop_ring(const struct vhost *v, unsigned ring)
{
	struct virtq *q = &v->vd->q[v->first + ring];
	struct vhost_vring_file none = { .index = ring, .fd = -1 };
	struct vhost_vring_state base = { .index = ring };

	/* They fail only for a ring that was never set up, and then there is nothing to undo. */
	(void)ioctl(v->fd, VHOST_SET_VRING_KICK, &none);
	(void)ioctl(v->fd, VHOST_SET_VRING_CALL, &none);
	if (!q->state.ready || ioctl(v->fd, VHOST_GET_VRING_BASE, &base) < 0)
		return;
	virtq_take_over(q, (uint16_t)base.num);
}

void vhost_stop(struct vhost *v)
{
	const struct virtio_dev *vd = v->vd;

	for (unsigned i = 0; i < v->nr; i++) {
		stop_ring(v, i);
		vd->transport->watch_kicks(vd->transport_ctx, v->first + i, true);
	}
	v->nr = 0;
}
