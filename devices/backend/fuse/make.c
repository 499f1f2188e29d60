/* SPDX-License-Identifier: BSD-2-Clause */
/* Making, naming and removing files. */
#include <stdio.h>
#include <sys/sysmacros.h>

#include "backend/fuse/fuse_impl.h"

/* Returns the descriptor of the directory that a new name goes to, or -errno. */
static int dir_of(struct fuse_server *f, struct fuse_node *n)
{
	return n->closed ? -EACCES : n->type != S_IFDIR ? -ENOTDIR : fuse_node_fd(f, n);
}

/* Answers a call that made name: rc says how it went; if it succeeded, looks up what it made. */
static int made(struct fuse_server *f, struct fuse_request *r, int rc, const char *name)
{
	if (rc < 0)
		rc = -errno;
	fuse_caller_leave(&f->caller, &r->head);
	return rc < 0 ? rc : fuse_lookup(f, r->node, name, false, &r->out.entry);
}

/* Pipes and sockets are names for the guest's own use. A device would be one of the host's, for
 * whoever finds it there; only 0:0 may be made, which overlayfs uses for a name that is gone. */
int fuse_do_mknod(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_mknod_in *in = &r->in.mknod;
	const mode_t type = in->mode & S_IFMT;
	mode_t mode = in->mode & 07777;
	int dir = dir_of(f, r->node), rc;

	if (dir < 0)
		return dir;
	if (type == S_IFBLK || (type == S_IFCHR && in->rdev != 0))
		return -EPERM;
	if (type == S_IFDIR || type == S_IFLNK)
		return -EINVAL;
	rc = fuse_caller_enter(&f->caller, &r->head, in->umask, &mode);
	if (rc < 0)
		return rc;
	return made(f, r, mknodat(dir, r->name[0], type | mode, 0), r->name[0]);
}

int fuse_do_mkdir(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_mkdir_in *in = &r->in.mkdir;
	mode_t mode = in->mode & 07777;
	int dir = dir_of(f, r->node), rc;

	if (dir < 0)
		return dir;
	rc = fuse_caller_enter(&f->caller, &r->head, in->umask, &mode);
	if (rc < 0)
		return rc;
	return made(f, r, mkdirat(dir, r->name[0], mode), r->name[0]);
}

/* The target is only text here. */
int fuse_do_symlink(struct fuse_server *f, struct fuse_request *r)
{
	int dir = dir_of(f, r->node), rc;
	mode_t mode = 0777; /* links have no other mode */

	if (dir < 0)
		return dir;
	rc = fuse_caller_enter(&f->caller, &r->head, 0, &mode);
	if (rc < 0)
		return rc;
	return made(f, r, symlinkat(r->name[1], dir, r->name[0]), r->name[0]);
}

int fuse_do_link(struct fuse_server *f, struct fuse_request *r)
{
	struct fuse_node *old = fuse_node(f, r->in.link.oldnodeid);
	int dir = dir_of(f, r->node);
	int fd = old ? fuse_node_fd(f, old) : -ESTALE;
	char name[FUSE_FD_NAME];

	if (dir < 0)
		return dir;
	if (fd < 0)
		return fd;
	if (linkat(f->proc_fd, fuse_fd_name(name, fd), dir, r->name[0], AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return fuse_lookup(f, r->node, r->name[0], true, &r->out.entry);
}

static int unlink_name(struct fuse_server *f, struct fuse_request *r, int flags)
{
	int dir = dir_of(f, r->node);

	if (dir < 0)
		return dir;
	return unlinkat(dir, r->name[0], flags) < 0 ? -errno : 0;
}

int fuse_do_unlink(struct fuse_server *f, struct fuse_request *r)
{
	return unlink_name(f, r, 0);
}

int fuse_do_rmdir(struct fuse_server *f, struct fuse_request *r)
{
	return unlink_name(f, r, AT_REMOVEDIR);
}

static int rename_to(struct fuse_server *f, struct fuse_request *r, unsigned flags)
{
	struct fuse_node *to = fuse_node(f, r->in.rename.newdir);
	int from_fd = dir_of(f, r->node);
	int to_fd = to ? dir_of(f, to) : -ESTALE;

	if (from_fd < 0)
		return from_fd;
	if (to_fd < 0)
		return to_fd;
	if (renameat2(from_fd, r->name[0], to_fd, r->name[1], flags) < 0)
		return -errno;
	fuse_renamed(f, to, r->name[1]);
	if (flags & RENAME_EXCHANGE)
		fuse_renamed(f, r->node, r->name[0]);
	return 0;
}

int fuse_do_rename(struct fuse_server *f, struct fuse_request *r)
{
	return rename_to(f, r, 0);
}

int fuse_do_rename2(struct fuse_server *f, struct fuse_request *r)
{
	const unsigned known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
	const unsigned flags = r->in.rename.flags;

	return flags & ~known ? -EINVAL : rename_to(f, r, flags);
}

/* Makes a new file. Returns its descriptor; or -errno (-EEXIST: there is something of that
 * name). */
static int create_new(struct fuse_server *f, struct fuse_request *r, const char *name, int flags)
{
	const struct fuse_create_in *in = &r->in.create;
	mode_t mode = in->mode & 07777;
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int dir = dir_of(f, r->node), rc;

	if (dir < 0)
		return dir;
	rc = fuse_handle_reserve(f);
	if (rc < 0)
		return rc;
	rc = fuse_caller_enter(&f->caller, &r->head, in->umask, &mode);
	if (rc < 0)
		return rc;
	how.mode = mode;
	rc = fuse_openat(f, dir, name, &how);
	fuse_caller_leave(&f->caller, &r->head);
	return rc;
}

/* Fills both answers for a file that was made (as name, or NULL) and opened; fd is kept. */
static int created(struct fuse_server *f, struct fuse_request *r, int fd, const char *name)
{
	int rc = fuse_lookup_fd(f, r->node, fd, name, &r->out.create.entry);

	if (rc < 0)
		close(fd);
	else
		fuse_opened(f, fuse_node(f, r->out.create.entry.nodeid), fd, true,
			    &r->out.create.open);
	return rc;
}

/* A file that somebody else made in the meantime isn't opened: the guest's kernel hasn't asked yet
 * what the caller may do to it. After ESTALE it looks the name up again, and checks. */
int fuse_do_create(struct fuse_server *f, struct fuse_request *r)
{
	const uint32_t wanted = r->in.create.flags;
	int flags = fuse_open_flags(f, wanted), fd;

	if (flags < 0)
		return flags;
	fd = create_new(f, r, r->name[0], flags | O_CREAT | O_EXCL | O_NOFOLLOW);
	if (fd == -EEXIST && !(wanted & O_EXCL))
		return -ESTALE;
	return fd < 0 ? fd : created(f, r, fd, r->name[0]);
}

int fuse_do_tmpfile(struct fuse_server *f, struct fuse_request *r)
{
	int flags = fuse_open_flags(f, r->in.create.flags), fd;

	if (flags < 0)
		return flags;
	fd = create_new(f, r, ".", (flags & ~O_TRUNC) | O_TMPFILE);
	return fd < 0 ? fd : created(f, r, fd, NULL);
}
