/* SPDX-License-Identifier: BSD-2-Clause */
/* What would be different each time, or under valgrind. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <time.h>

int __wrap_clock_gettime(clockid_t id, struct timespec *t);
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

/* Valgrind 3.19 doesn't know openat2(2). */
long __wrap_syscall(long nr, long x1, long x2, long x3, long x4, long x5, long x6)
{
	const struct open_how *how = (const void *)x3;

	if (nr == SYS_openat2)
		return openat((int)x1, (const char *)x2, (int)how->flags, (mode_t)how->mode);
	return __real_syscall(nr, x1, x2, x3, x4, x5, x6);
}
