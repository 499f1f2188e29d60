/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/names.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"
#include "vmm/types.h"

static void assert_prints(const struct names *n, const char *expected)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	names_print(n, f);
	fclose(f);
	assert_string_equal(text, expected);
	free(text);
}

static struct dhcp_lease lease(const char *server, size_t nr, const char *search)
{
	struct dhcp_lease l = { .nr_dns = nr };

	for (size_t i = 0; i < nr; i++)
		inet_pton(AF_INET, server, &l.dns[i]);
	snprintf(l.search, sizeof(l.search), "%s", search);
	return l;
}

static void leases_come_together(void **state __unused)
{
	const struct dhcp_lease a = lease("10.0.2.3", 1, "lan"), b = lease("10.9.0.1", 3, "a b"),
				c = lease("10.9.0.2", 1, "");
	struct names n = { .options = "ndots:2 rotate" };

	assert_prints(&(struct names){ 0 }, "");
	names_add(&n, &c);
	names_add(&n, &a);
	names_add(&n, &b);
	assert_prints(&n, "nameserver 10.9.0.2\nnameserver 10.0.2.3\nnameserver 10.9.0.1\n"
			  "search lan a b\noptions ndots:2 rotate\n");
}

/* The C library reads three servers. */
static void a_server_by_ipv6_has_a_place_of_its_own(void **state __unused)
{
	const struct dhcp_lease l = lease("10.0.2.3", 3, "");
	struct names n = { .server6 = "fec0::3" };

	names_add(&n, &l);
	assert_prints(&n, "nameserver 10.0.2.3\nnameserver 10.0.2.3\nnameserver fec0::3\n");
	n.first6 = true;
	assert_prints(&n, "nameserver fec0::3\nnameserver 10.0.2.3\nnameserver 10.0.2.3\n");
}

static void domains_that_have_no_room_are_left_out(void **state __unused)
{
	struct dhcp_lease l = lease("10.0.2.3", 1, "");
	struct names n = { 0 };

	memset(l.search, 'x', 200);
	names_add(&n, &l);
	names_add(&n, &l);
	assert_int_equal(strlen(n.search), 200);
	memset(l.search, 0, sizeof(l.search));
	memset(l.search, 'y', 54);
	names_add(&n, &l);
	assert_int_equal(strlen(n.search), 255);
}

/* File systems that are mounted in the root don't belong to it: here, the kernel's own. */
static void a_share_is_not_the_roots(void **state __unused)
{
	char dir[] = "/tmp/names-XXXXXX", below[64], link[64];

	assert_non_null(mkdtemp(dir));
	snprintf(below, sizeof(below), "%s/etc", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink("/proc/self", link), 0);
	assert_true(names_directory_is_ours(dir, below)); /* there is no file yet */
	assert_int_equal(mkdir(below, 0700), 0);
	assert_true(names_directory_is_ours(dir, below));
	assert_false(names_directory_is_ours(dir, link));
	assert_false(names_directory_is_ours(dir, "/proc"));
	assert_false(names_directory_is_ours("/sys", below));
	unlink(link);
	rmdir(below);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leases_come_together),
		cmocka_unit_test(a_server_by_ipv6_has_a_place_of_its_own),
		cmocka_unit_test(domains_that_have_no_room_are_left_out),
		cmocka_unit_test(a_share_is_not_the_roots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
