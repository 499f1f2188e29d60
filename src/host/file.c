/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "backend/kept.h"
#include "vmm/log.h"

/* The limit is larger than any kernel or initrd. It keeps a huge file from filling the host's
 * memory. */
#define FILE_MAX (4 * GIB)

int file_alloc(struct file *f, size_t len)
{
	/* The pages are populated at once: a page fault for every 4 KiB takes longer than the
	 * copying. */
	void *data = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (data == MAP_FAILED)
		return -errno;
	*f = (struct file){ .data = data, .len = len };
	return 0;
}

int file_read_at(int fd, uint8_t *data, size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		const ssize_t n = pread(fd, data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

int file_load(struct file *f, int fd, const struct stat *st, const char *option, const char *path)
{
	int rc;

	if (file_alloc(f, (size_t)st->st_size) < 0)
		return log_errno("%s %s: %lld bytes of memory", option, path,
				 (long long)st->st_size);
	rc = file_read_at(fd, f->data, f->len, 0);
	if (rc == -ENODATA)
		return log_ret(-EIO, "%s %s: became shorter while it was read", option, path);
	errno = -rc;
	return rc < 0 ? log_errno("%s %s: read", option, path) : 0;
}

/* Opens what was kept, or path. */
static int open_kept(const char *option, const char *path, struct kept *kept)
{
	AUTO_CLOSE int fd = kept_open(kept, 0);

	if (fd != -ENOENT)
		return fd < 0 ? log_errno("%s %s", option, path) : take_fd(&fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return log_errno("%s %s", option, path);
	if (kept_keep(kept, 0, fd, path) < 0)
		return -EMFILE;
	return take_fd(&fd);
}

int file_open(const char *option, const char *path, struct kept *kept, struct stat *st)
{
	AUTO_CLOSE int fd = open_kept(option, path, kept);

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		return log_errno("%s %s", option, path);
	if (!S_ISREG(st->st_mode))
		return log_ret(-EINVAL, "%s %s: is %s; it takes a file", option, path,
			       S_ISDIR(st->st_mode) ? "a directory" : "a device, pipe or socket");
	if (st->st_size == 0)
		return log_ret(-EINVAL, "%s %s: is empty", option, path);
	if ((uint64_t)st->st_size > FILE_MAX)
		return log_ret(-EFBIG, "%s %s: is larger than %llu GiB", option, path,
			       FILE_MAX / GIB);
	return take_fd(&fd);
}

int file_read(struct file *f, const char *option, const char *path, struct kept *kept)
{
	struct stat st;
	AUTO_CLOSE int fd = file_open(option, path, kept, &st);

	*f = (struct file){ 0 };
	return fd < 0 ? fd : file_load(f, fd, &st, option, path);
}

void file_free(struct file *f)
{
	if (f->data)
		munmap(f->data, f->len);
	*f = (struct file){ 0 };
}
