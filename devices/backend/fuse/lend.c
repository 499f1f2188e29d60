/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of the files that the guest knows: they are lent while there are enough; taken back,
 * first from the files that weren't used for the longest time; and found again. */
#include <sys/syscall.h>

#include "backend/fuse/fuse_impl.h"

#define EVICTED_AT_ONCE 64
#define MAX_DEPTH       64 /* of directories that are found again; then the guest does it */

static void unlist(struct fuse_nodes *t, struct fuse_node *n)
{
	if (!n->listed)
		return;
	*(n->older ? &n->older->newer : &t->oldest) = n->newer;
	*(n->newer ? &n->newer->older : &t->newest) = n->older;
	n->listed = false;
}

void fuse_node_touch(struct fuse_server *f, struct fuse_node *n)
{
	struct fuse_nodes *t = &f->nodes;

	unlist(t, n);
	if (n->fd < 0 || n->pins || (!n->name && !n->opened))
		return;
	n->older = t->newest;
	n->newer = NULL;
	*(t->newest ? &t->newest->newer : &t->oldest) = n;
	t->newest = n;
	n->listed = true;
}

void fuse_node_drop_fd(struct fuse_server *f, struct fuse_node *n)
{
	unlist(&f->nodes, n);
	if (n->fd >= 0)
		fd_share_give(&f->fds, 1);
	close_fd(&n->fd);
}

/* Takes the descriptors of the nodes that can be found again and weren't used for the longest time.
 * False: there are none. */
static bool evict(struct fuse_server *f)
{
	struct fuse_node *n = f->nodes.oldest, *newer;
	unsigned taken = 0;

	for (; n && taken < EVICTED_AT_ONCE; n = newer) {
		newer = n->newer;
		if (n == f->busy)
			continue;
		fuse_node_drop_fd(f, n);
		taken++;
	}
	return taken;
}

bool fuse_make_room(struct fuse_server *f, unsigned nr)
{
	if (!fd_share_room(&f->fds, nr))
		evict(f);
	if (fd_share_room(&f->fds, nr))
		return true;
	fd_share_refused(&f->fds);
	return false;
}

int fuse_openat(struct fuse_server *f, int dir_fd, const char *name, const struct open_how *how)
{
	int fd = (int)syscall(SYS_openat2, dir_fd, name, how, sizeof(*how));

	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && evict(f))
		fd = (int)syscall(SYS_openat2, dir_fd, name, how, sizeof(*how));
	return fd < 0 ? -errno : fd;
}

int fuse_open_path(struct fuse_server *f, int dir_fd, const char *name)
{
	/* RESOLVE_* are a second lock: a component that is not ".." leads nowhere else, and neither
	 * does a link that is not followed. */
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return fuse_openat(f, dir_fd, name, &how);
}

bool fuse_is_file(const struct fuse_node *n, const struct statx *st)
{
	return n->ino == st->stx_ino && n->dev == fuse_dev(st) && n->mnt == st->stx_mnt_id &&
	       n->type == (st->stx_mode & S_IFMT) && n->born.tv_sec == st->stx_btime.tv_sec &&
	       n->born.tv_nsec == st->stx_btime.tv_nsec;
}

void fuse_node_keep_fd(struct fuse_server *f, struct fuse_node *n, int *fd)
{
	n->fd = take_fd(fd);
	fd_share_take(&f->fds, n->fd);
	fuse_node_touch(f, n);
}

static int node_fd(struct fuse_server *f, struct fuse_node *n, unsigned depth);

int fuse_open_fd(struct fuse_server *f, int fd, int flags)
{
	const struct open_how how = { .flags = (unsigned)flags | O_CLOEXEC };
	char name[FUSE_FD_NAME];

	return fuse_openat(f, f->proc_fd, fuse_fd_name(name, fd), &how);
}

static int open_root(const struct fuse_server *f)
{
	const int fd = fcntl(f->root_fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Opens the file that n's name stands for; its directory may have to be found first. */
static int open_named(struct fuse_server *f, struct fuse_node *n, unsigned depth)
{
	struct fuse_node *dir = n->dir;
	int rc;

	if (n == fuse_root(f))
		return open_root(f);
	if (!n->name || dir->generation != n->dir_generation || depth == MAX_DEPTH)
		return -ESTALE;
	dir->pins++;
	rc = node_fd(f, dir, depth + 1);
	if (rc >= 0 && !fuse_make_room(f, 1))
		rc = -ENFILE;
	if (rc >= 0) {
		rc = fuse_open_path(f, rc, n->name);
		if (rc == -ENOENT || rc == -ENOTDIR)
			rc = -ESTALE;
	}
	dir->pins--;
	fuse_node_touch(f, dir);
	return rc;
}

/* Finds n again: by a handle of it; or by its name, if that still leads to n. */
static int reopen(struct fuse_server *f, struct fuse_node *n, unsigned depth)
{
	AUTO_CLOSE int fd = -1;
	struct statx st;

	if (!n->opened)
		fd = open_named(f, n, depth);
	else if (fuse_make_room(f, 1))
		fd = fuse_open_fd(f, f->handles.slot[n->opened - 1].fd, O_PATH);
	else
		fd = -ENFILE;
	if (fd < 0)
		return fd;
	if (fuse_stat(fd, &st) < 0 || !fuse_is_file(n, &st))
		return -ESTALE;
	fuse_node_keep_fd(f, n, &fd);
	return n->fd;
}

void fuse_node_last_handle(struct fuse_server *f, struct fuse_node *n, int handle_fd)
{
	AUTO_CLOSE int fd = n->fd < 0 ? fuse_open_fd(f, handle_fd, O_PATH) : -1;

	if (fd >= 0)
		fuse_node_keep_fd(f, n, &fd);
}

static int node_fd(struct fuse_server *f, struct fuse_node *n, unsigned depth)
{
	if (n->fd < 0)
		return reopen(f, n, depth);
	fuse_node_touch(f, n);
	return n->fd;
}

int fuse_node_fd(struct fuse_server *f, struct fuse_node *n)
{
	return node_fd(f, n, 0);
}
