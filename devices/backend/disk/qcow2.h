/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2 images, version 3 (docs/interop/qcow2.txt of QEMU 7.2): a disk that takes as much of the
 * host's storage as was written to it, on its own or over a base that is only read.
 *
 * An image opens no other file: whoever opens it says what lies below (struct qcow2_base).
 *
 * Crashes. Metadata is kept in memory and written by qcow2_flush(), after what it refers to, with a
 * barrier in between: data and refcount blocks, then the refcount table, then L2 tables, then the
 * L1 table; what was given up is freed after that. So the image in the file is consistent at any
 * moment, whether the process is killed or the host loses power: it is that of the last flush, or a
 * step on the way to the next. At worst, a flush that was interrupted leaves a cluster that is
 * counted and not used. Later data is lost, as in the cache of any disk.
 *
 * Everything in the file is taken for hostile: what makes no sense fails with -EUCLEAN, and what is
 * kept in memory has a bound that does not depend on it. An image is written only if it is whole
 * and consistent (qcow2_check.c), so that damage never grows.
 *
 * Deliberately missing: versions 1 and 2, snapshots (of a writable image), compressed and encrypted
 * clusters, data in another file, extended L2 entries, refcounts other than 16 bits wide, clusters
 * smaller than 64 KiB, and a refcount table that grows: one of QEMU's or ours is large enough.
 *
 * One thread at a time, as for struct disk.
 */
#pragma once

#include "backend/disk/request.h"

#define QCOW2_MAX_SIZE   (64 * TIB) /* bytes of the disk */
#define QCOW2_MAX_NAME   1023       /* bytes of the backing file's name */
#define QCOW2_MAX_FORMAT 15

struct qcow2;

/* The source of the clusters that an image does not have: a raw image, or another qcow2. */
struct qcow2_base {
	int fd;              /* raw; not owned */
	struct qcow2 *image; /* or this one; not owned */
	uint64_t size;       /* bytes; 0: there is no base. Beyond it are zeroes. */
};

/* What an image says of itself. */
struct qcow2_info {
	uint64_t size;                             /* bytes */
	char backing[QCOW2_MAX_NAME + 1];          /* the file below it; "": there is none */
	char backing_format[QCOW2_MAX_FORMAT + 1]; /* "": not recorded */
};

/* Writes an image without contents into fd, an empty file, without a sync. Returns 0 or -errno, not
 * logged. */
int qcow2_create(int fd, const struct qcow2_info *info) __must_check;

/* What an image is opened for. */
enum qcow2_use {
	QCOW2_READ,
	QCOW2_WRITE,
	QCOW2_SCRATCH, /* as WRITE, but it need not survive its process, so it is never synced */
	QCOW2_TRY,     /* as READ, but refused where WRITE would be: a dry run */
};

/* Opens the image in fd, which stays the caller's. name is for messages: "--disk NAME: …". A
 * damaged image is refused; for READ there is only a warning, and reading what is missing fails.
 * Returns 0 and fills *info; or -errno, logged. */
int qcow2_open(struct qcow2 **out, int fd, const char *name, enum qcow2_use use,
	       struct qcow2_info *info) __must_check;

/* Puts base below an open image, before the first request. */
void qcow2_set_base(struct qcow2 *q, const struct qcow2_base *base);

/* Flushes and frees. Returns 0; or -errno of that flush, not logged. */
int qcow2_close(struct qcow2 *q);

/* Does r on the spot, blocking. Returns 0 or -errno. r has at most VIRTQ_MAX_SIZE iovecs. */
int qcow2_do(struct qcow2 *q, struct disk_request *r) __must_check;

uint32_t qcow2_cluster_size(const struct qcow2 *q);
