/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/dhcp.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "vmm/types.h"

#define XID 0x12345678u

static const uint8_t mac[6] = { 2, 0, 0, 1, 2, 3 };

/* Makes a server's answer: the client's message with the type and these options. */
static size_t answer(uint8_t m[DHCP_LEN], const uint8_t *options, size_t len)
{
	dhcp_make(m, mac, XID, NULL);
	m[0] = 2;
	inet_pton(AF_INET, "10.0.2.15", m + 16);
	memset(m + 240, 0, DHCP_LEN - 240);
	memcpy(m + 240, options, len);
	return 240 + len;
}

/* Parses a copy that ends where the message ends, for ASan. */
static bool parse(struct dhcp_lease *l, const uint8_t *m, size_t len)
{
	uint8_t *copy = malloc(len ?: 1);
	bool ok;

	memcpy(copy, m, len);
	ok = dhcp_parse(l, copy, len, mac, XID);
	free(copy);
	return ok;
}

static bool parse_options(struct dhcp_lease *l, const uint8_t *options, size_t len)
{
	uint8_t m[DHCP_LEN];

	return parse(l, m, answer(m, options, len));
}

#define OPTIONS(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void assert_address(struct in_addr a, const char *text)
{
	assert_string_equal(inet_ntoa(a), text);
}

static void a_request_says_what_a_server_reads(void **state __unused)
{
	struct dhcp_lease offer = { 0 };
	uint8_t m[DHCP_LEN];

	assert_int_equal(dhcp_make(m, mac, XID, NULL), DHCP_LEN);
	assert_memory_equal(m, ((uint8_t[]){ 1, 1, 6, 0 }), 4);
	assert_int_equal(m[10], 0x80);
	assert_memory_equal(m + 28, mac, 6);
	assert_memory_equal(m + 236, ((uint8_t[]){ 99, 130, 83, 99, 53, 1, DHCP_DISCOVER }), 7);
	inet_pton(AF_INET, "10.0.2.15", &offer.address);
	inet_pton(AF_INET, "10.0.2.2", &offer.server);
	dhcp_make(m, mac, XID, &offer);
	assert_memory_equal(m + 240,
			    ((uint8_t[]){ 53, 1, DHCP_REQUEST, 50, 4, 10, 0, 2,  15,  54, 4, 10, 0,
					  2,  2, 55,           5,  1, 3,  6, 15, 119, 255 }),
			    23);
}

static void an_answer_is_understood(void **state __unused)
{
	struct dhcp_lease l;

	assert_true(parse_options(&l, OPTIONS(0, 53, 1, DHCP_ACK, 1, 4, 255, 255, 255, 0, 3, 4, 10,
					      0, 2, 2, 54, 4, 10, 0, 2, 2, 6, 8, 10, 0, 2, 3, 1, 1,
					      1, 1, 99, 0, 255, 7)));
	assert_int_equal(l.type, DHCP_ACK);
	assert_address(l.address, "10.0.2.15");
	assert_address(l.mask, "255.255.255.0");
	assert_address(l.router, "10.0.2.2");
	assert_address(l.server, "10.0.2.2");
	assert_int_equal(l.nr_dns, 2);
	assert_address(l.dns[1], "1.1.1.1");
}

static void nonsense_is_not(void **state __unused)
{
	struct dhcp_lease l;
	uint8_t m[DHCP_LEN];
	size_t len = answer(m, OPTIONS(53, 1, DHCP_OFFER, 255));

	assert_true(parse(&l, m, len));
	for (size_t i = 0; i < 243; i++) /* cut short */
		assert_false(parse(&l, m, i) && i != 243);
	m[4] ^= 1; /* answers another question */
	assert_false(parse(&l, m, len));
	len = answer(m, OPTIONS(53, 1, DHCP_OFFER, 255));
	m[28] ^= 1; /* for another card */
	assert_false(parse(&l, m, len));
	len = answer(m, OPTIONS(53, 1, DHCP_OFFER, 255));
	m[16] = 224; /* the address of a group */
	assert_false(parse(&l, m, len));
	m[16] = 127;
	assert_false(parse(&l, m, len));
	assert_false(parse_options(&l, OPTIONS(255)));                         /* no type */
	assert_false(parse_options(&l, OPTIONS(53, 1, DHCP_DISCOVER)));        /* from a client */
	assert_false(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 6)));          /* no length */
	assert_false(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 6, 5, 1, 1))); /* too long */
	assert_false(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 1, 4, 255, 0, 255, 0)));
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_NAK)));
}

static void more_servers_than_anybody_asks_are_left_out(void **state __unused)
{
	uint8_t o[3 + 2 + 4 * 20] = { 53, 1, DHCP_ACK, 6, 80 };
	struct dhcp_lease l;

	memset(o + 5, 9, 80);
	assert_true(parse_options(&l, o, sizeof(o)));
	assert_int_equal(l.nr_dns, DHCP_MAX_DNS);
}

/* RFC 3397: two names, the second of which ends like the first one; in two parts. */
static void domains_are_taken(void **state __unused)
{
	struct dhcp_lease l;

	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 119, 9, 3, 'e', 'n', 'g', 3, 'f',
					      'o', 'o', 0, 119, 8, 5, 's', 'a', 'l', 'e', 's', 0xc0,
					      4, 255)));
	assert_string_equal(l.search, "eng.foo sales.foo");
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 15, 8, 'l', 'a', 'n', '.', 'f', 'o',
					      'o', 0, 255)));
	assert_string_equal(l.search, "lan.foo");
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 15, 3, 'l', 'a', 'n', 119, 3, 1, 'x',
					      0, 255)));
	assert_string_equal(l.search, "x"); /* the list counts, not the domain */
}

static void domains_that_make_no_sense_are_not(void **state __unused)
{
	struct dhcp_lease l;
	uint8_t many[3 + 250 + 2] = { 53, 1, DHCP_ACK, 119, 250 };

	/* Its own place. */
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 119, 2, 0xc0, 0)));
	assert_string_equal(l.search, "");
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 119, 5, 1, 'a', 0xc0, 4, 0)));
	assert_string_equal(l.search, "");
	/* Cut short. */
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 119, 3, 9, 'a', 'b')));
	assert_string_equal(l.search, "");
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 119, 4, 2, 'a', '\n', 0)));
	assert_string_equal(l.search, "");
	assert_true(parse_options(&l, OPTIONS(53, 1, DHCP_ACK, 15, 3, 'a', ' ', 'b')));
	assert_string_equal(l.search, "");
	for (size_t i = 5; i < sizeof(many); i += 10)
		memcpy(many + i,
		       "\x08"
		       "domains1",
		       min(sizeof(many) - i, (size_t)10)); /* with its NUL */
	assert_true(parse_options(&l, many, sizeof(many)));
	assert_true(strlen(l.search) < DHCP_MAX_SEARCH && strlen(l.search) > 200);
}

/* Makes an IPv4 packet with a UDP datagram of 10 bytes, to a client. */
static size_t packet(uint8_t p[64])
{
	memset(p, 0, 64);
	p[0] = 0x45;
	p[3] = 38;
	p[9] = 17;
	p[20 + 3] = 68;
	p[20 + 5] = 18;
	return 38;
}

static const uint8_t *in_packet(const uint8_t *p, size_t len, size_t *message_len)
{
	static uint8_t *copy;

	free(copy);
	copy = malloc(len ?: 1);
	memcpy(copy, p, len);
	*message_len = 0;
	return dhcp_in_packet(copy, len, message_len) ? copy : NULL;
}

static void a_message_is_found_in_its_packet(void **state __unused)
{
	uint8_t p[64];
	size_t len = packet(p), message;

	assert_non_null(in_packet(p, len, &message));
	assert_int_equal(message, 10);
	assert_non_null(in_packet(p, 46, &message)); /* a frame's padding */
	assert_int_equal(message, 10);
	for (size_t i = 0; i < len; i++)
		assert_null(in_packet(p, i, &message));
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {
		{ 0, 0x65 },    /* another version */
		{ 0, 0x44 },    /* a header that is too short */
		{ 0, 0x4f },    /* a header longer than the packet */
		{ 3, 200 },     /* a packet that is longer than what came */
		{ 6, 0x20 },    /* more fragments follow */
		{ 7, 1 },       /* a later fragment */
		{ 9, 6 },       /* TCP */
		{ 20 + 3, 67 }, /* to a server */
		{ 20 + 5, 7 },  /* shorter than a datagram's header */
		{ 20 + 5, 19 }, /* more than there is */
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		packet(p);
		p[wrong[i].at] = wrong[i].value;
		assert_null(in_packet(p, len, &message));
	}
	in_packet(p, 0, &message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_says_what_a_server_reads),
		cmocka_unit_test(an_answer_is_understood),
		cmocka_unit_test(nonsense_is_not),
		cmocka_unit_test(domains_are_taken),
		cmocka_unit_test(domains_that_make_no_sense_are_not),
		cmocka_unit_test(a_message_is_found_in_its_packet),
		cmocka_unit_test(more_servers_than_anybody_asks_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
