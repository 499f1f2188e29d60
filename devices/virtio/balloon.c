/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-balloon (virtio 1.2 §5.5): the guest gives memory up, and the host gets it back.
 *
 * There are two ways. For the balloon, the guest takes memory from itself until it has reached our
 * target (inflate), and takes it back when the target falls or when memory is short (deflate,
 * DEFLATE_ON_OOM). And the guest reports pages that it freed and doesn't need for now.
 *
 * Memory that the host took back reads as zeroes when it is touched again, by the guest or by us
 * for the guest. So a guest that gives up pages in use, its rings or its own code, harms only
 * itself. Deflating needs no work: the next touch brings a page.
 *
 * Deliberately missing: MUST_TELL_HOST (nothing depends on it) and FREE_PAGE_HINT (only useful for
 * live migration).
 *
 * Queues. Those after the second are numbered in two ways. By the specification they are 2
 * (statistics), 3 (hints) and 4 (reports), whichever of them exist. Linux numbers the existing ones
 * one after the other: reports are 3 if there are no hints, or 2 if there are no statistics either.
 * As we have no hints, both are understood: see role_of().
 */
#include "virtio/balloon.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/timerfd.h>

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUES_WITHOUT_REPORTING, QUEUES = 5 };

enum role { INFLATE, DEFLATE, STATS, REPORT };

static enum role role_of(const struct virtio_dev *vd, const struct virtq *q)
{
	switch (q - vd->q) {
	case QUEUE_INFLATE:
		return INFLATE;
	case QUEUE_DEFLATE:
		return DEFLATE;
	case QUEUE_STATS:
		return virtio_has(vd, VIRTIO_BALLOON_F_STATS_VQ) ? STATS : REPORT;
	default:
		return REPORT;
	}
}

/* -- taking memory back ---------------------------------------------------------------------- */

/* The most that one kick may make us do. If a driver asks for more at once, the rest is not taken
 * back: Linux asks for 256 pages, or reports 32 ranges of 4 MiB, and waits. */
#define KICK_PAGES 8192        /* numbers of pages, or ranges */
#define KICK_BYTES (256 * MIB) /* how much is taken back */

/* What is taken back at once: pages that are adjacent on the host are one range. Linux's requests
 * have 256 pages. */
struct ranges {
	struct virtio_balloon *b;
	uint64_t *sum; /* the sum of bytes that were taken back */
	unsigned pages_left;
	uint64_t bytes_left;
	unsigned nr;
	struct iovec range[256];
};

static void ranges_begin(struct ranges *r, struct virtio_balloon *b, uint64_t *sum)
{
	r->b = b;
	r->sum = sum;
	r->pages_left = KICK_PAGES;
	r->bytes_left = KICK_BYTES;
	r->nr = 0;
}

static void ranges_end(struct ranges *r)
{
	const struct virtio_host *host = &r->b->host;

	if (r->nr && host->release)
		*r->sum += host->release(host->ctx, r->range, r->nr);
	r->nr = 0;
}

static void ranges_add(struct ranges *r, uint8_t *host, uint64_t len)
{
	struct iovec *last = r->nr ? &r->range[r->nr - 1] : NULL;

	if (len > r->bytes_left)
		return;
	r->bytes_left -= len;
	if (last && host == (uint8_t *)last->iov_base + last->iov_len) {
		last->iov_len += len;
	} else if (last && host + len == last->iov_base) {
		last->iov_base = host;
		last->iov_len += len;
	} else {
		if (r->nr == ARRAY_SIZE(r->range))
			ranges_end(r);
		r->range[r->nr++] = (struct iovec){ .iov_base = host, .iov_len = len };
	}
}

/* Each 32-bit number is a page (§5.5.6.1). Numbers that aren't RAM are ignored. */
static void inflate_chain(struct ranges *r, const struct virtq_chain *c)
{
	le32_t page[256];
	uint64_t off = 0;

	while (r->pages_left) {
		const size_t want = min((size_t)r->pages_left, ARRAY_SIZE(page));
		const size_t nr = chain_read(c, off, page, want * sizeof(*page)) / sizeof(*page);

		if (nr == 0)
			return;
		off += nr * sizeof(*page);
		r->pages_left -= (unsigned)nr;
		for (size_t i = 0; i < nr; i++) {
			gpa_t gpa = (gpa_t)le32(page[i]) << VIRTIO_BALLOON_PFN_SHIFT;
			void *host = gmem_slice(r->b->vd.mem, gpa, BALLOON_PAGE);

			if (host)
				ranges_add(r, host, BALLOON_PAGE);
			else
				guest_err(&r->b->vd.log,
					  "virtio-balloon: page 0x%" PRIx32 " is not RAM",
					  le32(page[i]));
		}
	}
}

/* The buffers are the free memory itself (§5.5.6.7). Parts of pages stay. */
static void report_chain(struct ranges *r, const struct virtq_chain *c)
{
	for (unsigned i = c->nr_out; i < c->nr_out + c->nr_in && r->pages_left; i++) {
		const uintptr_t at = (uintptr_t)c->iov[i].iov_base;
		const uintptr_t start = align_up(at, BALLOON_PAGE);
		const uintptr_t end = (at + c->iov[i].iov_len) & ~(BALLOON_PAGE - 1);

		r->pages_left--;
		if (start < end)
			ranges_add(r, (uint8_t *)start, end - start);
	}
}

/* A guest that fills free pages with a pattern expects to find it there again (§5.5.6.7.2). */
static bool reports_count(const struct virtio_balloon *b)
{
	return virtio_has(&b->vd, VIRTIO_BALLOON_F_REPORTING) &&
	       !(virtio_has(&b->vd, VIRTIO_BALLOON_F_PAGE_POISON) && b->state.poison);
}

static int pages_kick(struct virtio_balloon *b, struct virtq *q, enum role role)
{
	struct virtq_chain c;
	struct ranges r;
	int rc;

	ranges_begin(&r, b, role == INFLATE ? &b->inflated : &b->reported);
	while (!round_is_late(&b->vd.round)) {
		rc = virtio_pop(&b->vd, q, &c);
		if (rc <= 0)
			return rc;
		if (role == INFLATE)
			inflate_chain(&r, &c);
		else if (role == REPORT && reports_count(b))
			report_chain(&r, &c);
		/* Now, before the driver gets the chain back and may use the pages again. */
		ranges_end(&r);
		virtq_push(q, c.head, 0);
	}
	virtq_leave(q);
	return 0;
}

/* -- statistics ------------------------------------------------------------------------------ */

struct balloon_stat {
	le16_t tag;
	le64_t value;
} __attribute__((packed));
_Static_assert(sizeof(struct balloon_stat) == 10, "virtio 1.2 §5.5.6.3");

static unsigned pages_mib(uint32_t pages)
{
	return (unsigned)(pages * BALLOON_PAGE / MIB);
}

static void log_stats(const struct virtio_balloon *b)
{
	const uint64_t *s = b->state.stat;

	log_info(
		"balloon: %u MiB of %u MiB; the guest has %llu MiB: %llu free, %llu available, %llu in caches",
		pages_mib(b->state.actual_pages), pages_mib(b->state.target_pages),
		s[VIRTIO_BALLOON_S_MEMTOT] / MIB, s[VIRTIO_BALLOON_S_MEMFREE] / MIB,
		s[VIRTIO_BALLOON_S_AVAIL] / MIB, s[VIRTIO_BALLOON_S_CACHES] / MIB);
}

/* Unknown tags are ignored (§5.5.6.3.2), and so is what follows the first 32. */
static void take_stats(struct virtio_balloon *b, const struct virtq_chain *c)
{
	struct balloon_stat stat[32];
	const size_t nr = chain_read(c, 0, stat, sizeof(stat)) / sizeof(stat[0]);

	for (size_t i = 0; i < nr; i++) {
		const uint16_t tag = le16(stat[i].tag);

		if (tag >= ARRAY_SIZE(b->state.stat))
			continue;
		b->state.stat[tag] = le64(stat[i].value);
		b->state.stats |= 1u << tag;
	}
	if (b->state.asked) /* otherwise the guest would choose how often */
		log_stats(b);
	b->state.asked = false;
}

static void hand_back(struct virtio_balloon *b)
{
	if (b->holding)
		virtq_push(&b->vd.q[QUEUE_STATS], b->held, 0);
	b->holding = false;
}

static int stats_kick(struct virtio_balloon *b, struct virtq *q)
{
	struct virtq_chain c;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0) {
		take_stats(b, &c);
		hand_back(b); /* a driver has no reason to offer a second one */
		b->held = c.head;
		b->holding = true;
	}
	return rc;
}

static void on_timer(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_balloon *b = container_of(src, struct virtio_balloon, timer);
	uint64_t times;

	if (read(src->fd, &times, sizeof(times)) < 0 && errno != EAGAIN)
		return;
	if (!b->holding || b->vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	b->state.asked = true;
	hand_back(b);
	virtio_notify(&b->vd, &b->vd.q[QUEUE_STATS]);
}

/* -- the device ------------------------------------------------------------------------------ */

static int balloon_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);
	const enum role role = role_of(vd, q);

	return role == STATS ? stats_kick(b, q) : pages_kick(b, q, role);
}

static int balloon_activate(struct virtio_dev *vd)
{
	struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);
	int rc;

	if (b->watched || b->timer.fd < 0)
		return 0;
	b->timer.lock = vd->lock;
	rc = loop_add(b->host.loop, &b->timer, EPOLLIN);
	b->watched = rc == 0;
	return rc;
}

static void balloon_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);

	if (!q || q == &vd->q[QUEUE_STATS])
		b->holding = b->state.asked = false;
	if (q)
		return;
	b->state = (struct virtio_balloon_state){
		.target_pages = b->state.target_pages,
		.reached = b->state.reached,
	};
}

/* What is in the buffer is taken twice, which changes nothing. */
static void balloon_quiesce(struct virtio_dev *vd)
{
	struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);

	virtq_unpop(&vd->q[QUEUE_STATS], b->holding);
	b->holding = false;
}

static uint64_t balloon_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	const struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);
	const struct virtio_balloon_config c = {
		.num_pages = htole32(b->state.target_pages),
		.actual = htole32(b->state.actual_pages),
		.free_page_hint_cmd_id = htole32(VIRTIO_BALLOON_CMD_ID_STOP),
		.poison_val = htole32(b->state.poison),
	};

	return load_le((const uint8_t *)&c + off, size);
}

/* Logged once for each change of the target, whatever the guest writes. */
static void say_when_reached(struct virtio_balloon *b)
{
	if (b->state.reached || b->state.actual_pages != b->state.target_pages)
		return;
	b->state.reached = true;
	log_info("balloon: the guest has reached %u MiB", pages_mib(b->state.target_pages));
}

static void balloon_config_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value)
{
	struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);

	if (size != sizeof(uint32_t))
		return; /* §4.1.3.1, §4.2.2.2: accesses are as wide as the field */
	if (off == offsetof(struct virtio_balloon_config, actual)) {
		b->state.actual_pages = (uint32_t)value;
		say_when_reached(b);
	} else if (off == offsetof(struct virtio_balloon_config, poison_val)) {
		b->state.poison = (uint32_t)value;
	}
}

static int start_timer(struct virtio_balloon *b, unsigned seconds)
{
	const struct itimerspec t = { .it_value.tv_sec = seconds, .it_interval.tv_sec = seconds };

	b->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (b->timer.fd < 0 || timerfd_settime(b->timer.fd, 0, &t, NULL) < 0)
		return log_errno("balloon: timer for stats=%u", seconds);
	return 0;
}

int virtio_balloon_init(struct virtio_balloon *b, const struct balloon_options *o,
			const struct virtio_host *host)
{
	const uint64_t reporting =
		VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING) | VIRTIO_BIT(VIRTIO_BALLOON_F_PAGE_POISON);

	const uint64_t most = BALLOON_MOST(host->memory);

	assert(o->size <= most && most / BALLOON_PAGE <= UINT32_MAX);
	*b = (struct virtio_balloon){
		.host = *host,
		.size = o->size,
		.most_pages = (uint32_t)(most / BALLOON_PAGE),
		.state.target_pages = (uint32_t)(o->size / BALLOON_PAGE),
		.timer = { .fd = -1, .fn = on_timer },
	};
	virtio_init(&b->vd, &virtio_balloon_ops,
		    (o->by_default ? 0 : VIRTIO_BIT(VIRTIO_BALLOON_F_STATS_VQ)) |
			    VIRTIO_BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
			    (o->reporting ? reporting : 0));
	if (o->reporting)
		virtio_set_nr_queues(&b->vd, QUEUES);
	return o->stats ? start_timer(b, o->stats) : 0;
}

void virtio_balloon_destroy(struct virtio_balloon *b)
{
	if (!b->vd.ops)
		return;
	if (b->watched)
		loop_remove(b->host.loop, &b->timer);
	close_fd(&b->timer.fd);
	*b = (struct virtio_balloon){ 0 };
}

uint64_t virtio_balloon_move(struct virtio_dev *vd, int64_t bytes)
{
	struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);
	const int64_t pages = bytes / (int64_t)BALLOON_PAGE;
	uint64_t target;

	pthread_mutex_lock(vd->lock);
	target = (uint64_t)max((int64_t)b->state.target_pages + pages, (int64_t)0);
	b->state.target_pages = (uint32_t)min(target, (uint64_t)b->most_pages);
	b->state.reached = false;
	virtio_config_changed(vd);
	target = b->state.target_pages * BALLOON_PAGE;
	pthread_mutex_unlock(vd->lock);
	return target;
}

static void balloon_free(struct virtio_dev *vd)
{
	struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);

	virtio_balloon_destroy(b);
	free(b);
}

static void balloon_describe(const struct virtio_dev *vd, unsigned nth __unused, FILE *out)
{
	const struct virtio_balloon *b = container_of(vd, struct virtio_balloon, vd);
	char size[OPT_SIZE_LEN];

	fprintf(out, "%s at the start%s", opt_size_text(b->size, size),
		vd->features & VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING)
			? ", and what the guest reports as free"
			: "");
}

static int balloon_make(struct virtio_dev **vd, const void *options, const struct virtio_host *host)
{
	const struct balloon_options *o = options;
	struct virtio_balloon *b;
	int rc;

	if (!o->on || (o->by_default && !host->release))
		return 0;
	if (!host->release)
		log_warn(
			"--balloon: huge pages of a fixed size stay set aside for the guest, whatever it gives up; use hugepages=on");
	b = malloc(sizeof(*b));
	if (!b)
		return log_ret(-ENOMEM, "--balloon: out of memory");
	rc = virtio_balloon_init(b, o, host);
	*vd = &b->vd;
	if (rc < 0)
		balloon_free(*vd);
	return rc;
}

/* 32 chains: Linux needs that many in order to report pages, and it is enough for all. */
const struct virtio_ops virtio_balloon_ops = {
	.name = "balloon",
	.module = "virtio_balloon",
	.device_id = VIRTIO_ID_BALLOON,
	.nr_queues = QUEUES_WITHOUT_REPORTING,
	.queue_size = 32,
	.config_size = sizeof(struct virtio_balloon_config),
	.make = balloon_make,
	.destroy = balloon_free,
	.describe = balloon_describe,
	.kick = balloon_kick,
	.activate = balloon_activate,
	.reset = balloon_reset,
	.quiesce = balloon_quiesce,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
};

/* -- the option ------------------------------------------------------------------------------ */

static void begin_options(void *target)
{
	struct balloon_options *o = target;

	*o = (struct balloon_options){ .on = true, .reporting = true };
}

static const struct opt_range sizes = { 0, BALLOON_MOST(1 * TIB) }; /* config.c has the limit */
static const struct opt_range intervals = { 1, 3600 };

static const struct opt keys[] = {
	LIST_KEY("size", "SIZE", opt_size, balloon_options, size, .kind = &sizes),
	LIST_KEY("reporting", "on|off", opt_bool, balloon_options, reporting),
	LIST_KEY("stats", "SECONDS", opt_number, balloon_options, stats, .kind = &intervals),
};

const struct opt_table virtio_balloon_options = {
	.row = keys,
	.nr = ARRAY_SIZE(keys),
	.begin = begin_options,
};
