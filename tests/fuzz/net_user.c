/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A user-mode network that gets the input as the guest's frames: any bytes, or bytes with headers
 * and checksums that make libslirp look further. It runs in a network namespace without a network
 * if possible; otherwise only with restrict=on, so that no input reaches anybody.
 */
#include "backend/net/user.h"

#include <sched.h>

#include "net_end.h"

static struct net_end e;
static bool ready, alone;

static void prepare(void)
{
	ready = true;
	alone = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
}

static void frame_came(void *ctx __unused, const uint8_t *frame __unused, size_t len __unused) {}

static void put_sum(uint8_t *at, uint32_t sum, const uint8_t *p, size_t len)
{
	at[0] = at[1] = 0;
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* Returns the offset of a transport's checksum, or 0. */
static size_t sum_offset(uint8_t protocol)
{
	return protocol == 6 ? 16 : protocol == 17 ? 6 : protocol == 1 || protocol == 58 ? 2 : 0;
}

static void fix_ip4(uint8_t *ip, size_t len)
{
	const size_t header = 20, payload = len - header, at = sum_offset(ip[9]);
	uint32_t pseudo = ip[9] + (uint32_t)payload;

	ip[0] = 0x45;
	ip[2] = (uint8_t)(len >> 8);
	ip[3] = (uint8_t)len;
	put_sum(ip + 10, 0, ip, header);
	for (unsigned i = 12; i < 20; i++)
		pseudo += i & 1 ? ip[i] : (uint32_t)ip[i] << 8;
	if (at && payload >= at + 2)
		put_sum(ip + header + at, ip[9] == 1 ? 0 : pseudo, ip + header, payload);
}

static void fix_ip6(uint8_t *ip, size_t len)
{
	const size_t header = 40, payload = len - header, at = sum_offset(ip[6]);
	uint32_t pseudo = ip[6] + (uint32_t)payload;

	ip[0] = 0x60;
	ip[4] = (uint8_t)(payload >> 8);
	ip[5] = (uint8_t)payload;
	for (unsigned i = 8; i < 40; i++)
		pseudo += i & 1 ? ip[i] : (uint32_t)ip[i] << 8;
	if (at && payload >= at + 2)
		put_sum(ip + header + at, pseudo, ip + header, payload);
}

static void send_frame(struct fuzz_in *in, bool fix)
{
	static uint8_t frame[0x10200];
	size_t len = fuzz_number(in, 2), given = fuzz_number(in, 1);

	memset(frame, 0, len);
	fuzz_take(in, frame, min(given, len));
	if (fix && len >= 14 + 20 && frame[12] == 8 && frame[13] == 0)
		fix_ip4(frame + 14, len - 14);
	else if (fix && len >= 14 + 40 && frame[12] == 0x86 && frame[13] == 0xdd)
		fix_ip6(frame + 14, len - 14);
	(void)!net_end_send(&e, frame, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	const uint8_t flags = (uint8_t)fuzz_number(&in, 1);
	if (!ready)
		prepare();

	const struct net_user_options o = { .restricted = !alone || flags & 1,
					    .mtu = flags & 2 ? 65521 : 0 };
	struct net_backend *b;

	if (net_user_open(&b, &o) < 0)
		return 0;
	e.frame = frame_came;
	net_end_start(&e, b);
	for (unsigned steps = 0; in.len && steps < 100; steps++) {
		const uint8_t op = (uint8_t)fuzz_number(&in, 1) % 8;

		if (op < 6)
			send_frame(&in, op > 0);
		else if (op == 6)
			net_end_refill(&e, (unsigned)fuzz_number(&in, 1));
		else
			net_end_turn(&e);
	}
	net_end_turn(&e);
	net_end_stop(&e);
	return 0;
}
