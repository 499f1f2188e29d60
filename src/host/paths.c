/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A path is walked as the kernel would walk it, part by part. Each directory on the way is compared
 * by device and inode with those that the guest may write, so the spelling of the paths doesn't
 * matter.
 *
 * A part of such a directory may also be mounted elsewhere, and be reached there without passing
 * through the directory. So every mount of it counts as a place that the guest may write.
 */
#include "host/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "backend/stream/output.h"
#include "config/fs.h"

#define MAX_LINKS 40 /* the kernel's limit */

/* A directory that the guest may write, with all that is below. */
struct place {
	dev_t dev;
	ino_t ino;
	const struct shared_dir *share;
};

struct places {
	struct place *at; /* allocated */
	size_t nr;
};

static bool is_writable(const struct shared_dir *d)
{
	return d->path && !d->readonly;
}

static int add_place(struct places *p, const char *path, const struct shared_dir *share)
{
	struct place *more;
	struct stat st;

	if (stat(path, &st) < 0)
		return 0;
	more = reallocarray(p->at, p->nr + 1, sizeof(*more));
	if (!more)
		return log_ret(-ENOMEM, "out of memory");
	p->at = more;
	p->at[p->nr++] = (struct place){ st.st_dev, st.st_ino, share };
	return 0;
}

/* -- parts of it that are mounted elsewhere -------------------------------------------------- */

struct mount {
	unsigned id, major, minor;
	char root[PATH_MAX], point[PATH_MAX]; /* within its file system; where it is mounted */
};

/* Replaces \040 and the like by the bytes that they stand for, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; to++) {
		unsigned byte;

		if (*p == '\\' && sscanf(p + 1, "%3o", &byte) == 1) {
			*to = (char)byte;
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
}

/* Reads the next line of /proc/self/mountinfo (proc(5)). */
static bool next_mount(FILE *f, struct mount *m)
{
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (!found && getline(&line, &size, f) > 0)
		found = sscanf(line, "%u %*u %u:%u %4095s %4095s", &m->id, &m->major, &m->minor,
			       m->root, m->point) == 5;
	free(line);
	if (found) {
		unescape(m->root);
		unescape(m->point);
	}
	return found;
}

/* Is path dir, or below it? Both are absolute. */
static bool is_below(const char *path, const char *dir)
{
	const size_t len = strcmp(dir, "/") ? strlen(dir) : 0;

	return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

/* Finds the path of a share within its file system. Returns false if that can't be found out. */
static bool inner_path(const char *path, struct mount *m, char inner[2 * PATH_MAX])
{
	char *real = realpath(path, NULL);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct statx st = { 0 };
	bool found = false;

	if (real && f && statx(AT_FDCWD, real, 0, STATX_MNT_ID, &st) == 0 &&
	    st.stx_mask & STATX_MNT_ID)
		while (!found && next_mount(f, m))
			found = m->id == st.stx_mnt_id && is_below(real, m->point);
	if (found)
		snprintf(inner, 2 * PATH_MAX, "%s%s", strcmp(m->root, "/") ? m->root : "",
			 real + (strcmp(m->point, "/") ? strlen(m->point) : 0));
	if (f)
		fclose(f);
	free(real);
	return found;
}

static int add_mounts(struct places *p, const struct shared_dir *share)
{
	struct mount *m = calloc(2, sizeof(*m)), *of_share = m, *other = m + 1;
	char inner[2 * PATH_MAX];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int rc = m ? 0 : log_ret(-ENOMEM, "out of memory");

	if (m && f && inner_path(share->path, of_share, inner))
		while (rc == 0 && next_mount(f, other))
			if (other->major == of_share->major && other->minor == of_share->minor &&
			    is_below(other->root, inner))
				rc = add_place(p, other->point, share);
	if (f)
		fclose(f);
	free(m);
	return rc;
}

static int find_places(struct places *p, const struct shared_dir *dir, size_t nr)
{
	int rc = 0;

	for (size_t i = 0; i < nr && rc == 0; i++) {
		if (!is_writable(&dir[i]))
			continue;
		rc = add_place(p, dir[i].path, &dir[i]);
		if (rc == 0)
			rc = add_mounts(p, &dir[i]);
	}
	return rc;
}

/* -- the way to a path ----------------------------------------------------------------------- */

struct walk {
	const struct places *places;
	const struct shared_dir *found; /* the path leads through that share; NULL: through none */
	bool link;                      /* and through a link after that */
	unsigned links;
	int at; /* O_PATH: how far the walk has come */
	struct stat st;
};

/* Goes on to fd, which the walk owns from here on. Returns false if fd isn't a descriptor. */
static bool step(struct walk *w, int fd)
{
	if (fd < 0)
		return false;
	close_fd(&w->at);
	w->at = fd;
	if (fstat(fd, &w->st) < 0)
		return false;
	for (size_t i = 0; i < w->places->nr && !w->found; i++)
		if (w->places->at[i].dev == w->st.st_dev && w->places->at[i].ino == w->st.st_ino)
			w->found = w->places->at[i].share;
	return true;
}

/* Begins at the working directory, and looks at all that it lies in. */
static void begin_here(struct walk *w)
{
	struct stat before = { 0 };

	if (!step(w, open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)))
		return;
	while (before.st_ino != w->st.st_ino || before.st_dev != w->st.st_dev) {
		before = w->st;
		if (!step(w, openat(w->at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)))
			break;
	}
	(void)!step(w, open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* fd is a link below w->at: returns its target, with rest after it. NULL: it can't be followed. */
static char *follow(struct walk *w, int fd, const char *rest)
{
	char text[PATH_MAX], *way;
	ssize_t len = readlinkat(fd, "", text, sizeof(text) - 1);

	if (len < 0 || ++w->links > MAX_LINKS)
		return NULL;
	w->link |= w->found != NULL;
	text[len] = '\0';
	return asprintf(&way, "%s/%s", text, rest) < 0 ? NULL : way;
}

/* Takes the first part off *way, which may be replaced. Returns false when the walk is over. */
static bool walk_part(struct walk *w, char **way, char **next)
{
	char *name = *next, *longer;
	struct stat st;
	int fd;

	*next += strcspn(name, "/");
	if (**next)
		*(*next)++ = '\0';
	if (!*name)
		return true;
	fd = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode))
		return step(w, fd);
	longer = follow(w, fd, *next);
	close(fd);
	if (!longer)
		return false;
	free(*way);
	*way = *next = longer;
	return *longer != '/' || step(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static void walk(struct walk *w, const struct places *places, const char *path)
{
	char *way = strdup(path), *next = way;
	bool on = way;

	*w = (struct walk){ .places = places, .at = -1 };
	if (*path == '/')
		on = step(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) && on;
	else
		begin_here(w);
	while (on && *next)
		on = walk_part(w, &way, &next);
	free(way);
	close_fd(&w->at);
}

/* -- the paths ------------------------------------------------------------------------------- */

static const char *way_out(const struct shared_dir *d)
{
	return strcmp(d->option, "--fs") ? "without :rw" : "with readonly=on";
}

/* option is the beginning of the message, up to the path. */
static int check(const struct places *p, const char *option, const char *path)
{
	struct walk w;

	if (!path || output_descriptor(path) >= 0)
		return 0;
	walk(&w, p, path);
	if (!w.found)
		return 0;
	return log_ret(
		-EINVAL,
		"%s%s: that is in %s, which the guest may write (%s): it could put a link to another file there; choose a path outside, or share the directory %s",
		option, path, w.found->path, w.found->option, way_out(w.found));
}

static int check_end(const struct places *p, const char *option, const struct host_end *e)
{
	char name[32];

	snprintf(name, sizeof(name), "%s %s=", option, e->kind == HOST_FILE ? "file" : "socket");
	return check(p, name, e->path);
}

/* A share may lie in another one, unless the way to it has a link that the guest can change. */
static int check_share(const struct places *p, const struct shared_dir *d)
{
	struct walk w;

	if (d->socket)
		return check(p, "--fs socket=", d->socket);
	walk(&w, p, d->path);
	if (!w.link)
		return 0;
	return log_ret(
		-EINVAL,
		"%s %s: a link on the way there is in %s, which the guest may write (%s); name the directory without it, or share the other one %s",
		d->option, d->path, w.found->path, w.found->option, way_out(w.found));
}

static int check_devices(const struct places *p, const struct config *c)
{
	int rc = 0;

	for (size_t i = 0; i < c->nr_disks && rc == 0; i++) {
		rc = check(p, "--disk ", c->disk[i].path);
		if (rc == 0)
			rc = check(p, "--disk overlay=", c->disk[i].overlay);
	}
	for (size_t i = 0; i < c->nr_nets && rc == 0; i++) {
		rc = check(p, "--net socket=", c->net[i].path);
		if (rc == 0)
			rc = check(p, "--net script=", c->net[i].script);
	}
	for (size_t i = 0; i < c->nr_ports && rc == 0; i++)
		rc = check_end(p, "--port", &c->port[i].end);
	return rc;
}

static int check_given(void *ctx, const struct opt_given_path *given)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s %s%s", given->option, given->key ?: "",
		 given->key ? "=" : "");
	return check(ctx, name, given->path);
}

static int check_all(struct places *p, const struct config *c)
{
	int rc = check_end(p, "--serial", &c->serial);

	if (rc == 0)
		rc = check_end(p, "--console", &c->console);
	if (rc == 0)
		rc = check(p, "--kernel-cache ", c->kernel_cache.dir);
	if (rc == 0)
		rc = config_paths(c, check_given, p);
	return rc == 0 ? check_devices(p, c) : rc;
}

int paths_check(const struct config *c)
{
	struct shared_dir dir[CONFIG_MAX_SHARED_DIRS];
	const size_t nr = config_shared_dirs(c, dir);
	struct places p = { 0 };
	int rc = find_places(&p, dir, nr);

	if (rc == 0 && p.nr)
		rc = check_all(&p, c);
	for (size_t i = 0; i < nr && rc == 0 && p.nr; i++)
		rc = check_share(&p, &dir[i]);
	free(p.at);
	return rc;
}

bool paths_guest_may_write(const struct config *c, const char *path)
{
	struct shared_dir dir[CONFIG_MAX_SHARED_DIRS];
	const size_t nr = config_shared_dirs(c, dir);
	struct places p = { 0 };
	struct walk w = { .at = -1 };
	int rc = find_places(&p, dir, nr);

	if (rc == 0 && p.nr)
		walk(&w, &p, path);
	free(p.at);
	return rc < 0 || w.found;
}
