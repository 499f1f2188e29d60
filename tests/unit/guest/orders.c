/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/orders.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "vmm/types.h"

/* Parses a copy that ends where the orders end, for ASan. */
static char *copy;

static const char *parse(struct orders *o, const char *text, size_t len)
{
	const char *wrong;

	free(copy);
	copy = malloc(len ?: 1);
	memcpy(copy, text, len);
	wrong = orders_parse(o, copy, len);
	if (wrong) {
		free(o->argv);
		free(o->env);
	}
	return wrong;
}

#define PARSE(o, text) parse(o, text, sizeof(text))

static void every_order_is_understood(void **state __unused)
{
	struct orders o;

	assert_null(PARSE(
		&o,
		"module=/m/a.ko\0module=/m/b.ko\0root=root\0overlay=64m\0"
		"share=rw:s0:/mnt/a:b\0share=ro:s1:/data\0share=fw:s2:/f\0hostname=box\0directory=/home/x\0"
		"net=\0dns6=first\0resolv-options=ndots:2 rotate\0one-output=\0terminal=24 80\0umask=18\0uid=1000\0gid=1001\0group=27\0group=100\0"
		"limit=7 1024 18446744073709551615\0arg=sh\0env=A=1\0arg=-c\0arg=\0env=B="));
	assert_int_equal(o.nr_modules, 2);
	assert_string_equal(o.module[1], "/m/b.ko");
	assert_string_equal(o.root, "root");
	assert_string_equal(o.overlay, "64m");
	assert_int_equal(o.nr_shares, 3);
	assert_true(!o.share[1].file && o.share[2].file && o.share[2].writable);
	assert_true(o.share[0].writable && !o.share[1].writable);
	assert_string_equal(o.share[0].tag, "s0");
	assert_string_equal(o.share[0].path, "/mnt/a:b");
	assert_string_equal(o.hostname, "box");
	assert_string_equal(o.directory, "/home/x");
	assert_true(o.net && o.terminal && o.one_output);
	assert_int_equal(o.dns6, NET_DNS6_FIRST);
	assert_string_equal(o.resolv_options, "ndots:2 rotate");
	assert_int_equal(o.rows, 24);
	assert_int_equal(o.cols, 80);
	assert_int_equal(o.umask, 022);
	assert_int_equal(o.uid, 1000);
	assert_int_equal(o.gid, 1001);
	assert_int_equal(o.nr_groups, 2);
	assert_int_equal(o.group[1], 100);
	assert_int_equal(o.nr_limits, 1);
	assert_int_equal(o.limit[0].resource, 7);
	assert_int_equal(o.limit[0].value.rlim_cur, 1024);
	assert_true(o.limit[0].value.rlim_max == RLIM_INFINITY);
	assert_string_equal(o.argv[0], "sh");
	assert_string_equal(o.argv[2], "");
	assert_null(o.argv[3]);
	assert_string_equal(o.env[1], "B=");
	assert_null(o.env[2]);
	free(o.argv);
	free(o.env);
}

static void what_makes_no_sense_is_refused(void **state __unused)
{
	static const char *const records[] = {
		"nonsense",
		"uid=",
		"uid=x",
		"uid=1x",
		"uid=-1",
		"terminal=24",
		"terminal=a b",
		"limit=1 2",
		"share=rw:tag",
		"share=x:t:/p",
		"share=rw:tag:rel",
		"net=yes",
		"one-output=1",
		"share=r",
		"share=xw:s:/p",
		"share=",
		"=",
		"dns6=",
		"dns6=maybe",
		"resolv-options=",
	};
	struct orders o;
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		size_t len = strlen(records[i]) + 1;

		memcpy(text, records[i], len);
		memcpy(text + len, "arg=true", 9);
		assert_non_null(parse(&o, text, len + 9));
	}
	assert_non_null(parse(&o, "arg=true", 8)); /* without its terminating NUL */
	assert_non_null(parse(&o, "", 0));
	assert_non_null(PARSE(&o, "uid=1"));
}

static void more_than_there_is_room_for_is_refused(void **state __unused)
{
	struct orders o;
	char text[2048];
	size_t len = 0;

	for (unsigned i = 0; i <= GUEST_MAX_GROUPS; i++, len += 8)
		memcpy(text + len, "group=1", 8);
	memcpy(text + len, "arg=x", 6);
	assert_non_null(parse(&o, text, len + 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_is_understood),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(more_than_there_is_room_for_is_refused),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	free(copy);
	return rc;
}
