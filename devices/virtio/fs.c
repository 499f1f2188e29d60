/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-fs (virtio 1.2 §5.11): FUSE requests, on one queue for all of them and another for those
 * that must not wait for earlier requests; backend/fuse/fuse.h serves both.
 *
 * A kick serves the requests that are there, for a round, and answers them with one interrupt, or a
 * few. A request that can't be answered (no header, or no room for one) makes the device ask for a
 * reset.
 *
 * Deliberately missing: notifications (VIRTIO_FS_F_NOTIFICATION), which no driver knows; the DAX
 * window; and several request queues: one thread would serve them all.
 */
#include "virtio/fs.h"

#include <errno.h>

#define MAX_QUIET  (256 * KIB) /* of answers that the driver isn't told of yet */
#define MAX_UNTOLD 32          /* number of such answers */

struct config_space {
	char tag[VIRTIO_FS_TAG];
	le32_t num_request_queues;
};
_Static_assert(sizeof(struct config_space) == VIRTIO_FS_CONFIG_SIZE, "virtio 1.2 §5.11.4");

static int fs_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_fs *s = container_of(vd, struct virtio_fs, vd);
	struct virtq_chain c;
	uint64_t told = 0;
	unsigned untold = 0;
	int rc;

	while (!round_is_late(&vd->round)) {
		int len;

		rc = virtq_pop(q, &c);
		if (rc <= 0)
			return rc;
		len = fuse_serve(s->server, &c);
		if (len < 0)
			return len;
		virtq_push(q, c.head, (uint32_t)len);
		/* The guest works on the first ones while we read the next. */
		round_spend(&vd->round, c.out_len + (unsigned)len);
		told += (unsigned)len;
		if (told > MAX_QUIET || ++untold == MAX_UNTOLD) {
			virtio_notify(vd, q);
			told = untold = 0;
		}
	}
	virtq_leave(q);
	return 0;
}

static void fs_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_fs *s = container_of(vd, struct virtio_fs, vd);

	/* No request is ever in flight. */
	if (!q && s->server)
		fuse_server_reset(s->server);
}

uint64_t virtio_fs_config(const char tag[VIRTIO_FS_TAG], uint32_t off, unsigned size)
{
	struct config_space config = { .num_request_queues = to_le32(VIRTIO_FS_QUEUES - 1) };

	memcpy(config.tag, tag, sizeof(config.tag));
	return load_le((const char *)&config + off, size);
}

static uint64_t fs_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	return virtio_fs_config(container_of(vd, struct virtio_fs, vd)->tag, off, size);
}

static void fs_describe(const struct virtio_dev *vd, unsigned nth __unused, FILE *out)
{
	const struct virtio_fs *s = container_of(vd, struct virtio_fs, vd);

	fprintf(out, "%.*s, %s, %s", VIRTIO_FS_TAG, s->tag, s->path,
		s->readonly ? "read-only" : "read-write");
}

static const struct virtio_ops virtio_fs_ops = {
	.name = "fs",
	.module = "virtiofs",
	.device_id = VIRTIO_ID_FS,
	.nr_queues = VIRTIO_FS_QUEUES,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = VIRTIO_FS_CONFIG_SIZE,
	.describe = fs_describe,
	.kick = fs_kick,
	.reset = fs_reset,
	.config_read = fs_config_read,
};

int virtio_fs_init(struct virtio_fs *s, const char *tag, const struct fuse_options *o)
{
	*s = (struct virtio_fs){ .path = o->path, .readonly = o->readonly };
	virtio_init(&s->vd, &virtio_fs_ops, 0);
	memcpy(s->tag, tag, strnlen(tag, sizeof(s->tag)));
	return fuse_server_new(&s->server, o);
}

void virtio_fs_destroy(struct virtio_fs *s)
{
	fuse_server_free(s->server);
	*s = (struct virtio_fs){ 0 };
}
