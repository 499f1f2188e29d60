/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split virtqueues (virtio 1.2 §2.7).
 *
 * The driver runs on another processor and may be hostile. Whatever it wrote is loaded once, into a
 * local copy, and the copy is checked and used. Indices that we publish are kept here, never read
 * back.
 *
 * Order. Four pairs with the driver's barriers, each named again where it stands:
 *  (a) our acquire of avail->idx pairs with the driver's write barrier before it stores that index:
 *      ring entries and descriptors that we read afterwards are at least as new as the index;
 *  (b) our release of used->idx pairs with the driver's read barrier after it loads that index:
 *      it sees the used element, and the data that the device wrote;
 *  (c) we store avail_event (or flags), full fence, load avail->idx; the driver stores avail->idx,
 *      full fence, loads avail_event (or flags). With a weaker barrier both loads could come first
 *      on both sides: the driver would see the old event and not kick, and we would see the old
 *      index and sleep;
 *  (d) we store used->idx, full fence, load used_event or flags; the driver stores used_event or
 *      flags, full fence, loads used->idx. The same argument with the roles exchanged: an
 *      interrupt that nobody sends and nobody polls for.
 */
#include "vmm/virtq.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>

/* The wire format with types that need a conversion; constants are the kernel's. Packed, because an
 * indirect table may start anywhere (virtio 1.2 §2.7.5.3 asks for no alignment). */
struct virtq_desc {
	le64_t addr;
	le32_t len;
	le16_t flags, next;
} __attribute__((packed));
_Static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2 §2.7.5");

struct virtq_avail {
	le16_t flags, idx;
	le16_t ring[]; /* size entries, then used_event */
};
_Static_assert(offsetof(struct virtq_avail, ring) == 4, "virtio 1.2 §2.7.6");

struct virtq_used_elem {
	le32_t id, len;
};
struct virtq_used {
	le16_t flags, idx;
	struct virtq_used_elem ring[]; /* size entries, then a le16_t avail_event */
};
_Static_assert(offsetof(struct virtq_used, ring) == 4, "virtio 1.2 §2.7.8");

/* Both rings end in an event index, which is part of their size whether negotiated or not
 * (§2.7). */
#define DESC_BYTES(size)  (sizeof(struct virtq_desc) * (size))
#define AVAIL_BYTES(size) (sizeof(struct virtq_avail) + sizeof(le16_t) * ((size) + 1u))
#define USED_BYTES(size)                                                                           \
	(sizeof(struct virtq_used) + sizeof(struct virtq_used_elem) * (size) + sizeof(le16_t))

static uint16_t load16(const le16_t *p, int order)
{
	return le16toh(__atomic_load_n(&p->raw, order));
}

static void store16(le16_t *p, uint16_t v, int order)
{
	__atomic_store_n(&p->raw, htole16(v), order);
}

static void full_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static const le16_t *used_event(const struct virtq *q)
{
	const struct virtq_avail *avail = q->avail;

	return &avail->ring[q->state.size];
}

static le16_t *avail_event(const struct virtq *q)
{
	struct virtq_used *used = q->used;

	return (le16_t *)&used->ring[q->state.size];
}

static void set_used_flags(struct virtq *q, uint16_t flags)
{
	struct virtq_used *used = q->used;

	store16(&used->flags, flags, __ATOMIC_RELAXED);
}

int virtq_enable(struct virtq *q, const struct gmem *mem, bool event_idx, bool indirect)
{
	struct virtq_state *s = &q->state;
	const void *desc, *avail;
	void *used;

	if (!is_power_of_two(s->size) || s->size > q->max_size)
		return -EINVAL;
	if (s->desc_gpa % VRING_DESC_ALIGN_SIZE || s->avail_gpa % VRING_AVAIL_ALIGN_SIZE ||
	    s->used_gpa % VRING_USED_ALIGN_SIZE)
		return -EINVAL;
	desc = gmem_slice(mem, s->desc_gpa, DESC_BYTES(s->size));
	avail = gmem_slice(mem, s->avail_gpa, AVAIL_BYTES(s->size));
	used = gmem_slice(mem, s->used_gpa, USED_BYTES(s->size));
	if (!desc || !avail || !used)
		return -EINVAL;
	q->mem = mem;
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->event_idx = event_idx;
	q->indirect = indirect;
	q->avail_end = s->next_avail;
	s->ready = true;
	if (!event_idx) /* what virtq_mute() said about an earlier life of this ring counts no more */
		set_used_flags(q, 0);
	return 0;
}

void virtq_reset(struct virtq *q)
{
	*q = (struct virtq){ .max_size = q->max_size, .state.size = q->max_size };
}

int virtq_begin(struct virtq *q)
{
	const struct virtq_avail *avail = q->avail;
	uint16_t idx = load16(&avail->idx, __ATOMIC_ACQUIRE); /* (a) */
	uint16_t nr = (uint16_t)(idx - q->state.next_avail);  /* both wrap at 16 bits */

	if (nr > q->state.size)
		return -EPROTO;
	q->avail_end = idx;
	return nr;
}

/* Adds the buffer that *d, a copy, points at. */
static int chain_add(const struct virtq *q, struct virtq_chain *c, const struct virtq_desc *d)
{
	uint32_t len = le32(d->len);
	unsigned nr = c->nr_out + c->nr_in;
	void *host;

	if (len == 0)
		return 0;
	if (nr == VIRTQ_MAX_SIZE)
		return -EPROTO;
	host = gmem_slice(q->mem, le64(d->addr), len);
	if (!host)
		return -EPROTO;
	if (le16(d->flags) & VRING_DESC_F_WRITE) {
		c->nr_in++;
		c->in_len += len;
	} else if (c->nr_in == 0) {
		c->nr_out++;
		c->out_len += len;
	} else {
		return -EPROTO; /* §2.7.4.2: what the device reads comes first */
	}
	c->iov[nr] = (struct iovec){ .iov_base = host, .iov_len = len };
	return 0;
}

/* Follows a chain through one table of nr descriptors, from number i to its end. An indirect
 * descriptor is not followed but returned in *indirect; it ends the chain (§2.7.5.3.1). */
static int walk(const struct virtq *q, const struct virtq_desc *table, uint32_t nr, uint32_t i,
		struct virtq_chain *c, struct virtq_desc *indirect)
{
	/* §2.7.5.2 forbids loops, and the ttl ends them. It also bounds the walk through a huge
	 * table, even one of empty descriptors. */
	for (unsigned ttl = VIRTQ_MAX_SIZE; ttl > 0; ttl--) {
		if (i >= nr)
			return -EPROTO;

		const struct virtq_desc d = LOAD_ONCE(&table[i]);
		uint16_t flags = le16(d.flags);

		if (flags & VRING_DESC_F_INDIRECT) {
			*indirect = d;
			return flags & VRING_DESC_F_NEXT ? -EPROTO : 0;
		}
		if (chain_add(q, c, &d) < 0)
			return -EPROTO;
		if (!(flags & VRING_DESC_F_NEXT))
			return 0;
		i = le16(d.next);
	}
	return -EPROTO;
}

/* Walks the table that an indirect descriptor refers to. Its own F_WRITE is ignored, and a table
 * refers to no further one (§2.7.5.3). An empty table has no entry 0, so walk() refuses it. */
static int walk_indirect(const struct virtq *q, const struct virtq_desc *d, struct virtq_chain *c)
{
	uint32_t len = le32(d->len);
	const struct virtq_desc *table = gmem_slice(q->mem, le64(d->addr), len);
	struct virtq_desc nested = { 0 };

	if (!q->indirect || !table || len % sizeof(*table))
		return -EPROTO;
	if (walk(q, table, len / sizeof(*table), 0, c, &nested) < 0)
		return -EPROTO;
	return le16(nested.flags) ? -EPROTO : 0;
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	struct virtq_state *s = &q->state;
	const struct virtq_avail *avail = q->avail;
	struct virtq_desc indirect = { 0 };

	if (s->next_avail == q->avail_end)
		return 0;
	/* Not {0}: iov[] is 4 KiB, and only its first entries will be used. */
	c->nr_out = c->nr_in = 0;
	c->out_len = c->in_len = 0;
	c->head = load16(&avail->ring[s->next_avail & (s->size - 1)], __ATOMIC_RELAXED);
	s->next_avail++;
	if (walk(q, q->desc, s->size, c->head, c, &indirect) < 0)
		return -EPROTO;
	if (le16(indirect.flags) && walk_indirect(q, &indirect, c) < 0)
		return -EPROTO;
	return 1;
}

void virtq_unpop(struct virtq *q, unsigned nr)
{
	q->state.next_avail = (uint16_t)(q->state.next_avail - nr);
}

void virtq_take_over(struct virtq *q, uint16_t next_avail)
{
	const struct virtq_used *used = q->used;

	q->state.next_avail = q->avail_end = next_avail;
	q->state.next_used = q->state.signalled = load16(&used->idx, __ATOMIC_ACQUIRE);
}

void virtq_leave(struct virtq *q)
{
	q->avail_end = q->state.next_avail; /* so that virtq_want_kick() finds more */
}

void virtq_fill(struct virtq *q, unsigned nr, uint16_t head, uint32_t len)
{
	struct virtq_used *used = q->used;

	/* A device that kept a chain over a reset would write to memory that the driver took
	 * back. */
	assert(q->state.ready);
	STORE_ONCE(&used->ring[(q->state.next_used + nr) & (q->state.size - 1u)],
		   ((struct virtq_used_elem){ to_le32(head), to_le32(len) }));
}

void virtq_publish(struct virtq *q, unsigned nr)
{
	struct virtq_used *used = q->used;

	assert(q->state.ready);
	q->state.next_used = (uint16_t)(q->state.next_used + nr);
	store16(&used->idx, q->state.next_used, __ATOMIC_RELEASE); /* (b) */
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	virtq_fill(q, 0, head, len);
	virtq_publish(q, 1);
}

void virtq_mute(struct virtq *q)
{
	if (!q->event_idx)
		set_used_flags(q, VRING_USED_F_NO_NOTIFY);
}

bool virtq_has_more(const struct virtq *q)
{
	const struct virtq_avail *avail = q->avail;

	return load16(&avail->idx, __ATOMIC_RELAXED) != q->avail_end;
}

bool virtq_want_kick(struct virtq *q)
{
	if (q->event_idx)
		store16(avail_event(q), q->avail_end, __ATOMIC_RELAXED);
	else
		set_used_flags(q, 0);
	full_fence(); /* (c) */
	return virtq_has_more(q);
}

bool virtq_wants_interrupt(struct virtq *q)
{
	struct virtq_state *s = &q->state;
	const struct virtq_avail *avail = q->avail;
	uint16_t old = s->signalled;

	if (s->next_used == old)
		return false;
	s->signalled = s->next_used;
	full_fence(); /* (d) */
	if (!q->event_idx)
		return !(load16(&avail->flags, __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT);
	/* Was the element number used_event among those pushed since? All of it wraps at 16
	 * bits. */
	return vring_need_event(load16(used_event(q), __ATOMIC_RELAXED), s->next_used, old);
}

/* Copies between buf and the bytes of iov[0..nr) that begin at off. Returns how many there were. */
static size_t iov_copy(const struct iovec *iov, unsigned nr, uint64_t off, void *buf, size_t len,
		       bool to_iov)
{
	size_t done = 0;

	for (unsigned i = 0; i < nr && done < len; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}

		size_t n = min(len - done, iov[i].iov_len - (size_t)off);
		uint8_t *there = (uint8_t *)iov[i].iov_base + off;
		uint8_t *here = (uint8_t *)buf + done;

		memcpy(to_iov ? there : here, to_iov ? here : there, n);
		done += n;
		off = 0;
	}
	return done;
}

size_t chain_read(const struct virtq_chain *c, uint64_t off, void *buf, size_t len)
{
	return iov_copy(c->iov, c->nr_out, off, buf, len, false);
}

size_t chain_write(const struct virtq_chain *c, uint64_t off, const void *buf, size_t len)
{
	return iov_copy(c->iov + c->nr_out, c->nr_in, off, (void *)buf, len, true);
}

unsigned iov_cut(struct iovec *dst, const struct iovec *src, uint64_t skip, uint64_t len)
{
	unsigned nr = 0;

	for (; len; src++) {
		if (skip >= src->iov_len) {
			skip -= src->iov_len;
			continue;
		}

		uint8_t *at = (uint8_t *)src->iov_base + skip;
		const size_t n = min(len, src->iov_len - skip);

		if (nr && at == (uint8_t *)dst[nr - 1].iov_base + dst[nr - 1].iov_len)
			dst[nr - 1].iov_len += n;
		else
			dst[nr++] = (struct iovec){ .iov_base = at, .iov_len = n };
		len -= n;
		skip = 0;
	}
	return nr;
}
