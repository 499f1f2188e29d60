/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-fs (virtio 1.2 §5.11) by a vhost-user daemon: it has the queues and serves the FUSE
 * requests; we keep the registers and the configuration space.
 *
 * Deliberately missing: as in fs.c.
 */
#include "fs_vhost.h"

#include <errno.h>
#include <stdio.h>

struct config_space {
	char tag[VIRTIO_FS_TAG];
	le32_t num_request_queues;
};

enum { HIGH_PRIORITY, REQUESTS, NR_QUEUES };

static int fs_kick(struct virtio_dev *vd __unused, struct virtq *q __unused)
{
	return 0; /* the queues are the daemon's */
}

static int fs_activate(struct virtio_dev *vd)
{
	struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);

	return s->open ? vhost_user_start(&s->daemon, vd, s->loop) : -EINVAL;
}

/* One queue of the two, and the daemon stops both: it needs them all the time. */
static void fs_reset(struct virtio_dev *vd, struct virtq *q __unused)
{
	struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);

	if (s->open)
		vhost_user_stop(&s->daemon);
}

static uint64_t fs_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	const struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);
	struct config_space config = { .num_request_queues = to_le32(NR_QUEUES - 1) };

	memcpy(config.tag, s->tag, sizeof(config.tag));
	return load_le((const char *)&config + off, size);
}

static const struct virtio_ops fs_ops = {
	.name = "fs",
	.device_id = VIRTIO_ID_FS,
	.nr_queues = NR_QUEUES,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = sizeof(struct config_space),
	.kick = fs_kick,
	.activate = fs_activate,
	.reset = fs_reset,
	.config_read = fs_config_read,
};

int fs_vhost_init(struct fs_vhost *s, const char *tag, const char *path,
		  const struct vhost_user_memory *memory, struct loop *loop)
{
	char option[VIRTIO_FS_TAG + 16];
	int rc;

	*s = (struct fs_vhost){ .loop = loop, .daemon.fd = -1 };
	virtio_init(&s->vd, &fs_ops, 0);
	memcpy(s->tag, tag, strnlen(tag, sizeof(s->tag)));
	if (!path)
		return 0;
	snprintf(option, sizeof(option), "--fs tag=%.36s", tag);
	rc = vhost_user_connect(option, path);
	if (rc < 0)
		return rc;
	s->open = true;
	rc = vhost_user_init(&s->daemon, option, rc, memory, VHOST_USER_TIMEOUT_MS);
	s->vd.features = vhost_user_offer(&s->daemon, s->vd.features);
	return rc;
}

void fs_vhost_destroy(struct fs_vhost *s)
{
	if (s->open)
		vhost_user_destroy(&s->daemon);
	s->open = false;
}
