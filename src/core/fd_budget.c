/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/fd_budget.h"

#include <limits.h>
#include <sys/resource.h>

#define FEW 8u /* a share may always have as many as this */
/* No share has more, whatever RLIMIT_NOFILE is: each costs the host's kernel memory. */
#define MOST (64 * KIB)

uint64_t fd_budget_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : limit.rlim_cur;
}

void fd_budget_init(struct fd_budget *b, uint64_t limit)
{
	limit = min(limit, (uint64_t)INT_MAX);
	*b = (struct fd_budget){
		.all = (unsigned)min(limit / 4, MOST),
		.ceiling = (unsigned)(limit - limit / 8),
	};
}

void fd_share_init(struct fd_share *s, struct fd_budget *b, const char *what, unsigned most)
{
	*s = (struct fd_share){ .budget = b, .what = what, .most = most };
	if (b)
		b->nr_shares++;
}

/* Returns how many each share has for itself. */
static unsigned own(const struct fd_budget *b)
{
	return b->all / 2 / b->nr_shares;
}

bool fd_share_room(const struct fd_share *s, unsigned nr)
{
	const struct fd_budget *b = s->budget;
	unsigned common;

	if (nr > s->most || s->taken > s->most - nr)
		return false;
	if (!b || s->taken + nr <= min(own(b), FEW))
		return true;
	if (s->high || s->taken + nr <= own(b))
		return !s->high;
	common = s->taken + nr - max(s->taken, own(b));
	return __atomic_load_n(&b->common, __ATOMIC_RELAXED) + common <= b->all / 2;
}

void fd_share_take(struct fd_share *s, int fd)
{
	struct fd_budget *b = s->budget;

	s->taken++;
	if (!b)
		return;
	s->high = (unsigned)fd >= b->ceiling;
	if (s->taken <= own(b))
		return;
	s->borrowed++;
	__atomic_add_fetch(&b->common, 1, __ATOMIC_RELAXED);
}

void fd_share_give(struct fd_share *s, unsigned nr)
{
	const unsigned back = min(nr, s->borrowed);

	s->taken -= nr;
	s->borrowed -= back;
	if (back)
		__atomic_sub_fetch(&s->budget->common, back, __ATOMIC_RELAXED);
	s->high = false;
	if (s->taken <= s->said / 2)
		s->said = 0;
}

void fd_share_refused(struct fd_share *s)
{
	if (s->said)
		return;
	s->said = s->taken + 1;
	if (s->taken >= s->most)
		guest_err(
			&s->log,
			"%s: %u descriptors are in use, which is the most: what needs another is refused until some are free",
			s->what, s->taken);
	else
		guest_err(
			&s->log,
			"%s: %u descriptors are in use, all that it may have of this process's: what needs another is refused until some are free; ulimit -n, before minivmm starts, raises the limit",
			s->what, s->taken);
}
