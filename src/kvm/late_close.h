/* SPDX-License-Identifier: BSD-2-Clause */
/* Closing a file without waiting for what the host's kernel does at its last close. */
#pragma once

/* Closes *fd, if it is open, and sets it to -1. If that was the file's last descriptor, a worker of
 * the host's kernel releases the file a moment later, and neither the caller nor the end of the
 * process waits for it. Where the kernel has no io_uring for us, it is released here and now. Any
 * thread. */
void late_close(int *fd);
