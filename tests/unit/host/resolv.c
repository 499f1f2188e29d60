/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/resolv.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static void read_text(struct resolv *r, const char *text, size_t len)
{
	char path[] = "/tmp/resolv-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	resolv_read(r, path);
	unlink(path);
}
#define READ(r, text) read_text(r, text, sizeof(text) - 1)

static void a_file_is_understood(void **state __unused)
{
	struct resolv r;

	READ(&r, "# a comment\n\nnameserver 127.0.0.53\noptions edns0 trust-ad\n"
		 "search one.example\ttwo.example\noptions ndots:3\n");
	assert_true(r.has4);
	assert_false(r.first6);
	assert_string_equal(r.domain[0], "one.example");
	assert_string_equal(r.domain[1], "two.example");
	assert_null(r.domain[2]);
	assert_string_equal(r.options, "edns0 trust-ad ndots:3");
}

static void the_last_line_of_domains_counts(void **state __unused)
{
	struct resolv r;

	READ(&r, "search a b\ndomain c\n");
	assert_string_equal(r.domain[0], "c");
	assert_null(r.domain[1]);
	READ(&r, "domain a\nsearch .\n");
	assert_null(r.domain[0]);
}

static void servers_by_ipv6_are_seen(void **state __unused)
{
	struct resolv r;

	READ(&r, "nameserver 2001:db8::1\nnameserver fe80::1%eth0\n");
	assert_true(r.first6);
	assert_false(r.has4);
	READ(&r, "nameserver 2001:db8::1\nnameserver 192.0.2.1\n");
	assert_true(r.first6);
	assert_true(r.has4);
	READ(&r, "nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver 192.0.2.2\n"
		 "nameserver 192.0.2.3\nnameserver 192.0.2.4\n");
	assert_false(r.first6);
	assert_true(r.has4);
}

static void nonsense_is_left_out(void **state __unused)
{
	static char long_line[70000] = "search ";
	struct resolv r;

	resolv_read(&r, "/nonexistent");
	assert_null(r.domain[0]);
	assert_string_equal(r.options, "");
	READ(&r, "nameserver\nsearch\noptions\nnameserver x\nsearch a\033b good\n\0\0search x");
	assert_false(r.has4);
	assert_string_equal(r.domain[0], "good");
	memset(long_line + 7, 'x', sizeof(long_line) - 8);
	read_text(&r, long_line, sizeof(long_line) - 1);
	assert_null(r.domain[0]);
	READ(&r, "search a b c d e f g h\n");
	assert_string_equal(r.domain[5], "f");
	assert_null(r.domain[6]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_understood),
		cmocka_unit_test(the_last_line_of_domains_counts),
		cmocka_unit_test(servers_by_ipv6_are_seen),
		cmocka_unit_test(nonsense_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
