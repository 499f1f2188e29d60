/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/kicks.h"

#include <assert.h>
#include <sys/eventfd.h>

#include "vmm/event.h"

void virtio_kicks_send(const struct virtio_kicks *k, uint32_t index)
{
	if (virtio_queue(k->vd, index))
		event_signal(k->kick[index].src.fd);
}

static void kicked(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_kick *kick = container_of(src, struct virtio_kick, src);
	const struct virtio_kicks *k = kick->all;
	const uint32_t index = (uint32_t)(kick - k->kick);

	/* The loop may already have been on its way here when it was told not to look. */
	if (!kick->watched)
		return;
	/* Empty the eventfd before looking at the queue, so that a later kick is never taken for an
	 * earlier one. It may already be empty, if somebody else read it before we watched
	 * again. */
	if (!event_take(src->fd))
		return;
	if (shared_fd_is_open(&kick->lent))
		k->vd->ops->lent_kick(k->vd, &k->vd->q[index]);
	else if (virtio_kick(k->vd, index) && !k->vd->looked_at)
		virtio_kicks_send(k, index); /* once more, after the loop's other sources */
}

static bool look(struct loop_poller *p)
{
	const struct virtio_kicks *k = container_of(p, struct virtio_kicks, poller);
	bool any = false;

	k->vd->looked_at = true;
	for (unsigned i = 0; i < k->vd->nr_queues; i++) {
		if (!virtio_has_work(k->vd, i))
			continue;
		any = true;
		(void)!virtio_kick(k->vd, i); /* if there is more, the next look finds it */
	}
	return any;
}

static bool rest(struct loop_poller *p)
{
	return virtio_rest(container_of(p, struct virtio_kicks, poller)->vd);
}

int virtio_kicks_init(struct virtio_kicks *k, struct virtio_dev *vd, struct loop *loop)
{
	*k = (struct virtio_kicks){ .vd = vd, .loop = loop };
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		k->kick[i] = (struct virtio_kick){
			.src = { .fd = -1, .fn = kicked, .lock = vd->lock },
			.all = k,
			.watched = true,
		};
	for (unsigned i = 0; i < vd->nr_queues; i++) {
		struct loop_source *src = &k->kick[i].src;

		src->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (src->fd < 0)
			return log_errno("virtio-%s: eventfd", vd->ops->name);
		if (loop_add(loop, src, EPOLLIN) < 0)
			return log_errno("virtio-%s: epoll_ctl", vd->ops->name);
	}
	k->poller = (struct loop_poller){ .look = look, .rest = rest, .lock = vd->lock };
	loop_add_poller(loop, &k->poller);
	return 0;
}

/* -- doorbells ------------------------------------------------------------------------------- */

static void unwire(struct virtio_kicks *k, struct virtio_kick *kick)
{
	const int lent = shared_fd_hand_on(&kick->lent);

	if (kick->wired)
		k->wires.ops->doorbell(k->wires.ctx, &kick->bell, lent >= 0 ? lent : kick->src.fd,
				       false);
	kick->wired = false;
}

static int wire(struct virtio_kicks *k, struct virtio_kick *kick)
{
	const int lent = shared_fd_hand_on(&kick->lent);
	int rc = 0;

	if (k->wires.ops && kick->bell.gpa)
		rc = k->wires.ops->doorbell(k->wires.ctx, &kick->bell,
					    lent >= 0 ? lent : kick->src.fd, true);
	kick->wired = k->wires.ops && kick->bell.gpa && rc == 0;
	return rc;
}

int virtio_kicks_place(struct virtio_kicks *k, unsigned queue, const struct doorbell *bell)
{
	struct virtio_kick *kick = &k->kick[queue];

	unwire(k, kick);
	kick->bell = bell ? *bell : (struct doorbell){ 0 };
	return wire(k, kick);
}

/* KVM signals one eventfd for an address, so for a moment there is none. A kick at that moment is
 * an exit, which waits for our lock; and the new owner of the eventfd looks at the queue after
 * that. */
static void set_lent(struct virtio_kicks *k, struct virtio_kick *kick, struct shared_fd fd)
{
	struct shared_fd was = kick->lent;

	unwire(k, kick);
	kick->lent = fd;
	(void)!wire(k, kick); /* if this fails, exits will do */
	shared_fd_close(&was);
}

int virtio_kicks_lend(struct virtio_kicks *k, unsigned queue, struct shared_fd *kick)
{
	struct shared_fd fd;

	assert(queue < k->vd->nr_queues && k->vd->ops->lent_kick);
	if (shared_fd_open(&fd, 1) < 0)
		return guest_errno(&k->vd->log, "virtio-%s: eventfd", k->vd->ops->name);
	set_lent(k, &k->kick[queue], fd);
	k->vd->q[queue].awaited = false;
	event_take(k->kick[queue].src.fd); /* fd has a count for these */
	*kick = fd;
	return 0;
}

static void take_back(struct virtio_kicks *k, struct virtio_kick *kick)
{
	if (shared_fd_is_open(&kick->lent))
		set_lent(k, kick, (struct shared_fd){ 0 });
}

void virtio_kicks_destroy(struct virtio_kicks *k)
{
	loop_remove_poller(k->loop, &k->poller);
	for (unsigned i = 0; i < k->vd->nr_queues; i++) {
		unwire(k, &k->kick[i]);
		shared_fd_close(&k->kick[i].lent);
	}
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		if (k->kick[i].src.fd < 0)
			continue;
		loop_remove(k->loop, &k->kick[i].src);
		close_fd(&k->kick[i].src.fd);
	}
}

int virtio_kicks_fd(const struct virtio_kicks *k, unsigned queue)
{
	assert(queue < k->vd->nr_queues);
	return k->kick[queue].src.fd;
}

/* The source is changed rather than removed and added: this may be a vCPU's thread, and only a
 * loop's own thread removes sources. A pending kick stays pending, for the next reader. */
void virtio_kicks_watch(struct virtio_kicks *k, unsigned queue, bool on)
{
	struct virtio_kick *kick;
	int rc;

	assert(queue < k->vd->nr_queues);
	kick = &k->kick[queue];
	if (kick->watched == on)
		return;
	kick->watched = on;
	k->vd->q[queue].awaited = false; /* others ask for the kicks now, or did until now */
	rc = loop_change(k->loop, &kick->src, on ? EPOLLIN : 0);
	assert(rc == 0); /* the source is there, and a change takes no memory */
}

void virtio_kicks_set_status(struct virtio_kicks *k, uint8_t status)
{
	const uint8_t was = k->vd->state.status;

	virtio_set_status(k->vd, status);
	for (unsigned i = 0; i < k->vd->nr_queues; i++) {
		const bool looked_at = shared_fd_is_open(&k->kick[i].lent);

		if (status == 0) {
			virtio_kicks_watch(k, i, true);
			take_back(k, &k->kick[i]);
		} else if (k->vd->state.status & ~was & VIRTIO_CONFIG_S_DRIVER_OK &&
			   k->vd->q[i].state.ready && !looked_at) {
			virtio_kicks_send(k, i);
		}
	}
}
