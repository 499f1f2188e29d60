/* SPDX-License-Identifier: BSD-2-Clause */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define LAYER "/minivmm/layer" /* tmpfs: has what is written, as overlayfs keeps it */
#define LOWER "/minivmm/lower" /* the host's directory */
#define ROOT  "/minivmm/root"

static int layer = -1; /* kept open, because it has no name in the new root */

static const char *what(const char *fmt, const char *name)
{
	static char text[256];

	snprintf(text, sizeof(text), fmt, name);
	return text;
}

/* Works like mkdir -p. Each lookup may be a question to the host, so it asks for nothing that
 * mkdir() tells by itself. */
static int make_directory(const char *path)
{
	char part[4096];
	size_t len = strlen(path);

	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT || len >= sizeof(part))
		return -1;
	memcpy(part, path, len + 1);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : -1;
}

static int mount_at(const char *source, const char *path, const char *type, unsigned long flags,
		    const char *options)
{
	if (mount(source, path, type, flags, options) == 0)
		return 0;
	if (errno != ENOENT || make_directory(path) < 0)
		return -1;
	return mount(source, path, type, flags, options);
}

const char *mount_early(void)
{
	/* This is for /dev/kmsg, where messages go before there is a connection. */
	return mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") < 0 ? "mount /dev"
										    : NULL;
}

/* Options of overlayfs whose defaults are wrong for us, or differ from kernel to kernel:
 *
 * redirect_dir=on: a directory of the host's can be renamed. Without it, that fails with EXDEV,
 * which git, npm and others don't expect within one file system.
 *
 * metacopy=on: chmod, chown and touch don't copy a file's contents, which would fill the layer.
 *
 * xino=on: a file has the device number of the directory that it is in, as tar --one-file-system
 * expects. In return, inode numbers have 64 bits.
 *
 * index=off, and with it nfs_export: it would keep hard links of the host's together. But it
 * identifies a file by a handle, which virtiofs changes when it has forgotten the file: then it
 * returns ESTALE.
 *
 * userxattr is left out: init is root, so overlayfs keeps its notes in trusted.*, and programs have
 * user.* (on tmpfs, from Linux 6.6 on).
 *
 * volatile: nothing outlives the guest, so nothing needs to be synced. (Since Linux 5.10.) */
static int mount_overlay(void)
{
	/* If a kernel doesn't know all of a line's options, the next line is tried. */
	static const char *const options[] = {
		"volatile,redirect_dir=on,metacopy=on,xino=on,index=off",
		"redirect_dir=on,metacopy=on,xino=on,index=off",
		"redirect_dir=on",
	};
	char text[256];

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		snprintf(text, sizeof(text),
			 "lowerdir=" LOWER ",upperdir=" LAYER "/upper,workdir=" LAYER "/work,%s",
			 options[i]);
		if (mount_at("root", ROOT, "overlay", 0, text) == 0)
			return 0;
		if (errno != EINVAL)
			return -1;
	}
	return -1;
}

static const char *mount_layers(const struct orders *o)
{
	char options[64];

	snprintf(options, sizeof(options), "mode=0755,size=%s", o->overlay);
	if (mount_at(o->root, LOWER, "virtiofs", MS_RDONLY, NULL) < 0)
		return "the root's file system (does the kernel have virtiofs?)";
	if (mount_at("overlay", LAYER, "tmpfs", 0, options) < 0 ||
	    mkdir(LAYER "/upper", 0755) < 0 || mkdir(LAYER "/work", 0755) < 0)
		return "the layer over the root";
	layer = open(LAYER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mount_overlay() < 0)
		return "the layer over the root (does the kernel have overlayfs?)";
	return NULL;
}

const char *mount_root(const struct orders *o)
{
	const char *wrong = mount_layers(o);

	if (wrong)
		return wrong;
	if (chdir(ROOT) < 0 || mount("/dev", "dev", NULL, MS_MOVE, NULL) < 0) {
		if (errno != ENOENT || mkdir("dev", 0755) < 0 ||
		    mount("/dev", "dev", NULL, MS_MOVE, NULL) < 0)
			return "/dev in the root";
	}
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return "the step into the root";
	return NULL;
}

/* Makes an empty file to mount something on, and the directories that it is in. */
static int make_file(const char *path)
{
	char directory[4096];
	const char *name = strrchr(path, '/');
	int fd;

	snprintf(directory, sizeof(directory), "%.*s", (int)(name - path), path);
	if (*directory && make_directory(directory) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : close(fd);
}

/* Mounts the share's root out of sight for a moment, and binds the file in it to its place. */
static int mount_file(const struct orders_share *s)
{
	static const char stage[] = "/dev/.minivmm", file[] = "/dev/.minivmm/" GUEST_SHARE_FILE;
	int rc, error;

	if (mount_at(s->tag, stage, "virtiofs", s->writable ? 0 : MS_RDONLY, NULL) < 0)
		return -1;
	rc = mount(file, s->path, NULL, MS_BIND, NULL);
	if (rc < 0 && errno == ENOENT && make_file(s->path) == 0)
		rc = mount(file, s->path, NULL, MS_BIND, NULL);
	error = errno;
	umount2(stage, MNT_DETACH);
	rmdir(stage);
	errno = error;
	return rc;
}

const char *mount_shares(const struct orders *o)
{
	for (size_t i = 0; i < o->nr_shares; i++) {
		const struct orders_share *s = &o->share[i];

		if ((s->file ? mount_file(s)
			     : mount_at(s->tag, s->path, "virtiofs", s->writable ? 0 : MS_RDONLY,
					NULL)) < 0)
			return what("the share at %s", s->path);
	}
	return NULL;
}

/* Opens those devices to everybody that udev does. All others keep the kernel's modes: for root
 * alone, or the same as udev's. */
static void open_devices(void)
{
	static const char *const device[] = { "/dev/fuse", "/dev/vsock", "/dev/net/tun" };

	for (size_t i = 0; i < sizeof(device) / sizeof(device[0]); i++)
		if (chmod(device[i], 0666) < 0 && errno != ENOENT)
			return;
}

const char *mount_all(void)
{
	static const struct {
		const char *path, *type;
		unsigned long flags;
		const char *options;
	} table[] = {
		{ "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5" },
		{ "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
		{ "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755" },
	};
	static const struct {
		const char *path, *target;
	} link[] = {
		{ "/dev/fd", "/proc/self/fd" },
		{ "/dev/stdin", "/proc/self/fd/0" },
		{ "/dev/stdout", "/proc/self/fd/1" },
		{ "/dev/stderr", "/proc/self/fd/2" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (mount_at(table[i].type, table[i].path, table[i].type, table[i].flags,
			     table[i].options) < 0)
			return what("mount %s", table[i].path);
	for (size_t i = 0; i < sizeof(link) / sizeof(link[0]); i++)
		if (symlink(link[i].target, link[i].path) < 0 && errno != EEXIST)
			return what("%s", link[i].path);
	open_devices();
	if (mkdir("/run/lock", 01777) < 0 || chmod("/run/lock", 01777) < 0)
		return "/run/lock";
	return NULL;
}

bool overlay_full(void)
{
	struct statfs s;

	/* That is less than any file takes. */
	return layer >= 0 && fstatfs(layer, &s) == 0 && s.f_blocks && s.f_bavail < 16;
}
