/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * requests: lists the kinds of requests.
 * requests KIND NUMBER: makes requests of that kind, for callgrind: NUMBER of them to warm up, as
 * many again, then twice as many. After each of these three it calls end_of_round(), before which
 * callgrind is to write a profile. Exit status 77: this host can't.
 */
#include <stdio.h>
#include <sys/epoll.h>

#include "count.h"

static const struct kind *const lists[] = { virtq_kinds, blk_kinds,     net_kinds,    vsock_kinds,
					    fs_kinds,    console_kinds, serial_kinds, loop_kinds };

void end_of_round(void);
__attribute__((noinline)) void end_of_round(void)
{
	__asm__ volatile("");
}

__attribute__((noinline)) void counted_kick(struct driver *d, unsigned i)
{
	driver_kick(d, i);
}

void counted_event(struct loop_source *src, uint32_t events);
__attribute__((noinline)) void counted_event(struct loop_source *src, uint32_t events)
{
	src->fn(src, events);
}

void turn_loop(struct loop *l)
{
	struct epoll_event ev;

	while (epoll_wait(l->epoll_fd, &ev, 1, 0) == 1)
		counted_event(ev.data.ptr, ev.events);
}

__attribute__((noinline)) void uncounted_stop(struct loop *l)
{
	loop_stop(l);
}

static __attribute__((noinline)) void uncounted_rearm(struct loop *l)
{
	loop_rearm(l);
}

__attribute__((noinline)) void counted_loop(struct loop *l)
{
	must(loop_run(l) == 0);
	uncounted_rearm(l);
}

__attribute__((noinline)) void counted_write(struct bus *b, uint64_t addr, uint8_t value)
{
	must(bus_write(b, addr, 1, value));
}

__attribute__((noinline)) uint8_t counted_read(struct bus *b, uint64_t addr)
{
	return (uint8_t)bus_read(b, addr, 1, NULL);
}

__attribute__((noinline)) void counted_virtq(struct virtq *q)
{
	struct virtq_chain c;

	must(virtq_begin(q) > 0);
	while (virtq_pop(q, &c) > 0)
		virtq_push(q, c.head, 0);
	must(virtq_wants_interrupt(q));
	must(!virtq_want_kick(q));
}

static void list(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		for (const struct kind *k = lists[i]; k->name; k++)
			printf("%s\n", k->name);
}

static const struct kind *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		for (const struct kind *k = lists[i]; k->name; k++)
			if (!strcmp(k->name, name))
				return k;
	return NULL;
}

static void requests(const struct kind *k, unsigned nr)
{
	for (unsigned i = 0; i < nr; i += k->batch)
		k->ask(k->batch);
	end_of_round();
}

int main(int argc, char **argv)
{
	/* From here down the stack lies at the same place of a page in each run, however long the
	 * arguments and the environment above it are. Functions such as memcpy() depend on that. */
	_Alignas(4096) volatile char place = 0;
	const struct kind *k = argc == 3 ? find(argv[1]) : NULL;
	const unsigned nr = argc == 3 ? (unsigned)atoi(argv[2]) : 0;

	(void)place;
	if (argc == 1)
		list();
	if (!k)
		return argc == 1 ? 0 : 2;
	if (!k->up())
		return 77;
	requests(k, nr);
	requests(k, nr);
	requests(k, 2 * nr);
	if (k->down)
		k->down();
	return 0;
}
