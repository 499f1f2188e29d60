/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/event.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

void event_signal(int fd)
{
	const uint64_t one = 1;

	/* EAGAIN means that 2^64 - 2 signals are pending, which is as good as one. */
	if (write(fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

bool event_take(int fd)
{
	uint64_t nr;
	struct iovec iov = { &nr, sizeof(nr) };
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP) /* before Linux 5.9 */
		n = read(fd, &nr, sizeof(nr));
	return n == sizeof(nr);
}
