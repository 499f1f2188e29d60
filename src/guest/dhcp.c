/* SPDX-License-Identifier: BSD-2-Clause */
#include "dhcp.h"

#include <string.h>

/* RFC 2131 §2: fields by their offset. */
enum {
	AT_OP = 0,
	AT_HTYPE = 1,
	AT_HLEN = 2,
	AT_XID = 4,
	AT_FLAGS = 10,
	AT_YIADDR = 16,
	AT_CHADDR = 28,
	AT_MAGIC = 236,
	AT_OPTIONS = 240,
};

enum {
	OPT_PAD = 0,
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_REQUESTED = 50,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_WANTED = 55,
	OPT_END = 255,
};

static const uint8_t magic[4] = { 99, 130, 83, 99 };

static uint8_t *put(uint8_t *p, uint8_t option, const void *value, uint8_t len)
{
	p[0] = option;
	p[1] = len;
	memcpy(p + 2, value, len);
	return p + 2 + len;
}

size_t dhcp_make(uint8_t m[DHCP_LEN], const uint8_t mac[6], uint32_t xid,
		 const struct dhcp_lease *offer)
{
	static const uint8_t wanted[] = { OPT_MASK, OPT_ROUTER, OPT_DNS };
	const uint8_t type = offer ? DHCP_REQUEST : DHCP_DISCOVER;
	uint8_t *p = m + AT_OPTIONS;

	memset(m, 0, DHCP_LEN);
	m[AT_OP] = 1;
	m[AT_HTYPE] = 1;
	m[AT_HLEN] = 6;
	memcpy(m + AT_XID, &xid, sizeof(xid));
	m[AT_FLAGS] = 0x80; /* answer by broadcast: we have no address */
	memcpy(m + AT_CHADDR, mac, 6);
	memcpy(m + AT_MAGIC, magic, sizeof(magic));
	p = put(p, OPT_TYPE, &type, 1);
	if (offer) {
		p = put(p, OPT_REQUESTED, &offer->address, 4);
		p = put(p, OPT_SERVER, &offer->server, 4);
	}
	p = put(p, OPT_WANTED, wanted, sizeof(wanted));
	*p = OPT_END;
	return DHCP_LEN;
}

static void take_address(struct in_addr *a, const uint8_t *value, size_t len)
{
	if (len >= 4)
		memcpy(a, value, 4);
}

static void take(struct dhcp_lease *l, uint8_t option, const uint8_t *value, size_t len)
{
	switch (option) {
	case OPT_TYPE:
		if (len == 1)
			l->type = value[0];
		break;
	case OPT_MASK:
		take_address(&l->mask, value, len);
		break;
	case OPT_ROUTER:
		take_address(&l->router, value, len);
		break;
	case OPT_SERVER:
		take_address(&l->server, value, len);
		break;
	case OPT_DNS:
		for (; len >= 4 && l->nr_dns < DHCP_MAX_DNS; len -= 4, value += 4)
			take_address(&l->dns[l->nr_dns++], value, 4);
		break;
	}
}

/* Ones, then zeros. */
static bool is_mask(struct in_addr mask)
{
	uint32_t hosts = ~ntohl(mask.s_addr);

	return !(hosts & (hosts + 1));
}

static bool is_host(struct in_addr a)
{
	uint32_t v = ntohl(a.s_addr);

	return v >> 24 && v >> 24 != IN_LOOPBACKNET && !IN_MULTICAST(v) && !IN_BADCLASS(v);
}

bool dhcp_parse(struct dhcp_lease *l, const uint8_t *m, size_t len, const uint8_t mac[6],
		uint32_t xid)
{
	*l = (struct dhcp_lease){ 0 };
	if (len < AT_OPTIONS || m[AT_OP] != 2 || memcmp(m + AT_XID, &xid, sizeof(xid)) ||
	    memcmp(m + AT_CHADDR, mac, 6) || memcmp(m + AT_MAGIC, magic, sizeof(magic)))
		return false;
	memcpy(&l->address, m + AT_YIADDR, 4);
	for (size_t i = AT_OPTIONS; i < len && m[i] != OPT_END;) {
		if (m[i] == OPT_PAD) {
			i++;
			continue;
		}
		if (len - i < 2 || m[i + 1] > len - i - 2)
			return false;
		take(l, m[i], m + i + 2, m[i + 1]);
		i += 2u + m[i + 1];
	}
	if (l->type == DHCP_NAK)
		return true;
	return (l->type == DHCP_OFFER || l->type == DHCP_ACK) && is_host(l->address) &&
	       is_mask(l->mask);
}
