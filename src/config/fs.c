/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/fs.h"

#include <stdlib.h>

#include "backend/unix/file.h"
#include "config/command.h"

static const struct opt_choice caches[] = {
	{ "auto", FUSE_CACHE_AUTO },
	{ "always", FUSE_CACHE_ALWAYS },
	{ "none", FUSE_CACHE_NONE },
	{ NULL, 0 },
};

/* virtio 1.2 §5.11.4: a tag has at most 36 bytes, in UTF-8. */
static int set_tag(const struct opt_value *v, void *field)
{
	const size_t max = sizeof(((struct fs_config *)0)->tag) - 1;
	const size_t len = strlen(v->text);

	if (!len || len > max)
		return opt_fail(v, "tag must have 1 to %zu bytes; this one has %zu", max, len);
	memcpy(field, v->text, len + 1);
	return 0;
}

static int set_readonly(const struct opt_value *v, void *field)
{
	container_of(field, struct fs_config, readonly)->limited = true;
	return opt_bool(v, field);
}

static int set_cache(const struct opt_value *v, void *field)
{
	container_of(field, struct fs_config, cache)->limited = true;
	return opt_choice(v, field);
}

static const struct opt fs_rows[] = {
	LIST_KEY("tag", "TAG", set_tag, fs_config, tag),
	LIST_KEY("path", "DIR", opt_path, fs_config, path),
	LIST_KEY("socket", "PATH", opt_path, fs_config, socket),
	LIST_KEY("readonly", "on|off", set_readonly, fs_config, readonly),
	LIST_KEY("cache", "auto|always|none", set_cache, fs_config, cache, .kind = caches),
};
static const struct opt_table fs_table = { .row = fs_rows, .nr = ARRAY_SIZE(fs_rows) };

int config_set_fs(const struct opt_value *v, void *field)
{
	struct config *c = container_of(field, struct config, nr_fs);
	struct fs_config *f = &c->fs[c->nr_fs];
	int rc;

	if (c->nr_fs == CONFIG_MAX_FS)
		return opt_fail(v, "there are %d --fs already, which is the most; leave one out",
				CONFIG_MAX_FS);
	c->nr_fs++; /* before anything can fail: config_destroy() frees it */
	f->readonly = true;
	rc = opt_list(v, fs_table, f);
	if (rc)
		return rc;
	if (!*f->tag)
		return opt_fail(
			v,
			"the tag is missing; add tag=TAG, by which the guest mounts it: mount -t virtiofs TAG DIR");
	if (!f->path && !f->socket)
		return opt_fail(
			v,
			"the directory is missing; add path=DIR, or the socket=PATH of a daemon that has it");
	if (f->path && f->socket)
		return opt_fail(
			v, "with socket= the daemon has the directory; leave out path= or socket=");
	if (f->socket && f->limited)
		return opt_fail(
			v, "with socket= the daemon decides this; leave out readonly= and cache=");
	if (f->socket && strlen(f->socket) > UNIX_MAX_PATH)
		return opt_fail(
			v, "the path has %zu bytes, and a socket's may have %d; use a shorter one",
			strlen(f->socket), UNIX_MAX_PATH);
	for (const struct fs_config *o = c->fs; o < f; o++) {
		if (!strcmp(o->tag, f->tag))
			return opt_fail(v, "directory %s has this tag already; give each its own",
					o->path ?: o->socket);
	}
	return 0;
}

void config_fs_destroy(struct fs_config *f)
{
	free(f->path);
	free(f->socket);
}

static void list_command(const struct command_config *c, struct shared_dir *dir)
{
	dir[0] = (struct shared_dir){
		.option = "--root",
		.tag = COMMAND_TAG_ROOT,
		.path = c->root ?: "/",
		.readonly = true,
	};
	for (size_t i = 0; i < c->nr_shares; i++) {
		struct shared_dir *d = &dir[1 + i];

		*d = (struct shared_dir){
			.option = "--share",
			.path = c->share[i].path,
			.readonly = !c->share[i].writable,
			.files = true,
		};
		snprintf(d->tag, sizeof(d->tag), COMMAND_TAG_SHARE "%zu", i);
	}
}

size_t config_shared_dirs(const struct config *c, struct shared_dir dir[CONFIG_MAX_SHARED_DIRS])
{
	for (size_t i = 0; i < c->nr_fs; i++) {
		const struct fs_config *f = &c->fs[i];

		dir[i] = (struct shared_dir){
			.option = "--fs",
			.path = f->path,
			.socket = f->socket,
			.readonly = f->readonly,
			.cache = f->cache,
		};
		memcpy(dir[i].tag, f->tag, sizeof(f->tag));
	}
	if (!c->command.argv)
		return c->nr_fs;
	list_command(&c->command, dir + c->nr_fs);
	return c->nr_fs + 1 + c->command.nr_shares;
}

bool config_shares_memory(const struct config *c)
{
	for (size_t i = 0; i < c->nr_fs; i++)
		if (c->fs[i].socket)
			return true;
	return false;
}
