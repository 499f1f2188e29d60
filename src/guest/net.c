/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses by DHCP. Questions go out by an ordinary UDP socket that is bound to its interface: the
 * kernel lets one without an address send broadcasts. Answers come by a packet socket: a server may
 * send them to the address that it offers (passt does), and the kernel drops packets for an address
 * that it doesn't have yet. A kernel without packet sockets gets only answers that are broadcast.
 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
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
#include "names.h"

#define TRIES   5
#define WAIT_MS 1000

#define ETHERTYPE_IPV4 0x0800 /* <linux/if_ether.h> doesn't go with musl's headers */

/* libslirp's server, in its network fec0::/64 */
#define SERVER6        "fec0::3"
#define SERVER6_PREFIX "fec0"

struct link {
	int fd;     /* UDP; -1: not open */
	int packet; /* the packet socket; -1: the kernel has none */
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
		return; /* the kernel has no IPv4 */
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

static void open_packets(struct link *l)
{
	const struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE_IPV4),
		.sll_ifindex = (int)if_nametoindex(l->name),
	};

	l->packet = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l->packet >= 0 && bind(l->packet, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		close(l->packet);
		l->packet = -1;
	}
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes the packet that has come. Returns false if it is not an answer to our question. */
static bool take_answer(struct link *l, struct dhcp_lease *lease)
{
	uint8_t bytes[2048];
	const uint8_t *m = bytes;
	const ssize_t n =
		recv(l->packet >= 0 ? l->packet : l->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	size_t len = n > 0 ? (size_t)n : 0;

	if (l->packet >= 0)
		m = dhcp_in_packet(bytes, len, &len);
	return m && dhcp_parse(lease, m, len, l->mac, l->xid);
}

/* Waits a while for an answer of that type. */
static bool answered(struct link *l, int type)
{
	const long end = now_ms() + WAIT_MS;

	for (long left = WAIT_MS; left > 0; left = end - now_ms()) {
		struct pollfd p = { .fd = l->packet >= 0 ? l->packet : l->fd, .events = POLLIN };
		struct dhcp_lease lease;

		if (poll(&p, 1, (int)left) > 0 && take_answer(l, &lease) && lease.type == type) {
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

	/* A link that is coming up gives ENETDOWN and the like; the next try may work. */
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

/* -- IPv6, of a network that has a name server there ----------------------------------------- */

static void write_setting(const char *link, const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", link, name);
	f = fopen(path, "we");
	if (f)
		fputs(value, f);
	if (f)
		fclose(f);
}

/* Skips the seconds that it takes to find out that nobody else has the address, and to look for a
 * router: in this network there is nobody else. */
static void hurry(const char *link)
{
	write_setting(link, "accept_dad", "0");
	write_setting(link, "router_solicitation_delay", "0");
}

/* Does this kernel have an address in the server's network? */
static bool has_address6(void)
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, SERVER6_PREFIX, strlen(SERVER6_PREFIX));
	if (f)
		fclose(f);
	return found;
}

/* Without this, a program that asks for a name at once would find no route to the only server. */
static void await_address6(void)
{
	for (int i = 0; i < 30 && !has_address6(); i++)
		usleep(100000);
}

/* -- all of it ------------------------------------------------------------------------------- */

/* Makes /etc/resolv.conf anew, because it may be a link into a /run that is not the guest's.
 * Returns NULL, or why it couldn't. */
static const char *write_names(const struct names *n)
{
	static const char path[] = "/etc/resolv.conf";
	FILE *f;

	if (!n->nr_servers && !n->server6)
		return NULL;
	/* A share may be just this file, which is then busy. */
	if (!names_directory_is_ours("/", "/etc") || (unlink(path) < 0 && errno == EBUSY))
		return "/etc/resolv.conf is in a share and stays as it is";
	f = fopen(path, "wex");
	if (!f)
		return errno == ENOENT ? NULL : "/etc/resolv.conf can't be written"; /* no /etc */
	names_print(n, f);
	fclose(f);
	return NULL;
}

/* Returns NULL, or what went wrong, which is valid until the next call. */
static const char *set_up_link(struct link *l, struct names *names)
{
	static char text[128];
	const char *why = NULL;

	if (open_link(l) < 0)
		why = strerror(errno);
	else if (open_packets(l), !get_lease(l))
		why = "no DHCP server answers";
	else if (use_lease(l) < 0)
		why = strerror(errno);
	if (l->lease.type == DHCP_ACK)
		names_add(names, &l->lease);
	if (!why)
		return NULL;
	snprintf(text, sizeof(text), "%s: %s", l->name, why);
	return text;
}

const char *net_addresses(enum net_dns6 dns6, const char *options)
{
	struct names names = { .options = options, .first6 = dns6 == NET_DNS6_FIRST };
	struct if_nameindex *all = if_nameindex();
	const char *wrong = NULL, *failed;

	if (dns6 != NET_DNS6_NONE && access("/proc/net/if_inet6", F_OK) == 0)
		names.server6 = SERVER6;
	for (struct if_nameindex *i = all; i && i->if_name; i++) {
		struct link l = { .fd = -1, .packet = -1, .name = i->if_name };

		if (!strcmp(l.name, "lo"))
			continue;
		if (names.server6)
			hurry(l.name);
		failed = set_up_link(&l, &names);
		wrong = failed ?: wrong;
		if (l.fd >= 0)
			close(l.fd);
		if (l.packet >= 0)
			close(l.packet);
	}
	if (all)
		if_freenameindex(all);
	if (names.server6 && names.first6)
		await_address6();
	failed = write_names(&names);
	return wrong ?: failed;
}
