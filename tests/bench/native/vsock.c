/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to the host's PEER_PORT, to `peer stream`. Parameters:
 *   op=send|receive|turn   turn: there and back, and then the next one
 *   size=BYTES   of a packet; for op=receive, of what counts as one
 *   count=N      packets in a repetition
 *   runs=N       repetitions, after one that isn't counted
 * Prints "cycles N" for each repetition: cycles a packet; and "kicks N", in a thousand packets.
 */
#include "virtio.h"

#define PEER_PORT 7007
#define ROOM      (256u << 10) /* that the host may fill before it hears of room again */
#define BUFFER    4096u        /* as Linux's */

enum { REQUEST = 1, RESPONSE = 2, RW = 5, CREDIT_UPDATE = 6, CREDIT_REQUEST = 7 };

/* virtio 1.2 §5.10.6 */
struct header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static struct device vsock;
static struct queue rx, tx, events;
static struct header *header; /* one for each packet that may be on its way, */
static uint32_t *on_its_way;  /* and whether it is */
static uint8_t *data;
static struct {
	uint64_t cid;
	uint32_t sent, peer_has, peer_room; /* by the credit of §5.10.6.3 */
	uint32_t received, told;
	bool open;
} conn;

/* False: the queue is full. */
static bool put(uint16_t op, uint32_t len)
{
	static unsigned next;
	struct header *h = &header[next % tx.size];
	struct piece p[] = { { h, sizeof(*h) }, { data, len } };

	if (on_its_way[next % tx.size])
		return false;
	*h = (struct header){ .src_cid = conn.cid,
			      .dst_cid = 2,
			      .src_port = 1024,
			      .dst_port = PEER_PORT,
			      .len = len,
			      .type = 1,
			      .op = op,
			      .buf_alloc = ROOM,
			      .fwd_cnt = conn.received };
	if (!queue_add(&tx, p, len ? 2 : 1, 0, &on_its_way[next % tx.size]))
		return false;
	on_its_way[next++ % tx.size] = 1;
	conn.sent += len;
	conn.told = conn.received;
	queue_kick(&tx);
	return true;
}

static void take_sent(void)
{
	uint32_t *done;

	while ((done = queue_poll(&tx, NULL)))
		*done = 0;
}

static void put_surely(uint16_t op, uint32_t len)
{
	while (!put(op, len))
		take_sent();
}

static void offer(void *buffer)
{
	if (!queue_add(&rx, &(struct piece){ buffer, BUFFER }, 0, 1, buffer))
		fail("the queue is full");
}

static void hear_packet(const struct header *h)
{
	switch (h->op) {
	case RESPONSE:
		conn.open = true;
		break;
	case RW:
		conn.received += h->len;
		break;
	case CREDIT_UPDATE:
		break;
	case CREDIT_REQUEST:
		put_surely(CREDIT_UPDATE, 0);
		break;
	default:
		fail("the peer has ended the connection");
	}
	conn.peer_has = h->fwd_cnt;
	conn.peer_room = h->buf_alloc;
}

/* Takes what has come. Buffers are offered again when half of them are empty, as Linux does. */
static void hear(void)
{
	static struct header *empty[QUEUE_MAX];
	static unsigned nr;

	while (nr < rx.size && (empty[nr] = queue_poll(&rx, NULL)))
		hear_packet(empty[nr++]);
	if (nr > rx.size / 2u) {
		while (nr)
			offer(empty[--nr]);
		queue_kick(&rx);
	}
	if (conn.received - conn.told >= ROOM / 2)
		put_surely(CREDIT_UPDATE, 0);
	take_sent();
}

static void send(uint32_t size)
{
	while (conn.sent + size - conn.peer_has > conn.peer_room)
		hear();
	put_surely(RW, size);
}

static void receive(uint32_t len)
{
	const uint32_t before = conn.received;

	while (conn.received - before < len)
		hear();
}

static uint64_t repetition(uint32_t size, uint64_t count)
{
	const bool turn = param_is("op", "turn"), in = turn || param_is("op", "receive");
	const uint64_t start = tsc();

	for (uint64_t i = 0; i < count; i++) {
		if (!in || turn)
			send(size);
		if (in)
			receive(size);
	}
	while (tx.nr_free < tx.size)
		take_sent();
	return tsc() - start;
}

static void bring_up(void)
{
	device_find(&vsock, VIRTIO_VSOCK, 0);
	device_start(&vsock, RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&vsock, &rx, 0, QUEUE_MAX);
	queue_init(&vsock, &tx, 1, QUEUE_MAX);
	queue_init(&vsock, &events, 2, 8);
	device_live(&vsock);
	conn.cid = device_config(&vsock, 0, 8);
	header = alloc(sizeof(*header) * tx.size);
	on_its_way = alloc(sizeof(*on_its_way) * tx.size);
	data = alloc(64u << 10);
	while (rx.nr_free)
		offer(alloc(BUFFER));
	queue_kick(&rx);
}

static void connect(void)
{
	put_surely(REQUEST, 0);
	while (!conn.open)
		hear();
	data[0] = param_is("op", "turn") ? 'e' : param_is("op", "receive") ? 's' : 'd';
	send(1);
}

void guest(void)
{
	const uint64_t count = param("count", 1000), runs = param("runs", 5);
	const uint32_t size = (uint32_t)param("size", 64);

	bring_up();
	connect();
	for (uint64_t i = 0; i <= runs; i++) {
		const uint64_t kicks = rx.kicks + tx.kicks, cycles = repetition(size, count);

		if (i == 0)
			continue;
		report("cycles", cycles / count);
		report("kicks", (rx.kicks + tx.kicks - kicks) * 1000 / count);
	}
	finish();
}
