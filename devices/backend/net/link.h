/* SPDX-License-Identifier: BSD-2-Clause */
/* A network interface of the host, configured by netlink. */
#pragma once

#include "vmm/types.h"

struct net_link {
	unsigned mtu;
	unsigned bridge; /* index of the interface that it belongs to; 0: none */
	bool up;
};

/* Reads what the interface is like; and into *bridge the index of the interface bridge_name, unless
 * that is NULL. Returns 0, or -errno, logged. */
int net_link_read(const char *option, const char *name, struct net_link *l, const char *bridge_name,
		  unsigned *bridge) __must_check;

/* Brings the interface up, with l->mtu and in l->bridge unless those are 0. Returns 0; -EPERM, not
 * logged; or another -errno, logged. */
int net_link_write(const char *option, const char *name, const struct net_link *l) __must_check;
