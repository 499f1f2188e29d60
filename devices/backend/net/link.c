/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/link.h"

#include <errno.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>

#include "vmm/log.h"

static int failed(int rc, const char *option, const char *name)
{
	return log_ret(-EIO, "%s: interface %s: %s", option, name, nl_geterror(rc));
}

static struct nl_sock *connect_route(const char *option)
{
	struct nl_sock *s = nl_socket_alloc();

	if (s && nl_connect(s, NETLINK_ROUTE) == 0)
		return s;
	log_msg(LOG_ERROR, "%s: can't talk to the kernel by netlink", option);
	nl_socket_free(s);
	return NULL;
}

int net_link_read(const char *option, const char *name, struct net_link *l, const char *bridge_name,
		  unsigned *bridge)
{
	struct nl_sock *s = connect_route(option);
	struct rtnl_link *link = NULL, *other = NULL;
	int rc;

	if (!s)
		return -EIO;
	rc = rtnl_link_get_kernel(s, 0, name, &link);
	if (rc < 0) {
		rc = failed(rc, option, name);
	} else if (bridge_name && rtnl_link_get_kernel(s, 0, bridge_name, &other) < 0) {
		rc = log_ret(
			-ENODEV,
			"%s: there is no bridge %s; make one, as in sudo ip link add %s type bridge && sudo ip link set %s up",
			option, bridge_name, bridge_name, bridge_name);
	} else {
		*l = (struct net_link){
			.mtu = rtnl_link_get_mtu(link),
			.bridge = (unsigned)rtnl_link_get_master(link),
			.up = rtnl_link_get_flags(link) & IFF_UP,
		};
		if (other)
			*bridge = (unsigned)rtnl_link_get_ifindex(other);
	}
	rtnl_link_put(link);
	rtnl_link_put(other);
	nl_socket_free(s);
	return rc;
}

int net_link_write(const char *option, const char *name, const struct net_link *l)
{
	struct nl_sock *s = connect_route(option);
	struct rtnl_link *link = NULL, *change = rtnl_link_alloc();
	int rc;

	if (!s || !change) {
		rtnl_link_put(change);
		nl_socket_free(s);
		return -EIO;
	}
	rc = rtnl_link_get_kernel(s, 0, name, &link);
	if (rc == 0) {
		rtnl_link_set_flags(change, IFF_UP);
		if (l->mtu)
			rtnl_link_set_mtu(change, l->mtu);
		if (l->bridge)
			rtnl_link_set_master(change, (int)l->bridge);
		rc = rtnl_link_change(s, link, change, 0);
	}
	rtnl_link_put(link);
	rtnl_link_put(change);
	nl_socket_free(s);
	if (rc == -NLE_PERM)
		return -EPERM;
	return rc < 0 ? failed(rc, option, name) : 0;
}
