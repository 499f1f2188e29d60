/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's network interfaces. */
#pragma once

#include <stdbool.h>

/* Brings up the loopback. */
void net_loopback(void);

/* Is there a name server that is reached by IPv6, as libslirp's is, and is it to be asked first? */
enum net_dns6 { NET_DNS6_NONE, NET_DNS6_LAST, NET_DNS6_FIRST };

/* Asks for an address on every other interface, and makes /etc/resolv.conf of the answers and these
 * options of the resolver (or NULL). NULL, or what went wrong. */
const char *net_addresses(enum net_dns6 dns6, const char *options);
