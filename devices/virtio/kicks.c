/* SPDX-License-Identifier: BSD-2-Clause */
#include "kicks.h"

#include <assert.h>
#include <sys/eventfd.h>

void virtio_kicks_send(const struct virtio_kicks *k, uint32_t index)
{
	const uint64_t one = 1;

	/* EAGAIN means that 2^64 - 2 kicks are pending, which is as good as one. */
	if (virtio_queue(k->vd, index) && write(k->kick[index].src.fd, &one, sizeof(one)) < 0)
		return;
}

static void kicked(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_kick *kick = container_of(src, struct virtio_kick, src);
	const struct virtio_kicks *k = kick->all;
	const uint32_t index = (uint32_t)(kick - k->kick);

	/* The loop may have been on its way here when it was told not to look. */
	if (!kick->watched)
		return;
	/* Empty the eventfd before looking at the queue, so that a later kick is never taken for an
	 * earlier one. It may be empty already, if somebody else read it before we watched again.
	 */
	if (!loop_take_event(src->fd))
		return;
	if (virtio_kick(k->vd, index))
		virtio_kicks_send(k, index); /* once more, after the loop's other sources */
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
	return 0;
}

void virtio_kicks_destroy(struct virtio_kicks *k)
{
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

/* Changed rather than removed and added: this may be a vCPU's thread, and a source is removed by
 * its loop's alone. A kick that is pending stays so, for whoever reads next. */
void virtio_kicks_watch(struct virtio_kicks *k, unsigned queue, bool on)
{
	struct virtio_kick *kick;
	int rc;

	assert(queue < k->vd->nr_queues);
	kick = &k->kick[queue];
	if (kick->watched == on)
		return;
	kick->watched = on;
	rc = loop_change(k->loop, &kick->src, on ? EPOLLIN : 0);
	assert(rc == 0); /* it is there, and changing takes no memory */
}

void virtio_kicks_set_status(struct virtio_kicks *k, uint8_t status)
{
	const uint8_t was = k->vd->status;

	virtio_set_status(k->vd, status);
	for (unsigned i = 0; i < k->vd->nr_queues; i++) {
		if (status == 0)
			virtio_kicks_watch(k, i, true);
		else if (k->vd->status & ~was & VIRTIO_CONFIG_S_DRIVER_OK && k->vd->q[i].ready)
			virtio_kicks_send(k, i);
	}
}
