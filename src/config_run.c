/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_run.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_MEMORY  (2 * GIB)
#define LEAST_MEMORY (256 * MIB)

/* A path of the guest's, in normal form as far as it matters: absolute. */
static int set_guest_path(const struct opt_value *v, char **path, const char *text, size_t len)
{
	if (!len || text[0] != '/')
		return opt_fail(v, "the folder in the guest must begin with a slash");
	*path = strndup(text, len);
	return *path ? 0 : log_ret(-ENOMEM, "out of memory");
}

/* DIR[:GUESTDIR][:rw] or [:ro]; without GUESTDIR it is where it is on the host. */
int config_set_share(const struct opt_value *v, void *field)
{
	struct config *c = container_of(field, struct config, run.nr_shares);
	struct run_share *s = &c->run.share[c->run.nr_shares];
	size_t len = strlen(v->text), dir;

	if (c->run.nr_shares == CONFIG_MAX_SHARES)
		return opt_fail(v, "there are %d shared folders already, which is the most",
				CONFIG_MAX_SHARES);
	c->run.nr_shares++; /* to be freed, however far it comes */
	if (len > 3 && (!strcmp(v->text + len - 3, ":rw") || !strcmp(v->text + len - 3, ":ro"))) {
		s->writable = v->text[len - 1] == 'w';
		len -= 3;
	}
	dir = strcspn(v->text, ":");
	dir = min(dir, len);
	if (!dir)
		return opt_fail(v, "the folder to share is missing");
	s->path = strndup(v->text, dir);
	if (!s->path)
		return log_ret(-ENOMEM, "out of memory");
	return dir < len ? set_guest_path(v, &s->guest, v->text + dir + 1, len - dir - 1) : 0;
}

/* NAME=VALUE, or NAME: as it is here. */
int config_set_env(const struct opt_value *v, void *field)
{
	struct config *c = container_of(field, struct config, run.nr_env);
	const char *value;
	char *text;

	if (c->run.nr_env == CONFIG_MAX_ENV)
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
	c->run.env[c->run.nr_env++] = text;
	return 0;
}

/* A quarter of what is free now. */
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

int config_command(struct config *c, char *const argv[], bool memory_seen, bool cpus_seen)
{
	size_t nr = 0;

	while (argv[nr])
		nr++;
	if (!nr)
		return log_ret(-EINVAL,
			       "run: the command is missing; write minivmm run -- COMMAND");
	c->run.argv = calloc(nr + 1, sizeof(*c->run.argv));
	for (size_t i = 0; c->run.argv && i < nr; i++)
		if (!(c->run.argv[i] = strdup(argv[i])))
			return log_ret(-ENOMEM, "out of memory");
	if (!c->run.argv)
		return log_ret(-ENOMEM, "out of memory");
	if (!memory_seen)
		c->memory.size = default_memory();
	if (!cpus_seen)
		c->cpus = default_cpus();
	return 0;
}

int config_check_run(const struct config *c)
{
	const struct run_config *r = &c->run;

	if (!r->argv && (r->root || r->modules || r->nr_shares || r->overlay_size || r->nr_env ||
			 r->clean_env || r->user || r->folder || r->timeout || r->terminal ||
			 r->console_log || r->json))
		return log_ret(-EINVAL, "--root, --share, --env and other options of run are for a "
					"command: write minivmm run [OPTION]... -- COMMAND");
	if (!r->argv)
		return 0;
	if (c->vsock.vhost)
		return log_ret(-EINVAL, "run: the command's streams need minivmm's own vsock; use "
					"--vsock with socket= in place of vhost=on");
	if (c->on_reset != ON_RESET_EXIT)
		return log_ret(-EINVAL, "run: a command runs once; leave out --on-reset");
	return 0;
}

static void add_fs(struct config *c, const char *tag, const char *path, bool readonly)
{
	struct fs_config *f = &c->fs[c->nr_fs++];

	*f = (struct fs_config){ .path = (char *)path, .readonly = readonly };
	snprintf(f->tag, sizeof(f->tag), "%s", tag);
}

void config_complete_run(struct config *c)
{
	char tag[32];

	if (!c->run.argv)
		return;
	add_fs(c, "root", c->run.root ?: "/", true);
	for (size_t i = 0; i < c->run.nr_shares; i++) {
		snprintf(tag, sizeof(tag), "share%u", (unsigned)i);
		add_fs(c, tag, c->run.share[i].path, !c->run.share[i].writable);
	}
	if (!c->vsock.cid)
		c->vsock.cid = 3;
}

void config_run_destroy(struct run_config *r)
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
	free(r->root);
	free(r->modules);
	free(r->user);
	free(r->folder);
	free(r->console_log);
	free(r->json);
}
