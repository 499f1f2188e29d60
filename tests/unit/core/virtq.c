/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/virtq.h"

#include <errno.h>
#include <sched.h>

#include "ring.h"
#include "test.h"

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

#define BUF   0x8000 /* some memory of the driver's … */
#define TABLE 0xa000 /* … and some for indirect tables */

struct bench {
	struct fake_ram ram;
	struct ring ring;
	struct virtq q;
};

static void bench_init(struct bench *b, uint16_t size, bool event_idx, bool indirect)
{
	*b = (struct bench){ .q.max_size = VIRTQ_MAX_SIZE };
	ram_init(&b->ram);
	ring_init(&b->ring, &b->ram, 0, size);
	ring_attach(&b->ring, &b->q);
	assert_int_equal(virtq_enable(&b->q, &b->ram.mem, event_idx, indirect), 0);
}

static void bench_destroy(struct bench *b)
{
	ram_destroy(&b->ram);
}

/* virtq_begin() and virtq_pop(). */
static int pop(struct bench *b, struct virtq_chain *c)
{
	int rc = virtq_begin(&b->q);

	return rc < 0 ? rc : virtq_pop(&b->q, c);
}

/* Returns the result for an offered chain that starts at head, on a queue that has seen nothing
 * yet. */
static int pop_head(struct bench *b, uint16_t head, struct virtq_chain *c)
{
	b->q.state.next_avail = le16toh(b->ring.avail->idx); /* earlier chains were refused */
	ring_offer(&b->ring, head);
	return pop(b, c);
}

struct indirect_desc {
	gpa_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* Writes a table at gpa. */
static void put_table(struct bench *b, gpa_t gpa, const struct indirect_desc *d, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		struct vring_desc v;

		ring_desc_in(&v, 0, d[i].addr, d[i].len, d[i].flags, d[i].next);
		memcpy(ram_at(&b->ram, gpa + i * sizeof(v), sizeof(v)), &v, sizeof(v));
	}
}

static void a_chain_becomes_iovecs(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;

	bench_init(&b, 8, false, false);
	assert_int_equal(pop(&b, &c), 0);
	ring_desc(&b.ring, 5, 0x8000, 16, NEXT, 2);
	ring_desc(&b.ring, 2, RAM_HIGH - 1, 1, NEXT, 7);
	ring_desc(&b.ring, 7, RAM_HIGH, RAM_HIGH_SIZE, NEXT | WRITE, 0);
	ring_desc(&b.ring, 0, 0x9000, 100, WRITE, 0xffff);
	assert_int_equal(pop_head(&b, 5, &c), 1);
	assert_int_equal(c.head, 5);
	assert_int_equal(c.nr_out, 2);
	assert_int_equal(c.nr_in, 2);
	assert_int_equal(c.out_len, 17);
	assert_int_equal(c.in_len, RAM_HIGH_SIZE + 100);
	assert_ptr_equal(c.iov[0].iov_base, ram_at(&b.ram, 0x8000, 16));
	assert_ptr_equal(c.iov[1].iov_base, ram_at(&b.ram, RAM_HIGH - 1, 1));
	assert_ptr_equal(c.iov[2].iov_base, ram_at(&b.ram, RAM_HIGH, 1));
	assert_int_equal(c.iov[2].iov_len, RAM_HIGH_SIZE);
	assert_ptr_equal(c.iov[3].iov_base, ram_at(&b.ram, 0x9000, 1));
	assert_int_equal(c.iov[3].iov_len, 100);
	assert_int_equal(pop(&b, &c), 0);
	bench_destroy(&b);
}

static void descriptors_of_no_bytes_are_absent(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;

	bench_init(&b, 8, false, false);
	ring_desc(&b.ring, 0, UINT64_MAX, 0, NEXT, 1);
	ring_desc(&b.ring, 1, BUF, 0, NEXT | WRITE, 2); /* the order does not matter either */
	ring_desc(&b.ring, 2, BUF, 4, NEXT, 3);
	ring_desc(&b.ring, 3, RAM_END, 0, WRITE, 0);
	assert_int_equal(pop_head(&b, 0, &c), 1);
	assert_int_equal(c.nr_out, 1);
	assert_int_equal(c.nr_in, 0);
	assert_ptr_equal(c.iov[0].iov_base, ram_at(&b.ram, BUF, 4));
	assert_int_equal(pop_head(&b, 3, &c), 1);
	assert_int_equal(c.nr_out + c.nr_in, 0);
	assert_int_equal(c.out_len + c.in_len, 0);
	bench_destroy(&b);
}

static void an_index_that_jumps_is_refused(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	const uint16_t bad[] = { 9, 0x100, 0x8000, 0xffff };

	bench_init(&b, 8, false, false);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		b.ring.avail->idx = htole16(bad[i]);
		assert_int_equal(virtq_begin(&b.q), -EPROTO);
		assert_int_equal(virtq_pop(&b.q, &c), 0); /* nothing was taken */
	}
	ring_desc(&b.ring, 0, BUF, 1, 0, 0);
	b.ring.avail->idx = htole16(8);
	assert_int_equal(virtq_begin(&b.q), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(virtq_pop(&b.q, &c), 1);
	assert_int_equal(virtq_pop(&b.q, &c), 0);
	/* A step back is a jump ahead. */
	b.ring.avail->idx = htole16(7);
	assert_int_equal(virtq_begin(&b.q), -EPROTO);
	bench_destroy(&b);
}

static void a_round_is_what_begin_saw(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;

	bench_init(&b, 8, true, false);
	ring_desc(&b.ring, 0, BUF, 1, 0, 0);
	ring_offer(&b.ring, 0);
	ring_offer(&b.ring, 0);
	assert_int_equal(virtq_pop(&b.q, &c), 0);
	assert_int_equal(virtq_begin(&b.q), 2);
	ring_offer(&b.ring, 0);
	assert_int_equal(virtq_pop(&b.q, &c), 1);
	assert_int_equal(virtq_pop(&b.q, &c), 1);
	assert_int_equal(virtq_pop(&b.q, &c), 0);
	assert_true(virtq_want_kick(&b.q));
	assert_int_equal(virtq_begin(&b.q), 1);
	/* What a device leaves in the queue for later does not make it look again. */
	assert_false(virtq_want_kick(&b.q));
	assert_int_equal(ring_avail_event(&b.ring), 3);
	assert_int_equal(virtq_pop(&b.q, &c), 1);
	bench_destroy(&b);
}

static void a_descriptor_that_is_not_there_is_refused(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	const uint16_t bad[] = { 8, 9, 0x100, 0x8000, 0xffff };

	bench_init(&b, 8, false, false);
	/* The bytes after the table would be valid. */
	ring_desc_in(ram_at(&b.ram, b.ring.desc_gpa, 160), 8, BUF, 1, 0, 0);
	ring_desc_in(ram_at(&b.ram, b.ring.desc_gpa, 160), 9, BUF, 1, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(pop_head(&b, bad[i], &c), -EPROTO);
		ring_desc(&b.ring, 7, BUF, 1, NEXT, bad[i]);
		assert_int_equal(pop_head(&b, 7, &c), -EPROTO);
	}
	bench_destroy(&b);
}

static void loops_end(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;

	bench_init(&b, 8, false, true);
	ring_desc(&b.ring, 0, BUF, 1, NEXT, 0);
	assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	ring_desc(&b.ring, 1, BUF, 1, NEXT, 2);
	ring_desc(&b.ring, 2, BUF, 1, NEXT, 1);
	assert_int_equal(pop_head(&b, 1, &c), -EPROTO);
	ring_desc(&b.ring, 3, BUF, 0, NEXT, 3); /* adds nothing, but ends the chain */
	assert_int_equal(pop_head(&b, 3, &c), -EPROTO);
	/* The longest chain that is not a loop. */
	for (uint16_t i = 0; i < 8; i++)
		ring_desc(&b.ring, i, BUF, 1, i < 7 ? NEXT : 0, (uint16_t)(i + 1));
	assert_int_equal(pop_head(&b, 0, &c), 1);
	assert_int_equal(c.nr_out, 8);
	/* The same in a table. */
	put_table(&b, TABLE, (struct indirect_desc[]){ { BUF, 1, NEXT, 1 }, { BUF, 1, NEXT, 0 } },
		  2);
	ring_desc(&b.ring, 0, TABLE, 32, INDIRECT, 0);
	assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	put_table(&b, TABLE, (struct indirect_desc[]){ { BUF, 0, NEXT, 0 } }, 1);
	assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	bench_destroy(&b);
}

static void chains_have_a_longest_length(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	const gpa_t table = RAM_LOW_SIZE - 257 * 16;

	bench_init(&b, VIRTQ_MAX_SIZE, false, true);
	for (uint16_t i = 0; i < 257; i++)
		put_table(&b, table + 16u * i,
			  &(struct indirect_desc){ BUF, 1, i < 256 ? NEXT : 0, (uint16_t)(i + 1) },
			  1);
	ring_desc(&b.ring, 0, table, 257 * 16, INDIRECT, 0);
	assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	/* The table may be larger if the chain isn't. */
	put_table(&b, table + 16 * 255, &(struct indirect_desc){ BUF, 1, 0, 0 }, 1);
	assert_int_equal(pop_head(&b, 0, &c), 1);
	assert_int_equal(c.nr_out, 256);
	/* Direct descriptors count, too. */
	ring_desc(&b.ring, 1, BUF, 1, NEXT, 0);
	assert_int_equal(pop_head(&b, 1, &c), -EPROTO);
	/* It may not be long and empty either: a table can have millions of entries. */
	for (uint16_t i = 0; i < 1000; i++)
		put_table(&b, TABLE + 16u * i,
			  &(struct indirect_desc){ BUF, 0, NEXT, (uint16_t)(i + 1) }, 1);
	put_table(&b, TABLE + 16 * 1000, &(struct indirect_desc){ BUF, 1, 0, 0 }, 1);
	ring_desc(&b.ring, 2, TABLE, 1001 * 16, INDIRECT, 0);
	assert_int_equal(pop_head(&b, 2, &c), -EPROTO);
	bench_destroy(&b);
}

static void buffers_are_in_ram(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	const struct {
		gpa_t addr;
		uint32_t len;
		int rc;
	} tries[] = {
		{ 0, 1, 1 },
		{ 0, RAM_LOW_SIZE, 1 },
		{ RAM_END - 1, 1, 1 },
		{ 0, RAM_LOW_SIZE + 1, -EPROTO }, /* from one region … */
		{ RAM_HIGH - 1, 2, -EPROTO },     /* … into the other */
		{ RAM_END, 1, -EPROTO },
		{ RAM_END - 1, 2, -EPROTO },
		{ RAM_HIGH, UINT32_MAX, -EPROTO },
		{ UINT64_MAX, 1, -EPROTO },
		{ UINT64_MAX - 3, 8, -EPROTO }, /* wraps to 4 */
		{ UINT64_MAX - 0xffff, 0x20000, -EPROTO },
		{ 1ull << 63, 16, -EPROTO },
		{ 1ull << 32 | BUF, 16, -EPROTO }, /* not truncated */
	};

	bench_init(&b, 8, false, false);
	for (unsigned i = 0; i < ARRAY_SIZE(tries); i++)
		for (uint16_t write = 0; write <= WRITE; write += WRITE) {
			ring_desc(&b.ring, 0, BUF, 1, NEXT, 1);
			ring_desc(&b.ring, 1, tries[i].addr, tries[i].len, write, 0);
			assert_int_equal(pop_head(&b, 0, &c), tries[i].rc);
		}
	bench_destroy(&b);
}

static void what_is_read_comes_first(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;

	bench_init(&b, 8, false, true);
	ring_desc(&b.ring, 0, BUF, 1, NEXT | WRITE, 1);
	ring_desc(&b.ring, 1, BUF, 1, 0, 0);
	assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	/* The same by a table. */
	put_table(&b, TABLE, &(struct indirect_desc){ BUF, 1, 0, 0 }, 1);
	ring_desc(&b.ring, 1, TABLE, 16, INDIRECT, 0);
	assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	put_table(&b, TABLE, &(struct indirect_desc){ BUF, 1, WRITE, 0 }, 1);
	assert_int_equal(pop_head(&b, 0, &c), 1);
	bench_destroy(&b);
}

static void indirect_tables_are_followed(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	const struct indirect_desc table[] = {
		{ BUF, 10, NEXT, 2 },
		{ BUF + 2, 12, WRITE, 0xffff },
		{ BUF + 1, 11, NEXT, 1 },
	};
	const gpa_t at[] = { TABLE, TABLE + 8, TABLE + 1, RAM_END - 48 };

	bench_init(&b, 8, false, true);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		put_table(&b, at[i], table, 3);
		/* Alone; with F_WRITE, which means nothing here; and after other descriptors. */
		ring_desc(&b.ring, 4, at[i], 48, INDIRECT | (i & 1 ? WRITE : 0), 4);
		assert_int_equal(pop_head(&b, 4, &c), 1);
		assert_int_equal(c.head, 4);
		assert_int_equal(c.nr_out, 2);
		assert_int_equal(c.nr_in, 1);
		assert_int_equal(c.out_len, 21);
		assert_int_equal(c.in_len, 12);
		assert_ptr_equal(c.iov[2].iov_base, ram_at(&b.ram, BUF + 2, 1));
		ring_desc(&b.ring, 3, BUF, 5, NEXT, 4);
		assert_int_equal(pop_head(&b, 3, &c), 1);
		assert_int_equal(c.nr_out, 3);
		assert_int_equal(c.out_len, 26);
	}
	bench_destroy(&b);
}

static void bad_indirect_tables_are_refused(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	const struct indirect_desc good = { BUF, 1, 0, 0 };
	const struct indirect_desc tables[][2] = {
		{ { BUF, 1, NEXT, 1 }, { TABLE, 16, INDIRECT, 0 } }, /* a table in a table */
		{ { BUF, 1, NEXT, 1 }, { TABLE, 16, INDIRECT | NEXT, 0 } },
		{ { TABLE, 32, INDIRECT, 0 } }, /* this one in itself */
		{ { BUF, 1, NEXT, 2 } },        /* beyond its end */
		{ { BUF, 1, NEXT, 0xffff } },
		{ { RAM_END, 1, 0, 0 } },
	};
	const struct indirect_desc refs[] = {
		{ TABLE, 0, INDIRECT, 0 },           { TABLE, 8, INDIRECT, 0 },
		{ TABLE, 15, INDIRECT, 0 },          { TABLE, 17, INDIRECT, 0 },
		{ TABLE, 24, INDIRECT, 0 },          { TABLE, UINT32_MAX, INDIRECT, 0 },
		{ TABLE, 0xfffffff0, INDIRECT, 0 },  { TABLE, 16, INDIRECT | NEXT, 1 },
		{ RAM_END, 16, INDIRECT, 0 },        { RAM_END - 8, 16, INDIRECT, 0 },
		{ RAM_HIGH - 8, 16, INDIRECT, 0 }, /* across regions */
		{ UINT64_MAX - 7, 16, INDIRECT, 0 }, { 1ull << 32 | TABLE, 16, INDIRECT, 0 },
	};

	bench_init(&b, 8, false, true);
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		put_table(&b, TABLE, tables[i], 2);
		ring_desc(&b.ring, 0, TABLE, 32, INDIRECT, 0);
		assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	}
	put_table(&b, TABLE, &good, 1);
	put_table(&b, TABLE + 16, &good, 1);
	ring_desc(&b.ring, 1, BUF, 1, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(refs); i++) {
		ring_desc(&b.ring, 0, refs[i].addr, refs[i].len, refs[i].flags, refs[i].next);
		assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	}
	ring_desc(&b.ring, 0, TABLE, 16, INDIRECT, 0);
	assert_int_equal(pop_head(&b, 0, &c), 1);
	b.q.indirect = false; /* not negotiated */
	assert_int_equal(pop_head(&b, 0, &c), -EPROTO);
	bench_destroy(&b);
}

static void malformed_set_ups_are_refused(void **state __unused)
{
	struct bench b;
	/* Sizes of a ring of 8: 128, 22 and 70 bytes. */
	const struct {
		uint16_t size;
		gpa_t desc, avail, used;
		bool ok;
	} tries[] = {
		{ 8, 0, 0x2000, 0x3000, true },
		{ 1, 0, 0x2000, 0x3000, true },
		{ 256, 0, 0x2000, 0x3000, true },
		{ 0, 0, 0x2000, 0x3000, false },
		{ 3, 0, 0x2000, 0x3000, false },
		{ 255, 0, 0x2000, 0x3000, false },
		{ 512, 0, 0x2000, 0x3000, false },
		{ 0x8000, 0, 0x2000, 0x3000, false },
		{ 8, 8, 0x2000, 0x3000, false },
		{ 8, 0, 0x2001, 0x3000, false },
		{ 8, 0, 0x2000, 0x3002, false },
		{ 8, 16, 0x2002, 0x3004, true },
		/* The last place where each fits, and the next place. */
		{ 8, RAM_END - 128, 0x2000, 0x3000, true },
		{ 8, RAM_END - 112, 0x2000, 0x3000, false },
		{ 8, 0, RAM_END - 22, 0x3000, true },
		{ 8, 0, RAM_END - 20, 0x3000, false },
		{ 8, 0, 0x2000, RAM_END - 72, true },
		{ 8, 0, 0x2000, RAM_END - 68, false },
		/* Across regions, outside of RAM, wrapping. */
		{ 8, RAM_HIGH - 64, 0x2000, 0x3000, false },
		{ 8, 0, RAM_HIGH - 8, 0x3000, false },
		{ 8, 0, 0x2000, RAM_HIGH - 8, false },
		{ 8, UINT64_MAX - 15, 0x2000, 0x3000, false },
		{ 8, 0, 1ull << 63, 0x3000, false },
		{ 8, 0, 0x2000, 1ull << 32, false },
	};

	bench_init(&b, 8, false, false);
	for (unsigned i = 0; i < ARRAY_SIZE(tries); i++) {
		struct virtq q, before;

		memset(&q, 0, sizeof(q));
		q.max_size = VIRTQ_MAX_SIZE;
		q.state.size = tries[i].size;
		q.state.desc_gpa = tries[i].desc;
		q.state.avail_gpa = tries[i].avail;
		q.state.used_gpa = tries[i].used;
		before = q;
		assert_int_equal(virtq_enable(&q, &b.ram.mem, true, true),
				 tries[i].ok ? 0 : -EINVAL);
		if (tries[i].ok)
			assert_true(q.state.ready && q.event_idx && q.indirect);
		else
			assert_memory_equal(&q, &before, sizeof(q));
	}
	/* The device's own limit. */
	b.q = (struct virtq){
		.max_size = 4,
		.state = { .size = 8, .avail_gpa = 0x2000, .used_gpa = 0x3000 },
	};
	assert_int_equal(virtq_enable(&b.q, &b.ram.mem, false, false), -EINVAL);
	b.q.state.size = 4;
	assert_int_equal(virtq_enable(&b.q, &b.ram.mem, false, false), 0);
	b.q.state.next_used = 3;
	virtq_reset(&b.q);
	assert_false(b.q.state.ready);
	assert_int_equal(b.q.state.size, 4);
	assert_int_equal(b.q.max_size, 4);
	assert_int_equal(b.q.state.next_used, 0);
	assert_null(b.q.used);
	bench_destroy(&b);
}

static void used_elements_go_round(void **state __unused)
{
	struct bench b;

	bench_init(&b, 4, false, false);
	for (uint16_t i = 0; i < 6; i++) {
		virtq_push(&b.q, (uint16_t)(i % 4), 100u + i);
		assert_int_equal(le16toh(b.ring.used->idx), i + 1);
	}
	for (unsigned i = 0; i < 4; i++) {
		unsigned last = i < 2 ? i + 4 : i; /* the last writer of this slot */

		assert_int_equal(le32toh(b.ring.used->ring[i].id), last % 4);
		assert_int_equal(le32toh(b.ring.used->ring[i].len), 100 + last);
	}
	assert_int_equal(b.ring.used->flags, 0);
	assert_int_equal(ring_avail_event(&b.ring), 0);
	bench_destroy(&b);
}

static void several_are_published_at_once(void **state __unused)
{
	struct bench b;

	bench_init(&b, 4, false, false);
	for (unsigned i = 0; i < 3; i++)
		virtq_push(&b.q, 3, 0);
	virtq_fill(&b.q, 0, 1, 101);
	virtq_fill(&b.q, 1, 2, 102);
	assert_int_equal(le16toh(b.ring.used->idx), 3);
	virtq_publish(&b.q, 2);
	assert_int_equal(le16toh(b.ring.used->idx), 5);
	assert_int_equal(le32toh(b.ring.used->ring[3].id), 1);
	assert_int_equal(le32toh(b.ring.used->ring[3].len), 101);
	assert_int_equal(le32toh(b.ring.used->ring[0].id), 2);
	assert_int_equal(le32toh(b.ring.used->ring[0].len), 102);
	assert_true(virtq_wants_interrupt(&b.q));
	bench_destroy(&b);
}

/* What the flag says doesn't outlive a reset, even if the driver leaves the ring as it is. */
static void a_flag_mutes_a_queue_for_one_life(void **state __unused)
{
	struct bench b;

	bench_init(&b, 4, false, false);
	virtq_mute(&b.q);
	assert_int_equal(le16toh(b.ring.used->flags), VRING_USED_F_NO_NOTIFY);
	assert_false(virtq_want_kick(&b.q));
	assert_int_equal(le16toh(b.ring.used->flags), 0);
	virtq_mute(&b.q);
	virtq_reset(&b.q);
	ring_attach(&b.ring, &b.q);
	assert_int_equal(virtq_enable(&b.q, &b.ram.mem, false, false), 0);
	assert_int_equal(le16toh(b.ring.used->flags), 0);
	bench_destroy(&b);
}

static void flags_suppress_interrupts(void **state __unused)
{
	struct bench b;

	bench_init(&b, 4, false, false);
	assert_false(virtq_wants_interrupt(&b.q)); /* nothing was pushed */
	ring_set_used_event(&b.ring, 0x1234);      /* means nothing: EVENT_IDX was not negotiated */
	virtq_push(&b.q, 0, 0);
	assert_true(virtq_wants_interrupt(&b.q));
	assert_false(virtq_wants_interrupt(&b.q));
	b.ring.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
	virtq_push(&b.q, 0, 0);
	assert_false(virtq_wants_interrupt(&b.q));
	b.ring.avail->flags = 0;
	virtq_push(&b.q, 0, 0);
	assert_true(virtq_wants_interrupt(&b.q));
	/* There is no event to publish for kicks either. */
	ring_offer(&b.ring, 0);
	assert_int_equal(virtq_begin(&b.q), 1);
	assert_false(virtq_want_kick(&b.q));
	assert_int_equal(ring_avail_event(&b.ring), 0);
	bench_destroy(&b);
}

static void events_choose_the_interrupt(void **state __unused)
{
	struct bench b;

	bench_init(&b, 8, true, false);
	/* This means nothing, because EVENT_IDX was negotiated. */
	b.ring.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
	virtq_push(&b.q, 0, 0); /* this is number 0 */
	assert_true(virtq_wants_interrupt(&b.q));
	virtq_push(&b.q, 0, 0); /* 1: the driver still points at 0 */
	assert_false(virtq_wants_interrupt(&b.q));
	ring_set_used_event(&b.ring, 3);
	virtq_push(&b.q, 0, 0); /* 2 */
	assert_false(virtq_wants_interrupt(&b.q));
	virtq_push(&b.q, 0, 0); /* 3 */
	assert_true(virtq_wants_interrupt(&b.q));
	/* The event is in the middle of a batch: 4, 5, 6. */
	ring_set_used_event(&b.ring, 5);
	for (unsigned i = 0; i < 3; i++)
		virtq_push(&b.q, 0, 0);
	assert_true(virtq_wants_interrupt(&b.q));
	/* An event that has already passed. */
	virtq_push(&b.q, 0, 0); /* 7 */
	assert_false(virtq_wants_interrupt(&b.q));
	bench_destroy(&b);
}

/* Every index wraps at 16 bits, and the ring is smaller than that. */
static void indices_wrap(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	struct ring_elem used;

	bench_init(&b, 4, true, false);
	for (uint32_t i = 0; i < 0x10000 + 100; i++) {
		uint16_t head = ring_send(&b.ring, &(struct ring_buf){ BUF, 4, .in = true }, 1);

		/* Every seventh wants no interrupt. */
		ring_set_used_event(&b.ring, (uint16_t)(i % 7 ? i : i + 1));
		assert_int_equal(virtq_begin(&b.q), 1);
		assert_int_equal(virtq_pop(&b.q, &c), 1);
		assert_int_equal(c.head, head);
		assert_int_equal(virtq_pop(&b.q, &c), 0);
		virtq_push(&b.q, head, i);
		assert_int_equal(virtq_wants_interrupt(&b.q), i % 7 != 0);
		assert_false(virtq_want_kick(&b.q));
		assert_int_equal(ring_avail_event(&b.ring), (uint16_t)(i + 1));
		assert_true(ring_take(&b.ring, &used));
		assert_int_equal(used.id, head);
		assert_int_equal(used.len, i);
	}
	/* A batch across the wrap: numbers 0xfffe to 1, an event on each and one outside. */
	for (int event = -3; event <= 2; event++) {
		b.q.state.next_used = 0xfffe;
		b.q.state.signalled = 0xfffe;
		ring_set_used_event(&b.ring, (uint16_t)event);
		for (unsigned i = 0; i < 4; i++)
			virtq_push(&b.q, 0, 0);
		assert_int_equal(virtq_wants_interrupt(&b.q), event >= -2 && event <= 1);
	}
	bench_destroy(&b);
}

static void what_is_popped_can_be_given_back(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;

	/* Numbers of buffers wrap in the middle of it. */
	bench_init(&b, 8, true, false);
	b.q.state.next_avail = b.q.state.next_used = b.q.state.signalled = 0xfffe;
	b.ring.avail->idx = b.ring.used->idx = htole16(0xfffe);
	b.ring.last_used = 0xfffe;
	for (unsigned i = 0; i < 4; i++)
		ring_send(&b.ring, &(struct ring_buf){ BUF + 16 * i, 16, .in = true }, 1);
	assert_int_equal(virtq_begin(&b.q), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(virtq_pop(&b.q, &c), 1);
	assert_false(virtq_want_kick(&b.q));
	assert_int_equal(ring_avail_event(&b.ring), 2);

	/* Two are done; the others come again, in order, without another look at the index. */
	virtq_push(&b.q, 0, 0);
	virtq_push(&b.q, 1, 0);
	virtq_unpop(&b.q, 0);
	virtq_unpop(&b.q, 2);
	assert_int_equal(b.q.state.next_avail, 0);
	for (unsigned i = 2; i < 4; i++) {
		assert_int_equal(virtq_pop(&b.q, &c), 1);
		assert_int_equal(c.head, i);
		assert_ptr_equal(c.iov[0].iov_base, ram_at(&b.ram, BUF + 16 * i, 16));
	}
	assert_int_equal(virtq_pop(&b.q, &c), 0);

	/* Or with one, after what came meanwhile; and the driver kicks for the next one only. */
	virtq_unpop(&b.q, 1);
	ring_send(&b.ring, &(struct ring_buf){ BUF, 16, .in = true }, 1);
	assert_int_equal(virtq_begin(&b.q), 2);
	for (unsigned i = 3; i < 5; i++) {
		assert_int_equal(virtq_pop(&b.q, &c), 1);
		assert_int_equal(c.head, i);
	}
	assert_int_equal(virtq_pop(&b.q, &c), 0);
	for (uint16_t i = 2; i < 5; i++)
		virtq_push(&b.q, i, 0);
	assert_true(virtq_wants_interrupt(&b.q));
	assert_false(virtq_want_kick(&b.q));
	assert_int_equal(ring_avail_event(&b.ring), 3);
	assert_int_equal(ring_used(&b.ring), 5);
	bench_destroy(&b);
}

static void a_queue_is_taken_over_where_another_left_it(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;

	bench_init(&b, 8, false, false);
	for (unsigned i = 0; i < 6; i++)
		ring_send(&b.ring, &(struct ring_buf){ BUF, 16, .in = true }, 1);
	b.ring.used->idx = htole16(3); /* whoever had it has used three, and took a fourth */
	virtq_take_over(&b.q, 4);
	assert_false(virtq_wants_interrupt(&b.q)); /* it has seen to that */
	assert_int_equal(virtq_pop(&b.q, &c), 0);
	assert_int_equal(virtq_begin(&b.q), 2);
	assert_int_equal(virtq_pop(&b.q, &c), 1);
	assert_int_equal(c.head, 4);
	virtq_push(&b.q, 3, 0);
	assert_int_equal(ring_used(&b.ring), 4);
	assert_true(virtq_wants_interrupt(&b.q));
	bench_destroy(&b);
}

/* A queue that goes on where another one was. */
static void positions_outlive_the_views(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	struct virtq next;

	bench_init(&b, 8, false, false);
	for (unsigned i = 0; i < 5; i++)
		ring_send(&b.ring, &(struct ring_buf){ BUF, 16, .in = true }, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pop(&b, &c), 1);
	virtq_push(&b.q, 0, 0);
	virtq_unpop(&b.q, 2);
	next = (struct virtq){ .max_size = b.q.max_size, .state = b.q.state };
	assert_int_equal(virtq_enable(&next, &b.ram.mem, false, false), 0);
	assert_int_equal(virtq_pop(&next, &c), 0); /* it has not looked yet */
	assert_int_equal(virtq_begin(&next), 4);
	assert_int_equal(virtq_pop(&next, &c), 1);
	assert_int_equal(c.head, 1);
	virtq_push(&next, 1, 0);
	assert_int_equal(ring_used(&b.ring), 2);
	bench_destroy(&b);
}

/* Two processors that keep each other just awake: each notifies only if the other asked for it. */
struct pair {
	struct bench b;
	unsigned kicks, interrupts; /* atomic */
	bool stop;                  /* atomic */
};

/* Waits until *count is no longer seen. Returns whether it changed before p->stop. */
static bool wait_for(struct pair *p, const unsigned *count, unsigned seen)
{
	for (unsigned spins = 1; __atomic_load_n(count, __ATOMIC_ACQUIRE) == seen; spins++) {
		if (__atomic_load_n(&p->stop, __ATOMIC_RELAXED))
			return false;
		if (spins % 4096 == 0)
			sched_yield();
	}
	return true;
}

static void *pair_device(void *arg)
{
	struct pair *p = arg;
	struct virtq *q = &p->b.q;
	struct virtq_chain c;

	for (unsigned seen = 0; wait_for(p, &p->kicks, seen);) {
		seen = __atomic_load_n(&p->kicks, __ATOMIC_ACQUIRE);
		do {
			if (virtq_begin(q) < 0)
				return (void *)"virtq_begin() failed";
			while (virtq_pop(q, &c) > 0) {
				virtq_push(q, c.head, 0);
				if (virtq_wants_interrupt(q))
					__atomic_add_fetch(&p->interrupts, 1, __ATOMIC_RELEASE);
			}
		} while (virtq_want_kick(q));
	}
	return NULL;
}

/* This hangs when either full fence of virtq.c is missing, usually within ten thousand rounds, if
 * both threads have a processor to themselves; on a loaded machine it may pass. */
static void no_notification_is_missed(void **state __unused)
{
	struct pair p = { 0 };
	struct ring *r = &p.b.ring;
	struct ring_elem used;
	pthread_t thread;
	void *error;
	uint16_t sent = 0, got = 0;

	bench_init(&p.b, VIRTQ_MAX_SIZE, true, false);
	assert_int_equal(pthread_create(&thread, NULL, pair_device, &p), 0);
	while (got < 20000) {
		unsigned seen = __atomic_load_n(&p.interrupts, __ATOMIC_ACQUIRE);

		if (sent - got < VIRTQ_MAX_SIZE) {
			ring_send(r, &(struct ring_buf){ BUF, 4, .in = true }, 1);
			sent++;
			if (vring_need_event(ring_avail_event(r), sent, (uint16_t)(sent - 1)))
				__atomic_add_fetch(&p.kicks, 1, __ATOMIC_RELEASE);
		}
		ring_set_used_event(r, got);
		if (ring_used(r) == 0)
			wait_for(&p, &p.interrupts, seen);
		while (ring_take(r, &used))
			got++;
	}
	__atomic_store_n(&p.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, &error);
	assert_null(error);
	bench_destroy(&p.b);
}

static void chains_are_copied_from_and_to(void **state __unused)
{
	struct bench b;
	struct virtq_chain c;
	char buf[16];
	char *ram;

	bench_init(&b, 8, false, false);
	ram = ram_at(&b.ram, BUF, 64);
	memcpy(ram, "abcdefgh", 8);
	ring_desc(&b.ring, 0, BUF + 4, 4, NEXT, 1);
	ring_desc(&b.ring, 1, BUF, 3, NEXT, 2);
	ring_desc(&b.ring, 2, BUF + 16, 2, NEXT | WRITE, 3);
	ring_desc(&b.ring, 3, BUF + 32, 5, WRITE, 0);
	assert_int_equal(pop_head(&b, 0, &c), 1);

	assert_int_equal(chain_read(&c, 0, buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "efghabc", 7);
	assert_int_equal(chain_read(&c, 3, buf, 2), 2);
	assert_memory_equal(buf, "ha", 2);
	assert_int_equal(chain_read(&c, 4, buf, 1), 1);
	assert_memory_equal(buf, "a", 1);
	assert_int_equal(chain_read(&c, 7, buf, 1), 0);
	assert_int_equal(chain_read(&c, UINT64_MAX, buf, sizeof(buf)), 0);
	assert_int_equal(chain_read(&c, 0, buf, 0), 0);

	assert_int_equal(chain_write(&c, 0, "0123456789", 10), 7);
	assert_memory_equal(ram + 16, "01\0", 3);
	assert_memory_equal(ram + 32, "23456\0", 6);
	assert_int_equal(chain_write(&c, 1, "xy", 2), 2);
	assert_memory_equal(ram + 16, "0x\0", 3);
	assert_memory_equal(ram + 32, "y3456\0", 6);
	assert_int_equal(chain_write(&c, 6, "zz", 2), 1);
	assert_memory_equal(ram + 32, "y345z\0", 6);
	assert_int_equal(chain_write(&c, 7, "z", 1), 0);
	assert_memory_equal(ram, "abcdefgh", 8);
	bench_destroy(&b);
}

static void iovecs_are_cut_and_joined(void **state __unused)
{
	char a[16];
	/* Two that are adjacent, one that comes before them, an empty one, and a part. */
	const struct iovec src[] = {
		{ a + 4, 4 }, { a + 8, 4 }, { a, 4 }, { a + 4, 0 }, { a + 4, 2 }
	};
	struct iovec dst[ARRAY_SIZE(src)];

	assert_int_equal(iov_cut(dst, src, 0, 14), 2);
	assert_ptr_equal(dst[0].iov_base, a + 4);
	assert_int_equal(dst[0].iov_len, 8);
	assert_ptr_equal(dst[1].iov_base, a);
	assert_int_equal(dst[1].iov_len, 6);
	assert_int_equal(iov_cut(dst, src, 5, 5), 2);
	assert_ptr_equal(dst[0].iov_base, a + 9);
	assert_int_equal(dst[0].iov_len, 3);
	assert_ptr_equal(dst[1].iov_base, a);
	assert_int_equal(dst[1].iov_len, 2);
	assert_int_equal(iov_cut(dst, src, 14, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_becomes_iovecs),
		cmocka_unit_test(descriptors_of_no_bytes_are_absent),
		cmocka_unit_test(an_index_that_jumps_is_refused),
		cmocka_unit_test(a_round_is_what_begin_saw),
		cmocka_unit_test(a_descriptor_that_is_not_there_is_refused),
		cmocka_unit_test(loops_end),
		cmocka_unit_test(chains_have_a_longest_length),
		cmocka_unit_test(buffers_are_in_ram),
		cmocka_unit_test(what_is_read_comes_first),
		cmocka_unit_test(indirect_tables_are_followed),
		cmocka_unit_test(bad_indirect_tables_are_refused),
		cmocka_unit_test(malformed_set_ups_are_refused),
		cmocka_unit_test(used_elements_go_round),
		cmocka_unit_test(several_are_published_at_once),
		cmocka_unit_test(a_flag_mutes_a_queue_for_one_life),
		cmocka_unit_test(flags_suppress_interrupts),
		cmocka_unit_test(events_choose_the_interrupt),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(what_is_popped_can_be_given_back),
		cmocka_unit_test(positions_outlive_the_views),
		cmocka_unit_test(a_queue_is_taken_over_where_another_left_it),
		cmocka_unit_test(no_notification_is_missed),
		cmocka_unit_test(chains_are_copied_from_and_to),
		cmocka_unit_test(iovecs_are_cut_and_joined),
	};

	return cmocka_run_group_tests_name("virtq", tests, NULL, NULL);
}
