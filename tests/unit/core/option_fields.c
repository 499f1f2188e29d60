/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/options.h"

#include <errno.h>

#include "capture.h"

struct inner {
	bool on;
	unsigned count;
	char *log, *text;
};

struct outer {
	char *name, *input, *output;
	struct inner inner;
};

static void begin_inner(void *target)
{
	struct inner *i = target;

	i->on = true;
	i->count = 3;
}

static int check_inner(const struct opt_value *v, const void *target)
{
	const struct inner *i = target;

	return i->log || !i->text ? 0 : opt_fail(v, "text is nothing without log");
}

static const struct opt_range counts = { 2, 7 };
static const struct opt inner_rows[] = {
	LIST_KEY("count", "N", opt_number, inner, count, .kind = &counts),
	LIST_KEY("log", "PATH", opt_output, inner, log),
	LIST_KEY("text", "STRING", opt_string, inner, text),
};
static const struct opt_table inner_table = {
	.row = inner_rows,
	.nr = ARRAY_SIZE(inner_rows),
	.begin = begin_inner,
	.check = check_inner,
};

static const struct opt outer_rows[] = {
	LIST_KEY("name", "NAME", opt_name, outer, name),
	LIST_KEY("input", "FILE", opt_path, outer, input),
	LIST_KEY("inner", "KEY=VALUE...", opt_keys, outer, inner, .kind = &inner_table),
	LIST_KEY("output", "FILE", opt_output, outer, output),
};
static const struct opt_table outer_table = { .row = outer_rows, .nr = ARRAY_SIZE(outer_rows) };

static int set(struct outer *o, const char *name, const char *value)
{
	uint64_t seen = 0;

	return opt_set_one(outer_table, o, name, value, &seen);
}

static void a_list_has_defaults_and_a_last_check(void **state __unused)
{
	struct outer o = { 0 };
	struct capture c;

	assert_int_equal(set(&o, "inner", ""), 0);
	assert_true(o.inner.on);
	assert_int_equal(o.inner.count, 3);
	assert_int_equal(set(&o, "inner", "text=a,log=b,count=7"), 0);
	assert_int_equal(o.inner.count, 7);
	opt_free(outer_table, &o);
	capture_begin(&c);
	assert_int_equal(set(&o, "inner", "text=a"), -EINVAL);
	assert_string_equal(capture_end(&c),
			    "minivmm: --inner text=a: text is nothing without log\n");
	opt_free(outer_table, &o);
}

/* LeakSanitizer sees what is not freed. */
static void all_strings_are_freed(void **state __unused)
{
	struct outer o = { 0 };

	assert_int_equal(set(&o, "name", "n"), 0);
	assert_int_equal(set(&o, "input", "i"), 0);
	assert_int_equal(set(&o, "output", "o"), 0);
	assert_int_equal(set(&o, "inner", "text=a,log=b"), 0);
	opt_free(outer_table, &o);
	assert_null(o.name);
	assert_null(o.input);
	assert_null(o.output);
	assert_null(o.inner.log);
	assert_null(o.inner.text);
	assert_int_equal(o.inner.count, 3);
	opt_free(outer_table, &o);
}

struct visit {
	char text[256];
	unsigned left;
};

static int note(void *ctx, const struct opt_given_path *p)
{
	struct visit *v = ctx;
	const size_t len = strlen(v->text);

	snprintf(v->text + len, sizeof(v->text) - len, "%s.%s=%s%s ", p->option, p->key ?: "",
		 p->path, p->output ? "!" : "");
	return --v->left ? 0 : -EBUSY;
}

static void paths_are_visited_and_other_strings_are_not(void **state __unused)
{
	struct visit all = { .left = 9 }, one = { .left = 1 };
	struct outer o = { 0 };

	assert_int_equal(opt_paths(outer_table, &o, note, &all), 0);
	assert_string_equal(all.text, "");
	assert_int_equal(set(&o, "name", "n"), 0);
	assert_int_equal(set(&o, "input", "i"), 0);
	assert_int_equal(set(&o, "output", "o"), 0);
	assert_int_equal(set(&o, "inner", "text=a,log=b"), 0);
	assert_int_equal(opt_paths(outer_table, &o, note, &all), 0);
	assert_string_equal(all.text, "input.=i inner.log=b! output.=o! ");
	assert_int_equal(opt_paths(outer_table, &o, note, &one), -EBUSY);
	assert_string_equal(one.text, "input.=i ");
	opt_free(outer_table, &o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_has_defaults_and_a_last_check),
		cmocka_unit_test(all_strings_are_freed),
		cmocka_unit_test(paths_are_visited_and_other_strings_are_not),
	};

	return cmocka_run_group_tests_name("option_fields", tests, NULL, NULL);
}
