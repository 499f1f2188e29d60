/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/options.h"

#include <errno.h>
#include <stdlib.h>

#include "capture.h"

/* A table of its own, so that the parser is tested independently of minivmm's options. */
struct thing {
	char *name;
	enum { RED, GREEN } colour;
	bool loud;
	unsigned count;
	uint64_t size;
};

static const struct opt_choice colours[] = { { "red", RED }, { "green", GREEN }, { NULL, 0 } };
static const struct opt_range counts = { 2, 7 };
static const struct opt_range sizes = { 1 * MIB, 1 * TIB };

static const struct opt rows[] = {
	LIST_KEY(NULL, "NAME", opt_path, thing, name),
	LIST_KEY("colour", "red|green", opt_choice, thing, colour, .kind = colours),
	LIST_KEY("loud", "on|off", opt_bool, thing, loud),
	LIST_KEY("count", "N", opt_number, thing, count, .kind = &counts),
	LIST_KEY("size", "SIZE", opt_size, thing, size, .kind = &sizes),
};
static const struct opt_table table = { .row = rows, .nr = ARRAY_SIZE(rows) };
/* The same without the item that has no key. */
static const struct opt_table keys_only = { .row = rows + 1, .nr = ARRAY_SIZE(rows) - 1 };

static int parse_by(struct opt_table by, const char *text, struct thing *t)
{
	const struct opt_value v = { .option = "thing", .whole = text, .text = text };

	*t = (struct thing){ 0 };
	return opt_list(&v, by, t);
}

static int parse(const char *text, struct thing *t)
{
	return parse_by(table, text, t);
}

/* text is refused with exactly this message. */
static void refuses_by(struct opt_table by, const char *text, const char *message)
{
	struct thing t;
	struct capture c;
	char expected[1024];
	int rc;

	snprintf(expected, sizeof(expected), "minivmm: --thing %s: %s\n", *text ? text : "''",
		 message);
	capture_begin(&c);
	rc = parse_by(by, text, &t);
	assert_string_equal(capture_end(&c), expected);
	assert_int_equal(rc, -EINVAL);
	free(t.name);
}

static void refuses(const char *text, const char *message)
{
	refuses_by(table, text, message);
}

static void keys_fill_their_fields(void **state __unused)
{
	struct thing t;

	assert_int_equal(parse("x,count=7,size=3G,loud=on,colour=green", &t), 0);
	assert_string_equal(t.name, "x");
	assert_int_equal(t.colour, GREEN);
	assert_true(t.loud);
	assert_int_equal(t.count, 7);
	assert_int_equal(t.size, 3 * GIB);
	free(t.name);
}

static void the_first_item_needs_no_key(void **state __unused)
{
	struct thing t;

	assert_int_equal(parse("a=b,loud=off", &t),
			 0); /* a= is not a key, so it is part of the name */
	assert_string_equal(t.name, "a=b");
	free(t.name);
	refuses("loud=on,x", "NAME must come first: --thing NAME,loud=on");
}

static void a_list_may_have_keys_only(void **state __unused)
{
	struct thing t;

	assert_int_equal(parse_by(keys_only, "loud=on,count=3", &t), 0);
	assert_true(t.loud);
	assert_int_equal(t.count, 3);
	assert_int_equal(parse_by(keys_only, "", &t), 0);
	assert_false(t.loud);
	refuses_by(
		keys_only, "x",
		"there is no key 'x', only colour, loud, count, size, each followed by = and its value");
	refuses_by(keys_only, "loud", "loud needs a value: loud=on|off");
	refuses_by(keys_only, "count=2,count=3", "count was given before; leave one of them out");
	refuses_by(
		keys_only, ",count=2",
		"a comma is followed by nothing; leave it out, or write ,, if it belongs to the text");
}

/* An option whose value may be left out, and one whose value may not. */
static void a_value_may_be_left_out(void **state __unused)
{
	static const struct opt options[] = {
		{ .name = "maybe", .metavar = "[NAME]", .set = opt_string, .optional = true },
		{ .name = "always", .metavar = "NAME", .set = opt_string, .field = sizeof(char *) },
	};
	static const struct opt_table t = { .row = options, .nr = ARRAY_SIZE(options) };
	static const struct {
		char *argv[4];
		const char *maybe, *always;
	} row[] = {
		{ { "", "--maybe" }, "", NULL },
		{ { "", "--maybe=" }, "", NULL },
		{ { "", "--maybe", "--always=a" }, "", "a" },
		{ { "", "--always=a", "--maybe" }, "", "a" },
		{ { "", "--maybe", "m", "--always=a" }, "m", "a" },
		{ { "", "--maybe=m" }, "m", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		char *got[2] = { NULL };
		int argc = 0;

		while (argc < 4 && row[i].argv[argc])
			argc++;
		assert_int_equal(opt_argv(t, got, argc, row[i].argv), 0);
		assert_string_equal(got[0], row[i].maybe);
		assert_string_equal(got[1] ?: "-", row[i].always ?: "-");
		free(got[0]);
		free(got[1]);
	}
}

static void a_doubled_comma_is_a_comma(void **state __unused)
{
	static const char *const names[][2] = {
		{ "a,,b", "a,b" },
		{ "a,,", "a," },
		{ ",,", "," },
		{ ",,,,", ",," },
		{ "a,,,loud=on", "a," },
		{ "a,,,,,count=2", "a,," },
		{ ",,loud=on", ",loud=on" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct thing t;

		assert_int_equal(parse(names[i][0], &t), 0);
		assert_string_equal(t.name, names[i][1]);
		free(t.name);
	}
}

static void what_is_wrong_with_a_key_is_said(void **state __unused)
{
	refuses("x,color=red", "there is no key 'color'; did you mean colour?");
	refuses("x,LOUD=on", "there is no key 'LOUD'; did you mean loud?");
	refuses("x,lo=on", "there is no key 'lo'; did you mean loud?");
	refuses("x,weight=3", "there is no key 'weight', only colour, loud, count, size");
	refuses("x,y.img",
		"there is no key 'y.img', only colour, loud, count, size; a comma that belongs to the text is written ,,");
	refuses("x,loud", "loud needs a value: loud=on|off");
	refuses("x,=on", "there is no key '', only colour, loud, count, size");
	refuses("x,loud=on,loud=on", "loud was given before; leave one of them out");
	refuses("x,",
		"a comma is followed by nothing; leave it out, or write ,, if it belongs to the text");
	refuses(",loud=on", "the path is empty; name a file");
	refuses("", "the path is empty; name a file");
}

static void what_is_wrong_with_a_value_is_said(void **state __unused)
{
	refuses("x,colour=blue", "colour is red or green, not 'blue'");
	refuses("x,colour=gren", "colour is red or green, not 'gren'; did you mean green?");
	refuses("x,colour=Red", "colour is red or green, not 'Red'; did you mean red?");
	refuses("x,colour=", "colour is red or green, not ''");
	refuses("x,loud=yes", "loud is on or off, not 'yes'");
	refuses("x,loud=1", "loud is on or off, not '1'");
}

static void numbers_are_decimal_and_in_range(void **state __unused)
{
	static const char *const bad[] = { "1",
					   "8",
					   "",
					   "-2",
					   "+3",
					   " 3",
					   "3 ",
					   "3x",
					   "0x3",
					   "3.",
					   "18446744073709551619",
					   "999999999999999999999999999" };
	struct thing t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[64];

		snprintf(text, sizeof(text), "x,count=%s", bad[i]);
		refuses(text, "count must be a whole number from 2 to 7");
	}
	assert_int_equal(parse("x,count=002", &t), 0);
	assert_int_equal(t.count, 2);
	free(t.name);
}

static void sizes_need_a_unit(void **state __unused)
{
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = {
		{ "1024K", MIB }, { "1m", MIB }, { "1M", MIB }, { "7g", 7 * GIB }, { "1T", TIB }
	};
	struct thing t;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char text[64];

		snprintf(text, sizeof(text), "x,size=%s", good[i].text);
		assert_int_equal(parse(text, &t), 0);
		assert_int_equal(t.size, good[i].size);
		free(t.name);
	}
	refuses("x,size=512", "the size has no unit; write 512M for MiB, or use K, G or T");
	refuses("x,size=1023K", "the size must be from 1M to 1T");
	refuses("x,size=1025G", "the size must be from 1M to 1T");
	refuses("x,size=16777216T", "the size must be from 1M to 1T"); /* 2^64 */
	refuses("x,size=99999999999999999999T", "the size must be from 1M to 1T");
#define NO_SIZE " is not a size; write a whole number and K, M, G or T, as in 512M or 2G"
	refuses("x,size=", "''" NO_SIZE);
	refuses("x,size=M", "'M'" NO_SIZE);
	refuses("x,size=1.5G", "'1.5G'" NO_SIZE);
	refuses("x,size=-1G", "'-1G'" NO_SIZE);
	refuses("x,size=2GB", "'2GB'" NO_SIZE);
	refuses("x,size=2 G", "'2 G'" NO_SIZE);
	refuses("x,size=2B", "'2B'" NO_SIZE);
}

static void sizes_are_printed_as_they_are_read(void **state __unused)
{
	char buf[OPT_SIZE_LEN];

	assert_string_equal(opt_size_text(0, buf), "0");
	assert_string_equal(opt_size_text(1000, buf), "1000");
	assert_string_equal(opt_size_text(4096, buf), "4K");
	assert_string_equal(opt_size_text(1536 * MIB, buf), "1536M");
	assert_string_equal(opt_size_text(4096 * TIB, buf), "4096T");
	assert_string_equal(opt_size_text(UINT64_MAX, buf), "18446744073709551615");
}

static const char *nearest(const char *word)
{
	static const char *const known[] = { "kernel", "kaslr",   "initrd", "help",
					     "disk",   "dry-run", "hd" };
	struct opt_nearest n = { .word = word };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		opt_offer(&n, known[i]);
	return n.best;
}

static void typing_errors_are_seen_through(void **state __unused)
{
	assert_string_equal(nearest("kernal"), "kernel");  /* another letter */
	assert_string_equal(nearest("kenel"), "kernel");   /* one too few */
	assert_string_equal(nearest("kerrnel"), "kernel"); /* one too many */
	assert_string_equal(nearest("diks"), "disk");      /* a swap */
	assert_string_equal(nearest("DISK"), "disk");
	assert_string_equal(nearest("dryrun"), "dry-run");
	assert_string_equal(nearest("ini"), "initrd");
	assert_string_equal(nearest("h"), "help");
	assert_string_equal(nearest("he"), "help"); /* though one letter makes hd of it, too */
	assert_string_equal(nearest("he"), "help"); /* an abbreviation beats another letter */
	assert_null(nearest(""));
	assert_null(nearest("x"));
	assert_null(nearest("network"));
	assert_null(nearest("a-word-that-is-longer-than-all-options-of-any-program"));
}

static void long_values_leave_room_for_the_reason(void **state __unused)
{
	struct capture c;
	struct thing t;
	char text[5000];

	memset(text, 'x', sizeof(text));
	memcpy(text + sizeof(text) - 9, ",loud=ye", 9);
	capture_begin(&c);
	assert_int_equal(parse(text, &t), -EINVAL);
	capture_end(&c);
	assert_non_null(strstr(c.text, "xxx…: loud is on or off, not 'ye'\n"));
	assert_true(strlen(c.text) < 300);
	free(t.name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_fill_their_fields),
		cmocka_unit_test(the_first_item_needs_no_key),
		cmocka_unit_test(a_list_may_have_keys_only),
		cmocka_unit_test(a_value_may_be_left_out),
		cmocka_unit_test(a_doubled_comma_is_a_comma),
		cmocka_unit_test(what_is_wrong_with_a_key_is_said),
		cmocka_unit_test(what_is_wrong_with_a_value_is_said),
		cmocka_unit_test(numbers_are_decimal_and_in_range),
		cmocka_unit_test(sizes_need_a_unit),
		cmocka_unit_test(sizes_are_printed_as_they_are_read),
		cmocka_unit_test(typing_errors_are_seen_through),
		cmocka_unit_test(long_values_leave_room_for_the_reason),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
