/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments. One IPv4 fragment is enough to make Debian's libslirp 4.7 write to an address that the
 * fragment contains: ip_reass() looks at one pointer through two types, which the compiler takes
 * for two objects.
 *
 * Urgent data. Up to 4.9.1, libslirp sends as many bytes as the guest calls urgent; beyond the end
 * of the guest's data it sends this process's memory (CVE-2026-9539). Here urgent data go out like
 * any others.
 *
 * The end of the queue. Before 4.8, tcp_reass() does not recognize the end of its queue of
 * segments: it reads a sequence number from beyond it. The bytes there, in the template for the
 * connection's headers, are 0 with IPv4 and four bytes of the guest's address with IPv6. If the
 * queue ends at exactly that number, tcp_reass() frees something that is not a segment. So no
 * segment may end there, neither as the guest sent it nor as libslirp cuts it at the end of its
 * window. A segment that ends there is dropped; one that goes beyond is passed if it fits the
 * window that libslirp last told, which libslirp keeps to. The price: a guest whose segment ends
 * exactly there, which happens in one of some thousand connections that send 4 GiB, must cut it in
 * another way when it sends it again, or wait for ever.
 */
#include "backend/net/slirp_guard.h"

#include <string.h>

#define ETHERNET 14
#define IP4      20
#define IP6      40
#define TCP      20
#define NEAR     (256 * KIB) /* more than a window has */

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10, URG = 0x20 };

static bool is_ip4(const uint8_t *frame)
{
	return frame[12] == 0x08 && frame[13] == 0x00;
}

static bool is_ip6(const uint8_t *frame)
{
	return frame[12] == 0x86 && frame[13] == 0xdd;
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static bool is_fragment(const uint8_t *frame, size_t len)
{
	return len >= ETHERNET + 8 && is_ip4(frame) && be16(frame + ETHERNET + 6) & 0x3fff;
}

/* Returns the offset of the TCP header of a frame, as libslirp finds it, and in *size the length of
 * the header and its data. 0: there is no such header, or not all of it. */
static size_t tcp_at(const uint8_t *frame, size_t len, size_t *size)
{
	const uint8_t *ip = frame + ETHERNET;
	size_t at;

	if (len < ETHERNET + IP4 + TCP)
		return 0;
	if (is_ip4(frame) && ip[9] == IPPROTO_TCP) {
		at = 4u * (ip[0] & 15);
		*size = be16(ip + 2) > at ? be16(ip + 2) - at : 0;
	} else if (is_ip6(frame) && ip[6] == IPPROTO_TCP) {
		at = IP6;
		*size = be16(ip + 4);
	} else {
		return 0;
	}
	at += ETHERNET;
	return *size >= TCP && at <= len && *size <= len - at ? at : 0;
}

/* Adapts the checksum, right or wrong, to the cleared flag (RFC 1624). */
static void clear_urgent(uint8_t *tcp)
{
	uint32_t sum;

	if (!(tcp[13] & URG))
		return;
	tcp[13] &= (uint8_t)~URG;
	sum = be16(tcp + 16) + (uint32_t)URG;
	sum += sum >> 16;
	tcp[16] = (uint8_t)(sum >> 8);
	tcp[17] = (uint8_t)sum;
}

/* Fills *f with the connection of the frame. Returns the number at which no segment of the guest's
 * may end. */
static uint32_t flow_of(struct slirp_flow *f, const uint8_t *frame, const uint8_t *tcp, bool guests)
{
	const bool ip6 = is_ip6(frame);
	const uint8_t *from = frame + ETHERNET + (ip6 ? 8 : 12);
	const size_t len = ip6 ? 16 : 4;
	uint32_t number;

	*f = (struct slirp_flow){ .used = true };
	memcpy(&f->guest, guests ? from : from + len, len);
	memcpy(&f->other, guests ? from + len : from, len);
	f->guest_port = be16(tcp + (guests ? 0 : 2));
	f->other_port = be16(tcp + (guests ? 2 : 0));
	memcpy(&number, f->guest.s6_addr + 4, sizeof(number)); /* as libslirp does */
	return number;
}

static bool same(const struct slirp_flow *a, const struct slirp_flow *b)
{
	return a->used && b->used && a->guest_port == b->guest_port &&
	       a->other_port == b->other_port && !memcmp(&a->guest, &b->guest, sizeof(a->guest)) &&
	       !memcmp(&a->other, &b->other, sizeof(a->other));
}

/* Returns what is known of the connection, or NULL. */
static struct slirp_flow *find(struct slirp_guard *g, const struct slirp_flow *f)
{
	for (size_t i = 0; i < SLIRP_GUARD_FLOWS; i++)
		if (same(&g->flow[i], f))
			return &g->flow[i];
	return NULL;
}

/* Another connection may come by the same name. */
static void forget(struct slirp_guard *g, const struct slirp_flow *f)
{
	struct slirp_flow *known = find(g, f);

	if (known)
		known->used = false;
}

/* False also if the window is not known: the guest sends the segment again, and by then it was
 * told. */
static bool fits(struct slirp_guard *g, const struct slirp_flow *f, uint32_t end)
{
	const struct slirp_flow *known = find(g, f);

	return known && (int32_t)(known->edge - end) >= 0;
}

bool slirp_guard_pass(struct slirp_guard *g, uint8_t *frame, size_t len)
{
	size_t size = 0, at = tcp_at(frame, len, &size);
	uint8_t *tcp = frame + at;
	struct slirp_flow f;
	uint32_t number, seq, data;

	if (is_fragment(frame, len))
		return false;
	if (!at)
		return true;
	clear_urgent(tcp);
	number = flow_of(&f, frame, tcp, true);
	seq = be32(tcp + 4);
	data = (uint32_t)size - min((uint32_t)size, 4u * (tcp[12] >> 4));
	if (tcp[13] & SYN) {
		forget(g, &f);
		return data == 0 && seq + 1 != number;
	}
	if (data == 0)
		return !(tcp[13] & FIN) || seq != number;
	/* Does the segment reach the number? */
	if (number - seq - 1 >= data)
		return true;
	return seq + data != number && fits(g, &f, seq + data);
}

void slirp_guard_look(struct slirp_guard *g, const uint8_t *frame, size_t len)
{
	size_t size = 0, at = tcp_at(frame, len, &size);
	const uint8_t *tcp = frame + at;
	struct slirp_flow f;
	uint32_t number, ack;

	if (!at || tcp[13] & RST) /* RST repeats what the guest said */
		return;
	number = flow_of(&f, frame, tcp, false);
	ack = be32(tcp + 8);
	f.edge = ack + be16(tcp + 14);
	forget(g, &f);
	if (tcp[13] & ACK && number - ack <= NEAR)
		g->flow[g->next++ % SLIRP_GUARD_FLOWS] = f;
}
