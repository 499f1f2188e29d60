/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An eventfd that a process which we don't trust has, too. Whether it blocks (O_NONBLOCK) and what
 * is in it are of the open file description, hence as much that process's as ours: a read(2) or
 * write(2) of it may wait for ever. So we do neither. There is no function here that does, and the
 * number is for handing on alone: to that process, to KVM (ioeventfd and irqfd signal and empty it
 * without waiting), and to an edge-triggered epoll, which needs no read.
 *
 * All zeroes is none.
 */
#pragma once

#include <errno.h>
#include <sys/eventfd.h>

#include "vmm/types.h"

struct shared_fd {
	int after; /* one more than the descriptor */
};

static inline bool shared_fd_is_open(const struct shared_fd *s)
{
	return s->after > 0;
}

/* A new one with that count. 0; or -errno, not logged, and then it is none. */
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

/* For SCM_RIGHTS, KVM and EPOLLET. */
static inline int shared_fd_hand_on(const struct shared_fd *s)
{
	return s->after - 1;
}
