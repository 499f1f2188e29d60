/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions for all fields of a table: defaults and checks of lists, freeing, paths. */
#include <stdlib.h>

#include "vmm/options.h"

int opt_keys(const struct opt_value *v, void *field)
{
	const struct opt_table *t = v->row->kind;
	int rc;

	if (t->begin)
		t->begin(field);
	rc = opt_list(v, *t, field);
	return rc == 0 && t->check ? t->check(v, field) : rc;
}

static bool is_string(const struct opt *row)
{
	return row->set == opt_string || row->set == opt_path || row->set == opt_output ||
	       row->set == opt_name;
}

static void free_string(char **s)
{
	free(*s);
	*s = NULL;
}

void opt_free(struct opt_table t, void *target)
{
	for (size_t i = 0; i < t.nr; i++) {
		void *field = (uint8_t *)target + t.row[i].field;

		if (t.row[i].set == opt_keys)
			opt_free(*(const struct opt_table *)t.row[i].kind, field);
		else if (is_string(&t.row[i]))
			free_string(field);
	}
}

/* option: NULL when t's own rows are options. */
static int visit(struct opt_table t, const void *target, const char *option, opt_path_fn *fn,
		 void *ctx)
{
	int rc = 0;

	for (size_t i = 0; i < t.nr && rc == 0; i++) {
		const struct opt *row = &t.row[i];
		const void *field = (const uint8_t *)target + row->field;
		struct opt_given_path p = {
			.option = option ?: row->name,
			.key = option ? row->name : NULL,
			.output = row->set == opt_output,
		};

		if (row->set == opt_keys)
			rc = visit(*(const struct opt_table *)row->kind, field, p.option, fn, ctx);
		if (row->set != opt_path && !p.output)
			continue;
		p.path = *(char *const *)field;
		if (p.path)
			rc = fn(ctx, &p);
	}
	return rc;
}

int opt_paths(struct opt_table t, const void *target, opt_path_fn *fn, void *ctx)
{
	return visit(t, target, NULL, fn, ctx);
}
