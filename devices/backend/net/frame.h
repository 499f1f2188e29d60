/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What network backends that copy frames share: frames in iovecs that begin with an empty virtio
 * header (no offload was agreed on, virtio 1.2 §5.1.6).
 */
#pragma once

#include "backend/net/net.h"

#define NET_MIN_WIRE 14                            /* an Ethernet header */
#define NET_MAX_WIRE (NET_MAX_FRAME - NET_HDR_LEN) /* a frame without virtio's header */

/* The number of bytes in all of iov. */
size_t net_iov_len(const struct iovec *iov, unsigned nr);

/* Fills to with the part of iov that follows its first skip bytes. Returns the number of iovecs, at
 * most nr. */
unsigned net_iov_skip(struct iovec *to, const struct iovec *iov, unsigned nr, size_t skip);

/* Copies size bytes of iov that follow its first skip bytes. iov has that many. */
void net_iov_read(void *buf, size_t size, const struct iovec *iov, unsigned nr, size_t skip);

/* Copies the guest's frame in iov, without its virtio header, to buf, which has room for
 * NET_MAX_WIRE. Returns its length; or -EMSGSIZE: an Ethernet frame does not have that length. */
ssize_t net_frame_take(void *buf, const struct iovec *iov, unsigned nr);

/* Puts a frame with an empty header into iov. Returns the number of bytes of both, or -EMSGSIZE. */
ssize_t net_frame_give(const struct iovec *iov, unsigned nr, const void *frame, size_t len);
