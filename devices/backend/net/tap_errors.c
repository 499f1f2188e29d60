/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a TAP can't be had, and what to do about it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "backend/net/tap.h"
#include "vmm/log.h"

/* Logs the commands by which root allows, once, what this user may not do. */
int net_tap_not_allowed(const struct net_tap_options *o)
{
	const char *name = o->name ?: "mvm0";
	char mtu[32] = "", bridge[32] = "";

	if (o->mtu)
		snprintf(mtu, sizeof(mtu), " mtu %u", o->mtu);
	if (o->bridge)
		snprintf(bridge, sizeof(bridge), " master %s", o->bridge);
	return log_ret(
		-EPERM,
		"%s: making or changing an interface needs CAP_NET_ADMIN. Run once: sudo ip tuntap add dev %s mode tap user $USER%s && sudo ip link set %s%s%s up; then use --net tap=%s. Or use --net user, which needs no privileges",
		o->option, name, o->pairs > 1 ? " multi_queue" : "", name, mtu, bridge, name);
}

int net_tap_wrong_kind(const struct net_tap_options *o)
{
	return log_ret(
		-EINVAL,
		"%s: that interface is not a TAP, or was made %s multi_queue; name another, or let minivmm make one: tap=auto",
		o->option, o->pairs > 1 ? "without" : "with");
}

int net_tap_not_one(const char *option, int fd)
{
	return log_ret(-EINVAL,
		       "%s: descriptor %d is not a TAP; pass one that TUNSETIFF has made a TAP",
		       option, fd);
}

int net_tap_open_device(const char *option)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		return log_ret(
			-errno,
			"%s: this host has no /dev/net/tun; load its module: sudo modprobe tun",
			option);
	if (fd < 0 && errno == EACCES)
		return log_ret(
			-EACCES,
			"%s: you may not open /dev/net/tun; minivmm doctor says how to change that. Or use --net user, which needs no privileges",
			option);
	return fd < 0 ? log_errno("%s: /dev/net/tun", option) : fd;
}
