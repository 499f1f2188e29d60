/* SPDX-License-Identifier: BSD-2-Clause */
/* Split virtqueues, the driver's side. */
#include "virtio.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { NO_INTERRUPT = 1, NO_NOTIFY = 1 };

static volatile uint16_t *used_event(const struct queue *q)
{
	return &q->avail->ring[q->size];
}

/* Sets used_event: to the next index, if interrupts are wanted; otherwise to one that the device
 * doesn't reach before this is called again, so that it sends none. */
static void set_used_event(struct queue *q)
{
	if (q->event_idx)
		*used_event(q) = (uint16_t)(q->seen + (q->interrupts ? 0 : 0x8000));
}

void queue_interrupts(struct queue *q)
{
	q->interrupts = true;
	q->avail->flags = 0;
	set_used_event(q);
}

void queue_lay_out(struct queue *q)
{
	q->desc = alloc(sizeof(struct desc) * q->size);
	q->avail = alloc(sizeof(struct avail));
	q->used = alloc(sizeof(struct used));
	q->avail_event = (volatile void *)&q->used->ring[q->size];
	if (q->indirect)
		q->tables = alloc(sizeof(*q->tables) * q->size);
	for (unsigned i = 0; i < q->size; i++)
		q->desc[i].next = (uint16_t)(i + 1);
	q->nr_free = q->size;
	q->avail->flags = q->event_idx ? 0 : NO_INTERRUPT;
	set_used_event(q);
}

static void fill(struct desc *d, const struct piece *p, unsigned i, unsigned out, unsigned n)
{
	d->addr = (uintptr_t)p[i].at;
	d->len = p[i].len;
	d->flags = (uint16_t)((i < out ? 0 : DESC_WRITE) | (i + 1 < n ? DESC_NEXT : 0));
}

/* The rest of the free list begins after the chain. */
static void chain(struct queue *q, const struct piece *p, unsigned out, unsigned n)
{
	uint16_t at = q->free_head;

	for (unsigned i = 0; i < n; i++, at = q->desc[at].next)
		fill(&q->desc[at], p, i, out, n);
	q->free_head = at;
}

static void chain_indirect(struct queue *q, const struct piece *p, unsigned out, unsigned n)
{
	struct desc *table = q->tables[q->free_head], *d = &q->desc[q->free_head];

	for (unsigned i = 0; i < n; i++) {
		fill(&table[i], p, i, out, n);
		table[i].next = (uint16_t)(i + 1);
	}
	d->addr = (uintptr_t)table;
	d->len = (uint32_t)(n * sizeof(*table));
	d->flags = DESC_INDIRECT;
	q->free_head = d->next;
}

bool queue_add(struct queue *q, const struct piece *p, unsigned out, unsigned in, void *token)
{
	const unsigned n = out + in;
	const bool indirect = q->indirect && n > 1;
	const unsigned takes = indirect ? 1 : n;
	uint16_t head = q->free_head;

	if (n == 0 || n > PIECES_MAX)
		fail("pieces of a chain");
	if (takes > q->nr_free)
		return false;
	if (indirect)
		chain_indirect(q, p, out, n);
	else
		chain(q, p, out, n);
	q->nr_free = (uint16_t)(q->nr_free - takes);
	q->token[head] = token;
	q->avail->ring[q->added % q->size] = head;
	q->added++;
	/* Pairs with the device's acquire of avail.idx. */
	__atomic_store_n(&q->avail->idx, q->added, __ATOMIC_RELEASE);
	return true;
}

/* As in virtio 1.2 §2.7.7.2. */
static bool need_event(uint16_t event, uint16_t now, uint16_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

void queue_ring(struct queue *q)
{
	if (q->narrow)
		*(volatile uint16_t *)q->doorbell = q->index;
	else
		*(volatile uint32_t *)q->doorbell = q->index;
}

void queue_kick(struct queue *q)
{
	uint16_t before = q->last_kick;
	bool wanted;

	/* avail.idx is written before avail_event or the flag is read; the device does it the other
	 * way round before it sleeps. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->last_kick = q->added;
	wanted = q->event_idx ? need_event(*q->avail_event, q->added, before)
			      : before != q->added && !(q->used->flags & NO_NOTIFY);
	if (wanted) {
		q->kicks++;
		queue_ring(q);
	}
}

static void free_chain(struct queue *q, uint16_t head)
{
	uint16_t last = head, n = 1;

	while (q->desc[last].flags & DESC_NEXT) {
		last = q->desc[last].next;
		n++;
	}
	q->desc[last].next = q->free_head;
	q->free_head = head;
	q->nr_free = (uint16_t)(q->nr_free + n);
}

void *queue_poll(struct queue *q, uint32_t *len)
{
	uint16_t head;
	void *token;

	/* Pairs with the device's release of used.idx. */
	if (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) == q->seen)
		return NULL;
	head = (uint16_t)q->used->ring[q->seen % q->size].id;
	if (len)
		*len = q->used->ring[q->seen % q->size].len;
	q->seen++;
	set_used_event(q);
	token = q->token[head];
	free_chain(q, head);
	return token;
}
