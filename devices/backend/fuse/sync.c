/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Syncing: what the guest is told to be stable is on the host's disk.
 *
 * The guest's sync(2) is one request for everything. The host's counterpart is syncfs(2), which
 * writes what anybody changed in the whole file system. So the changes since the guest last asked
 * are noted. If there are none, the answer comes at once; if only the contents of a few files
 * changed, only these are written; if there was more, or if files were made, named or removed, the
 * whole file system is written. So the host writes at most once for each change of the guest's, and
 * a sync in a loop costs it nothing.
 *
 * Other file systems may be mounted below the directory. Changes there are noted one by one, and
 * written at the latest when there is no place for another note.
 *
 * The host's kernel can't be interrupted while it writes: this is waited for even when the machine
 * is to stop.
 */
#include <unistd.h>

#include "backend/fuse/fuse_impl.h"

/* Returns a descriptor of n by which it can be synced: a handle's; or a new one, which is also
 * *fresh. Or -errno. */
static int usable_fd(struct fuse_server *f, struct fuse_node *n, int *fresh)
{
	int fd;

	if (n->opened)
		return f->handles.slot[n->opened - 1].fd;
	n->pins++; /* so that n keeps its own when others lose theirs for this */
	fd = fuse_node_fd(f, n);
	if (fd >= 0)
		fd = *fresh = fuse_open_fd(f, fd, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	n->pins--;
	fuse_node_touch(f, n);
	return fd;
}

/* Writes a regular file itself, or the file system that a directory is in. Returns 0 or -errno. */
static int write_out(struct fuse_server *f, struct fuse_node *n)
{
	AUTO_CLOSE int fresh = -1;
	const int fd = usable_fd(f, n, &fresh);

	if (fd < 0 && n->type == S_IFREG && n->dev == f->root_dev) {
		f->unsynced.tree = true; /* we may not read it, or it is gone */
		return 0;
	}
	if (fd == -EACCES || (fd < 0 && n->dev != f->root_dev)) {
		sync(); /* nothing less works without a descriptor of that file system */
		return 0;
	}
	if (fd < 0)
		return fd;
	return (n->type == S_IFREG ? fsync(fd) : syncfs(fd)) < 0 ? -errno : 0;
}

/* n has left the list: writes what is noted of it, or leaves that to the file system's sync. */
static void settle(struct fuse_server *f, struct fuse_node *n)
{
	int rc = 0;

	n->unsynced = false;
	if (n->dev == f->root_dev)
		f->unsynced.tree = true;
	else
		rc = write_out(f, n);
	if (rc < 0)
		f->unsynced.error = rc;
}

void fuse_unsynced_forget(struct fuse_server *f, struct fuse_node *n)
{
	struct fuse_unsynced *u = &f->unsynced;
	unsigned i = 0;

	if (!n->unsynced)
		return;
	while (u->node[i] != n)
		i++;
	u->node[i] = u->node[--u->nr];
	settle(f, n);
}

void fuse_unsynced_drop(struct fuse_server *f)
{
	while (f->unsynced.nr)
		settle(f, f->unsynced.node[--f->unsynced.nr]);
}

void fuse_changed(struct fuse_server *f, struct fuse_node *n)
{
	struct fuse_unsynced *u = &f->unsynced;
	const bool full = u->nr == ARRAY_SIZE(u->node);

	if (n->dev == f->root_dev && (n->type != S_IFREG || (full && !n->unsynced))) {
		u->tree = true;
		return;
	}
	if (n->type != S_IFREG && n->type != S_IFDIR) {
		if (!n->name || n->dir->generation != n->dir_generation)
			return; /* nothing leads to it any more */
		n = n->dir;
	}
	if (n->unsynced)
		return;
	if (full)
		settle(f, u->node[--u->nr]);
	u->node[u->nr++] = n;
	n->unsynced = true;
}

/* Writes all that is noted. Returns 0, or the first error. */
static int write_all(struct fuse_server *f)
{
	struct fuse_unsynced *u = &f->unsynced;
	int rc = u->error;

	u->error = 0;
	while (u->nr) {
		struct fuse_node *n = u->node[--u->nr];
		int one = 0;

		n->unsynced = false;
		if (!u->tree || n->dev != f->root_dev)
			one = write_out(f, n);
		if (rc == 0)
			rc = one;
	}
	if (u->tree) {
		int one = write_out(f, fuse_root(f));

		if (rc == 0)
			rc = one;
	}
	u->tree = rc < 0; /* after an error the next sync writes everything */
	return rc;
}

int fuse_do_syncfs(struct fuse_server *f, struct fuse_request *r __unused)
{
	return f->readonly ? 0 : write_all(f);
}

static int sync_handle(const struct fuse_server *f, const struct fuse_handle *h, uint32_t flags)
{
	if (!h)
		return -EBADF;
	if (f->readonly)
		return 0; /* the guest has changed nothing */
	return (flags & FUSE_FSYNC_FDATASYNC ? fdatasync(h->fd) : fsync(h->fd)) < 0 ? -errno : 0;
}

int fuse_do_fsync(struct fuse_server *f, struct fuse_request *r)
{
	return sync_handle(f, fuse_handle(f, r->in.fsync.fh, false), r->in.fsync.fsync_flags);
}

int fuse_do_fsyncdir(struct fuse_server *f, struct fuse_request *r)
{
	return sync_handle(f, fuse_handle(f, r->in.fsync.fh, true), r->in.fsync.fsync_flags);
}
