/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes: user.*, trusted.* (as far as the host lets us) and security.capability. The
 * guest can neither see nor set those that the host's kernel itself obeys (POSIX ACLs, labels of
 * security modules): its own kernel doesn't know what they mean here.
 */
#include <stdio.h>
#include <sys/xattr.h>

#include "backend/fuse/fuse_impl.h"

/* Finds a path for the attributes of r's file: no function takes an O_PATH descriptor. It reaches a
 * link's own attributes, too. Returns 0 or -errno. */
#define FD_PATH 32
static int path_of(struct fuse_server *f, struct fuse_request *r, char path[FD_PATH])
{
	int fd = r->node->closed ? -EOPNOTSUPP : fuse_node_fd(f, r->node);

	snprintf(path, FD_PATH, "/proc/self/fd/%d", fd);
	return min(fd, 0);
}

static bool is_passed(const char *name)
{
	return !strncmp(name, "user.", strlen("user.")) ||
	       !strncmp(name, "trusted.", strlen("trusted.")) ||
	       !strcmp(name, "security.capability");
}

/* The same, if the attribute that r names may be passed on. */
static int path_for_name(struct fuse_server *f, struct fuse_request *r, char path[FD_PATH])
{
	int rc = path_of(f, r, path);

	if (rc < 0)
		return rc;
	return is_passed(r->name[0]) ? 0 : -EOPNOTSUPP;
}

int fuse_do_setxattr(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_setxattr_in *in = &r->in.setxattr;
	char path[FD_PATH];
	int rc = path_for_name(f, r, path);

	if (rc < 0)
		return rc;
	if (in->size > FUSE_MAX_DATA)
		return -E2BIG;
	if (in->size > r->len - r->names_end)
		return -EINVAL;
	chain_read(r->chain, r->names_end, f->data, in->size);
	if (setxattr(path, r->name[0], f->data, in->size,
		     (int)in->flags & (XATTR_CREATE | XATTR_REPLACE)) < 0)
		return -errno;
	return 0;
}

/* Answers with n bytes in f->data, or only with their number if the guest asked for that. It asked
 * for at most size bytes. */
static int answer(struct fuse_server *f, struct fuse_request *r, ssize_t n)
{
	const uint32_t size = r->in.getxattr.size;

	if (n < 0)
		return -errno;
	if (size == 0) {
		r->out.getxattr = (struct fuse_getxattr_out){ .size = (uint32_t)n };
		r->data = &r->out;
		r->data_len = sizeof(r->out.getxattr);
		return 0;
	}
	if ((uint32_t)n > size)
		return -ERANGE;
	r->data = f->data;
	r->data_len = (uint32_t)n;
	return 0;
}

int fuse_do_getxattr(struct fuse_server *f, struct fuse_request *r)
{
	char path[FD_PATH];
	int rc = path_for_name(f, r, path);

	if (rc < 0)
		return rc;
	return answer(f, r, getxattr(path, r->name[0], f->data, sizeof(f->data)));
}

int fuse_do_listxattr(struct fuse_server *f, struct fuse_request *r)
{
	char path[FD_PATH];
	int rc = path_of(f, r, path);
	size_t kept = 0;
	ssize_t n;

	if (rc < 0)
		return rc;
	n = listxattr(path, f->data, sizeof(f->data));
	for (ssize_t at = 0; at < n;) {
		const size_t len = strnlen(f->data + at, (size_t)(n - at) - 1) + 1;

		if (is_passed(f->data + at)) {
			memmove(f->data + kept, f->data + at, len);
			kept += len;
		}
		at += (ssize_t)len;
	}
	return answer(f, r, n < 0 ? n : (ssize_t)kept);
}

int fuse_do_removexattr(struct fuse_server *f, struct fuse_request *r)
{
	char path[FD_PATH];
	int rc = path_for_name(f, r, path);

	if (rc < 0)
		return rc;
	return removexattr(path, r->name[0]) < 0 ? -errno : 0;
}
