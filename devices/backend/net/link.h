/* SPDX-License-Identifier: BSD-2-Clause */
/* A network interface of the host, configured by netlink. */
#pragma once

#include "vmm/types.h"

struct net_link {
	unsigned mtu;
	unsigned bridge; /* the index of the interface that it belongs to; 0: none */
	bool up;
};

/* What the interface is like; and, in *bridge, the index of the one called bridge_name, unless that
 * is NULL. 0 or -errno, logged. */
int net_link_read(const char *option, const char *name, struct net_link *l, const char *bridge_name,
		  unsigned *bridge) __must_check;

/* Brings it up, with l->mtu and in l->bridge unless those are 0. 0; -EPERM, not logged; or -errno,
 * logged. */
int net_link_write(const char *option, const char *name, const struct net_link *l) __must_check;
