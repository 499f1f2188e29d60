/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last close of a VM waits for several grace periods of the host's kernel, one after the other:
 * 15 ms on an idle machine. An io_uring keeps files of its own (io_uring_register(2)), and a worker
 * of the kernel takes the ring down some time after its descriptor is closed, and lets go of these
 * files then. So a ring that is made for nothing else takes the file along.
 *
 * It is plain system calls, because builds without liburing close VMs, too.
 */
#include "kvm/late_close.h"

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/types.h"

void late_close(int *fd)
{
	struct io_uring_params p = { 0 };
	int ring = *fd < 0 ? -1 : (int)syscall(SYS_io_uring_setup, 1, &p);

	if (ring >= 0) /* if it fails, close_fd() waits */
		(void)!syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, fd, 1);
	close_fd(fd);
	close_fd(&ring);
}
