/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's network interfaces. */
#pragma once

#include <stdbool.h>

/* Brings up the loopback. */
void net_loopback(void);

/* Is there a name server with an IPv6 address, as libslirp has one, and does it come first? */
enum net_dns6 { NET_DNS6_NONE, NET_DNS6_LAST, NET_DNS6_FIRST };

/* Asks for an address on every other interface, and makes /etc/resolv.conf from the answers and
 * these options of the resolver (or NULL). Returns NULL, or what went wrong. */
const char *net_addresses(enum net_dns6 dns6, const char *options);
