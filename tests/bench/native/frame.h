/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames that the network guest sends, for itself, its peers and the host's own limit: UDP over
 * IPv4, or one TCP segment of 64 KiB that the other end of a TAP is to cut. The first two bytes of
 * UDP's data say what a peer does with it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FRAME_PORT 7007
#define FRAME_SINK 7008 /* nobody reads there */
#define FRAME_HEAD 42   /* Ethernet, IPv4, UDP */
#define FRAME_MIN  64
#define FRAME_MAX  (54 + 45 * FRAME_MSS)
#define FRAME_MSS  1448u
#define FRAME_GSO  2048u /* longer ones are TCP segments */

/* A peer drops it, returns it, or returns as many as the next byte says. */
enum { FRAME_DROP, FRAME_ECHO, FRAME_BURST };

/* The header that comes first on a virtio queue, and on a TAP that was asked for it (virtio 1.2
 * §5.1.6). */
struct frame_virtio {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

static inline void frame_put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* IPv4's header, from 10.0.2.15 to 10.0.2.`to`. */
static inline void frame_ip(uint8_t *ip, uint32_t len, uint8_t protocol, uint8_t to)
{
	const uint8_t from_to[] = { 10, 0, 2, 15, 10, 0, 2, to };
	uint32_t sum = 0;

	ip[0] = 0x45;
	frame_put16(ip + 2, len);
	ip[8] = 64; /* time to live */
	ip[9] = protocol;
	for (unsigned i = 0; i < sizeof(from_to); i++)
		ip[12 + i] = from_to[i];
	frame_put16(ip + 10, 0);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	frame_put16(ip + 10, ~(sum + (sum >> 16)));
}

/* Makes a frame of len bytes at *v and f, which are zeroes. `tap`: the peer is the host's kernel,
 * which drops a frame whose MAC is not its own, and sends what is for 10.0.2.16 back. */
static inline void frame_make(struct frame_virtio *v, uint8_t *f, uint32_t len, uint8_t op,
			      uint8_t count, bool tap)
{
	const uint8_t macs[] = { 0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0 };

	for (unsigned i = 0; i < sizeof(macs); i++)
		f[i] = macs[i];
	if (tap && op == FRAME_DROP)
		f[5] = 99;
	frame_ip(f + 14, len - 14, len > FRAME_GSO ? 6 : 17, tap ? 16 : 2);
	frame_put16(f + 34, FRAME_PORT + 2);
	frame_put16(f + 36, op == FRAME_DROP ? FRAME_SINK : FRAME_PORT);
	if (len <= FRAME_GSO) {
		frame_put16(f + 38, len - 34);
		f[42] = op;
		f[43] = count;
		return;
	}
	f[46] = 0x50; /* a header of 20 bytes, ACK */
	f[47] = 0x10;
	*v = (struct frame_virtio){ .flags = 1 /* NEEDS_CSUM */,
				    .gso_type = 1 /* TCPV4 */,
				    .hdr_len = 54,
				    .gso_size = FRAME_MSS,
				    .csum_start = 34,
				    .csum_offset = 16 };
}
