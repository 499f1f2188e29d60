/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/disk/image_lock.h"

#include <errno.h>
#include <fcntl.h>

/* Two monitors that write to one image destroy it; QEMU locks its images in a way that this sees,
 * too. The lock of an open file description has no owner, so the kernel can't say which process
 * holds it, and neither can the message. */
static int try_lock(int fd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static bool is_locked(int fd, off_t byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* A writer locks the whole file. A reader uses the bytes by which QEMU's block/file-posix.c says
 * what it does (from 100 on) and what it forbids others (from 200 on): 0 for reading, 1 writing, 3
 * changing the size. So an image may have readers of both kinds at once. */
int image_lock(int fd, bool readonly)
{
	static const off_t ours[] = { 100, 201, 203 }, theirs[] = { 101, 103, 200 };
	int rc = 0;

	if (!readonly)
		return try_lock(fd, F_WRLCK, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ours) && rc == 0; i++)
		rc = try_lock(fd, F_RDLCK, ours[i], 1);
	for (size_t i = 0; i < ARRAY_SIZE(theirs) && rc == 0; i++)
		rc = is_locked(fd, theirs[i]) ? -EBUSY : 0;
	return rc;
}

void image_release(int *fd)
{
	if (*fd >= 0)
		(void)!try_lock(*fd, F_UNLCK, 0, 0);
	close_fd(fd);
}
