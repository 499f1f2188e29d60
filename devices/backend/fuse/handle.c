/* SPDX-License-Identifier: BSD-2-Clause */
/* The files and directories that the guest has open. */
#include <stdlib.h>

#include "backend/fuse/fuse_impl.h"

int fuse_handle_reserve(struct fuse_server *f)
{
	struct fuse_handles *t = &f->handles;
	const uint32_t nr = t->nr_slots ? 2 * t->nr_slots : 64;
	struct fuse_handle *slot;

	/* Two more are always left to find a file again, with its directory. */
	if (!fuse_make_room(f, 3))
		return -ENFILE;
	if (t->free)
		return 0;
	if (nr > FUSE_MAX_HANDLES)
		return -ENFILE;
	slot = reallocarray(t->slot, nr, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	t->slot = slot;
	for (uint32_t i = nr; i-- > t->nr_slots;) {
		slot[i] = (struct fuse_handle){ .fd = -1, .next = t->free };
		t->free = i + 1;
	}
	t->nr_slots = nr;
	return 0;
}

uint64_t fuse_handle_add(struct fuse_server *f, struct fuse_node *n, int fd)
{
	struct fuse_handles *t = &f->handles;
	const uint32_t i = t->free - 1;

	t->free = t->slot[i].next;
	t->slot[i] = (struct fuse_handle){
		.fd = fd,
		.dir = n->type == S_IFDIR,
		.node = n,
		.generation = n->generation,
		.next = n->opened,
	};
	if (n->opened)
		t->slot[n->opened - 1].before = i + 1;
	n->opened = i + 1;
	fd_share_take(&f->fds, fd);
	fuse_node_touch(f, n);
	t->nr++;
	return i;
}

struct fuse_handle *fuse_handle(struct fuse_server *f, uint64_t id, bool dir)
{
	struct fuse_handle *h = id < f->handles.nr_slots ? &f->handles.slot[id] : NULL;

	return h && h->fd >= 0 && h->dir == dir ? h : NULL;
}

/* Removes h from the list of its node's handles. */
static void unlist(struct fuse_server *f, struct fuse_handle *h)
{
	struct fuse_handles *t = &f->handles;
	struct fuse_node *n = h->node;

	if (n->generation != h->generation)
		return;
	if (h->next)
		t->slot[h->next - 1].before = h->before;
	if (h->before)
		t->slot[h->before - 1].next = h->next;
	else
		n->opened = h->next;
	if (!n->opened)
		fuse_node_last_handle(f, n, h->fd);
	fuse_node_touch(f, n);
}

int fuse_handle_release(struct fuse_server *f, uint64_t id, bool dir)
{
	struct fuse_handles *t = &f->handles;
	struct fuse_handle *h = fuse_handle(f, id, dir);

	if (!h)
		return -EBADF;
	unlist(f, h);
	close(h->fd);
	fd_share_give(&f->fds, 1);
	*h = (struct fuse_handle){ .fd = -1, .next = t->free };
	t->free = (uint32_t)id + 1;
	t->nr--;
	return 0;
}

void fuse_handles_drop(struct fuse_server *f)
{
	for (uint32_t i = 0; i < f->handles.nr_slots; i++)
		close_fd(&f->handles.slot[i].fd);
	fd_share_give(&f->fds, f->handles.nr);
	free(f->handles.slot);
	f->handles = (struct fuse_handles){ 0 };
}

int fuse_node_open(struct fuse_server *f, struct fuse_node *n, int flags)
{
	int fd, rc;

	if (n->closed)
		return -EACCES;
	/* Opening any other file may wait, or have an effect. The guest's kernel has its own. */
	if (n->type != S_IFREG && n->type != S_IFDIR)
		return n->type == S_IFLNK ? -ELOOP : -ENXIO;
	rc = fuse_handle_reserve(f);
	if (rc < 0)
		return rc;
	fd = fuse_node_fd(f, n);
	if (fd < 0)
		return fd;
	/* O_NONBLOCK: it doesn't even wait for a lease that somebody else has. */
	return fuse_open_fd(f, fd, flags | O_NONBLOCK | O_NOCTTY);
}
