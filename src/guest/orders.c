/* SPDX-License-Identifier: BSD-2-Clause */
#include "orders.h"

#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Reads a decimal number and the byte end after it. */
static bool number(char **text, char end, unsigned long *value)
{
	char *stop;

	if (**text < '0' || **text > '9')
		return false;
	*value = strtoul(*text, &stop, 10);
	if (*stop != end)
		return false;
	*text = stop + (end ? 1 : 0);
	return true;
}

/* -- one function a key: false when the value makes no sense --------------------------------- */

static bool set_module(struct orders *o, char *v)
{
	if (o->nr_modules == ARRAY_SIZE(o->module))
		return false;
	o->module[o->nr_modules++] = v;
	return true;
}

static bool set_root(struct orders *o, char *v)
{
	o->root = v;
	return true;
}

static bool set_overlay(struct orders *o, char *v)
{
	o->overlay = v;
	return true;
}

/* ro:TAG:PATH or rw:TAG:PATH; if the share is one file, fo or fw */
static bool set_share(struct orders *o, char *v)
{
	struct orders_share *s = &o->share[o->nr_shares];
	char *path;

	if (o->nr_shares == ARRAY_SIZE(o->share) || (v[0] != 'r' && v[0] != 'f') || !v[1] ||
	    v[2] != ':' || !(path = strchr(v + 3, ':')) || path[1] != '/')
		return false;
	*path = '\0';
	*s = (struct orders_share){
		.writable = v[1] == 'w', .file = v[0] == 'f', .tag = v + 3, .path = path + 1
	};
	o->nr_shares++;
	return true;
}

static bool set_hostname(struct orders *o, char *v)
{
	o->hostname = v;
	return true;
}

static bool set_directory(struct orders *o, char *v)
{
	o->directory = v;
	return true;
}

static bool set_net(struct orders *o, char *v)
{
	o->net = true;
	return !*v;
}

/* first or last */
static bool set_dns6(struct orders *o, char *v)
{
	o->dns6 = !strcmp(v, "first") ? NET_DNS6_FIRST : NET_DNS6_LAST;
	return o->dns6 == NET_DNS6_FIRST || !strcmp(v, "last");
}

static bool set_resolv_options(struct orders *o, char *v)
{
	o->resolv_options = v;
	return *v;
}

/* ROWS COLUMNS */
static bool set_terminal(struct orders *o, char *v)
{
	unsigned long rows, cols;

	if (!number(&v, ' ', &rows) || !number(&v, '\0', &cols))
		return false;
	o->terminal = true;
	o->rows = (unsigned short)rows;
	o->cols = (unsigned short)cols;
	return true;
}

static bool set_one_output(struct orders *o, char *v)
{
	o->one_output = true;
	return !*v;
}

static bool set_umask(struct orders *o, char *v)
{
	unsigned long n;

	if (!number(&v, '\0', &n))
		return false;
	o->umask = (unsigned)n & 0777;
	return true;
}

static bool set_uid(struct orders *o, char *v)
{
	unsigned long n;

	if (!number(&v, '\0', &n))
		return false;
	o->uid = (uid_t)n;
	return true;
}

static bool set_gid(struct orders *o, char *v)
{
	unsigned long n;

	if (!number(&v, '\0', &n))
		return false;
	o->gid = (gid_t)n;
	return true;
}

static bool set_group(struct orders *o, char *v)
{
	unsigned long n;

	if (o->nr_groups == ARRAY_SIZE(o->group) || !number(&v, '\0', &n))
		return false;
	o->group[o->nr_groups++] = (gid_t)n;
	return true;
}

/* RESOURCE SOFT HARD, as numbers; all ones is infinity */
static bool set_limit(struct orders *o, char *v)
{
	unsigned long resource, soft, hard;

	if (o->nr_limits == ARRAY_SIZE(o->limit) || !number(&v, ' ', &resource) ||
	    !number(&v, ' ', &soft) || !number(&v, '\0', &hard))
		return false;
	o->limit[o->nr_limits].resource = (unsigned)resource;
	o->limit[o->nr_limits++].value = (struct rlimit){ soft, hard };
	return true;
}

static const struct {
	const char *key;
	bool (*set)(struct orders *o, char *value);
} keys[] = {
	{ "module=", set_module },     { "root=", set_root },
	{ "overlay=", set_overlay },   { "share=", set_share },
	{ "hostname=", set_hostname }, { "directory=", set_directory },
	{ "net=", set_net },           { "terminal=", set_terminal },
	{ "umask=", set_umask },       { "uid=", set_uid },
	{ "gid=", set_gid },           { "group=", set_group },
	{ "limit=", set_limit },       { "one-output=", set_one_output },
	{ "dns6=", set_dns6 },         { "resolv-options=", set_resolv_options },
};

static const char *set(struct orders *o, char *record)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const size_t len = strlen(keys[i].key);

		if (!strncmp(record, keys[i].key, len))
			return keys[i].set(o, record + len) ? NULL : record;
	}
	return record;
}

/* Records "arg=" and "env=", of which there may be any number, go to two lists. */
static bool is_arg(const char *record)
{
	return !strncmp(record, "arg=", 4);
}

static bool is_env(const char *record)
{
	return !strncmp(record, "env=", 4);
}

const char *orders_parse(struct orders *o, char *text, size_t len)
{
	size_t nr_args = 0, nr_env = 0;
	const char *wrong = NULL;

	*o = (struct orders){ .umask = 022, .directory = "/", .overlay = "50%" };
	if (!len || text[len - 1])
		return "no orders, or damaged ones";
	for (char *r = text; r < text + len; r += strlen(r) + 1) {
		nr_args += is_arg(r);
		nr_env += is_env(r);
	}
	if (!nr_args)
		return "no command";
	o->argv = calloc(nr_args + 1, sizeof(*o->argv));
	o->env = calloc(nr_env + 1, sizeof(*o->env));
	if (!o->argv || !o->env)
		return "out of memory";
	nr_args = nr_env = 0;
	for (char *r = text, *next; r < text + len && !wrong; r = next) {
		next = r + strlen(r) + 1; /* a setter may make the record shorter */
		if (is_arg(r))
			o->argv[nr_args++] = r + 4;
		else if (is_env(r))
			o->env[nr_env++] = r + 4;
		else
			wrong = set(o, r);
	}
	return wrong;
}
