/* SPDX-License-Identifier: BSD-2-Clause */
#include "dhcp.h"

#include <string.h>

/* RFC 2131 §2: the fields' offsets. */
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
	OPT_DOMAIN = 15,
	OPT_REQUESTED = 50,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_WANTED = 55,
	OPT_SEARCH = 119,
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
	static const uint8_t wanted[] = { OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_DOMAIN, OPT_SEARCH };
	const uint8_t type = offer ? DHCP_REQUEST : DHCP_DISCOVER;
	uint8_t *p = m + AT_OPTIONS;

	memset(m, 0, DHCP_LEN);
	m[AT_OP] = 1;
	m[AT_HTYPE] = 1;
	m[AT_HLEN] = 6;
	memcpy(m + AT_XID, &xid, sizeof(xid));
	m[AT_FLAGS] = 0x80; /* answer by broadcast: we have no address yet */
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

/* -- domains --------------------------------------------------------------------------------- */

/* Adds one label, followed by a dot. Names become words of /etc/resolv.conf, so labels have no
 * other characters than host names do. Returns false if this one has, or doesn't fit. */
static bool add_label(char *name, size_t *at, const uint8_t *label, size_t len)
{
	if (*at + len + 2 > DHCP_MAX_SEARCH)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char c = (char)label[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != '_')
			return false;
		name[(*at)++] = c;
	}
	name[(*at)++] = '.';
	return true;
}

void dhcp_add_search(char search[DHCP_MAX_SEARCH], const char *name, size_t len)
{
	const size_t at = strnlen(search, DHCP_MAX_SEARCH), blank = at > 0;

	if (!len || at + blank + len >= DHCP_MAX_SEARCH)
		return;
	if (blank)
		search[at] = ' ';
	memcpy(search + at + blank, name, len);
	search[at + blank + len] = '\0';
}

/* Reads a name of RFC 1035 §4.1.4 at *at of list: labels with their lengths, or a pointer to the
 * rest. If it returns true, name is *len bytes without the last dot, and *at is after it. */
static bool read_name(const uint8_t *list, size_t size, size_t *at, char *name, size_t *len)
{
	size_t i = *at, after = 0, out = 0;

	/* A pointer must lead to a place before itself, or the name might never end. */
	for (size_t limit = size; i < limit;) {
		const uint8_t head = list[i];

		if (head == 0) {
			*at = after ?: i + 1;
			*len = out ? out - 1 : 0;
			return true;
		}
		if (head >= 0xc0 && i + 1 < size) {
			after = after ?: i + 2;
			limit = i;
			i = (size_t)(head & 0x3f) << 8 | list[i + 1];
			continue;
		}
		if (head >= 0x40 || head > size - i - 1 ||
		    !add_label(name, &out, list + i + 1, head))
			return false;
		i += 1u + head;
	}
	return false;
}

/* RFC 3397. The list ends at the first name that makes no sense. */
static void take_search(struct dhcp_lease *l, const uint8_t *list, size_t size)
{
	char name[DHCP_MAX_SEARCH];
	size_t at = 0, len;

	while (at < size && read_name(list, size, &at, name, &len))
		dhcp_add_search(l->search, name, len);
}

/* RFC 2132 §3.17: one domain, as text. A list takes precedence. */
static void take_domain(struct dhcp_lease *l, const uint8_t *text, size_t len)
{
	char name[DHCP_MAX_SEARCH];
	size_t out = 0, start = 0;

	while (len && text[len - 1] == '\0')
		len--;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != '.')
			continue;
		if (i > start && !add_label(name, &out, text + start, i - start))
			return;
		start = i + 1;
	}
	if (!l->search[0] && out)
		dhcp_add_search(l->search, name, out - 1);
}

/* -- answers --------------------------------------------------------------------------------- */

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

/* Is it ones, followed by zeros? */
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

/* Puts a long option together, whose value comes in parts (RFC 3396). Returns its length, at most
 * max. */
static size_t gather(uint8_t option, const uint8_t *m, size_t len, uint8_t *to, size_t max)
{
	size_t got = 0;

	for (size_t i = AT_OPTIONS; i + 1 < len && m[i] != OPT_END;) {
		if (m[i] == OPT_PAD) {
			i++;
			continue;
		}
		if (m[i] == option && m[i + 1] <= max - got) {
			memcpy(to + got, m + i + 2, m[i + 1]);
			got += m[i + 1];
		}
		i += 2u + m[i + 1];
	}
	return got;
}

const uint8_t *dhcp_in_packet(const uint8_t *packet, size_t len, size_t *message_len)
{
	size_t head, total, udp;

	if (len < 20 || packet[0] >> 4 != 4)
		return NULL;
	head = (packet[0] & 0xfu) * 4u;
	total = (size_t)packet[2] << 8 | packet[3];
	/* It must be UDP, and not a fragment. A short frame has padding after the packet. */
	if (head < 20 || total > len || total < head + 8 || packet[9] != IPPROTO_UDP ||
	    (packet[6] & 0x3f) || packet[7])
		return NULL;
	packet += head;
	udp = (size_t)packet[4] << 8 | packet[5];
	if ((packet[2] << 8 | packet[3]) != DHCP_CLIENT_PORT || udp < 8 || udp > total - head)
		return NULL;
	*message_len = udp - 8;
	return packet + 8;
}

bool dhcp_parse(struct dhcp_lease *l, const uint8_t *m, size_t len, const uint8_t mac[6],
		uint32_t xid)
{
	uint8_t list[1024];

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
	take_search(l, list, gather(OPT_SEARCH, m, len, list, sizeof(list)));
	take_domain(l, list, gather(OPT_DOMAIN, m, len, list, sizeof(list)));
	if (l->type == DHCP_NAK)
		return true;
	return (l->type == DHCP_OFFER || l->type == DHCP_ACK) && is_host(l->address) &&
	       is_mask(l->mask);
}
