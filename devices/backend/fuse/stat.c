/* SPDX-License-Identifier: BSD-2-Clause */
/* What the host says of a file, and how the guest is told. */
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

/* Returns the device number in the form that the kernel's new_decode_dev() takes. */
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
