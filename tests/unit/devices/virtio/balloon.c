/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/balloon.h"

#include "ring.h"
#include "capture.h"
#include "test.h"

#define PAGE BALLOON_PAGE

enum { INFLATE, DEFLATE, STATS, HINTS, REPORT };

/* The host's end: notes what it was asked to take, in order. It overwrites the memory, so that a
 * test sees what was touched. */
struct taken {
	struct {
		uint8_t *host;
		uint64_t len;
	} range[64];
	unsigned nr;
	bool refuses;
};

static uint64_t take(void *ctx, const struct iovec *range, unsigned nr)
{
	struct taken *t = ctx;
	uint64_t sum = 0;

	for (unsigned i = 0; i < nr; i++) {
		uint8_t *host = range[i].iov_base;
		const uint64_t len = range[i].iov_len;

		assert_int_equal((uintptr_t)host % PAGE, 0);
		assert_int_equal(len % PAGE, 0);
		assert_true(len > 0);
		if (t->nr < ARRAY_SIZE(t->range)) {
			t->range[t->nr].host = host;
			t->range[t->nr].len = len;
		}
		t->nr++;
		if (!t->refuses)
			memset(host, 0, len);
		sum += len;
	}
	return t->refuses ? 0 : sum;
}

struct bed {
	struct virtio_balloon b;
	struct driver d;
	struct taken taken;
	struct loop loop;
	gpa_t free; /* 48 pages that nobody uses, page-aligned */
};

static void bed_init(struct bed *t, bool reporting, unsigned stats_s)
{
	const struct balloon_options o = {
		.on = true, .size = 8 * PAGE, .reporting = reporting, .stats = stats_s
	};
	const struct virtio_host host = {
		.loop = &t->loop, .memory = 16 * PAGE, .release = take, .ctx = &t->taken
	};

	memset(t, 0, sizeof(*t));
	assert_int_equal(loop_init(&t->loop), 0);
	assert_int_equal(virtio_balloon_init(&t->b, &o, &host), 0);
	driver_init(&t->d, &t->b.vd);
	assert_true(driver_start(&t->d, t->b.vd.features));
	t->free = align_up(driver_alloc(&t->d, 49 * PAGE), PAGE);
}

static void bed_destroy(struct bed *t)
{
	driver_destroy(&t->d);
	virtio_balloon_destroy(&t->b);
	loop_destroy(&t->loop);
}

static uint8_t *host_of(const struct bed *t, gpa_t gpa)
{
	return ram_at(&t->d.ram, gpa, PAGE);
}

/* Offers a chain on queue q, kicks it, and gets it back unwritten. */
static void offer(struct bed *t, unsigned q, const struct ring_buf *buf, unsigned nr)
{
	struct ring_elem used;
	uint16_t head = ring_send(&t->d.ring[q], buf, nr);

	assert_false(virtio_kick(&t->b.vd, q));
	assert_true(ring_take(&t->d.ring[q], &used));
	assert_int_equal(used.id, head);
	assert_int_equal(used.len, 0);
}

static void send_pages(struct bed *t, unsigned q, const uint32_t *page, unsigned nr)
{
	gpa_t gpa = driver_put(&t->d, page, nr * sizeof(*page));

	offer(t, q, &(struct ring_buf){ gpa, nr * 4, .in = false }, 1);
}

static void assert_taken(const struct bed *t, unsigned i, gpa_t gpa, uint64_t pages)
{
	assert_true(i < t->taken.nr);
	assert_ptr_equal(t->taken.range[i].host, host_of(t, gpa));
	assert_int_equal(t->taken.range[i].len, pages * PAGE);
}

/* -- inflating ------------------------------------------------------------------------------- */

static void neighbours_are_taken_in_one_go(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 0);

	const uint32_t f = (uint32_t)(t.free / PAGE);
	/* Upwards, downwards, a single one, and a repeated one. */
	const uint32_t page[] = { f, f + 1, f + 2, f + 9, f + 8, f + 7, f + 6, f + 20, f };

	send_pages(&t, INFLATE, page, ARRAY_SIZE(page));
	assert_int_equal(t.taken.nr, 4);
	assert_taken(&t, 0, t.free, 3);
	assert_taken(&t, 1, t.free + 6 * PAGE, 4);
	assert_taken(&t, 2, t.free + 20 * PAGE, 1);
	assert_taken(&t, 3, t.free, 1);
	assert_int_equal(t.b.inflated, 9 * PAGE);
	assert_int_equal(t.d.interrupts[INFLATE], 1);
	bed_destroy(&t);
}

static void deflating_takes_nothing(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 0);
	send_pages(&t, DEFLATE, (uint32_t[]){ (uint32_t)(t.free / PAGE) }, 1);
	assert_int_equal(t.taken.nr, 0);
	bed_destroy(&t);
}

static void what_is_not_ram_is_ignored(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 0);

	const uint32_t f = (uint32_t)(t.free / PAGE);
	const uint32_t page[] = { RAM_END / PAGE, UINT32_MAX, f, 0xd0000, 1u << 31 };

	send_pages(&t, INFLATE, page, ARRAY_SIZE(page));
	assert_int_equal(t.taken.nr, 1);
	assert_taken(&t, 0, t.free, 1);
	assert_false(t.b.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	bed_destroy(&t);
}

/* Trailing bytes, no bytes, numbers that the end of a buffer cuts, nothing to read at all. */
static void odd_lengths_are_no_pages(void **state __unused)
{
	struct bed t;
	uint8_t bytes[8];

	bed_init(&t, true, 0);
	store_le(bytes, 4, t.free / PAGE);
	store_le(bytes + 4, 4, t.free / PAGE + 5);

	gpa_t gpa = driver_put(&t.d, bytes, sizeof(bytes));

	offer(&t, INFLATE, &(struct ring_buf){ gpa, 3, .in = false }, 1);
	offer(&t, INFLATE, &(struct ring_buf){ gpa, 0, .in = false }, 1);
	offer(&t, INFLATE, &(struct ring_buf){ gpa, 8, .in = true }, 1);
	assert_int_equal(t.taken.nr, 0);
	offer(&t, INFLATE, &(struct ring_buf){ gpa, 7, .in = false }, 1);
	assert_int_equal(t.taken.nr, 1);
	assert_taken(&t, 0, t.free, 1);
	offer(&t, INFLATE,
	      (struct ring_buf[]){ { gpa, 1, .in = false }, { gpa + 1, 7, .in = false } }, 2);
	assert_int_equal(t.taken.nr, 3);
	assert_taken(&t, 2, t.free + 5 * PAGE, 1);
	bed_destroy(&t);
}

/* 64 Ki numbers by a few descriptors: the first 8192 count. */
static void one_kick_does_a_bounded_amount_of_work(void **state __unused)
{
	struct ring_buf buf[32];
	struct bed t;

	bed_init(&t, true, 0);

	/* Every second page, so that each number is a run of its own. */
	uint32_t page[2048];

	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		page[i] = (uint32_t)(t.free / PAGE) + i % 2 * 2;

	gpa_t gpa = driver_put(&t.d, page, sizeof(page));

	for (unsigned i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = (struct ring_buf){ gpa, sizeof(page), .in = false };
	offer(&t, INFLATE, buf, ARRAY_SIZE(buf));
	assert_int_equal(t.taken.nr, 8192);
	/* The next kick begins anew. */
	offer(&t, INFLATE, buf, 1);
	assert_int_equal(t.taken.nr, 8192 + 2048);
	bed_destroy(&t);
}

static void a_balloon_of_its_own_ring_harms_the_guest_alone(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 0);

	const gpa_t ring = t.d.ring[INFLATE].avail_gpa & ~(PAGE - 1);
	uint32_t page[] = { (uint32_t)(ring / PAGE), (uint32_t)(t.free / PAGE) };
	gpa_t gpa = driver_put(&t.d, page, sizeof(page));

	for (unsigned i = 0; i < 3; i++)
		ring_send(&t.d.ring[INFLATE], &(struct ring_buf){ gpa, 8, .in = false }, 1);
	virtio_kick(&t.b.vd, INFLATE);
	for (unsigned i = 0; i < 3; i++)
		virtio_kick(&t.b.vd, INFLATE);
	/* The index went back to 0: no number of new buffers fits that. */
	assert_true(t.b.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(driver_start(&t.d, t.b.vd.features));
	bed_destroy(&t);
}

static void what_the_host_does_not_take_is_not_counted(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 0);
	t.taken.refuses = true;
	send_pages(&t, INFLATE, (uint32_t[]){ (uint32_t)(t.free / PAGE) }, 1);
	assert_int_equal(t.taken.nr, 1);
	assert_int_equal(t.b.inflated, 0);
	bed_destroy(&t);
}

/* -- reports --------------------------------------------------------------------------------- */

static void reported_ranges_are_taken(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 0);

	const struct ring_buf buf[] = {
		{ t.free, 4 * PAGE, .in = true },
		{ t.free + 4 * PAGE, 2 * PAGE, .in = true },
		/* Parts of pages stay: one whole page in here, none in the next. */
		{ t.free + 10 * PAGE + 1, 2 * PAGE, .in = true },
		{ t.free + 20 * PAGE + 1, 2 * PAGE - 2, .in = true },
		{ t.free + 30 * PAGE, 1, .in = true },
	};

	offer(&t, REPORT, buf, ARRAY_SIZE(buf));
	assert_int_equal(t.taken.nr, 2);
	assert_taken(&t, 0, t.free, 6);
	assert_taken(&t, 1, t.free + 11 * PAGE, 1);
	assert_int_equal(t.b.reported, 7 * PAGE);
	/* Memory that the device may only read is not free memory. */
	offer(&t, REPORT, &(struct ring_buf){ t.free, PAGE, .in = false }, 1);
	assert_int_equal(t.taken.nr, 2);
	bed_destroy(&t);
}

/* Linux does not number the queues that it doesn't have. */
static void reports_come_on_any_queue_that_they_may_be_on(void **state __unused)
{
	const uint64_t report = VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING);
	const uint64_t stats = VIRTIO_BIT(VIRTIO_BALLOON_F_STATS_VQ);
	const struct {
		uint64_t features;
		unsigned q, taken;
	} row[] = {
		{ report | stats, REPORT, 1 }, { report | stats, HINTS, 1 },
		{ report, REPORT, 1 },         { report, HINTS, 1 },
		{ report, STATS, 1 },          { stats, HINTS, 0 },
		{ stats, REPORT, 0 },          { 0, STATS, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct bed t;

		bed_init(&t, true, 0);
		assert_true(driver_start(&t.d, row[i].features));
		offer(&t, row[i].q, &(struct ring_buf){ t.free, PAGE, .in = true }, 1);
		assert_int_equal(t.taken.nr, row[i].taken);
		bed_destroy(&t);
	}
}

static void a_guest_that_poisons_its_pages_keeps_them(void **state __unused)
{
	const uint32_t off = offsetof(struct virtio_balloon_config, poison_val);
	struct bed t;

	bed_init(&t, true, 0);
	virtio_config_write(&t.b.vd, off, 4, 0xaaaaaaaa);
	assert_int_equal(virtio_config_read(&t.b.vd, off, 4), 0xaaaaaaaa);
	offer(&t, REPORT, &(struct ring_buf){ t.free, PAGE, .in = true }, 1);
	assert_int_equal(t.taken.nr, 0);
	/* The pages would come back as zeroes. */
	virtio_config_write(&t.b.vd, off, 4, 0);
	offer(&t, REPORT, &(struct ring_buf){ t.free, PAGE, .in = true }, 1);
	assert_int_equal(t.taken.nr, 1);
	/* Without the feature the field means nothing. */
	assert_true(driver_start(&t.d, VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING)));
	assert_int_equal(virtio_config_read(&t.b.vd, off, 4), 0);
	virtio_config_write(&t.b.vd, off, 4, 0xaaaaaaaa);
	offer(&t, REPORT, &(struct ring_buf){ t.free, PAGE, .in = true }, 1);
	assert_int_equal(t.taken.nr, 2);
	bed_destroy(&t);
}

static void without_reporting_there_is_no_queue_for_it(void **state __unused)
{
	struct bed t;

	bed_init(&t, false, 0);
	assert_int_equal(t.b.vd.nr_queues, 3);
	assert_false(t.b.vd.features & VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING));
	assert_false(t.b.vd.features & VIRTIO_BIT(VIRTIO_BALLOON_F_PAGE_POISON));
	bed_destroy(&t);
}

static void one_that_nobody_asked_for_is_small_or_not_there(void **state __unused)
{
	const struct balloon_options o = { .on = true, .reporting = true, .by_default = true };
	struct virtio_host host = { .memory = 16 * PAGE, .release = take };
	struct virtio_dev *vd = NULL;

	assert_int_equal(virtio_balloon_ops.make(&vd, &o, &host), 0);
	assert_true(vd->features & VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING));
	assert_false(vd->features & VIRTIO_BIT(VIRTIO_BALLOON_F_STATS_VQ));
	virtio_balloon_ops.destroy(vd);
	vd = NULL;
	host.release = NULL; /* the host would keep the pages */
	assert_int_equal(virtio_balloon_ops.make(&vd, &o, &host), 0);
	assert_null(vd);
}

/* A guest chooses how often it resets its device, but not how often this is logged. */
static void that_the_target_is_reached_is_said_once(void **state __unused)
{
	struct message_count count = { .sink = { count_message, LOG_INFO } };
	struct bed t;

	bed_init(&t, false, 0);
	log_use(&count.sink);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(driver_start(&t.d, 0));
		virtio_config_write(&t.b.vd, 4, 4, t.b.state.target_pages);
	}
	assert_int_equal(count.nr, 1);
	log_use(NULL);
	bed_destroy(&t);
}

/* -- statistics ------------------------------------------------------------------------------ */

/* Puts a tag and a value at p. */
static uint8_t *put_stat(uint8_t *p, uint16_t tag, uint64_t value)
{
	store_le(p, 2, tag);
	store_le(p + 2, 8, value);
	return p + 10;
}

static void expire(struct bed *t)
{
	t->b.timer.fn(&t->b.timer, EPOLLIN);
}

static void statistics_are_asked_for_by_giving_the_buffer_back(void **state __unused)
{
	struct ring_elem used;
	uint8_t bytes[40], *p = bytes;
	struct bed t;

	bed_init(&t, true, 3600);
	expire(&t); /* nothing to give back yet */
	assert_int_equal(ring_used(&t.d.ring[STATS]), 0);

	p = put_stat(p, VIRTIO_BALLOON_S_MEMFREE, 5 * GIB);
	p = put_stat(p, 60000, 1);
	p = put_stat(p, VIRTIO_BALLOON_S_HTLB_PGFAIL, 7);
	p = put_stat(p, VIRTIO_BALLOON_S_NR, 8);

	gpa_t gpa = driver_put(&t.d, bytes, sizeof(bytes));
	uint16_t head = ring_send(&t.d.ring[STATS], &(struct ring_buf){ gpa, 40, .in = false }, 1);

	assert_false(virtio_kick(&t.b.vd, STATS));
	assert_int_equal(ring_used(&t.d.ring[STATS]), 0);
	assert_int_equal(t.b.state.stat[VIRTIO_BALLOON_S_MEMFREE], 5 * GIB);
	assert_int_equal(t.b.state.stat[VIRTIO_BALLOON_S_HTLB_PGFAIL], 7);
	assert_int_equal(t.b.state.stats,
			 1u << VIRTIO_BALLOON_S_MEMFREE | 1u << VIRTIO_BALLOON_S_HTLB_PGFAIL);
	expire(&t);
	assert_true(ring_take(&t.d.ring[STATS], &used));
	assert_int_equal(used.id, head);
	assert_int_equal(t.d.interrupts[STATS], 1);
	expire(&t); /* once is enough */
	assert_int_equal(ring_used(&t.d.ring[STATS]), 0);
	bed_destroy(&t);
}

static void a_second_statistics_buffer_replaces_the_first(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 0);

	gpa_t gpa = driver_alloc(&t.d, 4096);

	/* The buffer may have any size. */
	for (uint32_t len = 0; len < 8; len++)
		ring_send(&t.d.ring[STATS], &(struct ring_buf){ gpa, len * 500, .in = false }, 1);
	assert_false(virtio_kick(&t.b.vd, STATS));
	assert_int_equal(ring_used(&t.d.ring[STATS]), 7);
	bed_destroy(&t);
}

static void a_reset_forgets_the_statistics_buffer(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 3600);
	for (unsigned queue_alone = 0; queue_alone < 2; queue_alone++) {
		gpa_t gpa = driver_alloc(&t.d, 16);

		ring_send(&t.d.ring[STATS], &(struct ring_buf){ gpa, 10, .in = false }, 1);
		assert_false(virtio_kick(&t.b.vd, STATS));
		assert_true(t.b.holding);
		if (queue_alone)
			virtio_queue_disable(&t.b.vd, virtio_queue(&t.b.vd, STATS));
		else
			virtio_set_status(&t.b.vd, 0);
		expire(&t); /* would write to a ring that isn't there */
		assert_false(t.b.holding);
		assert_true(driver_start(&t.d, t.b.vd.features));
	}
	bed_destroy(&t);
}

static void a_quiet_device_has_given_the_buffer_back(void **state __unused)
{
	uint8_t bytes[10];
	struct ring_elem used;
	struct bed t;

	bed_init(&t, true, 3600);
	put_stat(bytes, VIRTIO_BALLOON_S_MEMFREE, 5 * GIB);

	gpa_t gpa = driver_put(&t.d, bytes, sizeof(bytes));
	uint16_t head = ring_send(&t.d.ring[STATS], &(struct ring_buf){ gpa, 10, .in = false }, 1);

	driver_kick(&t.d, STATS);
	assert_true(t.b.holding);
	virtio_quiesce(&t.b.vd);
	assert_true(driver_holds_nothing(&t.d));
	assert_false(t.b.holding);
	expire(&t); /* there is nothing to give back now */
	assert_int_equal(ring_used(&t.d.ring[STATS]), 0);
	driver_go_on(&t.d);
	assert_true(t.b.holding);
	expire(&t);
	assert_true(ring_take(&t.d.ring[STATS], &used));
	assert_int_equal(used.id, head);
	assert_int_equal(ring_used(&t.d.ring[STATS]), 0);
	virtio_quiesce(&t.b.vd); /* without one, too */
	assert_true(driver_holds_nothing(&t.d));
	bed_destroy(&t);
}

static void a_broken_device_gives_nothing_back(void **state __unused)
{
	struct bed t;

	bed_init(&t, true, 3600);

	gpa_t gpa = driver_alloc(&t.d, 16);

	ring_send(&t.d.ring[STATS], &(struct ring_buf){ gpa, 10, .in = false }, 1);
	assert_false(virtio_kick(&t.b.vd, STATS));
	ring_desc(&t.d.ring[INFLATE], 0, 0x9000, 16, VRING_DESC_F_NEXT, 0);
	ring_offer(&t.d.ring[INFLATE], 0);
	assert_false(virtio_kick(&t.b.vd, INFLATE));
	assert_true(t.b.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	expire(&t);
	assert_int_equal(ring_used(&t.d.ring[STATS]), 0);
	bed_destroy(&t);
}

/* -- the target ------------------------------------------------------------------------------ */

static uint64_t target(const struct bed *t)
{
	return virtio_config_read((struct virtio_dev *)&t->b.vd,
				  offsetof(struct virtio_balloon_config, num_pages), 4);
}

static void it_is_made_when_it_is_asked_for(void **state __unused)
{
	struct balloon_options o = { 0 };
	struct virtio_host host = { .memory = 16 * PAGE, .release = take };
	struct virtio_dev *vd = NULL;
	struct capture c;

	assert_int_equal(virtio_balloon_ops.make(&vd, &o, &host), 0);
	assert_null(vd);
	virtio_balloon_options.begin(&o);
	assert_int_equal(virtio_balloon_ops.make(&vd, &o, &host), 0);
	assert_ptr_equal(vd->ops, &virtio_balloon_ops);
	virtio_balloon_ops.destroy(vd); /* LeakSanitizer sees what is not freed */
	host.release = NULL;
	log_set_level(LOG_WARN);
	capture_begin(&c);
	assert_int_equal(virtio_balloon_ops.make(&vd, &o, &host), 0);
	assert_non_null(strstr(capture_end(&c), "stay set aside for the guest"));
	log_set_level(LOG_QUIET);
	virtio_balloon_ops.destroy(vd);
}

static void the_target_moves_within_its_limits(void **state __unused)
{
	const struct {
		int64_t pages;
		uint64_t target;
	} row[] = {
		{ 4, 12 },  { 4, 14 }, { 1, 14 }, { -1, 13 },
		{ -12, 1 }, { -2, 0 }, { -1, 0 }, { 3, 3 },
	};
	struct bed t;

	bed_init(&t, true, 0);
	assert_int_equal(target(&t), 8);
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		const int64_t bytes = row[i].pages * (int64_t)PAGE;

		assert_int_equal(virtio_balloon_move(&t.b.vd, bytes), row[i].target * PAGE);
		assert_int_equal(target(&t), row[i].target);
		assert_int_equal(t.d.config_interrupts, i + 1);
	}
	virtio_reset(&t.b.vd);
	assert_int_equal(target(&t), 3);
	bed_destroy(&t);
}

static void the_driver_says_how_far_it_is(void **state __unused)
{
	struct virtio_balloon_config c;
	struct bed t;

	bed_init(&t, true, 0);
	virtio_config_write(&t.b.vd, offsetof(struct virtio_balloon_config, actual), 4, 5);
	assert_int_equal(t.b.state.actual_pages, 5);
	/* The driver can write nothing else, and no part of it. */
	virtio_config_write(&t.b.vd, offsetof(struct virtio_balloon_config, actual), 2, 9);
	virtio_config_write(&t.b.vd, offsetof(struct virtio_balloon_config, actual) + 1, 4, 9);
	virtio_config_write(&t.b.vd, 0, 4, 9);
	virtio_config_write(&t.b.vd, 0, 8, 9);
	virtio_config_write(&t.b.vd, offsetof(struct virtio_balloon_config, free_page_hint_cmd_id),
			    4, 9);
	for (unsigned i = 0; i < sizeof(c); i++)
		((uint8_t *)&c)[i] = (uint8_t)virtio_config_read(&t.b.vd, i, 1);
	assert_int_equal(le32toh(c.num_pages), 8);
	assert_int_equal(le32toh(c.actual), 5);
	assert_int_equal(le32toh(c.free_page_hint_cmd_id), VIRTIO_BALLOON_CMD_ID_STOP);
	assert_int_equal(le32toh(c.poison_val), 0);
	bed_destroy(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_taken_in_one_go),
		cmocka_unit_test(deflating_takes_nothing),
		cmocka_unit_test(what_is_not_ram_is_ignored),
		cmocka_unit_test(odd_lengths_are_no_pages),
		cmocka_unit_test(one_kick_does_a_bounded_amount_of_work),
		cmocka_unit_test(a_balloon_of_its_own_ring_harms_the_guest_alone),
		cmocka_unit_test(what_the_host_does_not_take_is_not_counted),
		cmocka_unit_test(reported_ranges_are_taken),
		cmocka_unit_test(reports_come_on_any_queue_that_they_may_be_on),
		cmocka_unit_test(a_guest_that_poisons_its_pages_keeps_them),
		cmocka_unit_test(that_the_target_is_reached_is_said_once),
		cmocka_unit_test(without_reporting_there_is_no_queue_for_it),
		cmocka_unit_test(one_that_nobody_asked_for_is_small_or_not_there),
		cmocka_unit_test(statistics_are_asked_for_by_giving_the_buffer_back),
		cmocka_unit_test(a_second_statistics_buffer_replaces_the_first),
		cmocka_unit_test(a_reset_forgets_the_statistics_buffer),
		cmocka_unit_test(a_quiet_device_has_given_the_buffer_back),
		cmocka_unit_test(a_broken_device_gives_nothing_back),
		cmocka_unit_test(it_is_made_when_it_is_asked_for),
		cmocka_unit_test(the_target_moves_within_its_limits),
		cmocka_unit_test(the_driver_says_how_far_it_is),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests_name("virtio-balloon", tests, NULL, NULL);
}
