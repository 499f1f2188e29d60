/* SPDX-License-Identifier: BSD-2-Clause */
/* A file's attributes, and changing them. */
#include <sys/vfs.h>

#include "backend/fuse/fuse_impl.h"

static int answer_attr(struct fuse_server *f, struct fuse_request *r, int fd)
{
	struct statx st;
	int rc = fd < 0 ? fd : fuse_stat(fd, &st);

	if (rc < 0)
		return rc;
	r->out.attr = (struct fuse_attr_out){ .attr_valid = f->valid_s };
	fuse_fill_attr(f, &st, &r->out.attr.attr);
	return 0;
}

int fuse_do_getattr(struct fuse_server *f, struct fuse_request *r)
{
	return answer_attr(f, r, fuse_node_fd(f, r->node));
}

static int set_size(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_setattr_in *in = &r->in.setattr;
	const struct fuse_handle *h = in->valid & FATTR_FH ? fuse_handle(f, in->fh, false) : NULL;
	AUTO_CLOSE int own = -1;
	bool humble;
	int fd, rc;

	if (in->size > INT64_MAX)
		return -EFBIG;
	if (in->valid & FATTR_FH && !h)
		return -EBADF;
	if (r->node->type != S_IFREG)
		return -EINVAL;
	fd = h ? h->fd : (own = fuse_node_open(f, r->node, O_WRONLY));
	if (fd < 0)
		return fd;
	humble = in->valid & FATTR_KILL_SUIDGID && fuse_caller_humble(&f->caller, fd);
	rc = ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
	if (humble)
		fuse_caller_proud();
	return rc;
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t s, uint32_t ns)
{
	if (!(valid & set))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = min(ns, 999999999u) };
}

static int set_times(int fd, const struct fuse_setattr_in *in)
{
	const struct timespec t[2] = {
		time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
		time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
	};

	return utimensat(fd, "", t, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int fuse_do_setattr(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_setattr_in *in = &r->in.setattr;
	int fd = fuse_node_fd(f, r->node);
	char name[FUSE_FD_NAME];

	if (fd < 0)
		return fd;
	if (r->node->closed)
		return -EPERM;
	if (in->valid & FATTR_MODE) {
		if (r->node->type == S_IFLNK)
			return -EOPNOTSUPP;
		if (fchmodat(f->proc_fd, fuse_fd_name(name, fd), in->mode & 07777, 0) < 0)
			return -errno;
	}
	if (in->valid & (FATTR_UID | FATTR_GID) &&
	    fchownat(fd, "", in->valid & FATTR_UID ? in->uid : (uid_t)-1,
		     in->valid & FATTR_GID ? in->gid : (gid_t)-1, AT_EMPTY_PATH) < 0)
		return -errno;
	if (in->valid & FATTR_SIZE) {
		int rc = set_size(f, r);

		if (rc < 0)
			return rc;
	}
	if (in->valid & (FATTR_ATIME | FATTR_MTIME)) {
		int rc = set_times(fd, in);

		if (rc < 0)
			return rc;
	}
	return answer_attr(f, r, fd);
}

int fuse_do_readlink(struct fuse_server *f, struct fuse_request *r)
{
	int fd = fuse_node_fd(f, r->node);
	ssize_t n = fd < 0 ? fd : readlinkat(fd, "", f->data, min(r->room, 4096u));

	if (fd < 0)
		return fd;
	if (n < 0)
		return r->node->type == S_IFLNK ? -errno : -EINVAL;
	r->data = f->data;
	r->data_len = (uint32_t)n;
	return 0;
}

int fuse_do_statfs(struct fuse_server *f, struct fuse_request *r)
{
	struct fuse_kstatfs *st = &r->out.statfs.st;
	int fd = fuse_node_fd(f, r->node);
	struct statfs s;

	if (fd < 0)
		return fd;
	if (fstatfs(fd, &s) < 0)
		return -errno;
	*st = (struct fuse_kstatfs){
		.blocks = s.f_blocks,
		.bfree = s.f_bfree,
		.bavail = s.f_bavail,
		.files = s.f_files,
		.ffree = s.f_ffree,
		.bsize = (uint32_t)s.f_bsize,
		.namelen = (uint32_t)s.f_namelen,
		.frsize = (uint32_t)(s.f_frsize ? s.f_frsize : s.f_bsize),
	};
	return 0;
}
