/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/console.h"

#include <errno.h>

#include "backend/stream/output.h"
#include "backend/unix/file.h"
#include "config/guest_name.h"

static const struct opt_choice host_ends[] = {
	{ "none", HOST_NONE }, { "stdio", HOST_STDIO },   { "pty", HOST_PTY },
	{ "file", HOST_FILE }, { "socket", HOST_SOCKET }, { "fd", HOST_FD },
	{ NULL, 0 },
};

static int set_host_fd(const struct opt_value *v, struct host_end *e)
{
	static const struct opt_range range = { 3, 1 << 20 };
	static const struct opt row = { .name = "fd", .kind = &range };
	struct opt_value fd = *v;

	fd.row = &row;
	return opt_number(&fd, &e->fd);
}

/* Takes the value after "=" of those host ends that have one. */
static int set_host_value(const struct opt_value *v, struct host_end *e)
{
	if (e->kind == HOST_FD)
		return set_host_fd(v, e);
	if (e->kind == HOST_SOCKET && strlen(v->text) > UNIX_MAX_PATH)
		return opt_fail(v, "the path of a socket has at most %d bytes; choose another",
				UNIX_MAX_PATH);
	return opt_path(v, &e->path);
}

int config_set_host_end(const struct opt_value *v, void *field)
{
	struct opt_nearest near = { .word = v->text };
	struct host_end *e = field;
	bool takes_value = false;

	for (const struct opt_choice *o = host_ends; o->name; o++) {
		const size_t len = strlen(o->name);
		struct opt_value value = *v;

		takes_value =
			o->value == HOST_FILE || o->value == HOST_SOCKET || o->value == HOST_FD;
		e->kind = (enum host_end_kind)o->value;
		if (takes_value && !strncmp(v->text, o->name, len) && v->text[len] == '=') {
			value.text += len + 1;
			return set_host_value(&value, e);
		}
		if (!takes_value && !strcmp(v->text, o->name))
			return 0;
		opt_offer(&near, o->name);
	}
	return opt_fail(v, "%s is stdio, none, pty, file=PATH, socket=PATH or fd=N%s%s%s",
			v->option, near.best ? "; did you mean " : "", near.best ?: "",
			!near.best                                                   ? ""
			: !strcmp(near.best, "file") || !strcmp(near.best, "socket") ? "=PATH?"
			: !strcmp(near.best, "fd")                                   ? "=N?"
										     : "?");
}

/* Takes a key of --port, which is the name of one of host_ends. */
static int set_port_end(const struct opt_value *v, void *field)
{
	struct host_end *e = field;
	const struct opt_choice *o = host_ends;

	if (e->kind != HOST_NONE)
		return opt_fail(v, "a port is connected to one thing; leave out %s", v->row->name);
	while (strcmp(o->name, v->row->name))
		o++;
	e->kind = (enum host_end_kind)o->value;
	return v->text ? set_host_value(v, e) : 0;
}

static int set_port_name(const struct opt_value *v, void *field)
{
	return config_guest_name(v, field, sizeof(((struct port_config *)0)->name));
}

static const struct opt port_rows[] = {
	LIST_KEY("name", "NAME", set_port_name, port_config, name),
	LIST_KEY("stdio", NULL, set_port_end, port_config, end),
	LIST_KEY("pty", NULL, set_port_end, port_config, end),
	LIST_KEY("file", "PATH", set_port_end, port_config, end),
	LIST_KEY("socket", "PATH", set_port_end, port_config, end),
	LIST_KEY("fd", "N", set_port_end, port_config, end),
};
static const struct opt_table port_table = { .row = port_rows, .nr = ARRAY_SIZE(port_rows) };

int config_set_port(const struct opt_value *v, void *field)
{
	struct config *c = container_of(field, struct config, nr_ports);
	struct port_config *p = &c->port[c->nr_ports];
	int rc;

	if (c->nr_ports == CONFIG_MAX_PORTS)
		return opt_fail(v, "there are %d ports already, which is the most; leave one out",
				CONFIG_MAX_PORTS);
	c->nr_ports++; /* before anything can fail: config_destroy() frees it */
	rc = opt_list(v, port_table, p);
	if (rc)
		return rc;
	if (!*p->name)
		return opt_fail(v, "the port has no name; add name=NAME");
	if (p->end.kind == HOST_NONE)
		return opt_fail(
			v,
			"the port is connected to nothing; add socket=PATH, file=PATH, fd=N, pty or stdio");
	for (const struct port_config *o = c->port; o < p; o++) {
		if (!strcmp(o->name, p->name))
			return opt_fail(v, "another port has this name already; give each its own");
	}
	return 0;
}

int config_check_stdio(const struct config *c)
{
	const char *owner = c->console.kind == HOST_STDIO  ? "the console"
			    : c->serial.kind == HOST_STDIO ? "the serial port"
							   : NULL;
	const char *way = c->console.kind == HOST_STDIO ? "; use pty or socket=PATH for one of them"
							: "; add --serial none";

	for (size_t i = 0; i < c->nr_ports; i++) {
		if (c->port[i].end.kind != HOST_STDIO)
			continue;
		if (owner)
			return log_ret(
				-EINVAL,
				"--port name=%s,stdio: standard input and output belong to %s%s",
				c->port[i].name, owner, way);
		owner = "another port";
		way = "; use pty or socket=PATH here";
	}
	return 0;
}

/* A socket that clients connect to, or a file that is written, and the option that names it. */
struct place {
	const char *option, *name;
	const char *key; /* NULL: there is none */
	const char *what, *path;
};

struct places {
	struct place at[CONFIG_MAX_PORTS + 32];
	size_t nr;
};

/* Returns 0; or -EINVAL, logged: an earlier place is the same. */
static int add(struct places *p, const struct place *new)
{
	for (const struct place *o = p->at; o < p->at + p->nr; o++)
		if (!strcmp(o->what, new->what) && !strcmp(o->path, new->path))
			return log_ret(
				-EINVAL,
				"--%s%s%s%s%s%s: --%s%s has this %s already; give each its own",
				new->option, new->name, *new->name ? "," : " ", new->key ?: "",
				new->key ? "=" : "", new->path, o->option, o->name, o->what);
	if (p->nr == ARRAY_SIZE(p->at))
		return log_ret(-EINVAL, "--%s: too many options name files", new->option);
	p->at[p->nr++] = *new;
	return 0;
}

/* Devices, and descriptors that were open before, take what more than one writes. */
static bool takes_many(const char *path)
{
	return output_descriptor(path) >= 0 ||
	       (!strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9));
}

static int add_end(struct places *p, const char *option, const char *name, const struct host_end *e)
{
	const char *what = e->kind == HOST_SOCKET ? "socket" : "file";

	if (e->kind != HOST_SOCKET && (e->kind != HOST_FILE || takes_many(e->path)))
		return 0;
	return add(p, &(struct place){ option, name, what, what, e->path });
}

static int add_given(void *ctx, const struct opt_given_path *given)
{
	if (!given->output || takes_many(given->path))
		return 0;
	return add(ctx, &(struct place){ given->option, "", given->key, "file", given->path });
}

int config_check_places(const struct config *c)
{
	struct places p = { .nr = 0 };
	int rc = add_end(&p, "serial", "", &c->serial);

	if (rc == 0)
		rc = add_end(&p, "console", "", &c->console);
	for (size_t i = 0; i < c->nr_ports && rc == 0; i++)
		rc = add_end(&p, "port name=", c->port[i].name, &c->port[i].end);
	if (rc == 0 && c->vsock.path)
		rc = add(&p, &(struct place){ "vsock", "", "socket", "socket", c->vsock.path });
	return rc == 0 ? config_paths(c, add_given, &p) : rc;
}
