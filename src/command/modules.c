/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line of modules.dep is "PATH: PATH PATH …", a module and those that it needs; the one that must
 * be loaded first comes last. Some depmods list only what a module needs itself, so what is listed
 * is looked up in turn. The room in *m limits how deep that goes.
 */
#include "command/modules.h"

#include <errno.h>

/* A part of a file. It has no NUL at its end: use only eat() and mem*() on it. */
struct text {
	const char *at;
	size_t len;
};

struct search {
	struct modules *m;
	const struct modules_index *x;
	const struct text *stack[MODULES_MAX]; /* modules whose needs are being looked up */
	unsigned depth;
	struct text culprit;
};

static int fail(struct search *s, int rc, struct text about)
{
	s->culprit = about;
	return rc;
}

/* Returns the text before the first c, and removes it and the c from *t; or returns all of *t if
 * there is no c. */
static struct text eat(struct text *t, char c)
{
	const char *end = t->len ? memchr(t->at, c, t->len) : NULL;
	struct text first = { t->at, end ? (size_t)(end - t->at) : t->len };

	t->at += first.len + (end ? 1 : 0);
	t->len -= first.len + (end ? 1 : 0);
	return first;
}

/* Returns the module's name in a path: "virtiofs" of "kernel/fs/fuse/virtiofs.ko.xz". */
static struct text name_of(struct text path)
{
	const char *slash = path.len ? memrchr(path.at, '/', path.len) : NULL;
	struct text name = path;

	if (slash) {
		name.at = slash + 1;
		name.len = (size_t)(path.at + path.len - name.at);
	}
	return eat(&name, '.');
}

static bool same_name(struct text a, struct text b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (a.at[i] != b.at[i] &&
		    !((a.at[i] == '-' || a.at[i] == '_') && (b.at[i] == '-' || b.at[i] == '_')))
			return false;
	return true;
}

/* Finds the path of the module with that name, and what it needs. */
static bool find(const struct modules_index *x, struct text name, struct text *path,
		 struct text *needs)
{
	struct text all = { x->dep, x->dep_len };

	while (all.len) {
		struct text line = eat(&all, '\n');

		*path = eat(&line, ':');
		*needs = line;
		if (same_name(name_of(*path), name))
			return true;
	}
	return false;
}

static bool built_in(const struct modules_index *x, struct text name)
{
	struct text all = { x->builtin, x->builtin_len };

	while (all.len)
		if (same_name(name_of(eat(&all, '\n')), name))
			return true;
	return false;
}

static bool listed(const struct modules *m, struct text name)
{
	for (size_t i = 0; i < m->nr; i++)
		if (same_name(name_of((struct text){ m->path[i], m->len[i] }), name))
			return true;
	return false;
}

/* Is it in the directory, and does its name fit in a record of the orders? */
static bool is_inside(struct text path)
{
	if (!path.len || path.at[0] == '/' || memchr(path.at, '\0', path.len))
		return false;
	while (path.len) {
		struct text part = eat(&path, '/');

		if (part.len == 2 && !memcmp(part.at, "..", 2))
			return false;
	}
	return true;
}

static int add(struct search *s, struct text name);

/* Adds them from the last to the first. */
static int add_needs(struct search *s, struct text needs)
{
	int rc = 0;

	while (needs.len && rc == 0) {
		const char *space = memrchr(needs.at, ' ', needs.len);
		struct text last = needs;

		if (space) {
			last.at = space + 1;
			last.len = (size_t)(needs.at + needs.len - last.at);
		}
		needs.len -= last.len + (space ? 1 : 0);
		if (last.len)
			rc = add(s, name_of(last));
	}
	return rc;
}

static int add(struct search *s, struct text name)
{
	struct text path, needs;
	int rc;

	if (listed(s->m, name))
		return 0;
	for (unsigned i = 0; i < s->depth; i++)
		if (same_name(*s->stack[i], name))
			return fail(s, -ELOOP, name);
	if (!find(s->x, name, &path, &needs))
		return built_in(s->x, name) ? 0 : fail(s, -ENOENT, name);
	if (!is_inside(path))
		return fail(s, -EINVAL, path);
	if (s->depth == MODULES_MAX)
		return fail(s, -E2BIG, name);
	s->stack[s->depth++] = &name;
	rc = add_needs(s, needs);
	s->depth--;
	if (rc < 0)
		return rc;
	if (s->m->nr == MODULES_MAX)
		return fail(s, -E2BIG, name);
	s->m->path[s->m->nr] = path.at;
	s->m->len[s->m->nr++] = path.len;
	return 0;
}

int modules_add(struct modules *m, const struct modules_index *x, const char *name,
		const char **culprit, size_t *culprit_len)
{
	struct search s = { .m = m, .x = x };
	int rc = add(&s, (struct text){ name, strlen(name) });

	*culprit = s.culprit.at ?: "";
	*culprit_len = s.culprit.len;
	return rc;
}
