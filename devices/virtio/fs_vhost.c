/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-fs (virtio 1.2 §5.11) by a vhost-user daemon: the daemon has the queues and serves the
 * FUSE requests; we keep the registers and the configuration space.
 *
 * Deliberately missing: as in fs.c.
 */
#include "virtio/fs_vhost.h"

#include <errno.h>
#include <stdio.h>

static int fs_kick(struct virtio_dev *vd __unused, struct virtq *q __unused)
{
	return 0; /* the queues are the daemon's */
}

static int fs_activate(struct virtio_dev *vd)
{
	struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);

	return s->open ? vhost_user_start(&s->daemon, vd, s->loop) : -EINVAL;
}

/* A reset of one of the two queues makes the daemon stop both: it needs them all the time. */
static void fs_reset(struct virtio_dev *vd, struct virtq *q __unused)
{
	struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);

	s->quiet = false;
	if (s->open)
		vhost_user_stop(&s->daemon);
}

static void fs_quiesce(struct virtio_dev *vd)
{
	struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);

	s->quiet |= s->daemon.running;
	vhost_user_stop(&s->daemon);
}

static void fs_lent_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);

	if (s->quiet)
		vhost_user_go_on(&s->daemon);
	else if (s->open)
		vhost_user_look(&s->daemon, (unsigned)(q - vd->q));
	s->quiet = false;
}

static uint64_t fs_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	return virtio_fs_config(container_of(vd, struct fs_vhost, vd)->tag, off, size);
}

static void fs_describe(const struct virtio_dev *vd, unsigned nth __unused, FILE *out)
{
	const struct fs_vhost *s = container_of(vd, struct fs_vhost, vd);

	fprintf(out, "%.*s, by the daemon at %s", VIRTIO_FS_TAG, s->tag, s->path);
}

static const struct virtio_ops fs_ops = {
	.name = "fs",
	.module = "virtiofs",
	.device_id = VIRTIO_ID_FS,
	.nr_queues = VIRTIO_FS_QUEUES,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = VIRTIO_FS_CONFIG_SIZE,
	.describe = fs_describe,
	.kick = fs_kick,
	.activate = fs_activate,
	.reset = fs_reset,
	.quiesce = fs_quiesce,
	.lent_kick = fs_lent_kick,
	.config_read = fs_config_read,
};

int fs_vhost_init(struct fs_vhost *s, const struct fs_vhost_options *o, struct loop *loop)
{
	char option[VIRTIO_FS_TAG + 16];
	int rc;

	*s = (struct fs_vhost){ .path = o->path, .loop = loop, .daemon.fd = -1 };
	virtio_init(&s->vd, &fs_ops, 0);
	memcpy(s->tag, o->tag, strnlen(o->tag, sizeof(s->tag)));
	if (o->dry)
		return 0;
	snprintf(option, sizeof(option), "--fs tag=%.36s", o->tag);
	rc = vhost_user_connect(option, o->path, o->kept);
	if (rc < 0)
		return rc;
	s->open = true;
	rc = vhost_user_init(&s->daemon, option, rc, &o->memory, VHOST_USER_TIMEOUT_MS);
	s->vd.features = vhost_user_offer(&s->daemon, s->vd.features);
	return rc;
}

void fs_vhost_destroy(struct fs_vhost *s)
{
	if (s->open)
		vhost_user_destroy(&s->daemon);
	s->open = false;
}
