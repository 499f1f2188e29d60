/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of a DHCP client for IPv4 (RFC 2131, options of RFC 2132). net.c sends and receives
 * them. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHCP_LEN         576 /* every client takes this length (RFC 2131 §2) */
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCP_MAX_DNS     3   /* as many as the C library reads */
#define DHCP_MAX_SEARCH  256 /* bytes of the list of domains */

enum { DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_DECLINE, DHCP_ACK, DHCP_NAK };

struct dhcp_lease {
	int type; /* DHCP_OFFER, DHCP_ACK or DHCP_NAK */
	struct in_addr address, mask, router, server;
	struct in_addr dns[DHCP_MAX_DNS];
	size_t nr_dns;
	char search[DHCP_MAX_SEARCH]; /* domains, separated by blanks; "": none */
};

/* Makes a DISCOVER or, if there is an offer, the REQUEST for it. Returns its length. */
size_t dhcp_make(uint8_t message[DHCP_LEN], const uint8_t mac[6], uint32_t xid,
		 const struct dhcp_lease *offer);

/* Finds a message to a client in an IPv4 packet, header included. NULL: there is none. */
const uint8_t *dhcp_in_packet(const uint8_t *packet, size_t len, size_t *message_len);

/* Adds a domain, or more than one with blanks between them, to a list of that kind. A name that there
 * is no room for is left out. */
void dhcp_add_search(char search[DHCP_MAX_SEARCH], const char *name, size_t len);

/* Reads an answer to xid. Returns false if it is not one, or makes no sense. */
bool dhcp_parse(struct dhcp_lease *l, const uint8_t *message, size_t len, const uint8_t mac[6],
		uint32_t xid);
