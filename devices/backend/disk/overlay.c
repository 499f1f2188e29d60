/* SPDX-License-Identifier: BSD-2-Clause */
/* The overlay of a disk: a qcow2 file that takes the writes, whose base is only read. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "backend/disk/disk_impl.h"
#include "backend/disk/image_lock.h"
#include "backend/disk/qcow2.h"
#include "backend/disk/quoted.h"
#include "vmm/log.h"

/* An overlay that is being put on a disk. */
struct overlay {
	const struct disk_options *o;
	const char *name; /* for messages: "BASE,overlay=FILE" */
	char *directory;  /* the directory of the file */
	int fd;
	bool is_new;
	bool is_kept; /* from the guest's life before this one: it needs no checks */
};

static const char *format_name(const struct disk_options *o)
{
	return o->format == DISK_QCOW2 ? "qcow2" : "raw";
}

/* Returns the directory of path, which the caller frees; NULL: out of memory. */
static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int failed(const struct overlay *v, int rc, const char *what)
{
	return log_ret(rc, "--disk %s: %s: %s", v->name, what, strerrordesc_np(-rc));
}

/* -- a new one ------------------------------------------------------------------------------- */

/* Fills *info, whose size is set already, with what a new overlay says of itself. */
static int describe(const struct overlay *v, struct qcow2_info *info)
{
	char *base = realpath(v->o->path, NULL);

	if (!base)
		return failed(v, -errno, "the base's path");
	if (strlen(base) > QCOW2_MAX_NAME) {
		free(base);
		return failed(v, -ENAMETOOLONG, "the base's path");
	}
	strcpy(info->backing, base);
	strcpy(info->backing_format, format_name(v->o));
	free(base);
	return info->size > QCOW2_MAX_SIZE ? failed(v, -EFBIG, "can't make the overlay") : 0;
}

static int write_new(struct overlay *v, uint64_t size)
{
	struct qcow2_info info = { .size = size };
	int rc = describe(v, &info);

	if (rc < 0)
		return rc;
	rc = qcow2_create(v->fd, &info);
	return rc < 0 ? failed(v, rc, "can't make the overlay") : 0;
}

static const char *temp_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

static int no_temp(const struct overlay *v, const char *dir, int rc)
{
	return log_ret(
		rc,
		"--disk %s: no temporary file in %s: %s (set TMPDIR to a directory that you may write to)",
		v->name, dir, strerrordesc_np(-rc));
}

/* A dry run makes none, and says why a run couldn't. */
static int try_new(const struct overlay *v, uint64_t size)
{
	const char *dir = v->o->temp ? temp_dir() : v->directory;
	AUTO_CLOSE int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct qcow2_info info = { .size = size };

	if (fd < 0 || faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0)
		return v->o->temp ? no_temp(v, dir, -errno)
				  : failed(v, -errno, "the overlay's directory");
	return describe(v, &info);
}

/* A file without a name disappears with its last descriptor. It is not silently put in memory
 * (memfd, shm), as an overlay may become as large as its base. */
static int open_temp(struct overlay *v)
{
	const char *dir = temp_dir();
	char path[4096];
	struct statfs fs;

	v->fd = open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	if (v->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		snprintf(path, sizeof(path), "%s/minivmm-XXXXXX", dir);
		v->fd = mkostemp(path, O_CLOEXEC);
		if (v->fd >= 0)
			unlink(path);
	}
	if (v->fd < 0)
		return no_temp(v, dir, -errno);
	if (fstatfs(v->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		log_warn(
			"--disk %s: what the guest writes takes up the host's memory: %s is a tmpfs (set TMPDIR to a directory on a disk)",
			v->name, dir);
	v->is_new = true;
	return 0;
}

/* Whoever may read the base may read an overlay of it. But its group may be another one than the
 * base's. */
static mode_t mode_of(int base_fd)
{
	struct stat st;

	return fstat(base_fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 04 ? 0644 : 0600;
}

/* The file gets its name when it is complete, so that nobody ever finds it half written; unless the
 * file system can't make files without a name. */
static int make_file(struct overlay *v, uint64_t size, int base_fd)
{
	const mode_t mode = mode_of(base_fd);
	const char *path = v->o->overlay;
	AUTO_CLOSE int dir = open(v->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char self[32];
	int rc;

	if (dir < 0)
		return failed(v, -errno, "the overlay's directory");
	v->fd = open(v->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	const bool named = v->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR);

	if (named)
		v->fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
	if (v->fd < 0)
		return failed(v, -errno, "can't make the overlay");
	v->is_new = true;
	rc = write_new(v, size);
	if (rc == 0 && (rc = image_lock(v->fd, false)) != -EBUSY)
		rc = 0; /* the file system has no locks: perhaps the base's message says so */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", v->fd);
	if (rc == 0 && fsync(v->fd) == 0 &&
	    (named || linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) &&
	    fsync(dir) == 0)
		return 0;
	if (rc == 0)
		rc = failed(v, -errno, "can't make the overlay");
	if (named)
		unlink(path);
	return rc;
}

/* -- one that is there ----------------------------------------------------------------------- */

static int open_file(struct overlay *v)
{
	struct stat st;
	int rc;

	/* A guest of an earlier run may have put a link there. */
	v->fd = open(v->o->overlay, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (v->fd < 0 && errno == ELOOP)
		return log_ret(
			-ELOOP,
			"--disk %s: the overlay is a symbolic link, which is not followed; name the file itself",
			v->name);
	if (v->fd < 0)
		return errno == ENOENT ? -ENOENT : failed(v, -errno, "the overlay");
	if (fstat(v->fd, &st) < 0)
		return failed(v, -errno, "the overlay");
	if (!S_ISREG(st.st_mode))
		return log_ret(-EINVAL, "--disk %s: the overlay is not a regular file; name one",
			       v->name);
	rc = image_lock(v->fd, false);
	if (rc == -EBUSY)
		return log_ret(
			rc,
			"--disk %s: the overlay is in use by another minivmm or given twice (each guest needs one of its own)",
			v->name);
	if (rc < 0)
		log_warn(
			"--disk %s: the overlay's file system has no locks (%s): take care that nothing else uses it",
			v->name, strerrordesc_np(-rc));
	return 0;
}

/* Says how to make the overlay's base the given one: in the user's words, not the image's. */
static const char *rebase(char *to, size_t size, const struct overlay *v)
{
	char *real = realpath(v->o->path, NULL), base[1024], file[1024];

	snprintf(to, size, "qemu-img rebase -u -F %s -b %s %s", format_name(v->o),
		 disk_quoted(base, sizeof(base), real ?: v->o->path),
		 disk_quoted(file, sizeof(file), v->o->overlay));
	free(real);
	return to;
}

/* A base that was written later is another base. The overlay is written whenever it is used. */
static void check_age(const struct overlay *v, const struct stat *base)
{
	struct stat st;

	if (!S_ISREG(base->st_mode) || fstat(v->fd, &st) < 0)
		return;
	if (base->st_mtim.tv_sec > st.st_mtim.tv_sec ||
	    (base->st_mtim.tv_sec == st.st_mtim.tv_sec &&
	     base->st_mtim.tv_nsec > st.st_mtim.tv_nsec))
		log_warn(
			"--disk %s: the base was changed after the overlay was last written: what the guest finds may make no sense",
			v->name);
}

/* The overlay's data would be nonsense over another base, or over the same one in another
 * format. */
static int check_base(const struct overlay *v, const struct qcow2_info *info, int base_fd)
{
	const char *format = format_name(v->o), *slash = *info->backing == '/' ? "" : "/";
	struct stat recorded, given;
	char path[4096 + QCOW2_MAX_NAME], how[2200];
	int n;

	if (!*info->backing)
		return log_ret(
			-EINVAL,
			"--disk %s: the overlay records no base (it is a disk of its own: give it alone, with format=qcow2)",
			v->name);
	n = snprintf(path, sizeof(path), "%s%s%s", *slash ? v->directory : "", slash,
		     info->backing);
	if (n >= (int)sizeof(path) || fstat(base_fd, &given) < 0 || stat(path, &recorded) < 0 ||
	    given.st_dev != recorded.st_dev || given.st_ino != recorded.st_ino)
		return log_ret(
			-EINVAL,
			"--disk %s: the overlay is for another base, %s (if that was moved here: %s)",
			v->name, info->backing, rebase(how, sizeof(how), v));
	if (strcmp(info->backing_format, format))
		return log_ret(
			-EINVAL,
			"--disk %s: the overlay records its base as %s, and it was given as %s (say format=, or correct it: %s)",
			v->name, *info->backing_format ? info->backing_format : "nothing", format,
			rebase(how, sizeof(how), v));
	check_age(v, &given);
	return 0;
}

/* -- both ------------------------------------------------------------------------------------ */

/* Puts the overlay in the base's place, and the base below it. The size is the overlay's: qemu-img
 * may have changed it. */
static int put_on(struct disk *d, struct overlay *v)
{
	struct qcow2_base base = { .fd = d->fd, .image = d->image, .size = d->size };
	struct qcow2_info info;
	struct qcow2 *image;
	const enum qcow2_use use = v->o->dry ? QCOW2_TRY : v->o->temp ? QCOW2_SCRATCH : QCOW2_WRITE;
	int rc = qcow2_open(&image, v->fd, v->name, use, &info);

	if (rc == 0 && !v->is_new && !v->is_kept) {
		rc = check_base(v, &info, d->fd);
		if (rc < 0)
			(void)!qcow2_close(image);
	}
	if (rc < 0)
		return rc;
	qcow2_set_base(image, &base);
	d->base_fd = d->fd;
	d->base_image = d->image;
	d->fd = take_fd(&v->fd);
	d->image = image;
	d->size = info.size;
	d->block_device = false;
	d->opt_io_size = d->discard_size = qcow2_cluster_size(image);
	return 0;
}

/* Opens the file by its name: the existing one, or a new one. */
static int open_or_make(struct overlay *v, uint64_t size, int base_fd)
{
	const struct disk_options *o = v->o;
	int rc = !o->temp ? open_file(v) : o->dry ? -ENOENT : open_temp(v);

	if (rc == 0 && v->is_new)
		rc = write_new(v, size);
	else if (rc == -ENOENT)
		rc = o->dry ? try_new(v, size) : make_file(v, size, base_fd);
	if (rc == 0 && v->fd >= 0)
		rc = kept_keep(o->kept, DISK_KEPT_OVERLAY, v->fd, v->name);
	return rc;
}

int disk_overlay(struct disk *d, const struct disk_options *o)
{
	char name[512];
	struct overlay v = { .o = o, .name = name, .fd = -1 };
	int rc;

	snprintf(name, sizeof(name), "%s,overlay=%s", o->path, o->temp ? "temp" : o->overlay);
	v.directory = dir_of(o->temp ? "" : o->overlay);
	if (!v.directory)
		return log_ret(-ENOMEM, "--disk %s: out of memory", name);
	rc = v.fd = kept_open(o->kept, DISK_KEPT_OVERLAY);
	v.is_kept = rc >= 0;
	if (rc == -ENOENT)
		rc = open_or_make(&v, d->size, d->fd);
	else if (rc < 0)
		failed(&v, rc, "the overlay");
	if (rc >= 0 && v.fd >= 0)
		rc = put_on(d, &v);
	if (kept_has(o->kept, DISK_KEPT_OVERLAY))
		close_fd(&v.fd);
	image_release(&v.fd);
	free(v.directory);
	return rc < 0 ? rc : 0;
}
