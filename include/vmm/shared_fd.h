/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An eventfd that a process which we don't trust holds as well. Its O_NONBLOCK flag and its count
 * belong to the open file description, and so to that process as much as to us: a read(2) or
 * write(2) of it may wait for ever. So we do neither, and no function here does. Its number is only
 * handed on: to that process, to KVM (ioeventfd and irqfd signal and empty it without waiting), and
 * to an edge-triggered epoll, which needs no read.
 *
 * All zeroes: it is not open.
 */
#pragma once

#include <errno.h>
#include <sys/eventfd.h>

#include "vmm/types.h"

struct shared_fd {
	int after; /* the descriptor plus one; 0: not open */
};

static inline bool shared_fd_is_open(const struct shared_fd *s)
{
	return s->after > 0;
}

/* Makes a new one with that count. Returns 0; or -errno, not logged, and then it is not open. */
static inline int __must_check shared_fd_open(struct shared_fd *s, unsigned count)
{
	s->after = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK) + 1;
	return s->after > 0 ? 0 : -errno;
}

static inline void shared_fd_close(struct shared_fd *s)
{
	int fd = s->after - 1;

	close_fd(&fd);
	s->after = 0;
}

/* Returns the descriptor, for SCM_RIGHTS, KVM and EPOLLET. */
static inline int shared_fd_hand_on(const struct shared_fd *s)
{
	return s->after - 1;
}
