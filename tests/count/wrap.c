/* SPDX-License-Identifier: BSD-2-Clause */
/* What would be different each time, or under valgrind. */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>

int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __real_fstatfs64(int fd, struct statfs *s);
int __wrap_fstatfs64(int fd, struct statfs *s);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
long __real_syscall(long nr, long x1, long x2, long x3, long x4, long x5, long x6);
long __wrap_syscall(long nr, long x1, long x2, long x3, long x4, long x5, long x6);

/* Under valgrind the real clock is a system call, and a round would be over after a few requests.
 * This one goes on by a microsecond each time. */
int __wrap_clock_gettime(clockid_t id __attribute__((unused)), struct timespec *t)
{
	static unsigned long now = 1000000;

	now++;
	t->tv_sec = (time_t)(now / 1000000);
	t->tv_nsec = (long)(now % 1000000) * 1000;
	return 0;
}

/* A disk in memory passes for one on ext4 that is wholly in the page cache. There RWF_NOWAIT always
 * finds the data; on a tmpfs it doesn't, with some kernels. */
int __wrap_fstatfs64(int fd, struct statfs *s)
{
	int rc = __real_fstatfs64(fd, s);

	s->f_type = EXT4_SUPER_MAGIC;
	return rc;
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	if (off == -1) /* an eventfd, which doesn't wait either */
		return readv(fd, iov, nr);
	return flags & ~RWF_NOWAIT ? -1 : preadv(fd, iov, nr, off);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	return flags & ~RWF_NOWAIT ? -1 : pwritev(fd, iov, nr, off);
}

/* Valgrind 3.19 doesn't know openat2(2). */
long __wrap_syscall(long nr, long x1, long x2, long x3, long x4, long x5, long x6)
{
	const struct open_how *how = (const void *)x3;

	if (nr == SYS_openat2)
		return openat((int)x1, (const char *)x2, (int)how->flags, (mode_t)how->mode);
	return __real_syscall(nr, x1, x2, x3, x4, x5, x6);
}
