/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives memory up to a balloon, takes it back, and reports it as free. Parameters:
 *   op=inflate|deflate   256 pages a request, as Linux does
 *   op=report   pages=N in a range, and 32 ranges a request, as Linux does
 *   op=touch    nothing is asked of the balloon: what it costs to touch what was given up
 *   order=up|down|random   of the pages of inflate: as they lie in memory, the other way round, or
 *                          all over it
 *   size=BYTES  so much in a repetition; its pages are in use before
 *   runs=N      repetitions, after one that isn't counted
 * Prints "cycles N" for each repetition: cycles a page; with op=report, a range.
 */
#include "virtio.h"

enum { INFLATE, DEFLATE, REPORT = 3, QUEUES };

#define F_STATS     (1ull << 1) /* otherwise it isn't clear which number the queue of reports has */
#define F_REPORTING (1ull << 5)
#define PAGE        4096u
#define PER_REQUEST 256u
#define RANGES      32u

static struct device balloon;
static struct queue queue[QUEUES];
static uint8_t *memory;
static uint32_t *pages; /* their numbers, in the order in which they are given up */
static struct {
	uint64_t nr, range;
	bool inflate, deflate, report;
} work;

static void number_pages(void)
{
	const bool down = param_is("order", "down");

	for (uint64_t i = 0; i < work.nr; i++)
		pages[i] = (uint32_t)((uintptr_t)memory / PAGE + (down ? work.nr - 1 - i : i));
	for (uint64_t i = work.nr; param_is("order", "random") && i > 1; i--) {
		const uint64_t other = random_next() % i;
		const uint32_t page = pages[i - 1];

		pages[i - 1] = pages[other];
		pages[other] = page;
	}
}

static void touch(void)
{
	for (uint64_t i = 0; i < work.nr; i++)
		*(volatile uint8_t *)(memory + i * PAGE) = 1;
}

static void wait_for(struct queue *q)
{
	queue_kick(q);
	queue_wait(q, NULL);
}

static void tell(struct queue *q)
{
	for (uint64_t i = 0; i < work.nr; i += PER_REQUEST) {
		const uint64_t n = work.nr - i < PER_REQUEST ? work.nr - i : PER_REQUEST;

		queue_add(q, &(struct piece){ pages + i, (uint32_t)(n * sizeof(*pages)) }, 1, 0, q);
		wait_for(q);
	}
}

static void report_free(struct queue *q)
{
	const uint32_t len = (uint32_t)(work.range * PAGE);

	for (uint64_t i = 0; i < work.nr;) {
		struct piece p[RANGES];
		unsigned n = 0;

		for (; n < RANGES && i < work.nr; i += work.range)
			p[n++] = (struct piece){ memory + i * PAGE, len };
		queue_add(q, p, 0, n, q);
		wait_for(q);
	}
}

/* What was given up must read as zeroes afterwards. */
static void expect_given_up(void)
{
	for (uint64_t i = 0; i < work.nr; i++)
		expect("page that was given up", memory[i * PAGE], 0);
}

static void repetition(bool counts)
{
	uint64_t start;

	touch();
	if (work.deflate)
		tell(&queue[INFLATE]);
	start = tsc();
	if (work.report)
		report_free(&queue[REPORT]);
	else
		tell(&queue[work.deflate ? DEFLATE : INFLATE]);
	if (!work.inflate && !work.deflate && !work.report) {
		start = tsc();
		touch();
	}
	if (counts)
		report("cycles", (tsc() - start) / (work.report ? work.nr / work.range : work.nr));
	if (work.inflate || work.report)
		expect_given_up();
}

static void take_parameters(void)
{
	work.inflate = param_is("op", "inflate");
	work.deflate = param_is("op", "deflate");
	work.report = param_is("op", "report");
	work.nr = param("size", 32 << 20) / PAGE;
	work.range = param("pages", 512);
	if (!work.nr || !work.range || work.nr % work.range)
		fail("parameters");
}

void guest(void)
{
	take_parameters();
	device_find(&balloon, VIRTIO_BALLOON, 0);
	device_start(&balloon, F_STATS | F_REPORTING);
	queue_init(&balloon, &queue[INFLATE], INFLATE, QUEUE_MAX);
	queue_init(&balloon, &queue[DEFLATE], DEFLATE, QUEUE_MAX);
	if (work.report)
		queue_init(&balloon, &queue[REPORT], REPORT, QUEUE_MAX);
	device_live(&balloon);
	pages = alloc(work.nr * sizeof(*pages));
	memory = alloc(work.nr * PAGE);
	number_pages();
	for (uint64_t i = param("runs", 5) + 1; i-- > 0;)
		repetition(i < param("runs", 5));
	finish();
}
