/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames by the first network card. Parameters:
 *   op=send      frames that the other end drops
 *   op=receive   frames for the guest; `peer` says how they come
 *   op=turn      a frame there and back, and then the next one
 *   size=BYTES   of a frame; above 2,048, it is a TCP segment of 64 KiB
 *   peer=tap     the other end is a TAP. All frames of op=receive are there before the first
 *                buffer is, so nothing but the monitor works while the time runs.
 *   peer=user|socket   a process, which sends op=receive's frames in bursts of 64 when it is asked
 *   count=N      frames in a repetition
 *   runs=N       repetitions, after one that isn't counted
 *   check=1      what comes back is compared with what was sent
 * Prints "cycles N" for each repetition: cycles a frame; and "kicks N", in a thousand frames.
 */
#include "frame.h"
#include "virtio.h"

#define F_CSUM       (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_GUEST_TSO4 (1ull << 7)
#define F_HOST_TSO4  (1ull << 11)
#define F_MRG_RXBUF  (1ull << 15)

#define BUFFER  4096u
#define HEADER  sizeof(struct frame_virtio)
#define BURST   64u
#define SEGMENT 32768u /* Linux's pieces of a TCP stream */

static struct device card;
static struct queue rx, tx;
static uint8_t *sent; /* the frame, with its header */
static struct {
	uint32_t size;
	uint64_t count, runs;
	bool turn, receive, tap, user, check;
} work;

/* -- sending --------------------------------------------------------------------------------- */

/* False: the queue is full. */
static bool offer_frame(uint32_t size)
{
	struct piece p[PIECES_MAX] = { { sent, HEADER + (size > FRAME_GSO ? 54 : size) } };
	uint32_t at = p[0].len, end = HEADER + size;
	unsigned n = 1;

	for (; at < end; at += p[n++].len)
		p[n] = (struct piece){ sent + at, end - at < SEGMENT ? end - at : SEGMENT };
	if (!queue_add(&tx, p, n, 0, sent))
		return false;
	queue_kick(&tx);
	return true;
}

/* Waits until all of them are the guest's again. */
static void send(uint64_t count, uint32_t size)
{
	uint64_t done = 0;

	for (uint64_t begun = 0; done < count; done += queue_poll(&tx, NULL) != NULL)
		while (begun < count && offer_frame(size))
			begun++;
}

/* -- receiving ------------------------------------------------------------------------------- */

static void offer_buffer(void *buffer)
{
	if (!queue_add(&rx, &(struct piece){ buffer, BUFFER }, 0, 1, buffer))
		fail("the queue is full");
}

/* Compares the bytes at buffer with those of the frame that begin at `at`: the header's own, time
 * to live and checksum may differ, and for UDP ports and addresses. */
static void check(const uint8_t *buffer, uint32_t at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (at + i >= HEADER + FRAME_HEAD + 12)
			expect("a byte that came back", buffer[i], sent[at + i]);
}

/* Takes a frame, and offers at most so many of its buffers again. Returns how many it had. */
static unsigned take_frame(uint64_t again)
{
	uint32_t len, at = 0;
	uint8_t *buffer = queue_wait(&rx, &len);
	const unsigned nr = ((struct frame_virtio *)buffer)->num_buffers;

	for (unsigned i = 0; i < nr; i++) {
		if (i)
			buffer = queue_wait(&rx, &len);
		if (work.check)
			check(buffer, at, len);
		at += len;
		if (i < again)
			offer_buffer(buffer);
	}
	expect("length of a frame", at, HEADER + work.size);
	return nr;
}

/* Takes frames of which each has so many buffers; at the end the queue has none. */
static void drain(uint64_t frames, uint64_t buffers)
{
	static uint8_t *all;
	uint64_t left = frames * buffers;

	if (!all)
		all = alloc(rx.size * BUFFER);
	for (unsigned i = 0; i < rx.size && left; i++, left--)
		offer_buffer(all + i * BUFFER);
	queue_kick(&rx);
	for (; frames; frames--) {
		const unsigned nr = take_frame(left);

		left -= left < nr ? left : nr;
		queue_kick(&rx);
	}
}

static void refill(void)
{
	while (rx.nr_free)
		offer_buffer(alloc(BUFFER));
	queue_kick(&rx);
}

/* -- work ------------------------------------------------------------------------------------ */

static uint64_t do_send(void)
{
	const uint64_t start = tsc();

	send(work.count, work.size);
	return tsc() - start;
}

/* The frames are in the TAP when they have been sent. */
static uint64_t do_receive_waiting(void)
{
	uint64_t start;

	send(work.count, work.size);
	start = tsc();
	drain(work.count, (HEADER + work.size + BUFFER - 1) / BUFFER);
	return tsc() - start;
}

static uint64_t do_receive_bursts(void)
{
	const uint64_t start = tsc();

	for (uint64_t done = 0; done < work.count; done += BURST) {
		send(1, work.size);
		for (unsigned i = 0; i < BURST; i++) {
			take_frame(UINT64_MAX);
			queue_kick(&rx);
		}
	}
	return tsc() - start;
}

static uint64_t do_turns(void)
{
	const uint64_t start = tsc();

	for (uint64_t i = 0; i < work.count; i++) {
		send(1, work.size);
		take_frame(UINT64_MAX);
		queue_kick(&rx);
	}
	return tsc() - start;
}

/* -- set-up ---------------------------------------------------------------------------------- */

/* libslirp learns the guest's MAC from a question for its own. The answer is not looked at. */
static void resolve(void)
{
	static const uint8_t question[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,
					    0x12, 0x34, 0x56, 8,    6,    0,    1,    8,    0,
					    6,    4,    0,    1,    0x52, 0x54, 0,    0x12, 0x34,
					    0x56, 10,   0,    2,    15,   0,    0,    0,    0,
					    0,    0,    10,   0,    2,    2 };
	void *buffer;

	__builtin_memcpy(sent + HEADER, question, sizeof(question));
	send(1, FRAME_MIN);
	buffer = queue_wait(&rx, NULL);
	offer_buffer(buffer);
	__builtin_memset(sent, 0, HEADER + FRAME_MIN);
}

static void make_frame(void)
{
	const uint8_t op = work.turn || (work.receive && work.tap) ? FRAME_ECHO
			   : work.receive                          ? FRAME_BURST
								   : FRAME_DROP;

	frame_make((struct frame_virtio *)sent, sent + HEADER, work.size, op, BURST, work.tap);
	for (uint32_t i = HEADER + FRAME_HEAD + 12; i < HEADER + work.size; i++)
		sent[i] = (uint8_t)(i * 7);
}

static void take_parameters(void)
{
	work.turn = param_is("op", "turn");
	work.receive = param_is("op", "receive");
	work.size = (uint32_t)param("size", FRAME_MIN);
	if (work.size > FRAME_GSO)
		work.size = FRAME_MAX;
	work.count = param("count", 1000);
	work.runs = param("runs", 5);
	work.tap = param_is("peer", "tap");
	work.user = param_is("peer", "user");
	work.check = param("check", 0);
}

static void bring_up(void)
{
	device_find(&card, VIRTIO_NET, 0);
	device_start(&card, F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_HOST_TSO4 | F_MRG_RXBUF |
				    RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&card, &rx, 0, QUEUE_MAX);
	queue_init(&card, &tx, 1, QUEUE_MAX);
	device_live(&card);
	sent = alloc(HEADER + FRAME_MAX);
	if (!work.receive || !work.tap)
		refill();
	if (work.user)
		resolve();
	make_frame();
}

static uint64_t repetition(void)
{
	if (work.turn)
		return do_turns();
	if (!work.receive)
		return do_send();
	return work.tap ? do_receive_waiting() : do_receive_bursts();
}

void guest(void)
{
	take_parameters();
	bring_up();
	for (uint64_t i = 0; i <= work.runs; i++) {
		const uint64_t kicks = rx.kicks + tx.kicks, cycles = repetition();

		if (i == 0)
			continue;
		report("cycles", cycles / work.count);
		report("kicks", (rx.kicks + tx.kicks - kicks) * 1000 / work.count);
	}
	finish();
}
