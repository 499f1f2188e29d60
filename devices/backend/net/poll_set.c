/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/poll_set.h"

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
	free(s->place);
	*s = (struct poll_set){ .fd = -1 };
}

/* Grows *array, which has *nr elements of that size, to at least least elements. False: out of
 * memory. */
static bool grow(void **array, size_t *nr, size_t size, size_t least)
{
	const size_t fresh = max((size_t)64, 2 * least);
	uint8_t *more;

	if (least <= *nr)
		return true;
	more = reallocarray(*array, fresh, size);
	if (!more)
		return false;
	memset(more + *nr * size, 0, (fresh - *nr) * size);
	*array = more;
	*nr = fresh;
	return true;
}

/* The entry of a descriptor, or NULL. */
static struct poll_entry *find(const struct poll_set *s, int fd)
{
	const uint32_t at = fd >= 0 && (size_t)fd < s->nr_places ? s->place[fd] : 0;

	return at ? &s->entry[at - 1] : NULL;
}

/* The same, but makes one if there is none; NULL: out of memory. */
static struct poll_entry *entry_of(struct poll_set *s, int fd)
{
	struct poll_entry *e = find(s, fd);

	if (e)
		return e;
	if (!grow((void **)&s->place, &s->nr_places, sizeof(*s->place), (size_t)fd + 1) ||
	    !grow((void **)&s->entry, &s->room, sizeof(*s->entry), s->nr + 1))
		return NULL;
	e = &s->entry[s->nr++];
	*e = (struct poll_entry){ .fd = fd };
	s->place[fd] = (uint32_t)s->nr;
	return e;
}

/* The last entry moves to its place. */
static void drop(struct poll_set *s, struct poll_entry *e)
{
	const struct poll_entry *last = &s->entry[--s->nr];

	s->place[last->fd] = s->place[e->fd];
	s->place[e->fd] = 0;
	*e = *last;
}

static int set_ctl(struct poll_set *s, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(s->fd, op, fd, &ev);
}

void poll_set_forget(struct poll_set *s, int fd)
{
	struct poll_entry *e = find(s, fd);

	if (e)
		drop(s, e);
}

void poll_set_remove(struct poll_set *s, int fd)
{
	const struct poll_entry *e = find(s, fd);

	if (e && e->armed)
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

/* A descriptor of which nothing is wanted must leave the set; otherwise a hang-up there would keep
 * the loop busy. */
static void update(struct poll_set *s, struct poll_entry *e)
{
	int rc;

	if (e->wanted == e->armed)
		return;
	if (!e->wanted)
		rc = set_ctl(s, EPOLL_CTL_DEL, e->fd, 0);
	else if (!e->armed)
		rc = set_ctl(s, EPOLL_CTL_ADD, e->fd, e->wanted);
	else
		rc = set_ctl(s, EPOLL_CTL_MOD, e->fd, e->wanted);
	e->armed = rc == 0 ? e->wanted : 0;
}

bool poll_set_end(struct poll_set *s)
{
	bool any = false;

	for (size_t i = s->nr; i-- > 0;) {
		struct poll_entry *e = &s->entry[i];

		update(s, e);
		any |= e->wanted != 0;
		if (!e->wanted)
			drop(s, e);
	}
	return any;
}

bool poll_set_look(struct poll_set *s)
{
	struct epoll_event ev[64]; /* events beyond these wait for the next round */
	int n = epoll_wait(s->fd, ev, ARRAY_SIZE(ev), 0);

	for (int i = 0; i < n; i++) {
		struct poll_entry *e = find(s, ev[i].data.fd);

		if (e)
			e->happened = ev[i].events;
	}
	return n > 0;
}

uint32_t poll_set_happened(const struct poll_set *s, int fd)
{
	const struct poll_entry *e = find(s, fd);

	return e ? e->happened : 0;
}

void poll_set_done(struct poll_set *s)
{
	for (size_t i = 0; i < s->nr; i++)
		s->entry[i].happened = 0;
}
