/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks a queue that the input describes: features and how far to look ahead, size, addresses and
 * positions (14 bytes), then guest memory from address 0 on, rings, tables, buffers and all. What
 * the device writes also goes to that memory, and may change the rings that it walks.
 */
#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"
#include "vmm/virtq.h"

/* Two adjacent regions, so that ranges can cross from one to the other. */
#define LOW_SIZE  (8 * KIB)
#define HIGH_SIZE (4 * KIB)

static bool in_ram(const struct gmem *m, const struct iovec *v)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct gmem_region *r = &m->region[i];
		uint64_t off = (uint64_t)((uint8_t *)v->iov_base - r->host);

		if (off < r->size && v->iov_len <= r->size - off)
			return true;
	}
	return false;
}

/* Checks what virtq_pop() promises. */
static void check_chain(const struct gmem *m, const struct virtq_chain *c)
{
	uint64_t len[2] = { 0 };

	assert(c->nr_out + c->nr_in <= VIRTQ_MAX_SIZE);
	for (unsigned i = 0; i < c->nr_out + c->nr_in; i++) {
		assert(c->iov[i].iov_len > 0);
		assert(in_ram(m, &c->iov[i]));
		len[i >= c->nr_out] += c->iov[i].iov_len;
	}
	assert(c->out_len == len[0] && c->in_len == len[1]);
}

/* Pops up to nr chains, and gives them back. 0, or < 0 as virtq_pop(). */
static int look_ahead(struct virtq *q, const struct gmem *m, unsigned nr)
{
	const uint16_t before = q->state.next_avail;
	struct virtq_chain c;
	unsigned popped = 0;
	int rc = 1;

	while (popped < nr && (rc = virtq_pop(q, &c)) > 0) {
		check_chain(m, &c);
		popped++;
	}
	if (rc < 0)
		return rc;
	virtq_unpop(q, popped);
	assert(q->state.next_avail == before);
	return 0;
}

static void walk(struct virtq *q, const struct gmem *m, unsigned ahead)
{
	struct virtq_chain c;
	uint8_t buf[64];
	int rc;

	/* The device may write to avail->idx, so this need not end by itself. */
	for (unsigned round = 0; round < 8; round++) {
		int nr = virtq_begin(q);

		if (nr < 0)
			return;
		assert(nr <= q->state.size);
		while ((rc = look_ahead(q, m, ahead)) == 0 && (rc = virtq_pop(q, &c)) > 0) {
			nr--;
			assert(c.head < q->state.size);
			check_chain(m, &c);

			size_t n = chain_read(&c, 0, buf, sizeof(buf));

			assert(n == min(c.out_len, sizeof(buf)));
			assert(chain_write(&c, 1, buf, n) == min(n, c.in_len ? c.in_len - 1 : 0));
			virtq_push(q, c.head, (uint32_t)n);
		}
		if (rc < 0)
			return;
		assert(nr == 0); /* as many as virtq_begin() said */
		(void)virtq_wants_interrupt(q);
		if (!virtq_want_kick(q))
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct gmem m = { 0 };
	struct virtq q = { .max_size = VIRTQ_MAX_SIZE };
	uint8_t *low = malloc(LOW_SIZE), *high = malloc(HIGH_SIZE);
	uint8_t features = (uint8_t)fuzz_number(&in, 1), log_size = (uint8_t)fuzz_number(&in, 1);
	int rc;

	assert(low && high);
	rc = gmem_add(&m, 0, LOW_SIZE, low);
	assert(rc == 0);
	rc = gmem_add(&m, LOW_SIZE, HIGH_SIZE, high);
	assert(rc == 0);
	q.state.size = (uint16_t)(log_size < 16 ? 1u << log_size : log_size);
	q.state.desc_gpa = fuzz_number(&in, 2);
	q.state.avail_gpa = fuzz_number(&in, 2);
	q.state.used_gpa = fuzz_number(&in, 2);
	q.state.next_avail = q.avail_end = (uint16_t)fuzz_number(&in, 2);
	q.state.next_used = (uint16_t)fuzz_number(&in, 2);
	q.state.signalled = (uint16_t)fuzz_number(&in, 2);
	fuzz_take(&in, low, LOW_SIZE);
	fuzz_take(&in, high, HIGH_SIZE);
	if (virtq_enable(&q, &m, features & 1, features & 2) == 0)
		walk(&q, &m, features >> 2 & 3);
	free(low);
	free(high);
	return 0;
}
