/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "host/paths.h"
#include "kernels/key.h"

#define DIRECTORY (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* A directory that exists, and the names of those below it, which are made; empty names are left
 * out. */
struct place {
	const char *base, *below[3];
};

static bool find_place(struct place *p, const struct config *c)
{
	const char *own = getenv("MINIVMM_CACHE"), *user = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");

	if (c->kernel_cache.dir)
		*p = (struct place){ c->kernel_cache.dir, { "", "", "" } };
	else if (own && *own)
		*p = (struct place){ own, { "", "", "kernels" } };
	else if (user && *user == '/')
		*p = (struct place){ user, { "", "minivmm", "kernels" } };
	else if (home && *home == '/')
		*p = (struct place){ home, { ".cache", "minivmm", "kernels" } };
	else
		return false;
	return true;
}

static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == geteuid();
}

/* Opens a directory in another one, which is closed; makes it if it isn't there and make is set. */
static int descend(int above, const char *name, bool last, bool make)
{
	AUTO_CLOSE int dir = above;
	const int flags = DIRECTORY | (last ? O_NOFOLLOW : 0);
	int fd = openat(dir, name, flags);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd < 0 ? -errno : fd;
	if (!is_ours(dir))
		return -EACCES;
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, flags);
	return fd < 0 ? -errno : fd;
}

/* Opens the directory that the user named. */
static int open_named(const char *path)
{
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, DIRECTORY | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int open_place(const struct place *p, bool make)
{
	const bool named = !*p->below[ARRAY_SIZE(p->below) - 1];
	int fd = named ? open_named(p->base) : open(p->base, DIRECTORY);

	if (fd == -1)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(p->below) && fd >= 0; i++)
		if (*p->below[i])
			fd = descend(fd, p->below[i], i + 1 == ARRAY_SIZE(p->below), make);
	return fd;
}

/* Returns what is wrong with it, or NULL. */
static const char *refuse(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return "is not yours";
	if (st.st_mode & 077)
		return "is open to others; chmod 700 closes it";
	return key_is_local(fd) ? NULL : "is not on a file system of this machine";
}

static void write_path(const struct place *p, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s", p->base);
	for (size_t i = 0; i < ARRAY_SIZE(p->below); i++)
		if (*p->below[i])
			snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%s", p->below[i]);
}

int dir_open(const struct config *c)
{
	const enum log_level level = c->kernel_cache.dir ? LOG_WARN : LOG_INFO;
	char path[PATH_MAX];
	const char *why;
	struct place p;

	if (!find_place(&p, c)) {
		log_info("kernel cache: there is no home directory");
		return -ENOENT;
	}
	write_path(&p, path);
	if (paths_guest_may_write(c, path)) {
		log_info("kernel cache: %s: the guest may write there", path);
		return -EPERM;
	}

	AUTO_CLOSE int fd = open_place(&p, true);

	why = fd < 0 ? strerrordesc_np(-fd) : refuse(fd);
	if (!why)
		return take_fd(&fd);
	log_msg(level, "kernel cache: %s: %s (so the unpacked kernel isn't kept)", path, why);
	return -EACCES;
}

const char *dir_look(char path[PATH_MAX])
{
	const struct config none = { 0 };
	struct place p;

	strcpy(path, "~");
	if (!find_place(&p, &none))
		return "there is no home directory";
	write_path(&p, path);

	AUTO_CLOSE int fd = open_place(&p, false);

	if (fd == -ENOENT)
		return NULL;
	return fd < 0 ? strerrordesc_np(-fd) : refuse(fd);
}
