/* SPDX-License-Identifier: BSD-2-Clause */
/* A network of the guest's own in this process, which needs no privileges: libslirp. */
#pragma once

#include <netinet/in.h>

#include "backend/net/net.h"
#include "vmm/fd_budget.h"

/* What arrives at a port of the host's goes to one of the guest's. */
struct net_user_forward {
	bool udp;
	struct in_addr host, guest; /* guest 0.0.0.0: the one that DHCP gives it */
	uint16_t host_port, guest_port;
};

struct net_user_options {
	const struct net_user_forward *forward;
	size_t nr_forwards;
	bool restricted;           /* nothing goes out but what answers a forward */
	unsigned mtu;              /* that libslirp takes; 0: 1500 */
	const char *const *domain; /* where guests look for names, by DHCP; ends with NULL */
	struct fd_budget *fds;     /* what its sockets come from, or NULL; not owned */
};

/* *o need not outlive the call. *b is freed by its destroy. 0, or -errno, logged. */
int net_user_open(struct net_backend **b, const struct net_user_options *o) __must_check;
