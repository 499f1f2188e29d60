/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What network backends that copy frames share: frames in iovecs, with a virtio header in front
 * that says nothing (no offload was agreed on, virtio 1.2 §5.1.6).
 */
#pragma once

#include "backend/net/net.h"

#define NET_MIN_WIRE 14                            /* an Ethernet header */
#define NET_MAX_WIRE (NET_MAX_FRAME - NET_HDR_LEN) /* a frame without virtio's header */

/* The bytes in all of iov. */
size_t net_iov_len(const struct iovec *iov, unsigned nr);

/* Fills to with what iov has after its first skip bytes. Returns how many, at most nr. */
unsigned net_iov_skip(struct iovec *to, const struct iovec *iov, unsigned nr, size_t skip);

/* Copies size bytes of iov, after its first skip; they are there. */
void net_iov_read(void *buf, size_t size, const struct iovec *iov, unsigned nr, size_t skip);

/* The guest's frame in iov, as it is on the wire, to buf, which has room for NET_MAX_WIRE. Its
 * length, or -EMSGSIZE: no Ethernet frame has that. */
ssize_t net_frame_take(void *buf, const struct iovec *iov, unsigned nr);

/* Puts a frame into iov, with a header that says nothing. The bytes of both, or -EMSGSIZE. */
ssize_t net_frame_give(const struct iovec *iov, unsigned nr, const void *frame, size_t len);
