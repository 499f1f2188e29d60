/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-fs: a directory of the host for the guest. See fs.c. */
#pragma once

#include "backend/fuse/fuse.h"
#include "vmm/virtio.h"

/* This device and the one of fs_vhost.h have the queues and the configuration space in common. */
enum { VIRTIO_FS_HIGH_PRIORITY, VIRTIO_FS_REQUESTS, VIRTIO_FS_QUEUES };
#define VIRTIO_FS_TAG         36 /* at most so many bytes: virtio 1.2 §5.11.4 */
#define VIRTIO_FS_CONFIG_SIZE 40
/* A driver's read of the configuration space. */
uint64_t virtio_fs_config(const char tag[VIRTIO_FS_TAG], uint32_t off, unsigned size);

struct virtio_fs {
	struct virtio_dev vd;
	char tag[VIRTIO_FS_TAG]; /* padded with zeroes; not a string if all are used */
	const char *path;        /* the directory, for people; not owned */
	bool readonly;
	struct fuse_server *server;
};

/* What o points to outlives the device. Returns 0; or -errno, logged, with *s safe to destroy. */
int virtio_fs_init(struct virtio_fs *s, const char *tag, const struct fuse_options *o) __must_check;

/* The loop isn't running. Safe also after a failure, a second time, and when all of *s is zero. */
void virtio_fs_destroy(struct virtio_fs *s);
