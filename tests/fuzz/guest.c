/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts and packets that the guest's init parses: packets, a DHCP server's answers, and its
 * orders. */
#include <stdlib.h>

#include "guest/dhcp.h"
#include "fuzz.h"
#include "guest/orders.h"

static void fuzz_dhcp(const uint8_t *data, size_t len)
{
	static const uint8_t mac[6] = { 2, 0, 0, 1, 2, 3 };
	uint8_t m[1500];
	struct dhcp_lease l, offer = { 0 };
	uint8_t *copy;

	/* The data follow the fixed part of a correct answer, so that they are all about the
	 * options. */
	len = min(len, sizeof(m) - 240);
	dhcp_make(m, mac, 1, &offer);
	m[0] = 2;
	m[16] = 10;
	memcpy(m + 240, data, len);
	copy = malloc(240 + len);
	memcpy(copy, m, 240 + len);
	if (dhcp_parse(&l, copy, 240 + len, mac, 1) && l.nr_dns > DHCP_MAX_DNS)
		abort();
	free(copy);
}

/* Parses any bytes, in a copy that ends where they end. */
static void fuzz_packet(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ?: 1);
	const uint8_t *m;
	size_t message_len = 0;

	memcpy(copy, data, len);
	m = dhcp_in_packet(copy, len, &message_len);
	if (m && (m < copy || message_len > len - (size_t)(m - copy)))
		abort();
	free(copy);
}

static void fuzz_orders(const uint8_t *data, size_t len)
{
	struct orders o;
	char *copy = malloc(len ?: 1);

	if (len)
		memcpy(copy, data, len);
	(void)orders_parse(&o, copy, len);
	free(o.argv);
	free(o.env);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	if ((data[0] & 3) == 3)
		fuzz_packet(data + 1, len - 1);
	else if (data[0] & 1)
		fuzz_dhcp(data + 1, len - 1);
	else
		fuzz_orders(data + 1, len - 1);
	return 0;
}
