/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-fs that another process serves, such as virtiofsd. See fs_vhost.c. */
#pragma once

#include "backend/vhost/user.h"
#include "virtio/fs.h"

struct fs_vhost {
	struct virtio_dev vd;
	char tag[VIRTIO_FS_TAG]; /* padded with zeroes; not a string if all are used */
	const char *path;        /* the daemon's socket, for people; not owned */
	struct vhost_user daemon;
	struct loop *loop;
	bool open;  /* there is a daemon */
	bool quiet; /* the daemon is stopped until the next kick */
};

struct fs_vhost_options {
	const char *tag, *path; /* path is the daemon's socket, and outlives the device */
	bool dry;               /* the device connects to nobody, and never starts */
	struct vhost_user_memory memory;
	struct kept *kept; /* outlives the device; or NULL */
};

/* Returns 0; or -errno, logged, with *s safe to destroy. */
int fs_vhost_init(struct fs_vhost *s, const struct fs_vhost_options *o,
		  struct loop *loop) __must_check;

/* The loop isn't running. Safe also after a failure, a second time, and when all of *s is zero. */
void fs_vhost_destroy(struct fs_vhost *s);
