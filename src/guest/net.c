/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses by DHCP, over an ordinary UDP socket that is bound to its interface: the kernel lets
 * one without an address send broadcasts, and hears those that answer.
 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dhcp.h"

#define TRIES   5
#define WAIT_MS 1000

struct link {
	int fd;
	const char *name;
	uint8_t mac[6];
	uint32_t xid;
	struct dhcp_lease lease;
};

static struct ifreq request(const char *name)
{
	struct ifreq r = { 0 };

	strncpy(r.ifr_name, name, sizeof(r.ifr_name) - 1);
	return r;
}

static int bring_up(int fd, const char *name)
{
	struct ifreq r = request(name);

	if (ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return -1;
	r.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &r);
}

void net_loopback(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return; /* a kernel without IPv4 */
	bring_up(fd, "lo");
	close(fd);
}

static struct sockaddr_in address_of(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = address };
}

static int open_link(struct link *l)
{
	const struct sockaddr_in any = address_of(INADDR_ANY, DHCP_CLIENT_PORT);
	struct ifreq r = request(l->name);
	const int on = 1;

	l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || ioctl(l->fd, SIOCGIFHWADDR, &r) < 0)
		return -1;
	memcpy(l->mac, r.ifr_hwaddr.sa_data, sizeof(l->mac));
	if (getrandom(&l->xid, sizeof(l->xid), GRND_NONBLOCK) < 0)
		memcpy(&l->xid, l->mac + 2, sizeof(l->xid));
	if (bring_up(l->fd, l->name) < 0 ||
	    setsockopt(l->fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
	    setsockopt(l->fd, SOL_SOCKET, SO_BINDTODEVICE, l->name,
		       (socklen_t)strlen(l->name) + 1) < 0)
		return -1;
	return bind(l->fd, (const struct sockaddr *)&any, sizeof(any));
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits a while for an answer of that type. */
static bool answered(struct link *l, int type)
{
	const long end = now_ms() + WAIT_MS;
	uint8_t m[1500];

	for (long left = WAIT_MS; left > 0; left = end - now_ms()) {
		struct pollfd p = { .fd = l->fd, .events = POLLIN };
		struct dhcp_lease lease;
		ssize_t n;

		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(l->fd, m, sizeof(m), MSG_DONTWAIT);
		if (n > 0 && dhcp_parse(&lease, m, (size_t)n, l->mac, l->xid) &&
		    lease.type == type) {
			l->lease = lease;
			return true;
		}
	}
	return false;
}

static bool ask(struct link *l, const struct dhcp_lease *offer)
{
	const struct sockaddr_in all = address_of(INADDR_BROADCAST, DHCP_SERVER_PORT);
	uint8_t m[DHCP_LEN];
	size_t len = dhcp_make(m, l->mac, l->xid, offer);

	/* ENETDOWN and the like, of a link that is about to come up, are for the next try. */
	return sendto(l->fd, m, len, 0, (const struct sockaddr *)&all, sizeof(all)) ==
		       (ssize_t)len &&
	       answered(l, offer ? DHCP_ACK : DHCP_OFFER);
}

static bool get_lease(struct link *l)
{
	for (int i = 0; i < TRIES; i++) {
		struct dhcp_lease offer;

		if (!ask(l, NULL))
			continue;
		offer = l->lease;
		if (ask(l, &offer))
			return true;
	}
	return false;
}

static void set_address(struct sockaddr *a, struct in_addr value)
{
	const struct sockaddr_in in = address_of(value.s_addr, 0);

	memcpy(a, &in, sizeof(in));
}

static int use_lease(const struct link *l)
{
	struct ifreq r = request(l->name);
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	set_address(&r.ifr_addr, l->lease.address);
	if (ioctl(l->fd, SIOCSIFADDR, &r) < 0)
		return -1;
	set_address(&r.ifr_addr, l->lease.mask);
	if (l->lease.mask.s_addr && ioctl(l->fd, SIOCSIFNETMASK, &r) < 0)
		return -1;
	if (!l->lease.router.s_addr)
		return 0;
	set_address(&route.rt_gateway, l->lease.router);
	set_address(&route.rt_dst, (struct in_addr){ 0 });
	set_address(&route.rt_genmask, (struct in_addr){ 0 });
	return ioctl(l->fd, SIOCADDRT, &route) < 0 && errno != EEXIST ? -1 : 0;
}

/* The file may be a link into a /run that is not the guest's: so it is made anew. */
static void add_servers(const struct dhcp_lease *l, bool first)
{
	FILE *f;

	if (first)
		unlink("/etc/resolv.conf");
	f = fopen("/etc/resolv.conf", "ae");
	for (size_t i = 0; f && i < l->nr_dns; i++)
		fprintf(f, "nameserver %s\n", inet_ntoa(l->dns[i]));
	if (f)
		fclose(f);
}

const char *net_addresses(void)
{
	struct if_nameindex *all = if_nameindex();
	static char text[128];
	const char *wrong = NULL;
	bool first = true;

	for (struct if_nameindex *i = all; i && i->if_name; i++) {
		struct link l = { .fd = -1, .name = i->if_name };

		if (!strcmp(l.name, "lo"))
			continue;
		if (open_link(&l) < 0)
			snprintf(text, sizeof(text), "%s: %s", l.name, strerror(errno));
		else if (!get_lease(&l))
			snprintf(text, sizeof(text), "%s: nobody answers to DHCP", l.name);
		else if (use_lease(&l) < 0)
			snprintf(text, sizeof(text), "%s: %s", l.name, strerror(errno));
		if (l.lease.type == DHCP_ACK && l.lease.nr_dns) {
			add_servers(&l.lease, first);
			first = false;
		}
		wrong = text[0] ? text : NULL;
		if (l.fd >= 0)
			close(l.fd);
	}
	if (all)
		if_freenameindex(all);
	return wrong;
}
