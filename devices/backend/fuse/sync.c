/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest was told is stable is on the host's disk.
 *
 * The guest's sync(2) is one request for everything. The host's for that is syncfs(2), which writes
 * what anybody changed in the whole file system. So what the guest did since it last asked is
 * noted: nothing, and the answer comes at once; the content of a few files, and they alone are
 * written; more than that, or what there is and where, and it is the file system's turn. So the
 * host writes no more than once for each change of the guest's, and a sync in a loop costs it
 * nothing.
 *
 * Other file systems may be mounted below the directory. What is changed there is noted one by one,
 * and written at the latest when there is no place for another.
 *
 * The host's kernel can't be broken off when it writes: this is waited for also when the machine is
 * to stop.
 */
#include <unistd.h>

#include "backend/fuse/fuse_impl.h"

/* A descriptor of n by which it can be synced: a handle's; or a new one, which is *fresh, too. Or
 * -errno. */
static int usable_fd(struct fuse_server *f, struct fuse_node *n, int *fresh)
{
	int fd;

	if (n->opened)
		return f->handles.slot[n->opened - 1].fd;
	n->pins++; /* whatever else loses its own for this */
	fd = fuse_node_fd(f, n);
	if (fd >= 0)
		fd = *fresh = fuse_open_fd(f, fd, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	n->pins--;
	fuse_node_touch(f, n);
	return fd;
}

/* Of a regular file, itself; of a directory, the file system that it is in. 0 or -errno. */
static int write_out(struct fuse_server *f, struct fuse_node *n)
{
	AUTO_CLOSE int fresh = -1;
	const int fd = usable_fd(f, n, &fresh);

	if (fd < 0 && n->type == S_IFREG && n->dev == f->root_dev) {
		f->unsynced.tree = true; /* we may not read it, or it is gone */
		return 0;
	}
	if (fd == -EACCES || (fd < 0 && n->dev != f->root_dev)) {
		sync(); /* without a descriptor of that file system there is nothing less */
		return 0;
	}
	if (fd < 0)
		return fd;
	return (n->type == S_IFREG ? fsync(fd) : syncfs(fd)) < 0 ? -errno : 0;
}

/* n, which is about to be forgotten, has nothing noted any more. */
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

/* All that is noted. 0, or the first error. */
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
		int one = write_out(f, fuse_node(f, FUSE_ROOT_ID));

		if (rc == 0)
			rc = one;
	}
	u->tree = rc < 0; /* then everything, the next time */
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
		return 0; /* nothing in it is the guest's */
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
