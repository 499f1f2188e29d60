/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be said of a TAP without attaching to it, making it or changing it: for a dry run. It
 * can't be seen whether the TAP is in use. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "backend/net/tap.h"
#include "vmm/log.h"

/* False: this process certainly does not have it. */
static bool has_net_admin(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = ~0ull;
	char line[256];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "CapEff: %llx", &caps) != 1)
		;
	if (f)
		fclose(f);
	return caps >> CAP_NET_ADMIN & 1;
}

/* Reads a number from the interface's directory in sysfs. False: it has no such file. */
static bool say(const char *name, const char *what, long *value)
{
	char path[128];
	bool said;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	f = fopen(path, "re");
	said = f && fscanf(f, "%li", value) == 1;
	if (f)
		fclose(f);
	return said;
}

/* Tries an interface that is there. */
static int try_interface(const struct net_tap_options *o)
{
	long index, flags, owner = -1, group = -1;

	if (!say(o->name, "ifindex", &index))
		return 0; /* sysfs belongs to another network namespace, or is not mounted */
	if (!say(o->name, "tun_flags", &flags) || !(flags & IFF_TAP) ||
	    !(flags & IFF_MULTI_QUEUE) != (o->pairs == 1))
		return net_tap_wrong_kind(o);
	(void)say(o->name, "owner", &owner);
	(void)say(o->name, "group", &group);
	if (((owner >= 0 && (uid_t)owner != geteuid()) ||
	     (group >= 0 && !group_member((gid_t)group))) &&
	    !has_net_admin())
		return net_tap_not_allowed(o);
	return 0;
}

int net_tap_try(const struct net_tap_options *o)
{
	int rc = net_tap_open_device(o->option);

	if (rc < 0)
		return rc;
	close(rc);
	if (o->name && if_nametoindex(o->name))
		rc = try_interface(o);
	else
		rc = has_net_admin() ? 0 : net_tap_not_allowed(o);
	if (rc == 0 && o->bridge && !if_nametoindex(o->bridge))
		rc = log_ret(
			-ENODEV,
			"%s: there is no bridge %s; make one, as in sudo ip link add %s type bridge && sudo ip link set %s up",
			o->option, o->bridge, o->bridge, o->bridge);
	if (rc == 0 && o->script && faccessat(AT_FDCWD, o->script, X_OK, AT_EACCESS) < 0)
		rc = log_errno("%s: script %s", o->option, o->script);
	return rc;
}

int net_tap_try_fd(const char *option, int fd)
{
	struct ifreq r = { 0 };

	if (fcntl(fd, F_GETFL) < 0)
		return log_errno("%s: descriptor %d", option, fd);
	return ioctl(fd, TUNGETIFF, &r) < 0 || !(r.ifr_flags & IFF_TAP)
		       ? net_tap_not_one(option, fd)
		       : 0;
}
