/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading directories, with or without a look-up of each entry. */
#include <dirent.h>

#include "backend/fuse/fuse_impl.h"

int fuse_do_opendir(struct fuse_server *f, struct fuse_request *r)
{
	int fd;

	if (r->node->type != S_IFDIR)
		return -ENOTDIR;
	fd = fuse_node_open(f, r->node, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	r->out.open = (struct fuse_open_out){ 0 };
	if (f->cache == FUSE_CACHE_ALWAYS)
		r->out.open.open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	r->out.open.fh = fuse_handle_add(f, r->node, fd);
	return 0;
}

int fuse_do_releasedir(struct fuse_server *f, struct fuse_request *r)
{
	return fuse_handle_release(f, r->in.release.fh, true);
}

/* An answer as it grows. */
struct listing {
	struct fuse_server *f;
	struct fuse_node *dir;
	bool plus;
	uint32_t len, room;
};

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Looks up the entry for the guest, if possible: node 0 means that it was not looked up. */
static void look_up(struct listing *l, const struct dirent64 *d, struct fuse_entry_out *out)
{
	const bool known = fuse_knows(l->f, l->dir, d->d_ino);

	memset(out, 0, sizeof(*out));
	if (is_dots(d->d_name))
		return;
	if (fuse_lookup(l->f, l->dir, d->d_name, known, out) < 0)
		memset(out, 0, sizeof(*out));
}

/* False: there is no room. */
static bool list(struct listing *l, const struct dirent64 *d)
{
	const size_t len = strlen(d->d_name);
	const size_t before = l->plus ? sizeof(struct fuse_entry_out) : 0;
	const size_t size = FUSE_DIRENT_ALIGN(before + FUSE_NAME_OFFSET + len);
	char *at = l->f->data + l->len;
	struct fuse_dirent e = {
		.ino = fuse_ino(l->f, l->dir->dev, d->d_ino),
		.off = (uint64_t)d->d_off,
		.namelen = (uint32_t)len,
		.type = d->d_type,
	};

	if (size > l->room - l->len)
		return false;
	memset(at, 0, size);
	if (l->plus) {
		struct fuse_entry_out entry;

		look_up(l, d, &entry);
		if (entry.nodeid)
			e.ino = entry.attr.ino;
		memcpy(at, &entry, sizeof(entry));
	}
	if (!strcmp(d->d_name, "..") && l->dir == fuse_root(l->f))
		e.ino = l->dir->ino; /* the guest may not know what is above the root */
	memcpy(at + before, &e, FUSE_NAME_OFFSET);
	memcpy(at + before + FUSE_NAME_OFFSET, d->d_name, len);
	l->len += (uint32_t)size;
	return true;
}

/* Lists one batch of the host's entries. Returns 1: there may be more, and room for them; 0; or
 * -errno. */
static int list_some(struct listing *l, struct fuse_handle *h)
{
	/* About as many as there is room for: the others would be read again next time. */
	char buf[8 * KIB] __attribute__((aligned(8)));
	const size_t guess = max((l->room - l->len) / (l->plus ? 5 : 1), 512u);
	const ssize_t n = getdents64(h->fd, buf, min(guess, sizeof(buf)));

	if (n < 0)
		return -errno;
	for (ssize_t at = 0; at < n;) {
		const struct dirent64 *d = (const struct dirent64 *)(buf + at);

		if (!list(l, d)) {
			h->cookie = FUSE_NOWHERE;
			return 0;
		}
		h->cookie = (uint64_t)d->d_off;
		at += d->d_reclen;
	}
	return n > 0;
}

static int read_dir(struct fuse_server *f, struct fuse_request *r, bool plus)
{
	const struct fuse_read_in *in = &r->in.read;
	struct fuse_handle *h = fuse_handle(f, in->fh, true);
	struct listing l = {
		.f = f,
		.dir = r->node,
		.plus = plus,
		.room = min(in->size, r->room),
	};
	int rc;

	if (!h || h->node != r->node || h->generation != r->node->generation)
		return -EBADF;
	l.room = min(l.room, (uint32_t)FUSE_MAX_DATA);
	if (h->cookie != in->offset && lseek(h->fd, (off_t)in->offset, SEEK_SET) < 0)
		return -errno;
	h->cookie = in->offset;
	do
		rc = list_some(&l, h);
	while (rc > 0);
	if (l.len == 0 && (rc < 0 || h->cookie == FUSE_NOWHERE))
		return rc < 0 ? rc : -EINVAL;
	r->data = f->data;
	r->data_len = l.len;
	return 0;
}

int fuse_do_readdir(struct fuse_server *f, struct fuse_request *r)
{
	return read_dir(f, r, false);
}

int fuse_do_readdirplus(struct fuse_server *f, struct fuse_request *r)
{
	return read_dir(f, r, true);
}
