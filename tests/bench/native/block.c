/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to the first disk. Parameters:
 *   op=read|write|flush|discard|id   flush: a write, and when it is done a flush; id: GET_ID, which
 *                                    costs the monitor nothing but the way there and back
 *   order=random|sequential  size=BYTES  depth=N   so many are always on their way
 *   count=N       requests in a repetition
 *   runs=N        repetitions, after one that isn't counted (warm=0: without that one)
 *   span=BYTES    the part of the disk that is used, from its beginning
 *   pause=CYCLES  before each request, not counted; only with depth=1
 *   idle=CYCLES   at the end, prints "idle 1" and waits so long without touching the device
 *   check=1       each sector that is written begins with its number, as 64 bits, and each that is
 *                 read must
 * Prints "cycles N" for each repetition: cycles a request; and "kicks N", in a thousand requests.
 */
#include "virtio.h"

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11 };
#define F_DISCARD (1ull << 13)
#define F_FLUSH   (1ull << 9)
#define SECTOR    512u

struct request {
	struct {
		uint32_t type, zero;
		uint64_t sector;
	} head;
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} range;
	uint8_t *data;
	uint8_t status;
	bool flushing;
};

static struct device disk;
static struct queue queue;
static struct request *requests;
static struct {
	uint32_t type, size;
	uint64_t count, depth, places, pause, left_out;
	bool flush, random, check;
} work;

/* Each sector of the data begins with its own number. */
static void stamp(struct request *r)
{
	for (uint32_t i = 0; i < work.size / SECTOR; i++)
		*(uint64_t *)(r->data + i * SECTOR) = r->head.sector + i;
}

static void check(const struct request *r)
{
	for (uint32_t i = 0; i < work.size / SECTOR; i++)
		expect("sector", *(uint64_t *)(r->data + i * SECTOR), r->head.sector + i);
}

static void submit(struct request *r)
{
	struct piece p[] = { { &r->head, sizeof(r->head) },
			     { r->data, work.size },
			     { &r->status, 1 } };
	bool reads = r->head.type == IN || r->head.type == GET_ID;

	r->status = 0xff;
	if (r->head.type == FLUSH)
		p[1] = p[2];
	if (r->head.type == DISCARD)
		p[1] = (struct piece){ &r->range, sizeof(r->range) };
	if (r->head.type == GET_ID)
		p[1].len = 20;
	if (!queue_add(&queue, p, r->head.type == FLUSH || reads ? 1 : 2, reads ? 2 : 1, r))
		fail("the queue is full");
}

static void spin(uint64_t cycles)
{
	for (uint64_t start = tsc(); tsc() - start < cycles;)
		relax();
}

/* The nth request. */
static void begin(struct request *r, uint64_t n)
{
	uint64_t before = tsc();
	uint64_t place = (work.random ? random_next() : n) % work.places;

	r->head.type = work.type;
	r->head.sector = work.type == GET_ID ? 0 : place * (work.size / SECTOR);
	r->range.sector = r->head.sector;
	r->range.sectors = work.size / SECTOR;
	if (work.type == DISCARD)
		r->head.sector = 0;
	if (work.check && work.type == OUT)
		stamp(r);
	spin(work.pause);
	work.left_out += work.pause ? tsc() - before : 0;
	submit(r);
}

/* Whether the request is done: a write may need its flush first. */
static bool finished(struct request *r)
{
	if (r->status != 0)
		fail("status of a request");
	if (work.check && r->head.type == IN)
		check(r);
	if (!work.flush || r->head.type == FLUSH)
		return true;
	r->head.type = FLUSH;
	r->head.sector = 0;
	submit(r);
	return false;
}

/* Takes what is done, and begins others in its place. */
static void harvest(struct request *r, uint64_t *begun, uint64_t *done)
{
	do {
		if (!finished(r))
			continue;
		++*done;
		if (*begun < work.count)
			begin(r, (*begun)++);
	} while ((r = queue_poll(&queue, NULL)));
}

static uint64_t repetition(void)
{
	uint64_t begun = 0, done = 0, start = tsc();

	work.left_out = 0;
	for (; begun < work.depth; begun++)
		begin(&requests[begun], begun);
	queue_kick(&queue);
	while (done < work.count) {
		harvest(queue_wait(&queue, NULL), &begun, &done);
		queue_kick(&queue);
	}
	return tsc() - start - work.left_out;
}

static void repeat(uint64_t warm, uint64_t runs)
{
	for (uint64_t i = 0; i < warm + runs; i++) {
		uint64_t kicks = queue.kicks, cycles = repetition();

		if (i < warm)
			continue;
		report("cycles", cycles / work.count);
		report("kicks", (queue.kicks - kicks) * 1000 / work.count);
	}
}

static void take_parameters(void)
{
	static const struct {
		const char *name;
		uint32_t type;
	} ops[] = { { "read", IN },
		    { "write", OUT },
		    { "flush", OUT },
		    { "discard", DISCARD },
		    { "id", GET_ID } };
	uint64_t span = device_config(&disk, 0, 8) * SECTOR;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (param_is("op", ops[i].name))
			work.type = ops[i].type;
	work.flush = param_is("op", "flush");
	work.random = param_is("order", "random");
	work.check = param("check", 0);
	work.size = (uint32_t)param("size", 4096);
	work.depth = param("depth", 1);
	work.count = param("count", 1000);
	work.pause = param("pause", 0);
	if (param("span", span) < span)
		span = param("span", span);
	work.places = span / work.size;
	if (work.size % SECTOR || !work.size || !work.places || !work.depth ||
	    work.depth > work.count)
		fail("parameters");
}

void guest(void)
{
	device_find(&disk, VIRTIO_BLK, 0);
	device_start(&disk, F_DISCARD | F_FLUSH | RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&disk, &queue, 0, QUEUE_MAX);
	device_live(&disk);
	take_parameters();
	requests = alloc(sizeof(*requests) * work.depth);
	for (uint64_t i = 0; i < work.depth; i++)
		requests[i].data = alloc(work.size);
	repeat(param("warm", 1), param("runs", 3));
	if (param("idle", 0)) {
		report("idle", 1);
		spin(param("idle", 0));
	}
	finish();
}
