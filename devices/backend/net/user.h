/* SPDX-License-Identifier: BSD-2-Clause */
/* A network of the guest's own in this process, made by libslirp: it needs no privileges. */
#pragma once

#include <netinet/in.h>

#include "backend/net/net.h"
#include "vmm/fd_budget.h"

/* Connections to a port of the host go to a port of the guest. */
struct net_user_forward {
	bool udp;
	struct in_addr host, guest; /* guest 0.0.0.0: the address that DHCP gives it */
	uint16_t host_port, guest_port;
};

struct net_user_options {
	const struct net_user_forward *forward;
	size_t nr_forwards;
	bool restricted;           /* nothing goes out but answers to a forward */
	unsigned mtu;              /* the one that libslirp takes; 0: 1500 */
	const char *const *domain; /* the guest's search domains, by DHCP; ends with NULL */
	struct fd_budget *fds;     /* its sockets count in this; NULL: in none; not owned */
};

/* *o need not outlive the call. *b is freed by its destroy. Returns 0, or -errno, logged. */
int net_user_open(struct net_backend **b, const struct net_user_options *o) __must_check;
