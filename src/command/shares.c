/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the directories and files of --share go in the guest, and in which order they are mounted:
 * one that is below another comes after it, whatever the order of the options is. */
#include "command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "config/command.h"

struct place {
	const struct command_share *share;
	size_t nr;   /* number of the option */
	char *guest; /* as the user gave it, after tidy(); owned */
	char *real;  /* with the links of the guest's root resolved; owned */
};

/* Takes "//", "/./" and a slash at the end out of a path that begins with a slash. */
static void tidy(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		const size_t len = strcspn(from + 1, "/") + 1;

		if (len > 1 && !(len == 2 && from[1] == '.')) {
			memmove(to, from, len);
			to += len;
		}
		from += len;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

/* Finds a descriptor's path. Returns false if it has none. */
static bool name_of(int fd, char name[PATH_MAX])
{
	char link[32];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, name, PATH_MAX - 1);
	name[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* Opens as much of path as exists, which is its first *len bytes. Returns an O_PATH descriptor, or
 * -1. */
static int open_head(int root, const char *path, size_t *len)
{
	const struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	char *head = strdup(path);
	int fd = -1;

	*len = strlen(path);
	while (head && *len) {
		head[*len] = '\0';
		fd = (int)syscall(SYS_openat2, root, head, &how, sizeof(how));
		if (fd >= 0)
			break;
		*len = (size_t)(strrchr(head, '/') - head);
	}
	free(head);
	return fd;
}

/* Returns the place with its links resolved, as far as it exists now: the rest may come with
 * another share. The caller frees it; NULL: out of memory. */
static char *without_links(const char *root, const char *path)
{
	char root_name[PATH_MAX], name[PATH_MAX], *real = NULL;
	int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	size_t len = 0, skip;

	if (dir >= 0)
		fd = open_head(dir, path, &len);
	if (fd < 0 || !name_of(dir, root_name) || !name_of(fd, name)) {
		real = strdup(path);
	} else {
		skip = strlen(root_name) > 1 ? strlen(root_name) : 0;
		skip = min(skip, strlen(name));
		if (asprintf(&real, "/%s%s", name + skip, path + len) < 0)
			real = NULL;
	}
	if (real)
		tidy(real);
	close_fd(&fd);
	close_fd(&dir);
	return real;
}

/* Fills *p. Returns 0 or -errno, logged. */
static int find_place(struct place *p, const char *root)
{
	const struct command_share *s = p->share;

	p->guest = s->guest ? strdup(s->guest) : realpath(s->path, NULL);
	if (!p->guest)
		return log_errno("--share %s", s->path);
	tidy(p->guest);
	p->real = without_links(root, p->guest);
	return p->real ? 0 : log_ret(-ENOMEM, "out of memory");
}

static bool is_below(const char *path, const char *directory)
{
	const size_t len = strlen(directory);

	return !strncmp(path, directory, len) && (path[len] == '/' || !path[len]);
}

/* Returns 0; or -EINVAL, logged: no share may be there. */
static int check_place(const struct place *p)
{
	static const char *const kernels[] = { "/proc", "/sys" };

	if (!strcmp(p->real, "/"))
		return log_ret(
			-EINVAL,
			"--share %s: / is the guest's root; write --root %s, or --share %s:GUESTDIR to have it elsewhere",
			p->share->path, p->share->path, p->share->path);
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
		if (is_below(p->real, kernels[i]))
			return log_ret(
				-EINVAL,
				"--share %s: %s in the guest is its kernel's own; write --share %s:GUESTDIR to have it elsewhere",
				p->share->path, p->guest, p->share->path);
	if (!strcmp(p->real, "/dev"))
		return log_ret(
			-EINVAL,
			"--share %s: the guest's /dev has its own devices; write --share %s:GUESTDIR to have it elsewhere",
			p->share->path, p->share->path);
	return 0;
}

static int check_twice(const struct place *p, const struct place *other)
{
	if (strcmp(p->real, other->real))
		return 0;
	return log_ret(
		-EINVAL,
		"--share %s: --share %s is at %s in the guest already; give one of them another GUESTDIR",
		p->share->path, other->share->path, p->guest);
}

static unsigned depth(const char *path)
{
	unsigned nr = 0;

	for (; *path; path++)
		nr += *path == '/';
	return nr;
}

static int compare(const void *a, const void *b)
{
	const struct place *p = a, *q = b;
	const int by_depth = (int)depth(p->real) - (int)depth(q->real);

	return by_depth ? by_depth : (int)p->nr - (int)q->nr;
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* -- what they are mounted on ---------------------------------------------------------------- */

/* Returns the share that it lies in, of those that come before it: the deepest one. NULL: it lies
 * in the root. */
static const struct place *parent_of(const struct place *p, const struct place *first)
{
	const struct place *found = NULL;

	for (const struct place *q = first; q < p; q++)
		if (is_below(p->real, q->real))
			found = q;
	return found;
}

/* Opens the host's file that it will be mounted on. Returns an O_PATH descriptor or -errno. *dir is
 * the directory of the share that it lies in, or of the root. */
static int open_target(const struct place *p, const struct place *parent, const char *root,
		       int *dir)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		/* A link out of a share leads to another place in the guest than here. */
		.resolve = parent ? RESOLVE_BENEATH : RESOLVE_IN_ROOT,
	};
	const char *rest = p->real + (parent ? strlen(parent->real) : 0);
	int fd;

	*dir = open(parent ? parent->share->path : root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, *dir, rest + 1, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* There is nothing yet that it could be mounted on. Returns 0: it can be made; or -EINVAL,
 * logged. */
static int check_missing(const struct place *p, const struct place *parent)
{
	if (!parent || parent->share->writable)
		return 0;
	return log_ret(
		-EINVAL,
		"--share %s: there is no %s in the guest, and --share %s, where it would be made, is read-only; make it here, or write :rw for that one",
		p->share->path, p->guest, parent->share->path);
}

static int check_kind(const struct place *p, int fd)
{
	const bool file = is_file(p->share->path);
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) != file)
		return 0;
	return log_ret(
		-EINVAL,
		"--share %s: this is a %s, and %s in the guest is %s; give it another GUESTDIR",
		p->share->path, file ? "file" : "directory", p->guest,
		file ? "a directory" : "not one");
}

/* Follows the links in the share that it lies in. Returns 0 or -ENOMEM, logged. */
static int follow(struct place *p, const struct place *parent, int dir, int fd)
{
	char dir_name[PATH_MAX], name[PATH_MAX], *real;

	if (!parent || !name_of(dir, dir_name) || !name_of(fd, name) || !is_below(name, dir_name))
		return 0;
	if (asprintf(&real, "%s%s", parent->real, name + strlen(dir_name)) < 0)
		return log_ret(-ENOMEM, "out of memory");
	free(p->real);
	p->real = real;
	return 0;
}

/* The guest's own file systems have nothing of the host's. */
static bool is_guests(const char *path)
{
	return is_below(path, "/dev") || is_below(path, "/run");
}

/* Returns 0; or -EINVAL, logged: one of those before it is at its place already. */
static int check_alone(const struct place *p, const struct place *first)
{
	int rc = 0;

	for (const struct place *q = first; q < p && rc == 0; q++)
		rc = check_twice(p, q);
	return rc;
}

/* Can it be mounted in that share, or in the root? Returns 0 or -errno, logged. */
static int check_target(struct place *p, const struct place *parent, const char *root)
{
	int dir = -1, fd, rc = 0;

	if (!parent && is_guests(p->real))
		return 0;
	if (parent && is_file(parent->share->path))
		return log_ret(
			-EINVAL,
			"--share %s: %s in the guest is below --share %s, which is a file; give one of them another GUESTDIR",
			p->share->path, p->guest, parent->share->path);
	fd = open_target(p, parent, root, &dir);
	if (fd == -ENOENT) {
		rc = check_missing(p, parent);
	} else if (fd >= 0) {
		rc = check_kind(p, fd);
		if (rc == 0)
			rc = follow(p, parent, dir, fd);
	}
	close_fd(&fd);
	close_fd(&dir);
	return rc;
}

/* Checks all of them, and puts them into the order in which they are mounted. */
static int check_targets(struct place *place, size_t nr, const char *root)
{
	int rc = 0;

	qsort(place, nr, sizeof(place[0]), compare);
	for (size_t i = 0; i < nr && rc == 0; i++) {
		rc = check_alone(&place[i], place);
		if (rc == 0)
			rc = check_target(&place[i], parent_of(&place[i], place), root);
		if (rc == 0)
			rc = check_alone(&place[i], place); /* once more, with links resolved */
	}
	qsort(place, nr, sizeof(place[0]), compare);
	return rc;
}

int command_put_shares(const struct command_config *c, FILE *out)
{
	struct place place[CONFIG_MAX_SHARES] = { 0 };
	int rc = 0;

	for (size_t i = 0; i < c->nr_shares && rc == 0; i++) {
		place[i] = (struct place){ .share = &c->share[i], .nr = i };
		rc = find_place(&place[i], c->root ?: "/");
		if (rc == 0)
			rc = check_place(&place[i]);
	}
	if (rc == 0)
		rc = check_targets(place, c->nr_shares, c->root ?: "/");
	for (size_t i = 0; i < c->nr_shares && rc == 0; i++)
		fprintf(out, "share=%c%c:" COMMAND_TAG_SHARE "%zu:%s%c",
			is_file(place[i].share->path) ? 'f' : 'r',
			place[i].share->writable ? 'w' : 'o', place[i].nr, place[i].guest, 0);
	for (size_t i = 0; i < c->nr_shares; i++) {
		free(place[i].guest);
		free(place[i].real);
	}
	return rc;
}
