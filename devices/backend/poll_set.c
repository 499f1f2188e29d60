/* SPDX-License-Identifier: BSD-2-Clause */
#include "poll_set.h"

#include <errno.h>
#include <stdlib.h>

int poll_set_init(struct poll_set *s)
{
	*s = (struct poll_set){ .fd = epoll_create1(EPOLL_CLOEXEC) };
	return s->fd < 0 ? -errno : 0;
}

void poll_set_destroy(struct poll_set *s)
{
	close_fd(&s->fd);
	free(s->entry);
	s->entry = NULL;
	s->nr = 0;
}

/* The entry of a descriptor, or NULL when memory is short. */
static struct poll_entry *entry_of(struct poll_set *s, int fd)
{
	const size_t nr = max((size_t)64, 2 * (size_t)fd);

	if ((size_t)fd >= s->nr) {
		struct poll_entry *more = reallocarray(s->entry, nr, sizeof(*more));

		if (!more)
			return NULL;
		memset(more + s->nr, 0, (nr - s->nr) * sizeof(*more));
		s->entry = more;
		s->nr = nr;
	}
	return &s->entry[fd];
}

static bool known(const struct poll_set *s, int fd)
{
	return fd >= 0 && (size_t)fd < s->nr;
}

static int set_ctl(struct poll_set *s, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(s->fd, op, fd, &ev);
}

void poll_set_forget(struct poll_set *s, int fd)
{
	if (known(s, fd))
		s->entry[fd] = (struct poll_entry){ 0 };
}

void poll_set_remove(struct poll_set *s, int fd)
{
	if (known(s, fd) && s->entry[fd].armed)
		(void)set_ctl(s, EPOLL_CTL_DEL, fd, 0);
	poll_set_forget(s, fd);
}

void poll_set_begin(struct poll_set *s)
{
	for (size_t i = 0; i < s->nr; i++)
		s->entry[i].wanted = 0;
}

bool poll_set_want(struct poll_set *s, int fd, uint32_t events)
{
	struct poll_entry *e = entry_of(s, fd);

	if (e)
		e->wanted |= events;
	return e;
}

/* A descriptor of which nothing is wanted must leave the set, or a hang-up there would keep the
 * loop busy. */
static void update(struct poll_set *s, int fd)
{
	struct poll_entry *e = &s->entry[fd];
	int rc;

	if (e->wanted == e->armed)
		return;
	if (!e->wanted)
		rc = set_ctl(s, EPOLL_CTL_DEL, fd, 0);
	else if (!e->armed)
		rc = set_ctl(s, EPOLL_CTL_ADD, fd, e->wanted);
	else
		rc = set_ctl(s, EPOLL_CTL_MOD, fd, e->wanted);
	e->armed = rc == 0 ? e->wanted : 0;
}

bool poll_set_end(struct poll_set *s)
{
	bool any = false;

	for (size_t i = 0; i < s->nr; i++) {
		update(s, (int)i);
		any |= s->entry[i].wanted != 0;
	}
	return any;
}

void poll_set_look(struct poll_set *s)
{
	struct epoll_event ev[64]; /* those that are left wait for the next round */
	int n = epoll_wait(s->fd, ev, ARRAY_SIZE(ev), 0);

	for (int i = 0; i < n; i++)
		s->entry[ev[i].data.fd].happened = ev[i].events;
}

uint32_t poll_set_happened(const struct poll_set *s, int fd)
{
	return known(s, fd) ? s->entry[fd].happened : 0;
}

void poll_set_done(struct poll_set *s)
{
	for (size_t i = 0; i < s->nr; i++)
		s->entry[i].happened = 0;
}
