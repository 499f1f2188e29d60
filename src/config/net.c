/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "backend/unix/file.h"

#define MAX_IFNAME   15    /* IFNAMSIZ without the NUL */
#define MIN_USER_MTU 1280  /* the least that IPv6 has (RFC 8200 §5); libslirp would take 1000 */
#define MAX_USER_MTU 65521 /* libslirp's limit */

/* -- MODE ------------------------------------------------------------------------------------ */

static int set_interface(const struct opt_value *v, void *field)
{
	const size_t len = strlen(v->text);

	if (!len || len > MAX_IFNAME || strpbrk(v->text, "/% \t\n:") || v->text[0] == '.')
		return opt_fail(
			v,
			"an interface's name has 1 to %d characters, and no blank, slash, colon or percent sign",
			MAX_IFNAME);
	return opt_string(v, field);
}

static int set_tap(const struct opt_value *v, struct net_config *n)
{
	n->mode = NET_TAP;
	return !strcmp(v->text, "auto") ? 0 : set_interface(v, &n->name);
}

static int set_fd(const struct opt_value *v, struct net_config *n)
{
	static const struct opt_range range = { 3, 1 << 20 };
	static const struct opt row = { .name = "fd", .kind = &range };
	struct opt_value fd = *v;

	n->mode = NET_FD;
	fd.row = &row;
	return opt_number(&fd, &n->fd);
}

static int set_user(const struct opt_value *v __unused, struct net_config *n)
{
	n->mode = NET_USER;
	return 0;
}

static int set_socket(const struct opt_value *v, struct net_config *n)
{
	n->mode = NET_SOCKET;
	if (strlen(v->text) > UNIX_MAX_PATH)
		return opt_fail(v, "a socket's path has at most %d bytes; this one has %zu",
				UNIX_MAX_PATH, strlen(v->text));
	return opt_path(v, &n->path);
}

/* name ends in '=' if a value follows. */
static const struct net_mode_row {
	const char *name;
	int (*set)(const struct opt_value *v, struct net_config *n);
} modes[] = {
	{ "tap=", set_tap },
	{ "fd=", set_fd },
	{ "user", set_user },
	{ "socket=", set_socket },
};

static int set_mode(const struct opt_value *v, void *field)
{
	struct net_config *n = container_of((char **)field, struct net_config, option);
	struct opt_nearest near = { .word = v->text };
	char word[16];

	if (asprintf(&n->option, "--net %s", v->text) < 0) {
		n->option = NULL;
		return log_ret(-ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		size_t len = strlen(modes[i].name);
		bool valued = modes[i].name[len - 1] == '=';
		struct opt_value value = *v;

		value.text += len;
		if (!strncmp(v->text, modes[i].name, len) && (valued || !v->text[len]))
			return modes[i].set(&value, n);
	}
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(v->text, "="), v->text);
	near.word = word;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		char known[16];

		snprintf(known, sizeof(known), "%.*s", (int)strcspn(modes[i].name, "="),
			 modes[i].name);
		opt_offer(&near, known);
		if (near.best == known)
			near.best = modes[i].name;
	}
	return opt_fail(v, "a network is tap=NAME, tap=auto, fd=N, user or socket=PATH%s%s%s",
			near.best ? "; did you mean " : "", near.best ?: "", near.best ? "?" : "");
}

/* -- keys ------------------------------------------------------------------------------------ */

static int set_mac(const struct opt_value *v, void *field)
{
	uint8_t *mac = field;
	int end = 0;

	if (strlen(v->text) != 17 ||
	    sscanf(v->text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &end) != 6 ||
	    end != 17)
		return opt_fail(v, "mac is six bytes in hexadecimal, as in 52:54:00:12:34:56");
	if (mac[0] & 1 || !memcmp(mac, "\0\0\0\0\0", 6))
		return opt_fail(
			v,
			"mac must be the address of one card: its first byte even, and not all zero; 52:54:00:12:34:56 is one");
	return 0;
}

static int set_id(const struct opt_value *v, void *field)
{
	const size_t max = sizeof(((struct net_config *)0)->id) - 1, len = strlen(v->text);

	for (const char *p = v->text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			return opt_fail(v, "id may have letters, digits and the signs - _ .");
	if (!len || len > max)
		return opt_fail(v, "id must have 1 to %zu characters; this one has %zu", max, len);
	memcpy(field, v->text, len + 1);
	return 0;
}

/* Cuts the text before the first character of sep off *rest, in place, and returns it. NULL: there
 * is no such character. */
static char *cut(char **rest, const char *sep)
{
	return strpbrk(*rest, sep) ? strsep(rest, sep) : NULL;
}

static int set_address(const struct opt_value *v, const char *text, uint32_t *address)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return opt_fail(v, "'%.40s' in hostfwd is not an IPv4 address such as 127.0.0.1",
				text);
	*address = ntohl(in.s_addr);
	return 0;
}

static int set_port(const struct opt_value *v, const char *text, uint16_t *port)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || !value || value > 65535)
		return opt_fail(v, "'%.40s' in hostfwd is not a port number, 1 to 65535", text);
	*port = (uint16_t)value;
	return 0;
}

/* Parses PROTOCOL:[HOST]:PORT-[GUEST]:PORT; text is cut into pieces. */
static int parse_forward(const struct opt_value *v, char *text, struct net_forward *f)
{
	const char *protocol = cut(&text, ":"), *host = protocol ? cut(&text, ":") : NULL;
	const char *host_port = host ? cut(&text, "-") : NULL;
	const char *guest = host_port ? cut(&text, ":") : NULL;
	int rc = 0;

	if (!guest)
		return opt_fail(
			v,
			"hostfwd is PROTOCOL:HOST:PORT-GUEST:PORT, where HOST and GUEST may be empty, as in hostfwd=tcp:127.0.0.1:2222-:22");
	f->udp = !strcmp(protocol, "udp");
	if (!f->udp && strcmp(protocol, "tcp"))
		return opt_fail(v, "hostfwd begins with tcp: or udp:, not '%.40s:'", protocol);
	f->host = 0x7f000001;
	if (*host)
		rc = set_address(v, host, &f->host);
	if (rc == 0)
		rc = set_port(v, host_port, &f->host_port);
	if (rc == 0 && *guest)
		rc = set_address(v, guest, &f->guest);
	if (rc == 0)
		rc = set_port(v, text, &f->guest_port);
	if (rc == 0 && *guest && f->guest >> 8 != 0x0a0002)
		return opt_fail(
			v,
			"the guest's address in hostfwd is one of 10.0.2.0/24; leave it out for the one that it gets by DHCP");
	return rc;
}

static int set_forward(const struct opt_value *v, void *field)
{
	struct net_config *n = container_of((size_t *)field, struct net_config, nr_forwards);
	char *text;
	int rc;

	if (n->nr_forwards == CONFIG_MAX_FORWARDS)
		return opt_fail(v,
				"there are %d forwards already, which is the most; leave one out",
				CONFIG_MAX_FORWARDS);
	text = strdup(v->text);
	if (!text)
		return log_ret(-ENOMEM, "out of memory");
	rc = parse_forward(v, text, &n->forward[n->nr_forwards++]);
	free(text);
	return rc;
}

static const struct opt_range mtu_range = { 68, 65535 };
static const struct opt_range queues_range = { 1, CONFIG_MAX_NET_QUEUES };

static const struct opt net_rows[] = {
	LIST_KEY(NULL, "MODE", set_mode, net_config, option),
	LIST_KEY("mac", "ADDRESS", set_mac, net_config, mac),
	LIST_KEY("mtu", "BYTES", opt_number, net_config, mtu, .kind = &mtu_range),
	LIST_KEY("queues", "N", opt_number, net_config, queues, .kind = &queues_range),
	LIST_KEY("bridge", "NAME", set_interface, net_config, bridge),
	LIST_KEY("script", "PATH", opt_path, net_config, script),
	LIST_KEY("vhost", "on|off", opt_bool, net_config, vhost),
	LIST_KEY("hostfwd", "RULE", set_forward, net_config, nr_forwards, .repeats = true),
	LIST_KEY("restrict", "on|off", opt_bool, net_config, restricted),
	LIST_KEY("id", "STRING", set_id, net_config, id),
};
static const struct opt_table net_table = { .row = net_rows, .nr = ARRAY_SIZE(net_rows) };

/* Refuses keys that don't go with the mode. */
static int check(const struct opt_value *v, const struct net_config *n)
{
	const struct {
		const char *key;
		bool given;
		const char *names; /* of the modes that have the key */
		unsigned modes;    /* bits of enum net_mode */
	} keys[] = {
		{ "queues", n->queues, "tap=", 1u << NET_TAP },
		{ "bridge", n->bridge, "tap=", 1u << NET_TAP },
		{ "script", n->script, "tap=", 1u << NET_TAP },
		{ "vhost", n->vhost, "tap= and fd=", 1u << NET_TAP | 1u << NET_FD },
		{ "hostfwd", n->nr_forwards, "user", 1u << NET_USER },
		{ "restrict", n->restricted, "user", 1u << NET_USER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].given && !(keys[i].modes >> n->mode & 1))
			return opt_fail(v, "%s is for %s only; leave it out", keys[i].key,
					keys[i].names);
	return 0;
}

/* Checks the limits of libslirp. */
static int check_user(const struct opt_value *v, const struct net_config *n)
{
	if (n->mtu && (n->mtu < MIN_USER_MTU || n->mtu > MAX_USER_MTU))
		return opt_fail(v, "the mtu of user must be from %d to %d", MIN_USER_MTU,
				MAX_USER_MTU);
	for (size_t i = 0; i < n->nr_forwards && n->restricted; i++) {
		if (n->forward[i].udp)
			return opt_fail(
				v,
				"with restrict=on no datagram leaves the guest, so a hostfwd of udp has no answer; leave one of them out");
	}
	return 0;
}

/* Would both listen at the same address? 0.0.0.0 is every address. */
static bool forwards_clash(const struct net_forward *a, const struct net_forward *b)
{
	return a->udp == b->udp && a->host_port == b->host_port &&
	       (a->host == b->host || !a->host || !b->host);
}

/* Does it clash with one of the card's first nr forwards? */
static bool clashes(const struct net_forward *f, const struct net_config *n, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (forwards_clash(f, &n->forward[i]))
			return true;
	return false;
}

static int check_forward(const struct opt_value *v, const struct config *c,
			 const struct net_config *n, size_t nr)
{
	const struct net_forward *f = &n->forward[nr];
	bool clash = clashes(f, n, nr);

	for (const struct net_config *o = c->net; o < n && !clash; o++)
		clash = clashes(f, o, o->nr_forwards);
	if (!clash)
		return 0;
	return opt_fail(v, "two hostfwd listen at port %u of the host by %s; give each its own",
			f->host_port, f->udp ? "udp" : "tcp");
}

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static int check_others(const struct opt_value *v, const struct config *c,
			const struct net_config *n)
{
	for (const struct net_config *o = c->net; o < n; o++) {
		if (n->mode == o->mode && (same(n->name, o->name) || same(n->path, o->path) ||
					   (n->mode == NET_FD && n->fd == o->fd)))
			return opt_fail(
				v, "another card is connected there already; give each its own");
		if (*n->id && !strcmp(o->id, n->id))
			return opt_fail(v, "%s has this id already; give each card its own",
					o->option);
		if (!memcmp(o->mac, n->mac, sizeof(n->mac)))
			return opt_fail(v, "%s has this mac already; give each card its own",
					o->option);
	}
	return 0;
}

int config_set_net(const struct opt_value *v, void *field)
{
	struct config *c = container_of((size_t *)field, struct config, nr_nets);
	struct net_config *n = &c->net[c->nr_nets];
	int rc;

	if (c->nr_nets == CONFIG_MAX_NETS)
		return opt_fail(v,
				"there are %d networks already, which is the most; leave one out",
				CONFIG_MAX_NETS);
	c->nr_nets++; /* before anything can fail: config_destroy() frees it */
	rc = opt_list(v, net_table, n);
	if (rc == 0)
		rc = check(v, n);
	if (rc == 0 && n->mode == NET_USER)
		rc = check_user(v, n);
	if (rc)
		return rc;
	n->queues = n->queues ? n->queues : 1;
	if (!memcmp(n->mac, "\0\0\0\0\0", 6)) {
		if (getrandom(n->mac, sizeof(n->mac), 0) != sizeof(n->mac))
			return log_errno("getrandom");
		n->mac[0] = (n->mac[0] & 0xfc) | 2; /* one card, locally administered */
	}
	for (size_t i = 0; i < n->nr_forwards && rc == 0; i++)
		rc = check_forward(v, c, n, i);
	return rc == 0 ? check_others(v, c, n) : rc;
}

void config_net_destroy(struct net_config *n)
{
	free(n->option);
	free(n->name);
	free(n->path);
	free(n->bridge);
	free(n->script);
}
