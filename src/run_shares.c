/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the directories and files of --share go in the guest, and in which order they are mounted:
 * one that is below another comes after it, however the options are ordered. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "config_run.h"
#include "machine.h"

struct place {
	const struct run_share *share;
	size_t nr;   /* of the option */
	char *guest; /* as it was given, without what it has too much of; owned */
	char *real;  /* without the links of the guest's root; owned */
};

/* Takes "//", "/./" and a slash at the end out of it, which begins with one. */
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

/* What a descriptor is called. */
static bool name_of(int fd, char name[PATH_MAX])
{
	char link[32];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, name, PATH_MAX - 1);
	name[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* As much of path as is there: its descriptor (O_PATH), or -1; *len is what that much is. */
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

/* The place without links, as far as it is there by now: what it is below may come with another
 * share. For free(); NULL: out of memory. */
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

/* 0 or -errno, logged. */
static int find_place(struct place *p, const char *root)
{
	const struct run_share *s = p->share;

	p->guest = s->guest ? strdup(s->guest) : realpath(s->path, NULL);
	if (!p->guest)
		return log_errno("--share %s", s->path);
	tidy(p->guest);
	p->real = without_links(root, p->guest);
	return p->real ? 0 : log_ret(-ENOMEM, "out of memory");
}

static bool is_below(const char *path, const char *folder)
{
	const size_t len = strlen(folder);

	return !strncmp(path, folder, len) && (path[len] == '/' || !path[len]);
}

/* 0 or -EINVAL, logged. */
static int check_place(const struct place *p)
{
	static const char *const kernels[] = { "/proc", "/sys" };

	if (!strcmp(p->real, "/"))
		return log_ret(-EINVAL,
			       "--share %s: / is the guest's root; write --root %s, or "
			       "--share %s:GUESTDIR to have it elsewhere",
			       p->share->path, p->share->path, p->share->path);
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
		if (is_below(p->real, kernels[i]))
			return log_ret(-EINVAL,
				       "--share %s: %s in the guest is its kernel's own; write "
				       "--share %s:GUESTDIR to have it elsewhere",
				       p->share->path, p->guest, p->share->path);
	if (!strcmp(p->real, "/dev"))
		return log_ret(-EINVAL,
			       "--share %s: the guest's /dev has its own devices; write --share "
			       "%s:GUESTDIR to have it elsewhere",
			       p->share->path, p->share->path);
	return 0;
}

static int check_twice(const struct place *p, const struct place *other)
{
	if (strcmp(p->real, other->real))
		return 0;
	return log_ret(-EINVAL,
		       "--share %s: at %s in the guest is --share %s already; give one of them "
		       "another GUESTDIR",
		       p->share->path, p->guest, other->share->path);
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

int run_put_shares(const struct run_config *c, FILE *out)
{
	struct place place[CONFIG_MAX_SHARES] = { 0 };
	int rc = 0;

	for (size_t i = 0; i < c->nr_shares && rc == 0; i++) {
		place[i] = (struct place){ .share = &c->share[i], .nr = i };
		rc = find_place(&place[i], c->root ?: "/");
		if (rc == 0)
			rc = check_place(&place[i]);
		for (size_t k = 0; k < i && rc == 0; k++)
			rc = check_twice(&place[i], &place[k]);
	}
	if (rc == 0)
		qsort(place, c->nr_shares, sizeof(place[0]), compare);
	for (size_t i = 0; i < c->nr_shares && rc == 0; i++)
		fprintf(out, "share=%c%c:" RUN_TAG_SHARE "%zu:%s%c",
			is_file(place[i].share->path) ? 'f' : 'r',
			place[i].share->writable ? 'w' : 'o', place[i].nr, place[i].guest, 0);
	for (size_t i = 0; i < c->nr_shares; i++) {
		free(place[i].guest);
		free(place[i].real);
	}
	return rc;
}
