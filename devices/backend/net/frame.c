/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/frame.h"

#include <errno.h>

size_t net_iov_len(const struct iovec *iov, unsigned nr)
{
	size_t len = 0; /* guest RAM can't make it wrap: 256 iovecs of at most 4 GiB */

	for (unsigned i = 0; i < nr; i++)
		len += iov[i].iov_len;
	return len;
}

unsigned net_iov_skip(struct iovec *to, const struct iovec *iov, unsigned nr, size_t skip)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr; i++) {
		size_t off = min(skip, iov[i].iov_len);

		skip -= off;
		if (off == iov[i].iov_len)
			continue;
		to[n].iov_base = (uint8_t *)iov[i].iov_base + off;
		to[n++].iov_len = iov[i].iov_len - off;
	}
	return n;
}

void net_iov_read(void *buf, size_t size, const struct iovec *iov, unsigned nr, size_t skip)
{
	uint8_t *to = buf;

	for (unsigned i = 0; i < nr && size; i++) {
		size_t off = min(skip, iov[i].iov_len);
		size_t n = min(size, iov[i].iov_len - off);

		memcpy(to, (const uint8_t *)iov[i].iov_base + off, n);
		skip -= off;
		size -= n;
		to += n;
	}
}

ssize_t net_frame_take(void *buf, const struct iovec *iov, unsigned nr)
{
	size_t len = net_iov_len(iov, nr);

	if (len < NET_HDR_LEN + NET_MIN_WIRE || len > NET_MAX_FRAME)
		return -EMSGSIZE;
	len -= NET_HDR_LEN;
	net_iov_read(buf, len, iov, nr, NET_HDR_LEN);
	return (ssize_t)len;
}

/* Copies len bytes into iov, from offset off on. */
static void iov_write(const struct iovec *iov, unsigned nr, size_t off, const void *from,
		      size_t len)
{
	const uint8_t *p = from;

	for (unsigned i = 0; i < nr && len; i++) {
		size_t skip = min(off, iov[i].iov_len);
		size_t n = min(len, iov[i].iov_len - skip);

		memcpy((uint8_t *)iov[i].iov_base + skip, p, n);
		off -= skip;
		len -= n;
		p += n;
	}
}

ssize_t net_frame_give(const struct iovec *iov, unsigned nr, const void *frame, size_t len)
{
	const struct virtio_net_hdr_v1 header = { 0 };
	const size_t room = net_iov_len(iov, nr);

	if (len > room || room - len < sizeof(header))
		return -EMSGSIZE;
	iov_write(iov, nr, 0, &header, sizeof(header));
	iov_write(iov, nr, sizeof(header), frame, len);
	return (ssize_t)(sizeof(header) + len);
}
