/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The common part of all virtio devices (virtio 1.2 §2, §3.1): status, feature negotiation,
 * queues.
 *
 * Deliberately missing: legacy and transitional devices (VERSION_1 is required), packed rings,
 * IN_ORDER, NOTIFICATION_DATA.
 */
#include "vmm/virtio.h"

#include <assert.h>
#include <inttypes.h>
#include <linux/virtio_ring.h>

#include "vmm/event.h"

#define CORE_FEATURES                                                                              \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                \
	 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_RING_RESET))

void virtio_init(struct virtio_dev *vd, const struct virtio_ops *ops, uint64_t features)
{
	assert(is_power_of_two(ops->queue_size) && ops->queue_size <= VIRTQ_MAX_SIZE);
	*vd = (struct virtio_dev){ .ops = ops, .features = features | CORE_FEATURES };
	virtio_set_nr_queues(vd, ops->nr_queues);
}

void virtio_set_nr_queues(struct virtio_dev *vd, unsigned nr)
{
	assert(nr <= VIRTIO_MAX_QUEUES && !vd->transport);
	vd->nr_queues = nr;
	for (unsigned i = 0; i < nr; i++) {
		vd->q[i].max_size = vd->ops->queue_size;
		virtq_reset(&vd->q[i]);
	}
}

int virtio_start(struct virtio_dev *vd, struct loop *loop)
{
	return vd->ops->start ? vd->ops->start(vd, loop) : 0;
}

void virtio_reset(struct virtio_dev *vd)
{
	if (vd->ops->reset)
		vd->ops->reset(vd, NULL);
	for (unsigned i = 0; i < vd->nr_queues; i++)
		virtq_reset(&vd->q[i]);
	vd->state = (struct virtio_state){ 0 };
}

void virtio_config_set(struct virtio_dev *vd)
{
	if (vd->transport->changed)
		vd->transport->changed(vd->transport_ctx);
}

/* Tells the driver of what the device has changed by itself. */
static void tell_changed(struct virtio_dev *vd)
{
	virtio_config_set(vd);
	if (vd->state.status & VIRTIO_CONFIG_S_DRIVER_OK)
		vd->transport->interrupt(vd->transport_ctx, -1);
}

void virtio_broken(struct virtio_dev *vd, const char *why)
{
	if (vd->state.status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	guest_err(&vd->log, "virtio-%s: %s: stopped until the guest resets the device",
		  vd->ops->name, why);
	vd->state.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	tell_changed(vd);
}

void virtio_accept_features(struct virtio_dev *vd, uint32_t word, uint32_t bits)
{
	if (word > 1 || vd->state.status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	vd->state.driver_features &= ~((uint64_t)UINT32_MAX << 32 * word);
	vd->state.driver_features |= (uint64_t)bits << 32 * word;
}

static bool features_agreed(struct virtio_dev *vd)
{
	uint64_t extra = vd->state.driver_features & ~vd->features;

	if (extra)
		guest_err(
			&vd->log,
			"virtio-%s: the driver accepts features that were not offered: 0x%" PRIx64,
			vd->ops->name, extra);
	else if (!virtio_has(vd, VIRTIO_F_VERSION_1))
		guest_err(&vd->log, "virtio-%s: the driver is older than virtio 1.0: not supported",
			  vd->ops->name);
	else
		return true;
	return false;
}

void virtio_set_status(struct virtio_dev *vd, uint8_t status)
{
	const uint8_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	const uint8_t was = vd->state.status;

	if (status == 0) {
		virtio_reset(vd);
		return;
	}
	/* A driver only ever adds bits (§2.1.1), each only after those that it depends on (§3.1.1);
	 * NEEDS_RESET is set by us alone. */
	status = was | (status & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET);
	if (!(was & VIRTIO_CONFIG_S_FEATURES_OK) && status & VIRTIO_CONFIG_S_FEATURES_OK &&
	    ((status & known) != known || !features_agreed(vd)))
		status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(status & VIRTIO_CONFIG_S_FEATURES_OK))
		status &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	vd->state.status = status;
	if (status & ~was & VIRTIO_CONFIG_S_DRIVER_OK && vd->ops->activate &&
	    !(status & VIRTIO_CONFIG_S_NEEDS_RESET) && vd->ops->activate(vd) < 0)
		virtio_broken(vd, "the device could not be started");
}

struct virtq *virtio_queue(struct virtio_dev *vd, uint32_t index)
{
	return index < vd->nr_queues ? &vd->q[index] : NULL;
}

void virtio_queue_enable(struct virtio_dev *vd, struct virtq *q)
{
	if (q->state.ready || !(vd->state.status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (virtq_enable(q, vd->mem, virtio_has(vd, VIRTIO_RING_F_EVENT_IDX),
			 virtio_has(vd, VIRTIO_RING_F_INDIRECT_DESC)) < 0)
		virtio_broken(vd, "the driver set up a queue of a wrong size, or not in RAM");
}

void virtio_queue_disable(struct virtio_dev *vd, struct virtq *q)
{
	if (!q->state.ready)
		return;
	if (vd->ops->reset)
		vd->ops->reset(vd, q);
	virtq_reset(q);
}

void virtio_queue_reset(struct virtio_dev *vd, struct virtq *q)
{
	if (virtio_has(vd, VIRTIO_F_RING_RESET))
		virtio_queue_disable(vd, q);
}

bool virtio_kick(struct virtio_dev *vd, uint32_t index)
{
	struct virtq *q = virtio_queue(vd, index);

	if (!q || !q->state.ready || !virtio_live(vd))
		return false;
	vd->round = round_begin();
	q->awaited = false;
	/* The driver's index is read once a round: what it adds meanwhile waits for the next
	 * one. */
	if (virtq_begin(q) < 0 || vd->ops->kick(vd, q) < 0) {
		virtio_broken(vd, "the driver made a malformed queue");
		return false;
	}
	virtio_notify(vd, q);
	return !q->quiet && virtio_want_kick(vd, q);
}

bool virtio_want_kick(struct virtio_dev *vd, struct virtq *q)
{
	q->awaited = true;
	if (!vd->looked_at)
		return virtq_want_kick(q);
	virtq_mute(q);
	return virtq_has_more(q);
}

bool virtio_has_work(struct virtio_dev *vd, uint32_t index)
{
	const struct virtq *q = &vd->q[index];

	return q->state.ready && q->awaited && virtio_live(vd) && virtq_has_more(q);
}

bool virtio_rest(struct virtio_dev *vd)
{
	bool any = false;

	vd->looked_at = false;
	for (unsigned i = 0; i < vd->nr_queues && virtio_live(vd); i++)
		if (vd->q[i].state.ready && vd->q[i].awaited)
			any |= virtq_want_kick(&vd->q[i]);
	return any;
}

void virtio_quiesce(struct virtio_dev *vd)
{
	if (vd->ops->quiesce)
		vd->ops->quiesce(vd);
	for (unsigned i = 0; i < vd->nr_queues && virtio_live(vd); i++) {
		if (!vd->q[i].state.ready)
			continue;
		virtio_notify(vd, &vd->q[i]);
		virtio_again(vd, i);
	}
}

/* Is [off, off + size) configuration space of the device? */
static bool config_covers(const struct virtio_dev *vd, uint64_t off, unsigned size)
{
	return off <= vd->ops->config_size && size <= vd->ops->config_size - off;
}

uint64_t virtio_config_read(struct virtio_dev *vd, uint64_t off, unsigned size)
{
	if (!vd->ops->config_read || !config_covers(vd, off, size))
		return 0;
	return vd->ops->config_read(vd, (uint32_t)off, size);
}

void virtio_config_write(struct virtio_dev *vd, uint64_t off, unsigned size, uint64_t value)
{
	if (vd->ops->config_write && config_covers(vd, off, size))
		vd->ops->config_write(vd, (uint32_t)off, size, value);
}

int virtio_pop(struct virtio_dev *vd, struct virtq *q, struct virtq_chain *c)
{
	int rc = 0;

	if (round_is_over(&vd->round))
		virtq_leave(q);
	else
		rc = virtq_pop(q, c);
	if (rc > 0)
		round_spend(&vd->round, 0);
	return rc;
}

void virtio_again(struct virtio_dev *vd, unsigned queue)
{
	event_signal(vd->transport->kick_fd(vd->transport_ctx, queue));
}

void virtio_notify(struct virtio_dev *vd, struct virtq *q)
{
	if (virtq_wants_interrupt(q))
		vd->transport->interrupt(vd->transport_ctx, (int)(q - vd->q));
}

void virtio_config_changed(struct virtio_dev *vd)
{
	vd->state.config_generation++;
	tell_changed(vd);
}
