/* SPDX-License-Identifier: BSD-2-Clause */
/* The queue alone: a chain of three descriptors is popped and pushed; a disk's request has as
 * many. */
#include "count.h"

#define SIZE  256
#define BUF   0x8000
#define TABLE 0xa000

static struct fake_ram ram;
static struct ring ring;
static struct virtq q = { .max_size = SIZE };

static void chain(struct vring_desc *table, unsigned at)
{
	ring_desc_in(table, at, BUF, 16, VRING_DESC_F_NEXT, (uint16_t)(at + 1));
	ring_desc_in(table, at + 1, BUF + 16, 4096, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
		     (uint16_t)(at + 2));
	ring_desc_in(table, at + 2, RAM_HIGH, 1, VRING_DESC_F_WRITE, 0);
}

/* Descriptor 0 begins a chain in the queue's own table; descriptor 3 refers to another table. */
static bool up(void)
{
	ram_init(&ram);
	ring_init(&ring, &ram, 0, SIZE);
	ring_attach(&ring, &q);
	must(virtq_enable(&q, &ram.mem, true, true) == 0);
	chain(ring.desc, 0);
	chain(ram_at(&ram, TABLE, 3 * sizeof(struct vring_desc)), 0);
	ring_desc(&ring, 3, TABLE, 3 * sizeof(struct vring_desc), VRING_DESC_F_INDIRECT, 0);
	return true;
}

static void serve(uint16_t head, unsigned batch)
{
	for (unsigned i = 0; i < batch; i++)
		ring_offer(&ring, head);
	ring_set_used_event(&ring, ring.last_used);
	counted_virtq(&q);
	take(&ring, batch);
}

static void direct(unsigned batch)
{
	serve(0, batch);
}

static void indirect(unsigned batch)
{
	serve(3, batch);
}

const struct kind virtq_kinds[KINDS_MAX] = {
	{ "virtq.chain", 1, up, direct, NULL },
	{ "virtq.chain-32", 32, up, direct, NULL },
	{ "virtq.indirect", 1, up, indirect, NULL },
	{ "virtq.indirect-32", 32, up, indirect, NULL },
};
