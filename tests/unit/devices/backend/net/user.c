/* SPDX-License-Identifier: BSD-2-Clause */
/* The user-mode network, from the guest's side: what it offers, what goes out and comes in, and
 * that restricted networks are. */
#include "backend/net/user.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "count_fds.h"
#include "net_end.h"
#include "vmm/log.h"

#define GUEST 0x0a00020f /* 10.0.2.15 */
#define HOST  0x0a000202
#define DNS   0x0a000203

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

/* -- frames ---------------------------------------------------------------------------------- */

struct packet {
	uint16_t align __attribute__((aligned(4)));
	uint8_t bytes[2048];
	size_t len;
};

static uint16_t checksum(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void *put(struct packet *p, const void *data, size_t len)
{
	void *at = p->bytes + p->len;

	if (len)
		memcpy(at, data, len);
	p->len += len;
	return at;
}

static void put_ethernet(struct packet *p, const uint8_t to[6], uint16_t type)
{
	struct ether_header eth = { .ether_type = htons(type) };

	p->len = 0;
	memcpy(eth.ether_dhost, to, 6);
	memcpy(eth.ether_shost, guest_mac, 6);
	put(p, &eth, sizeof(eth));
}

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void put_ip(struct packet *p, uint32_t from, uint32_t to, uint8_t protocol, size_t payload)
{
	struct iphdr ip = { .version = 4,
			    .ihl = 5,
			    .ttl = 64,
			    .protocol = protocol,
			    .saddr = htonl(from),
			    .daddr = htonl(to) };

	put_ethernet(p, broadcast, ETHERTYPE_IP);
	ip.tot_len = htons((uint16_t)(sizeof(ip) + payload));
	ip.check = checksum(0, &ip, sizeof(ip));
	put(p, &ip, sizeof(ip));
}

static void put_udp(struct packet *p, uint32_t from, uint16_t sport, uint32_t to, uint16_t dport,
		    const void *data, size_t len)
{
	struct udphdr udp = { .source = htons(sport), .dest = htons(dport) };

	udp.len = htons((uint16_t)(sizeof(udp) + len)); /* no checksum: it may be absent */
	put_ip(p, from, to, IPPROTO_UDP, sizeof(udp) + len);
	put(p, &udp, sizeof(udp));
	put(p, data, len);
}

static void put_tcp_urgent(struct packet *p, uint16_t sport, uint16_t dport, uint32_t seq,
			   uint32_t ack, uint8_t flags, uint16_t urgent, const void *data,
			   size_t len)
{
	struct tcphdr tcp = { .source = htons(sport), .dest = htons(dport), .seq = htonl(seq) };
	const uint32_t pseudo = (GUEST >> 16) + (GUEST & 0xffff) + (HOST >> 16) + (HOST & 0xffff) +
				IPPROTO_TCP + (uint32_t)(sizeof(tcp) + len);
	struct tcphdr *at;

	tcp.ack_seq = htonl(ack);
	tcp.doff = 5;
	tcp.th_flags = flags;
	tcp.window = htons(60000);
	tcp.urg_ptr = htons(urgent);
	put_ip(p, GUEST, HOST, IPPROTO_TCP, sizeof(tcp) + len);
	at = put(p, &tcp, sizeof(tcp));
	put(p, data, len);
	at->check = checksum(pseudo, at, sizeof(tcp) + len);
}

static void put_tcp(struct packet *p, uint16_t sport, uint16_t dport, uint32_t seq, uint32_t ack,
		    uint8_t flags, const void *data, size_t len)
{
	put_tcp_urgent(p, sport, dport, seq, ack, flags, 0, data, len);
}

static void put_arp(struct packet *p, uint32_t target)
{
	struct ether_arp arp = { .arp_hrd = htons(ARPHRD_ETHER),
				 .arp_pro = htons(ETHERTYPE_IP),
				 .arp_hln = 6,
				 .arp_pln = 4,
				 .arp_op = htons(ARPOP_REQUEST) };
	const uint32_t from = htonl(GUEST), to = htonl(target);

	put_ethernet(p, broadcast, ETHERTYPE_ARP);
	memcpy(arp.arp_sha, guest_mac, 6);
	memcpy(arp.arp_spa, &from, 4);
	memcpy(arp.arp_tpa, &to, 4);
	put(p, &arp, sizeof(arp));
}

/* Returns the header of the frame that came. */
static const struct iphdr *got_ip(const struct net_end *e, uint8_t protocol)
{
	const struct iphdr *ip = (const void *)(e->frame + 14);
	uint16_t type;

	memcpy(&type, e->frame + 12, 2);
	return type == htons(ETHERTYPE_IP) && ip->protocol == protocol ? ip : NULL;
}

static bool is_arp(const struct net_end *e)
{
	return e->frame[12] == 8 && e->frame[13] == 6;
}

static bool is_udp(const struct net_end *e)
{
	return got_ip(e, IPPROTO_UDP);
}

static bool is_tcp(const struct net_end *e)
{
	return got_ip(e, IPPROTO_TCP);
}

static const struct tcphdr *got_tcp(const struct net_end *e)
{
	return (const void *)(got_ip(e, IPPROTO_TCP) + 1);
}

static bool is_tcp_data(const struct net_end *e)
{
	const struct iphdr *ip = got_ip(e, IPPROTO_TCP);

	return ip && ntohs(ip->tot_len) > 20u + 4u * got_tcp(e)->doff;
}

static bool is_router(const struct net_end *e)
{
	return e->frame[12] == 0x86 && e->frame[13] == 0xdd && e->frame[20] == IPPROTO_ICMPV6 &&
	       e->frame[54] == ND_ROUTER_ADVERT;
}

/* -- the test's ends ------------------------------------------------------------------------- */

static struct net_end *start(const struct net_user_options *o)
{
	struct net_backend *b;

	log_set_level(LOG_QUIET);
	assert_int_equal(net_user_open(&b, o), 0);
	return net_end_new(b);
}

static void send_packet(struct net_end *e, const struct packet *p)
{
	net_end_send(e, p->bytes, p->len);
}

/* The network answers frames in order: after this, earlier ones were dealt with. */
static void fence(struct net_end *e)
{
	struct packet p;

	put_arp(&p, HOST);
	send_packet(e, &p);
	net_end_await(e, is_arp);
}

/* Makes a socket on the host's loopback interface; *port is its port. */
static int host_socket(int type, uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (void *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static int host_connect(int type, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (void *)&a, sizeof(a)), 0);
	return fd;
}

/* Starts a network with a forward to the guest's port 22 from some free port of the host, stored in
 * *port. */
static struct net_end *start_forward(struct net_user_options o, bool udp, uint16_t *port)
{
	struct net_user_forward f = { .udp = udp,
				      .host.s_addr = htonl(INADDR_LOOPBACK),
				      .guest_port = 22 };
	struct net_backend *b;
	struct net_end *e;
	int rc;

	log_set_level(LOG_QUIET);
	o.forward = &f;
	o.nr_forwards = 1;
	do { /* another process may take it in between */
		close(host_socket(udp ? SOCK_DGRAM : SOCK_STREAM, &f.host_port));
		rc = net_user_open(&b, &o);
	} while (rc == -EADDRINUSE);
	assert_int_equal(rc, 0);
	*port = f.host_port;
	e = net_end_new(b);
	fence(e); /* now the network knows the guest's address */
	return e;
}

/* -- tests ----------------------------------------------------------------------------------- */

/* Returns the DHCP option, or NULL. */
static const uint8_t *dhcp_option(const struct net_end *e, uint8_t code)
{
	for (size_t i = 14 + 20 + 8 + 240; i + 2 < e->len && e->frame[i] != 255;
	     i += 2u + e->frame[i + 1]) {
		if (e->frame[i] == code)
			return e->frame + i + 2;
	}
	return NULL;
}

static void discover(struct net_end *e)
{
	uint8_t dhcp[300] = { 1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef };
	struct packet p;

	memcpy(dhcp + 28, guest_mac, 6);
	memcpy(dhcp + 236, (uint8_t[]){ 99, 130, 83, 99, 53, 1, 1, 255 }, 8);
	put_udp(&p, 0, 68, 0xffffffff, 67, dhcp, sizeof(dhcp));
	send_packet(e, &p);
	net_end_await(e, is_udp);
	assert_memory_equal(e->frame + 14 + 20 + 8 + 4, "\xde\xad\xbe\xef", 4);
	assert_memory_equal(e->frame + 14 + 20 + 8 + 16, "\x0a\x00\x02\x0f", 4);
	assert_non_null(dhcp_option(e, 53));
	assert_int_equal(*dhcp_option(e, 53), 2); /* an offer */
	assert_memory_equal(dhcp_option(e, 1), "\xff\xff\xff\x00", 4);
}

static void dhcp_offers_an_address(void **state __unused)
{
	struct net_end *e = start(&(struct net_user_options){ 0 });

	discover(e);
	assert_memory_equal(dhcp_option(e, 3), "\x0a\x00\x02\x02", 4);
	assert_memory_equal(dhcp_option(e, 6), "\x0a\x00\x02\x03", 4);
	net_end_free(e);

	e = start(&(struct net_user_options){ .restricted = true });
	discover(e);
	assert_null(dhcp_option(e, 3)); /* there is no way out */
	assert_null(dhcp_option(e, 6));
	net_end_free(e);
}

static void a_router_announces_itself(void **state __unused)
{
	static const uint8_t all_routers[6] = { 0x33, 0x33, 0, 0, 0, 2 };
	struct ip6_hdr ip = { .ip6_hlim = 255 };
	struct nd_router_solicit rs = { .nd_rs_type = ND_ROUTER_SOLICIT };
	struct net_end *e = start(&(struct net_user_options){ 0 });
	uint32_t sum = IPPROTO_ICMPV6 + sizeof(rs);
	struct packet p;

	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_plen = htons(sizeof(rs));
	ip.ip6_nxt = IPPROTO_ICMPV6;
	inet_pton(AF_INET6, "fe80::5054:ff:fe12:3456", &ip.ip6_src);
	inet_pton(AF_INET6, "ff02::2", &ip.ip6_dst);
	for (unsigned i = 0; i < 16; i++)
		sum += (uint32_t)(ip.ip6_src.s6_addr[i] + ip.ip6_dst.s6_addr[i]) << (i & 1 ? 0 : 8);
	rs.nd_rs_cksum = checksum(sum, &rs, sizeof(rs));
	put_ethernet(&p, all_routers, ETHERTYPE_IPV6);
	put(&p, &ip, sizeof(ip));
	put(&p, &rs, sizeof(rs));
	send_packet(e, &p);
	net_end_await(e, is_router);
	assert_non_null(memmem(e->frame, e->len, "\x03\x04\x40", 3)); /* a prefix of 64 bits */
	assert_non_null(memmem(e->frame, e->len, "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
	net_end_free(e);
}

static void udp_goes_out_and_back(void **state __unused)
{
	struct net_end *e = start(&(struct net_user_options){ 0 });
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct packet p;
	char text[16];
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);

	fence(e);
	put_udp(&p, GUEST, 1234, HOST, port, "hello", 5);
	send_packet(e, &p);
	assert_int_equal(recvfrom(fd, text, sizeof(text), 0, (void *)&from, &len), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(sendto(fd, "answer", 6, 0, (void *)&from, len), 6);
	net_end_await(e, is_udp);
	assert_int_equal(ntohs(got_ip(e, IPPROTO_UDP)->tot_len), 20 + 8 + 6);
	assert_memory_equal(e->frame + 14 + 28, "answer", 6);
	assert_memory_equal(e->frame, guest_mac, 6);
	close(fd);
	net_end_free(e);
}

/* Completes a handshake, in which the other end's segment is in e; then sends some data each
 * way. */
static void talk(struct net_end *e, int fd, uint16_t sport, uint16_t dport, uint32_t seq)
{
	const uint32_t ack = ntohl(got_tcp(e)->seq) + 1;
	struct packet p;
	char text[16];

	put_tcp(&p, sport, dport, seq, ack, TH_ACK | TH_PUSH, "ping", 4);
	send_packet(e, &p);
	assert_int_equal(write(fd, "pong", 4), 4);
	net_end_await(e, is_tcp_data);
	assert_memory_equal((const uint8_t *)got_tcp(e) + 4 * got_tcp(e)->doff, "pong", 4);
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_memory_equal(text, "ping", 4);
}

static void tcp_goes_out(void **state __unused)
{
	struct net_end *e = start(&(struct net_user_options){ 0 });
	struct packet p;
	uint16_t port;
	int listener = host_socket(SOCK_STREAM, &port), fd;

	fence(e);
	put_tcp(&p, 5000, port, 100, 0, TH_SYN, NULL, 0);
	send_packet(e, &p);
	net_end_await(e, is_tcp);
	assert_int_equal(got_tcp(e)->th_flags, TH_SYN | TH_ACK);
	fd = accept(listener, NULL, NULL);
	talk(e, fd, 5000, port, 101);
	close(fd);
	close(listener);
	net_end_free(e);
}

/* libslirp 4.7 sends as many bytes as the guest calls urgent, even beyond the end of its data. */
static void urgent_data_are_as_any_others(void **state __unused)
{
	static const uint16_t urgent[] = { 1000, 0, 1, 60000, 65535 };
	struct net_end *e = start(&(struct net_user_options){ 0 });
	struct packet p;
	char text[4096];
	uint16_t port;
	int listener = host_socket(SOCK_STREAM, &port), fd;
	uint32_t seq = 101, ack;
	int yes = 1;

	fence(e);
	put_tcp(&p, 5000, port, 100, 0, TH_SYN, NULL, 0);
	send_packet(e, &p);
	net_end_await(e, is_tcp);
	ack = ntohl(got_tcp(e)->seq) + 1;
	fd = accept(listener, NULL, NULL);
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof(yes)); /* the test sees all */
	put_tcp(&p, 5000, port, seq, ack, TH_ACK, NULL, 0);
	send_packet(e, &p);
	for (unsigned i = 0; i < ARRAY_SIZE(urgent); i++) {
		put_tcp_urgent(&p, 5000, port, seq, ack, TH_ACK | TH_PUSH | TH_URG, urgent[i],
			       "hello", 5);
		send_packet(e, &p);
		fence(e);
		assert_int_equal(recv(fd, text, sizeof(text), 0), 5);
		assert_memory_equal(text, "hello", 5);
		seq += 5;
	}
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	close(fd);
	close(listener);
	net_end_free(e);
}

static const struct in6_addr guest6 = { { { 0xfe, 0xc0, [4] = 1, 2, 3, 4, [15] = 15 } } };
static const struct in6_addr host6 = { { { 0xfe, 0xc0, [15] = 2 } } };

/* Makes an IPv6 packet, with its checksum sum_off bytes into the payload. */
static void put_ip6_to(struct packet *p, const struct in6_addr *to, uint8_t protocol, void *payload,
		       size_t len, size_t sum_off)
{
	struct ip6_hdr ip = { .ip6_flow = htonl(6u << 28),
			      .ip6_plen = htons((uint16_t)len),
			      .ip6_nxt = protocol,
			      .ip6_hlim = 255,
			      .ip6_src = guest6,
			      .ip6_dst = *to };
	uint32_t pseudo = protocol + (uint32_t)len;
	uint16_t sum;

	for (unsigned i = 0; i < 16; i++)
		pseudo += (uint32_t)(guest6.s6_addr[i] + to->s6_addr[i]) << (i & 1 ? 0 : 8);
	sum = checksum(pseudo, payload, len);
	memcpy((uint8_t *)payload + sum_off, &sum, sizeof(sum));
	put_ethernet(p, broadcast, ETHERTYPE_IPV6);
	put(p, &ip, sizeof(ip));
	put(p, payload, len);
}

static void put_ip6(struct packet *p, uint8_t protocol, void *payload, size_t len, size_t sum_off)
{
	put_ip6_to(p, &host6, protocol, payload, len, sum_off);
}

static void put_tcp6(struct packet *p, uint16_t dport, uint32_t seq, uint32_t ack, uint8_t flags,
		     const char *text)
{
	struct {
		struct tcphdr tcp;
		char text[16];
	} m = { .tcp = { .source = htons(5000), .dest = htons(dport), .seq = htonl(seq) } };

	m.tcp.ack_seq = htonl(ack);
	m.tcp.doff = 5;
	m.tcp.th_flags = flags;
	m.tcp.window = htons(60000);
	m.tcp.urg_ptr = htons(flags & TH_URG ? 1000 : 0);
	memcpy(m.text, text, strlen(text));
	put_ip6(p, IPPROTO_TCP, &m, sizeof(m.tcp) + strlen(text), offsetof(struct tcphdr, check));
}

static bool is_tcp6(const struct net_end *e)
{
	return e->frame[12] == 0x86 && e->frame[13] == 0xdd && e->frame[20] == IPPROTO_TCP;
}

static void ip6_has_no_urgent_data_either(void **state __unused)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct {
		struct nd_neighbor_solicit ns;
		uint8_t option[2], mac[6];
	} who = { .ns = { .nd_ns_type = ND_NEIGHBOR_SOLICIT, .nd_ns_target = host6 },
		  .option = { ND_OPT_SOURCE_LINKADDR, 1 } };
	int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, yes = 1;
	socklen_t len = sizeof(a);
	struct net_end *e;
	struct packet p;
	char text[4096];
	uint32_t ack, end;

	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0)
		skip(); /* a host without IPv6 */
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	e = start(&(struct net_user_options){ 0 });
	memcpy(who.mac, guest_mac, sizeof(who.mac));
	put_ip6(&p, IPPROTO_ICMPV6, &who, sizeof(who), 2);
	send_packet(e, &p);
	put_tcp6(&p, ntohs(a.sin6_port), 100, 0, TH_SYN, "");
	send_packet(e, &p);
	net_end_await(e, is_tcp6);
	memcpy(&ack, e->frame + 54 + offsetof(struct tcphdr, seq), sizeof(ack));
	ack = ntohl(ack) + 1;
	fd = accept(listener, NULL, NULL);
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof(yes));
	put_tcp6(&p, ntohs(a.sin6_port), 101, ack, TH_ACK, "");
	send_packet(e, &p);
	put_tcp6(&p, ntohs(a.sin6_port), 101, ack, TH_ACK | TH_PUSH | TH_URG, "hello");
	send_packet(e, &p);
	fence(e);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 5);

	/* The number that is 0 with IPv4 is part of the guest's address. */
	memcpy(&end, guest6.s6_addr + 4, sizeof(end));
	put_tcp6(&p, ntohs(a.sin6_port), end - 5, ack, TH_ACK, "hello");
	assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	close(fd);
	close(listener);
	net_end_free(e);
}

/* Sends a guest's SYN from that port. Returns the other end's answer. */
static uint32_t dial(struct net_end *e, uint16_t sport, uint16_t port, uint32_t first)
{
	struct packet p;

	do {
		put_tcp(&p, sport, port, first - 1, 0, TH_SYN, NULL, 0);
		send_packet(e, &p);
		net_end_await(e, is_tcp);
	} while (ntohs(got_tcp(e)->dest) != sport);
	assert_int_equal(got_tcp(e)->th_flags, TH_SYN | TH_ACK);
	put_tcp(&p, sport, port, first, ntohl(got_tcp(e)->seq) + 1, TH_ACK, NULL, 0);
	send_packet(e, &p);
	return ntohl(got_tcp(e)->seq) + 1;
}

/* libslirp 4.7 doesn't see the end of its queue of segments when they end at 0. */
static void segments_do_not_end_at_zero(void **state __unused)
{
	static const uint8_t data[1100];
	struct net_end *e = start(&(struct net_user_options){ 0 });
	struct packet p;
	char text[64];
	uint16_t port, window;
	int listener = host_socket(SOCK_STREAM, &port), fd;
	uint32_t ack;

	fence(e);
	ack = dial(e, 5000, port, (uint32_t)-10);
	window = ntohs(got_tcp(e)->window);
	assert_true(window > 2000);
	fd = accept(listener, NULL, NULL);
	put_tcp(&p, 5000, port, (uint32_t)-5, ack, TH_ACK | TH_PUSH, "world", 5);
	assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	/* Segments may go beyond it, in any order. */
	put_tcp(&p, 5000, port, (uint32_t)-5, ack, TH_ACK | TH_PUSH, "worlds", 6);
	send_packet(e, &p);
	put_tcp(&p, 5000, port, (uint32_t)-10, ack, TH_ACK | TH_PUSH, "hello", 5);
	send_packet(e, &p);
	fence(e);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 11);
	assert_memory_equal(text, "helloworlds", 11);
	put_tcp(&p, 5000, port, 0, ack, TH_ACK | TH_FIN, NULL, 0);
	assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	close(fd);

	/* But not beyond the window, where libslirp would cut them: perhaps at that number. */
	ack = dial(e, 5001, port, 50u - window);
	fd = accept(listener, NULL, NULL);
	put_tcp(&p, 5001, port, (uint32_t)-100, ack, TH_ACK, data, 151);
	assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	put_tcp(&p, 5001, port, (uint32_t)-100, ack, TH_ACK, data, 150);
	send_packet(e, &p);
	/* A repeated SYN may belong to another connection. */
	put_tcp(&p, 5001, port, 50u - window - 1, 0, TH_SYN, NULL, 0);
	send_packet(e, &p);
	put_tcp(&p, 5001, port, (uint32_t)-100, ack, TH_ACK, data, 150);
	assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	close(fd);

	put_tcp(&p, 5002, port, (uint32_t)-1, 0, TH_SYN, NULL, 0);
	assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	put_tcp(&p, 5002, port, 1000, 0, TH_SYN, "early", 5);
	assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	close(listener);
	net_end_free(e);
}

static void a_forward_comes_in(void **state __unused)
{
	for (unsigned restricted = 0; restricted < 2; restricted++) {
		uint16_t port, sport;
		struct net_end *e = start_forward(
			(struct net_user_options){ .restricted = restricted }, false, &port);
		int fd = host_connect(SOCK_STREAM, port);
		struct packet p;

		net_end_await(e, is_tcp);
		assert_int_equal(got_tcp(e)->th_flags, TH_SYN);
		assert_int_equal(ntohs(got_tcp(e)->dest), 22);
		sport = ntohs(got_tcp(e)->source);
		put_tcp(&p, 22, sport, 700, ntohl(got_tcp(e)->seq) + 1, TH_SYN | TH_ACK, NULL, 0);
		send_packet(e, &p);
		talk(e, fd, 22, sport, 701);
		close(fd);
		net_end_free(e);
	}
}

static void a_datagram_is_forwarded(void **state __unused)
{
	uint16_t port, sport;
	struct net_end *e = start_forward((struct net_user_options){ 0 }, true, &port);
	int fd = host_connect(SOCK_DGRAM, port);
	struct packet p;
	char text[8];

	assert_int_equal(write(fd, "query", 5), 5);
	net_end_await(e, is_udp);
	assert_memory_equal(e->frame + 14 + 28, "query", 5);
	sport = (uint16_t)(e->frame[34] << 8 | e->frame[35]);
	put_udp(&p, GUEST, 22, HOST, sport, "reply", 5);
	send_packet(e, &p);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_memory_equal(text, "reply", 5);
	close(fd);
	net_end_free(e);
}

static void restricted_reaches_nothing(void **state __unused)
{
	struct net_end *e = start(&(struct net_user_options){ .restricted = true });
	uint16_t udp_port, tcp_port;
	int udp = host_socket(SOCK_DGRAM, &udp_port), tcp = host_socket(SOCK_STREAM, &tcp_port);
	struct packet p;
	char text[8];

	fence(e);
	put_udp(&p, GUEST, 1234, HOST, udp_port, "hello", 5);
	send_packet(e, &p);
	put_udp(&p, GUEST, 1234, DNS, 53, "\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0\1", 17);
	send_packet(e, &p);
	put_tcp(&p, 5000, tcp_port, 100, 0, TH_SYN, NULL, 0);
	send_packet(e, &p);
	net_end_await(e, is_tcp);
	assert_true(got_tcp(e)->th_flags & TH_RST);
	e->frames = 0;
	fence(e);
	assert_int_equal(e->frames, 1); /* nobody answered the query */
	assert_int_equal(recv(udp, text, sizeof(text), MSG_DONTWAIT), -1);
	assert_int_equal(poll(&(struct pollfd){ .fd = tcp, .events = POLLIN }, 1, 0), 0);
	close(udp);
	close(tcp);
	net_end_free(e);
}

/* A guest that asks and takes no answers: they wait up to a limit, and then are dropped whole. */
static void the_queue_has_an_end(void **state __unused)
{
	struct net_end *e = start(&(struct net_user_options){ 0 });
	unsigned asked = 0, answered = 0;
	struct packet p;

	for (unsigned round = 0; round < 3; round++) {
		put_arp(&p, HOST);
		for (unsigned i = 0; i < 70000; i++, asked++)
			send_packet(e, &p);
		for (unsigned i = 0; i < 50000 && net_end_receive(e); i++, answered++) {
			assert_int_equal(e->len, 64);
			assert_true(is_arp(e));
		}
	}
	while (net_end_receive(e))
		answered++;
	assert_true(answered > 60000 && answered < asked);
	fence(e);
	net_end_free(e);
}

/* Each source port is a socket of this process: when they run out, existing ones go on. */
static void a_guest_may_use_up_the_descriptors(void **state __unused)
{
	struct net_end *e = start(&(struct net_user_options){ 0 });
	struct rlimit limit, few;
	struct packet p;
	char text[8];
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);

	fence(e);
	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = 200;
	setrlimit(RLIMIT_NOFILE, &few);
	for (uint16_t i = 0; i < 400; i++) {
		put_udp(&p, GUEST, 1000 + i, HOST, port, "hello", 5);
		send_packet(e, &p);
		put_tcp(&p, 1000 + i, port, 100, 0, TH_SYN, NULL, 0);
		send_packet(e, &p);
		if (i % 50 == 0)
			fence(e);
	}
	fence(e);
	put_udp(&p, GUEST, 1000, HOST, port, "again", 5);
	send_packet(e, &p);
	do {
		assert_int_equal(recv(fd, text, sizeof(text), 0), 5);
	} while (memcmp(text, "again", 5));
	net_end_free(e);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(fd);
}

static void settle(struct net_end *e)
{
	e->match = net_end_never;
	while (net_end_turn(e))
		;
}

/* Other source addresses and ports, connections, echo requests get as many sockets as the share
 * has, and what has a socket goes on. */
static void a_guest_has_its_share_of_sockets(void **state __unused)
{
	struct fd_budget budget;
	struct net_end *e;
	struct packet p;
	char text[8];
	uint16_t port, tcp_port;
	int fd = host_socket(SOCK_DGRAM, &port), listener = host_socket(SOCK_STREAM, &tcp_port);
	unsigned before;

	fd_budget_init(&budget, 400); /* all 100 are one share */
	e = start(&(struct net_user_options){ .fds = &budget });
	fence(e);
	before = count_fds();
	put_udp(&p, GUEST, 1000, HOST, port, "first", 5);
	send_packet(e, &p);
	for (uint16_t i = 0; i < 3000; i++) {
		put_udp(&p, GUEST + i % 200, 2000 + i, HOST, port, "more", 4);
		send_packet(e, &p);
		put_tcp(&p, 2000 + i, tcp_port, 100, 0, TH_SYN, NULL, 0);
		send_packet(e, &p);
		put_udp(&p, GUEST, 2000 + i, 0x01020304, 67, "DHCP?", 5);
		send_packet(e, &p);
		put_ip(&p, GUEST, 0x7f000001, IPPROTO_ICMP, 8);
		put(&p, "\x08\0\xf7\xff\0\0\0\0", 8);
		send_packet(e, &p);
		if (i % 100 == 0)
			settle(e);
		assert_true(count_fds() <= before + 100);
	}
	settle(e);
	assert_true(count_fds() > before + 50);
	fence(e);
	discover(e);
	while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	put_udp(&p, GUEST, 1000, HOST, port, "again", 5);
	send_packet(e, &p);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "again", 5);
	net_end_free(e);
	assert_int_equal(budget.common, 0);
	close(fd);
	close(listener);
}

static void put_udp6(struct packet *p, const char *to, uint16_t sport, uint16_t dport)
{
	struct {
		struct udphdr udp;
		char text[4];
	} m = { .udp = { .source = htons(sport), .dest = htons(dport), .len = htons(sizeof(m)) } };
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, to, &address), 1);
	put_ip6_to(p, &address, IPPROTO_UDP, &m, sizeof(m), offsetof(struct udphdr, check));
}

static void put_echo6(struct packet *p, const char *to)
{
	struct icmp6_hdr m = { .icmp6_type = ICMP6_ECHO_REQUEST };
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, to, &address), 1);
	put_ip6_to(p, &address, IPPROTO_ICMPV6, &m, sizeof(m),
		   offsetof(struct icmp6_hdr, icmp6_cksum));
}

/* Datagrams that look like questions to libslirp's own servers, but are for others. */
static void only_the_servers_of_a_network_need_no_socket(void **state __unused)
{
	struct fd_budget budget;
	struct net_end *e;
	struct packet p;
	unsigned before;

	fd_budget_init(&budget, 400);
	e = start(&(struct net_user_options){ .fds = &budget });
	fence(e);
	before = count_fds();
	for (uint16_t i = 0; i < 500; i++) {
		put_udp6(&p, "ff02::1:3", 2000 + i, 547);
		send_packet(e, &p);
		put_udp6(&p, "fec0::5", 4000 + i, 547);
		send_packet(e, &p);
		put_udp6(&p, "fec0::5", 6000 + i, 69);
		send_packet(e, &p);
		put_echo6(&p, "fec0::5");
		send_packet(e, &p);
		put_udp(&p, GUEST, 2000 + i, HOST + 1, 67, "DHCP?", 5);
		send_packet(e, &p);
		put_udp(&p, GUEST, 2000 + i, HOST + 1, 69, "TFTP?", 5);
		send_packet(e, &p);
		if (i % 100 == 0)
			settle(e);
		assert_true(count_fds() <= before + 100);
	}
	fence(e);
	net_end_free(e);
	assert_int_equal(budget.common, 0);
}

/* Many machines, which don't know of each other, leave some for the rest of the process. */
static void networks_leave_some_to_the_process(void **state __unused)
{
	struct fd_budget budget[10];
	struct net_end *e[10];
	struct rlimit limit, few;
	struct packet p;
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);

	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = min(limit.rlim_max, (rlim_t)800);
	setrlimit(RLIMIT_NOFILE, &few);
	for (unsigned m = 0; m < 10; m++) {
		fd_budget_init(&budget[m], fd_budget_limit());
		e[m] = start(&(struct net_user_options){ .fds = &budget[m] });
	}
	for (unsigned i = 0; i < 10 * 300; i++) {
		put_udp(&p, GUEST, (uint16_t)(2000 + i), HOST, port, "more", 4);
		send_packet(e[i % 10], &p);
		if (i % 100 == 0)
			for (unsigned m = 0; m < 10; m++)
				settle(e[m]);
	}
	assert_in_range(count_fds(), few.rlim_cur / 8 * 7 - 50, few.rlim_cur / 8 * 7 + 50);
	for (unsigned m = 0; m < 10; m++) {
		fence(e[m]);
		net_end_free(e[m]);
	}
	setrlimit(RLIMIT_NOFILE, &limit);
	close(fd);
}

/* Even if the process may have many, a network has only as many as libslirp can walk through. */
static void there_is_a_most(void **state __unused)
{
	struct net_end *e = start(&(struct net_user_options){ 0 });
	struct rlimit limit, many;
	struct packet p;
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);
	unsigned before = count_fds();

	getrlimit(RLIMIT_NOFILE, &limit);
	many = limit;
	many.rlim_cur = min(limit.rlim_max, (rlim_t)20000);
	setrlimit(RLIMIT_NOFILE, &many);
	if (many.rlim_cur < 3000)
		skip();
	for (uint16_t i = 0; i < 3000; i++) {
		put_udp(&p, GUEST, 2000 + i, HOST, port, "more", 4);
		send_packet(e, &p);
		if (i % 500 == 0)
			settle(e);
	}
	settle(e);
	assert_int_equal(count_fds(), before + 1024);
	fence(e);
	net_end_free(e);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(fd);
}

/* A client of a forward waits until there is room. */
static void a_client_waits_for_a_socket(void **state __unused)
{
	struct fd_budget budget;
	struct packet p;
	uint16_t port, to;
	struct net_end *e;
	int fd = host_socket(SOCK_STREAM, &to), client;

	fd_budget_init(&budget, 32);
	e = start_forward((struct net_user_options){ .fds = &budget }, false, &port);
	for (uint16_t i = 0; i < 20; i++) {
		put_tcp(&p, 2000 + i, to, 100, 0, TH_SYN, NULL, 0);
		send_packet(e, &p);
	}
	settle(e);
	client = host_connect(SOCK_STREAM, port);
	for (unsigned i = 0; i < 20; i++)
		settle(e);
	assert_false(e->frames && is_tcp(e) && got_tcp(e)->th_flags == TH_SYN);
	for (uint16_t i = 0; i < 20; i++) { /* they are given up */
		put_tcp(&p, 2000 + i, to, 101, 0, TH_RST, NULL, 0);
		send_packet(e, &p);
	}
	do {
		net_end_await(e, is_tcp);
	} while (got_tcp(e)->th_flags != TH_SYN);
	assert_int_equal(ntohs(got_tcp(e)->dest), 22);
	close(client);
	close(fd);
	net_end_free(e);
	assert_int_equal(budget.common, 0);
}

/* In Debian's build, libslirp 4.7 writes to an address that a lone last fragment contains. */
static void fragments_are_lost(void **state __unused)
{
	static const uint16_t offsets[] = { 0x2000, 0x2001, 1, 8, 0x1f00, 0x1fff };
	struct net_end *e = start(&(struct net_user_options){ .mtu = 65521 });
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);
	struct packet p;
	char text[8];

	fence(e);
	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct iphdr *ip = (void *)(p.bytes + 14);

		put_udp(&p, GUEST, 1234, HOST, port, "0123456789abcdef", 16);
		ip->frag_off = htons(offsets[i]);
		ip->check = 0;
		ip->check = checksum(0, ip, sizeof(*ip));
		assert_int_equal(net_end_try_send(e, p.bytes, p.len), -EPROTONOSUPPORT);
	}
	fence(e);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	put_udp(&p, GUEST, 1234, HOST, port, "whole", 5);
	((struct iphdr *)(p.bytes + 14))->frag_off = htons(0x4000); /* don't fragment */
	((struct iphdr *)(p.bytes + 14))->check = 0;
	((struct iphdr *)(p.bytes + 14))->check = checksum(0, p.bytes + 14, sizeof(struct iphdr));
	send_packet(e, &p);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 5);
	close(fd);
	net_end_free(e);
}

/* Frames of any length and content, while sockets wait: the network goes on. */
static void hostile_frames_are_survived(void **state __unused)
{
	static uint8_t junk[NET_MAX_FRAME];
	struct net_end *e = start(&(struct net_user_options){ .restricted = true });
	struct packet p;

	srandom(1);
	for (size_t len = 0; len <= NET_MAX_FRAME - NET_HDR_LEN; len += 1 + len / 8) {
		for (size_t i = 0; i < len; i++)
			junk[i] = (uint8_t)random();
		for (unsigned type = 0; type < 4 && len >= 14; type++) {
			memcpy(junk + 12,
			       (const uint8_t[4][2]){
				       { 8, 0 }, { 8, 6 }, { 0x86, 0xdd }, { 0x88, 0xf8 } }[type],
			       2);
			junk[14] = type == 2 ? 0x60 : 0x45;
			assert_true(net_end_try_send(e, junk, len) != -EAGAIN);
		}
		if (len < 14)
			assert_int_equal(net_end_try_send(e, junk, len), -EMSGSIZE);
	}
	assert_int_equal(net_end_try_send(e, junk, NET_MAX_FRAME - NET_HDR_LEN + 1), -EMSGSIZE);
	put_udp(&p, GUEST, 1, HOST, 67, junk, 3);
	send_packet(e, &p);
	while (net_end_receive(e))
		;
	fence(e);
	net_end_free(e);
}

static void a_port_in_use_is_refused(void **state __unused)
{
	struct net_user_forward f = { .host.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 22 };
	struct net_user_options o = { .forward = &f, .nr_forwards = 1 };
	int fd = host_socket(SOCK_STREAM, &f.host_port);
	struct net_backend *b;

	log_set_level(LOG_QUIET);
	assert_int_equal(net_user_open(&b, &o), -EADDRINUSE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_offers_an_address),
		cmocka_unit_test(a_router_announces_itself),
		cmocka_unit_test(udp_goes_out_and_back),
		cmocka_unit_test(tcp_goes_out),
		cmocka_unit_test(urgent_data_are_as_any_others),
		cmocka_unit_test(ip6_has_no_urgent_data_either),
		cmocka_unit_test(segments_do_not_end_at_zero),
		cmocka_unit_test(a_forward_comes_in),
		cmocka_unit_test(a_datagram_is_forwarded),
		cmocka_unit_test(restricted_reaches_nothing),
		cmocka_unit_test(the_queue_has_an_end),
		cmocka_unit_test(a_guest_may_use_up_the_descriptors),
		cmocka_unit_test(a_guest_has_its_share_of_sockets),
		cmocka_unit_test(only_the_servers_of_a_network_need_no_socket),
		cmocka_unit_test(networks_leave_some_to_the_process),
		cmocka_unit_test(there_is_a_most),
		cmocka_unit_test(a_client_waits_for_a_socket),
		cmocka_unit_test(fragments_are_lost),
		cmocka_unit_test(hostile_frames_are_survived),
		cmocka_unit_test(a_port_in_use_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
