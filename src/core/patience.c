/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/patience.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "vmm/event.h"
#include "vmm/log.h"

int patience_init(struct patience *p)
{
	*p = (struct patience){ .lost_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	return p->lost_fd < 0 ? log_errno("eventfd") : 0;
}

void patience_destroy(struct patience *p)
{
	close_fd(&p->lost_fd);
}

void patience_begin(struct patience *p, uint64_t ns)
{
	__atomic_store_n(&p->until, monotonic_ns() + ns, __ATOMIC_RELAXED);
}

void patience_renew(struct patience *p)
{
	__atomic_store_n(&p->until, 0, __ATOMIC_RELAXED);
}

void patience_lose(struct patience *p)
{
	event_signal(p->lost_fd);
}

/* Returns how long it lasts. UINT64_MAX: it has no end. */
static uint64_t left_ns(const struct patience *p)
{
	const uint64_t until = p ? __atomic_load_n(&p->until, __ATOMIC_RELAXED) : 0;
	const uint64_t now = monotonic_ns();

	if (!until)
		return UINT64_MAX;
	return until > now ? until - now : 0;
}

bool patience_over(const struct patience *p)
{
	struct pollfd lost = { .fd = p ? p->lost_fd : -1, .events = POLLIN };

	return left_ns(p) == 0 || poll(&lost, 1, 0) > 0;
}

int patience_poll(const struct patience *p, struct pollfd *fd, int timeout_ms)
{
	struct pollfd both[] = { *fd, { .fd = p ? p->lost_fd : -1, .events = POLLIN } };
	const uint64_t left = left_ns(p);
	int rc;

	if (left == 0)
		return 0;
	if (left != UINT64_MAX)
		timeout_ms = (int)min((uint64_t)timeout_ms, left / 1000000 + 1);
	rc = poll(both, 2, timeout_ms);
	fd->revents = both[0].revents;
	return rc > 0 ? both[0].revents && !both[1].revents : rc;
}
