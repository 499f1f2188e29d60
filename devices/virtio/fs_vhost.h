/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-fs that another process serves, such as virtiofsd. See fs_vhost.c. */
#pragma once

#include "backend/vhost/user.h"
#include "virtio/fs.h"

struct fs_vhost {
	struct virtio_dev vd;
	char tag[VIRTIO_FS_TAG]; /* padded with zeroes; not a string if all are used */
	struct vhost_user daemon;
	struct loop *loop;
	bool open; /* there is a daemon */
};

/* path is the daemon's socket; NULL makes a device that can't be started, for a dry run. kept
 * outlives the device, or is NULL. Returns 0; or -errno, logged, with *s safe to destroy. */
int fs_vhost_init(struct fs_vhost *s, const char *tag, const char *path,
		  const struct vhost_user_memory *memory, struct kept *kept,
		  struct loop *loop) __must_check;

/* The loop isn't running. Safe also after a failure, a second time, and when all of *s is zero. */
void fs_vhost_destroy(struct fs_vhost *s);
