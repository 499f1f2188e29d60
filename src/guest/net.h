/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's network interfaces. */
#pragma once

#include <stdbool.h>

/* Brings up the loopback. */
void net_loopback(void);

/* Asks for an address on every other interface, and makes /etc/resolv.conf of the answers. NULL, or
 * what went wrong. */
const char *net_addresses(void);
