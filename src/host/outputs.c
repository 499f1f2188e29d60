/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/outputs.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Are both one open file? If the kernel won't say (it was built without kcmp(2), or a filter
 * forbids it), two that were opened apart can't be told from one until something is written to one
 * of them. */
static bool is_one_open_file(int a, int b)
{
	const long order = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);

	if (order >= 0)
		return order == 0;
	return fcntl(a, F_GETFL) == fcntl(b, F_GETFL) &&
	       lseek(a, 0, SEEK_CUR) == lseek(b, 0, SEEK_CUR);
}

static bool appends(int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_APPEND;
}

bool outputs_are_one(int a, int b)
{
	struct stat of_a, of_b;

	if (fstat(a, &of_a) < 0 || fstat(b, &of_b) < 0 || of_a.st_dev != of_b.st_dev ||
	    of_a.st_ino != of_b.st_ino)
		return false;
	if (!S_ISREG(of_a.st_mode) && !S_ISBLK(of_a.st_mode))
		return true;
	return (appends(a) && appends(b)) || is_one_open_file(a, b);
}
