/* SPDX-License-Identifier: BSD-2-Clause */
/* A file's attributes, and changing them. */
#include <linux/magic.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "backend/fuse/fuse_impl.h"

uint64_t fuse_dev(const struct statx *st)
{
	return makedev(st->stx_dev_major, st->stx_dev_minor);
}

int fuse_stat(int fd, struct statx *st)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, FUSE_STATX, st) < 0 ? -errno : 0;
}

bool fuse_is_kernels(int fd)
{
	/* clang-format off */
	static const uint32_t magic[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC, SECURITYFS_MAGIC, BINFMTFS_MAGIC, SELINUX_MAGIC,
		SMACK_MAGIC, NSFS_MAGIC, EFIVARFS_MAGIC, PSTOREFS_MAGIC, HUGETLBFS_MAGIC,
		RDTGROUP_SUPER_MAGIC, BINDERFS_SUPER_MAGIC, XENFS_SUPER_MAGIC, AUTOFS_SUPER_MAGIC,
		/* Those that no header has: configfs, fusectl, mqueue, nfsd, rpc_pipefs,
		 * functionfs. */
		0x62656570, 0x65735543, 0x19800202, 0x6e667364, 0x67596969, 0xa647361,
	};
	/* clang-format on */
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(magic); i++)
		if ((uint32_t)s.f_type == magic[i])
			return true;
	return false;
}

const char *fuse_fd_name(char name[FUSE_FD_NAME], int fd)
{
	snprintf(name, FUSE_FD_NAME, "%d", fd);
	return name;
}

/* A change within the clock's tick of the last one that keeps the size is missed. The guest's
 * kernel, which compares the same, misses it, too. */
bool fuse_node_changed(struct fuse_node *n, int fd)
{
	struct fuse_stamp stamp = { 0 };
	struct statx st;
	bool changed;

	if (fuse_stat(fd, &st) < 0)
		return true;
	stamp.mtime = st.stx_mtime;
	stamp.ctime = st.stx_ctime;
	stamp.size = st.stx_size;
	changed = memcmp(&stamp, &n->stamp, sizeof(stamp)) != 0;
	n->stamp = stamp;
	return changed;
}

/* The inode number that the guest sees: its one file system may be several here. The two highest
 * bits stay as they are: overlayfs uses them (xino). */
uint64_t fuse_ino(const struct fuse_server *f, uint64_t dev, uint64_t ino)
{
	return dev == f->root_dev ? ino : ino ^ (dev * 0x9e3779b97f4a7c15 & 0xffffull << 46);
}

/* In the form that the kernel's new_decode_dev() takes. */
static uint32_t rdev_of(const struct statx *st)
{
	const uint32_t minor_nr = st->stx_rdev_minor;

	return (minor_nr & 0xff) | st->stx_rdev_major << 8 | (minor_nr & ~0xffu) << 12;
}

void fuse_fill_attr(const struct fuse_server *f, const struct statx *st, struct fuse_attr *a)
{
	*a = (struct fuse_attr){
		.ino = fuse_ino(f, fuse_dev(st), st->stx_ino),
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = st->stx_uid,
		.gid = st->stx_gid,
		.rdev = rdev_of(st),
		.blksize = st->stx_blksize,
	};
}

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
	if (in->valid & FATTR_KILL_SUIDGID)
		fuse_caller_humble(&f->caller, true);
	rc = ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
	if (in->valid & FATTR_KILL_SUIDGID)
		fuse_caller_humble(&f->caller, false);
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
