/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/command.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_MEMORY  (2 * GIB)
#define LEAST_MEMORY (256 * MIB)
#define DEFAULT_CID  3

/* Is one of its parts ".."? */
static bool has_dots(const char *text, size_t len)
{
	size_t part;

	for (size_t at = 0; at < len; at += part + 1) {
		for (part = 0; at + part < len && text[at + part] != '/'; part++)
			;
		if (part == 2 && text[at] == '.' && text[at + 1] == '.')
			return true;
	}
	return false;
}

/* Takes a path in the guest: it must be absolute, and must not have "..". */
static int set_guest_path(const struct opt_value *v, char **path, const char *text, size_t len)
{
	if (!len || text[0] != '/')
		return opt_fail(v, "the directory in the guest must begin with a slash");
	if (has_dots(text, len))
		return opt_fail(v, "the directory in the guest may not have \"..\" in it");
	if (memchr(text, ':', len))
		return opt_fail(
			v,
			"only :rw or :ro may follow the directory in the guest, which may not have a colon in it");
	*path = strndup(text, len);
	return *path ? 0 : log_ret(-ENOMEM, "out of memory");
}

/* Takes DIR[:GUESTDIR][:rw] or [:ro]; without GUESTDIR it has the same path as on the host. */
int config_set_share(const struct opt_value *v, void *field)
{
	struct config *c = container_of(field, struct config, command.nr_shares);
	struct command_share *s = &c->command.share[c->command.nr_shares];
	size_t len = strlen(v->text), dir;

	if (c->command.nr_shares == CONFIG_MAX_SHARES)
		return opt_fail(v, "there are %d shared directories already, which is the most",
				CONFIG_MAX_SHARES);
	c->command.nr_shares++; /* config_destroy() frees it, even if it is only half made */
	if (len > 3 && (!strcmp(v->text + len - 3, ":rw") || !strcmp(v->text + len - 3, ":ro"))) {
		s->writable = v->text[len - 1] == 'w';
		len -= 3;
	}
	dir = strcspn(v->text, ":");
	dir = min(dir, len);
	if (!dir)
		return opt_fail(v, "the directory to share is missing");
	s->path = strndup(v->text, dir);
	if (!s->path)
		return log_ret(-ENOMEM, "out of memory");
	return dir < len ? set_guest_path(v, &s->guest, v->text + dir + 1, len - dir - 1) : 0;
}

/* Takes NAME=VALUE; or NAME alone, which gets the value that it has here. */
int config_set_env(const struct opt_value *v, void *field)
{
	struct config *c = container_of(field, struct config, command.nr_env);
	const char *value;
	char *text;

	if (c->command.nr_env == CONFIG_MAX_ENV)
		return opt_fail(v, "there are %d already, which is the most", CONFIG_MAX_ENV);
	if (!v->text[0] || v->text[0] == '=')
		return opt_fail(v, "the name is missing; write NAME=VALUE");
	if (strchr(v->text, '='))
		text = strdup(v->text);
	else if (!(value = getenv(v->text)))
		return opt_fail(v, "there is no such variable here; write NAME=VALUE");
	else if (asprintf(&text, "%s=%s", v->text, value) < 0)
		text = NULL;
	if (!text)
		return log_ret(-ENOMEM, "out of memory");
	c->command.env[c->command.nr_env++] = text;
	return 0;
}

/* Returns a quarter of the memory that is free now, within limits. */
static uint64_t default_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	uint64_t size;
	char line[128];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
		;
	if (f)
		fclose(f);
	size = min(kib * KIB / 4, (unsigned long long)MOST_MEMORY);
	return max(size, (uint64_t)LEAST_MEMORY) & ~(2 * MIB - 1);
}

static unsigned default_cpus(void)
{
	cpu_set_t set;
	int nr = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	nr = min(nr, CONFIG_MAX_CPUS);
	return nr > 0 ? (unsigned)nr : 1;
}

int config_command(struct config *c, char *const argv[], uint64_t seen)
{
	size_t nr = 0;

	while (argv[nr])
		nr++;
	if (!nr)
		return log_ret(-EINVAL,
			       "run: the command is missing; write minivmm run -- COMMAND");
	c->command.argv = calloc(nr + 1, sizeof(*c->command.argv));
	for (size_t i = 0; c->command.argv && i < nr; i++)
		if (!(c->command.argv[i] = strdup(argv[i])))
			return log_ret(-ENOMEM, "out of memory");
	if (!c->command.argv)
		return log_ret(-ENOMEM, "out of memory");
	if (!config_seen(seen, "memory"))
		c->memory.size = default_memory();
	if (!config_seen(seen, "cpus"))
		c->cpus = default_cpus();
	if (!config_seen(seen, "balloon"))
		c->balloon = (struct balloon_options){ .on = true,
						       .reporting = true,
						       .by_default = true };
	return 0;
}

/* Returns an option of run that was given, or NULL. */
static const char *option_of_run(const struct command_config *r)
{
	const struct {
		bool given;
		const char *name;
	} option[] = {
		{ r->root, "root" },
		{ r->modules, "modules" },
		{ r->nr_shares, "share" },
		{ r->overlay_size, "overlay-size" },
		{ r->nr_env, "env" },
		{ r->clean_env, "clean-env" },
		{ r->user, "user" },
		{ r->directory, "chdir" },
		{ r->timeout, "timeout" },
		{ r->terminal, "terminal" },
		{ r->outputs != OUTPUTS_UNSET, "outputs" },
		{ r->console_log, "console-log" },
		{ r->json, "json" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(option); i++)
		if (option[i].given)
			return option[i].name;
	return NULL;
}

/* Only the command's streams may be on standard input and output. */
static int check_ends(const struct config *c)
{
	bool stdio = c->serial.kind == HOST_STDIO || c->console.kind == HOST_STDIO;

	for (size_t i = 0; i < c->nr_ports; i++)
		stdio |= c->port[i].end.kind == HOST_STDIO;
	if (stdio)
		return log_ret(
			-EINVAL,
			"run: standard input and output are the command's; give --serial, --console and --port another end, such as pty or socket=PATH");
	if (c->serial.kind != HOST_NONE && c->command.console_log)
		return log_ret(
			-EINVAL,
			"run: what the kernel says goes to --serial or to --console-log; leave out one of them");
	return 0;
}

static int check_tags(const struct config *c)
{
	for (size_t i = 0; i < c->nr_fs; i++)
		if (!strcmp(c->fs[i].tag, COMMAND_TAG_ROOT) ||
		    !strncmp(c->fs[i].tag, COMMAND_TAG_SHARE, strlen(COMMAND_TAG_SHARE)))
			return log_ret(-EINVAL,
				       "--fs tag=%s: " COMMAND_TAG_ROOT " and " COMMAND_TAG_SHARE
				       "... are run's own tags; choose another",
				       c->fs[i].tag);
	return 0;
}

int config_check_command(const struct config *c)
{
	const struct command_config *r = &c->command;
	const char *given = r->argv ? NULL : option_of_run(r);
	int rc;

	if (given)
		return log_ret(-EINVAL,
			       "--%s is for a command: write minivmm run [OPTION]... -- COMMAND",
			       given);
	if (!r->argv)
		return 0;
	rc = check_ends(c);
	if (rc == 0)
		rc = check_tags(c);
	if (rc < 0)
		return rc;
	if (c->debug_exit)
		return log_ret(-EINVAL,
			       "run: the exit status is the command's; leave out --debug-exit");
	if (c->no_default_cmdline)
		return log_ret(
			-EINVAL,
			"run: the guest's kernel needs run's own words; leave out --no-default-cmdline");
	if (c->vsock.vhost)
		return log_ret(
			-EINVAL,
			"run: the command's streams need minivmm's own vsock; use --vsock with socket= instead of vhost=on");
	if (c->on_reset != ON_RESET_EXIT)
		return log_ret(-EINVAL, "run: a command runs once; leave out --on-reset");
	return 0;
}

unsigned config_cid(const struct config *c)
{
	return c->vsock.cid ?: c->command.argv ? DEFAULT_CID : 0;
}

void config_command_destroy(struct command_config *r)
{
	for (size_t i = 0; r->argv && r->argv[i]; i++)
		free(r->argv[i]);
	free(r->argv);
	for (size_t i = 0; i < r->nr_env; i++)
		free(r->env[i]);
	for (size_t i = 0; i < r->nr_shares; i++) {
		free(r->share[i].path);
		free(r->share[i].guest);
	}
}
