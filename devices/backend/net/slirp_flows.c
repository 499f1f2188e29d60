/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libslirp makes a socket
 *  - for a TCP segment with SYN and without ACK, of a connection that it doesn't know;
 *  - for a UDP datagram from an address and port that it doesn't know, unless that is for its own
 *    DHCP or TFTP server;
 *  - for each IPv4 echo request to anybody but itself;
 *  - for each client of a forward.
 * It tells us of each (register_poll_fd). Whether a frame belongs to a known socket is asked only
 * when there is no room for another one, so the answer may take a walk through all of them.
 */
#include "backend/net/slirp_flows.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ETHERNET 14
#define IP4      20
#define IP6      40
#define UDP      8
#define TCP      20
#define SPARE    64 /* more than there are forwards: each may have a client at once */

enum { SYN = 0x02, ACK = 0x10 };
enum { DHCP = 67, TFTP = 69, DHCP6 = 547 };

#define SELF4 0x0a000202u /* 10.0.2.2 */

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

/* The offset of the payload of an IP packet, with its addresses in *key; 0: it isn't IP, or not all
 * of its header is there. */
static size_t payload_at(const uint8_t *frame, size_t len, struct slirp_key *key)
{
	const uint8_t *ip = frame + ETHERNET;

	*key = (struct slirp_key){ 0 };
	if (len >= ETHERNET + IP4 && be16(frame + 12) == 0x0800) {
		memcpy(&key->guest, ip + 12, 4);
		memcpy(&key->other, ip + 16, 4);
		key->version = 4;
		key->protocol = ip[9];
		return ETHERNET + 4u * (ip[0] & 15);
	}
	if (len >= ETHERNET + IP6 && be16(frame + 12) == 0x86dd) {
		memcpy(&key->guest, ip + 8, 16);
		memcpy(&key->other, ip + 24, 16);
		key->version = 6;
		key->protocol = ip[6];
		return ETHERNET + IP6;
	}
	return 0;
}

/* Adds the ports, from a TCP or UDP header at p. A UDP socket talks to anybody. */
static void add_ports(struct slirp_key *key, const uint8_t *p)
{
	key->guest_port = be16(p);
	if (key->protocol == IPPROTO_TCP)
		key->other_port = be16(p + 2);
	else
		key->other = in6addr_any;
}

static bool same(const struct slirp_key *a, const struct slirp_key *b)
{
	return a->version == b->version && a->protocol == b->protocol &&
	       a->guest_port == b->guest_port && a->other_port == b->other_port &&
	       !memcmp(&a->guest, &b->guest, sizeof(a->guest)) &&
	       !memcmp(&a->other, &b->other, sizeof(a->other));
}

static bool known(const struct slirp_flows *f, const struct slirp_key *key)
{
	for (unsigned i = 0; i < f->nr_forwards; i++)
		if (same(&f->forward[i], key))
			return true;
	for (unsigned i = 0; i < f->nr; i++)
		if (same(&f->socket[i].key, key))
			return true;
	return false;
}

static bool is6(const struct in6_addr *address, const char bytes[16])
{
	return !memcmp(address, bytes, 16);
}

/* Is that an address of libslirp itself, which nobody else has on its network? */
static bool is_self6(const struct in6_addr *address)
{
	return is6(address, "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\2") ||
	       is6(address, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\2");
}

/* Is that datagram for a server that needs no socket? */
static bool is_served(const struct slirp_key *to, uint16_t port)
{
	const uint32_t other = be32(to->other.s6_addr);

	if (to->version == 6) /* ff02::1:2: all DHCP servers */
		return port == DHCP6 && is6(&to->other, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\1\0\2");
	return (port == DHCP && (other == SELF4 || other == 0xffffffff)) ||
	       (port == TFTP && other == SELF4);
}

/* Can libslirp deal with the frame without another socket? */
static bool needs_none(const struct slirp_flows *f, const uint8_t *frame, size_t len)
{
	struct slirp_key key;
	const size_t at = payload_at(frame, len, &key);
	const uint8_t *p = frame + at;

	if (!at)
		return true;
	switch (key.protocol) {
	case IPPROTO_TCP:
		if (at + TCP > len)
			return false;
		add_ports(&key, p);
		return (p[13] & (SYN | ACK)) != SYN || known(f, &key);
	case IPPROTO_UDP:
		if (at + UDP > len)
			return false;
		if (is_served(&key, be16(p + 2)))
			return true;
		add_ports(&key, p);
		return known(f, &key);
	case IPPROTO_ICMP:
		return at < len && (p[0] != ICMP_ECHO || be32(key.other.s6_addr) == SELF4);
	case IPPROTO_ICMPV6:
		return at < len && (p[0] != ICMP6_ECHO_REQUEST || is_self6(&key.other));
	default:
		return true;
	}
}

bool slirp_flows_begin(struct slirp_flows *f, const uint8_t *frame, size_t len)
{
	if (!fd_share_room(&f->fds, 1) && !needs_none(f, frame, len)) {
		fd_share_refused(&f->fds);
		return false;
	}
	f->frame = frame;
	f->len = len;
	return true;
}

void slirp_flows_end(struct slirp_flows *f)
{
	f->frame = NULL;
}

void slirp_flows_closed(struct slirp_flows *f, int fd)
{
	for (unsigned i = 0; i < f->nr; i++) {
		if (f->socket[i].fd != fd)
			continue;
		f->socket[i] = f->socket[--f->nr];
		fd_share_give(&f->fds, 1);
		return;
	}
}

void slirp_flows_opened(struct slirp_flows *f, int fd)
{
	struct slirp_key key = { 0 };
	size_t at = 0;

	slirp_flows_closed(f, fd); /* in case that was not told */
	if (f->nr == SLIRP_MAX_FLOWS + SPARE)
		return;
	if (f->frame)
		at = payload_at(f->frame, f->len, &key);
	if (at && (key.protocol == IPPROTO_TCP || key.protocol == IPPROTO_UDP) &&
	    at + UDP <= f->len)
		add_ports(&key, f->frame + at);
	else
		key = (struct slirp_key){ 0 };
	f->socket[f->nr++] = (struct slirp_socket){ fd, key };
	fd_share_take(&f->fds, fd);
}

void slirp_flows_add_listener(struct slirp_flows *f, int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens &&
	    f->nr_listeners < SLIRP_MAX_FORWARDS)
		f->listener[f->nr_listeners++] = fd;
}

bool slirp_flows_hold(const struct slirp_flows *f, int fd)
{
	if (fd_share_room(&f->fds, 1))
		return false;
	for (unsigned i = 0; i < f->nr_listeners; i++)
		if (f->listener[i] == fd)
			return true;
	return false;
}

void slirp_flows_add_forward(struct slirp_flows *f, struct in_addr guest, uint16_t port)
{
	struct slirp_key *key = &f->forward[f->nr_forwards];

	if (f->nr_forwards == SLIRP_MAX_FORWARDS)
		return;
	f->nr_forwards++;
	*key = (struct slirp_key){ .guest_port = port, .version = 4, .protocol = IPPROTO_UDP };
	memcpy(&key->guest, &guest, sizeof(guest));
}

int slirp_flows_init(struct slirp_flows *f, struct fd_budget *budget)
{
	*f = (struct slirp_flows){ .socket = calloc(SLIRP_MAX_FLOWS + SPARE, sizeof(*f->socket)) };
	fd_share_init(&f->fds, budget, "--net user", SLIRP_MAX_FLOWS);
	return f->socket ? 0 : -ENOMEM;
}

void slirp_flows_destroy(struct slirp_flows *f)
{
	free(f->socket);
	f->socket = NULL;
}
