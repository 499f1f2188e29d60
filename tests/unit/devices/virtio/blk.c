/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "backend/disk/disk_impl.h"
#include "ring.h"
#include "vmm/event.h"
#include "capture.h"
#include "test.h"

#define SECTORS 2048u
#define MODERN                                                                                     \
	(VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |                       \
	 VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE))
#define NO_STATUS 0xee /* value of the status byte before the device writes it */

/* An engine that the test controls: requests wait until fake_finish(), or until they are
 * drained. */
struct fake {
	struct disk_request *waiting[2 * DISK_MAX_IN_FLIGHT];
	unsigned nr, drains;
};

/* A disk of SECTORS on a memfd, each sector filled with its number's low byte; and its driver. */
struct rig {
	struct virtio_blk b;
	struct driver d;
	struct loop loop;
	int image;
	char path[32];
	struct fake fake;
};

static void fake_stop(struct disk *d __unused) {}

static struct fake *fake_of(struct disk *d)
{
	return &container_of(d, struct rig, b.disk)->fake;
}

static void fake_submit(struct disk *d, struct disk_request *r)
{
	struct fake *f = fake_of(d);

	f->waiting[f->nr++] = r;
}

static void fake_end(struct rig *t, unsigned i, int result)
{
	struct fake *f = &t->fake;
	struct disk_request *r = f->waiting[i];

	assert_true(i < f->nr);
	memmove(&f->waiting[i], &f->waiting[i + 1], (f->nr - i - 1) * sizeof(f->waiting[0]));
	f->nr--;
	disk_finish(&t->b.disk, r, result);
}

/* Finishes waiting request i, and begins what follows from that. */
static void fake_finish(struct rig *t, unsigned i, int result)
{
	fake_end(t, i, result);
	t->b.completions.fn(&t->b.completions, EPOLLIN);
}

static void fake_run(struct disk *d, bool wait)
{
	struct rig *t = container_of(d, struct rig, b.disk);

	if (wait) {
		t->fake.drains++;
		fake_end(t, t->fake.nr - 1, 0);
	}
}

static const struct disk_engine_ops fake_engine = {
	.name = "fake", .stop = fake_stop, .submit = fake_submit, .run = fake_run
};

static void rig_open(struct rig *t, const struct disk_options *how)
{
	struct disk_options o = *how;
	uint8_t sector[DISK_SECTOR];

	memset(t, 0, sizeof(*t));
	t->image = memfd_create("disk", MFD_CLOEXEC);
	snprintf(t->path, sizeof(t->path), "/proc/self/fd/%d", t->image);
	for (unsigned i = 0; i < SECTORS; i++) {
		memset(sector, (int)i, sizeof(sector));
		assert_int_equal(write(t->image, sector, sizeof(sector)), sizeof(sector));
	}
	assert_int_equal(loop_init(&t->loop), 0);
	o.path = t->path;
	if (virtio_blk_init(&t->b, &o) < 0) {
		assert_int_equal(o.engine, DISK_ENGINE_URING);
		virtio_blk_destroy(&t->b);
		loop_destroy(&t->loop);
		close(t->image);
		skip();
	}
	driver_init(&t->d, &t->b.vd);
	assert_int_equal(virtio_start(&t->b.vd, &t->loop), 0);
}

static void rig_up(struct rig *t, enum disk_engine engine)
{
	rig_open(t, &(struct disk_options){ .engine = engine });
	assert_true(driver_start(&t->d, MODERN));
}

static void rig_up_fake(struct rig *t, uint64_t features)
{
	rig_open(t, &(struct disk_options){ .engine = DISK_ENGINE_SYNC });
	t->b.disk.engine = &fake_engine;
	assert_true(driver_start(&t->d, features));
}

static void rig_down(struct rig *t)
{
	driver_destroy(&t->d);
	virtio_blk_destroy(&t->b);
	loop_destroy(&t->loop);
	close(t->image);
}

static enum disk_engine engine_of(void **state)
{
	return *(const enum disk_engine *)*state;
}

/* Kicks, and acts as the loop until no request is in flight. */
/* Runs another round if the last one was too short. */
static bool run_again(struct rig *t)
{
	if (t->d.kick_fd[0] < 0 || !event_take(t->d.kick_fd[0]))
		return false;
	driver_kick(&t->d, 0);
	return true;
}

static void run(struct rig *t)
{
	struct pollfd p = { .fd = t->b.disk.event_fd, .events = POLLIN };

	driver_kick(&t->d, 0);
	while (t->b.disk.in_flight && t->b.disk.engine != &fake_engine) {
		if (run_again(t))
			continue;
		assert_int_equal(poll(&p, 1, 60000), 1);
		t->b.completions.fn(&t->b.completions, EPOLLIN);
	}
}

static bool needs_reset(const struct rig *t)
{
	return t->b.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* A request in the driver's memory: header and out_len bytes to read; in_len bytes and the status
 * to write. */
struct request {
	gpa_t header, out, in, status;
	uint32_t out_len, in_len;
};

static struct request request_make(struct rig *t, uint32_t type, uint64_t sector, const void *out,
				   uint32_t out_len, uint32_t in_len)
{
	const struct virtio_blk_outhdr h = { .type = htole32(type), .sector = htole64(sector) };
	const uint8_t none = NO_STATUS;
	struct request r = { .out_len = out_len, .in_len = in_len };

	r.header = driver_put(&t->d, &h, sizeof(h));
	r.out = out ? driver_put(&t->d, out, out_len) : driver_alloc(&t->d, out_len);
	r.in = driver_alloc(&t->d, in_len);
	r.status = driver_put(&t->d, &none, 1);
	return r;
}

static uint16_t request_send(struct rig *t, const struct request *r)
{
	const struct ring_buf buf[] = {
		{ r->header, sizeof(struct virtio_blk_outhdr), .in = false },
		{ r->out, r->out_len, .in = false },
		{ r->in, r->in_len, .in = true },
		{ r->status, 1, .in = true },
	};

	return ring_send(&t->d.ring[0], buf, 4);
}

static uint8_t *at(struct rig *t, gpa_t gpa, uint64_t len)
{
	return ram_at(&t->d.ram, gpa, len);
}

static uint8_t status(struct rig *t, const struct request *r)
{
	return *at(t, r->status, 1);
}

/* Makes, sends and runs a request that is answered, and returns its status. */
static uint8_t request(struct rig *t, uint32_t type, uint64_t sector, const void *out,
		       uint32_t out_len, uint32_t in_len, struct ring_elem *used, void *in)
{
	gpa_t mark = t->d.next_alloc;
	struct request r = request_make(t, type, sector, out, out_len, in_len);
	uint16_t head = request_send(t, &r);
	struct ring_elem e;

	run(t);
	assert_true(ring_take(&t->d.ring[0], &e));
	assert_int_equal(e.id, head);
	if (used)
		*used = e;
	if (in)
		memcpy(in, at(t, r.in, in_len), in_len);
	t->d.next_alloc = mark;
	return status(t, &r);
}

static void assert_on_disk(struct rig *t, uint64_t sector, uint8_t with)
{
	uint8_t got[DISK_SECTOR], want[DISK_SECTOR];

	memset(want, with, sizeof(want));
	assert_int_equal(pread(t->image, got, sizeof(got), (off_t)sector * DISK_SECTOR),
			 sizeof(got));
	assert_memory_equal(got, want, sizeof(got));
}

/* -- what it is for -------------------------------------------------------------------------- */

static void sectors_are_read_and_written(void **state)
{
	struct rig t;
	struct ring_elem used;
	uint8_t buf[1024];

	rig_up(&t, engine_of(state));
	assert_int_equal(request(&t, VIRTIO_BLK_T_IN, 5, NULL, 0, 1024, &used, buf),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used.len, 1025);
	assert_int_equal(buf[0], 5);
	assert_int_equal(buf[511], 5);
	assert_int_equal(buf[512], 6);
	memset(buf, 0xa5, sizeof(buf));
	assert_int_equal(request(&t, VIRTIO_BLK_T_OUT, 9, buf, 1024, 0, &used, NULL),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used.len, 1);
	assert_int_equal(request(&t, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0, &used, NULL),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used.len, 1);
	assert_on_disk(&t, 8, 8);
	assert_on_disk(&t, 9, 0xa5);
	assert_on_disk(&t, 10, 0xa5);
	assert_on_disk(&t, 11, 11);
	assert_int_equal(t.d.interrupts[0], 3);
	rig_down(&t);
}

static void a_full_queue_is_served(void **state)
{
	struct rig t;
	struct request r[64];
	struct ring_elem used;

	rig_up(&t, engine_of(state));
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		r[i] = request_make(&t, VIRTIO_BLK_T_IN, 3 * i, NULL, 0, 512);
		request_send(&t, &r[i]); /* of four buffers: 256 descriptors */
	}
	run(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		assert_true(ring_take(&t.d.ring[0], &used));
		assert_int_equal(status(&t, &r[i]), VIRTIO_BLK_S_OK);
		assert_int_equal(*at(&t, r[i].in + 511, 1), (uint8_t)(3 * i));
	}
	assert_false(ring_take(&t.d.ring[0], &used));
	rig_down(&t);
}

/* Makes buffers of piece bytes for [gpa, gpa + len). Returns how many. */
static unsigned cut(struct ring_buf *buf, gpa_t gpa, uint32_t len, uint32_t piece, bool in)
{
	unsigned n = 0;

	for (; len; n++) {
		buf[n] = (struct ring_buf){ gpa, min(len, piece), in };
		gpa += buf[n].len;
		len -= buf[n].len;
	}
	return n;
}

/* §2.7.4.1: only the bytes matter, not how they are cut into buffers. */
static void framing_does_not_matter(void **state)
{
	struct rig t;
	struct ring_buf buf[VIRTQ_MAX_SIZE];
	uint8_t data[16 + 512];
	const uint32_t pieces[] = { 1, 3, 7, 15, 16, 17, 511, 4096 };

	rig_up(&t, engine_of(state));
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
		uint32_t piece = pieces[i];
		/* Header and data are adjacent in memory, and so are data and status. */
		struct virtio_blk_outhdr h = { .type = htole32(VIRTIO_BLK_T_OUT),
					       .sector = htole64(i) };

		memcpy(data, &h, sizeof(h));
		memset(data + 16, 0xc0 + (int)i, 512);

		gpa_t out = driver_put(&t.d, data, sizeof(data));
		gpa_t in = driver_alloc(&t.d, 513);
		unsigned n = cut(buf, out, 200, piece, false);

		n += cut(buf + n, out + 200, 528 - 200, max(piece, 16u), false);
		buf[n++] = (struct ring_buf){ in, 1, true };
		*at(&t, in, 1) = NO_STATUS;
		ring_send(&t.d.ring[0], buf, n);
		run(&t);
		assert_int_equal(*at(&t, in, 1), VIRTIO_BLK_S_OK);
		assert_on_disk(&t, i, (uint8_t)(0xc0 + i));

		h.type = htole32(VIRTIO_BLK_T_IN);
		memcpy(at(&t, out, 16), &h, sizeof(h));
		n = cut(buf, out, 16, piece, false);
		n += cut(buf + n, in, 200, piece, true);
		n += cut(buf + n, in + 200, 513 - 200, max(piece, 16u), true);
		*at(&t, in + 512, 1) = NO_STATUS;
		ring_send(&t.d.ring[0], buf, n);
		run(&t);
		assert_int_equal(*at(&t, in + 512, 1), VIRTIO_BLK_S_OK);
		assert_memory_equal(at(&t, in, 512), data + 16, 512);
	}
	assert_false(needs_reset(&t));
	rig_down(&t);
}

static void the_name_is_told(void **state __unused)
{
	const struct {
		const char *id;
		uint32_t room;
		const char *want;
		uint32_t used;
	} cases[] = {
		{ "vol-1", 20, "vol-1", 21 },
		{ "exactly-twenty-bytes", 20, "exactly-twenty-bytes", 21 },
		{ "more-than-twenty-bytes", 20, "more-than-twenty-byt", 21 },
		{ "vol-1", 3, "vol", 4 }, /* too short a buffer */
		{ "vol-1", 64, "vol-1", 20 },
		{ "vol-1", 0, "", 1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig t;
		struct ring_elem used;
		char got[65] = { 0 };

		rig_open(&t, &(struct disk_options){ .id = cases[i].id });
		assert_true(driver_start(&t.d, MODERN));
		assert_int_equal(request(&t, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, cases[i].room, &used,
					 got),
				 VIRTIO_BLK_S_OK);
		assert_string_equal(got, cases[i].want);
		assert_int_equal(used.len, cases[i].used);
		rig_down(&t);
	}
}

static void without_a_name_the_file_s_is_told(void **state __unused)
{
	struct rig t;
	char got[21] = { 0 };

	rig_open(&t, &(struct disk_options){ .id = "" });
	assert_true(driver_start(&t.d, MODERN));
	assert_int_equal(request(&t, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, 20, NULL, got), 0);
	assert_string_equal(got, strrchr(t.path, '/') + 1);
	rig_down(&t);
}

/* -- what a driver gets wrong ---------------------------------------------------------------- */

static void nothing_leaves_the_disk(void **state)
{
	const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} cases[] = {
		{ 0, 0, VIRTIO_BLK_S_OK },
		{ SECTORS, 0, VIRTIO_BLK_S_OK },
		{ SECTORS - 1, 512, VIRTIO_BLK_S_OK },
		{ SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ SECTORS, 512, VIRTIO_BLK_S_IOERR },
		{ SECTORS + 1, 0, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 0, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX / 512 + 1, 512, VIRTIO_BLK_S_IOERR }, /* times 512: byte 0 */
		{ 1ull << 63, 512, VIRTIO_BLK_S_IOERR },
		{ 0, 1, VIRTIO_BLK_S_IOERR },
		{ 0, 511, VIRTIO_BLK_S_IOERR },
		{ 0, 513, VIRTIO_BLK_S_IOERR },
	};
	struct rig t;
	struct stat st;
	uint8_t buf[1024] = { 0 };

	rig_up(&t, engine_of(state));
	log_set_level(LOG_QUIET);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ring_elem used;

		assert_int_equal(request(&t, VIRTIO_BLK_T_IN, cases[i].sector, NULL, 0,
					 cases[i].len, &used, NULL),
				 cases[i].status);
		assert_int_equal(used.len, cases[i].status && cases[i].len ? 0 : cases[i].len + 1);
		assert_int_equal(request(&t, VIRTIO_BLK_T_OUT, cases[i].sector, buf, cases[i].len,
					 0, NULL, NULL),
				 cases[i].status);
	}
	log_set_level(LOG_WARN);
	assert_on_disk(&t, 1, 1);
	assert_on_disk(&t, SECTORS - 2, (uint8_t)(SECTORS - 2));
	assert_on_disk(&t, SECTORS - 1, 0);
	assert_int_equal(fstat(t.image, &st), 0);
	assert_int_equal(st.st_size, SECTORS * DISK_SECTOR);
	assert_false(needs_reset(&t));
	rig_down(&t);
}

/* The same memory many times over is not much memory, but it is much data. */
static void data_is_bounded(void **state __unused)
{
	struct rig t;
	struct ring_buf buf[VIRTQ_MAX_SIZE];
	struct capture c;

	rig_up(&t, DISK_ENGINE_SYNC);
	assert_int_equal(ftruncate(t.image, (off_t)(8 * GIB)), 0);
	t.b.disk.size = 8 * GIB;
	t.d.ram.mem.region[0].size = GIB; /* only in name: nothing may be touched */

	struct request r = request_make(&t, VIRTIO_BLK_T_IN, 0, NULL, 0, 0);

	buf[0] = (struct ring_buf){ r.header, 16, false };
	buf[1] = (struct ring_buf){ 0, (uint32_t)(16 * MIB), true };
	buf[2] = (struct ring_buf){ 0, 512, true };
	buf[3] = (struct ring_buf){ r.status, 1, true };
	ring_send(&t.d.ring[0], buf, 4);
	capture_begin(&c);
	run(&t);
	capture_end(&c);
	assert_int_equal(status(&t, &r), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c.text, "the guest asked for 16777728 bytes at sector 0"));
	rig_down(&t);
}

static void what_can_not_be_answered_stops_the_device(void **state __unused)
{
	static const struct {
		uint32_t out, in;
	} cases[] = { { 0, 1 }, { 15, 1 }, { 16, 0 }, { 0, 0 }, { 16 + 512, 0 } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig t;
		struct ring_elem used;
		struct capture c;

		rig_up(&t, DISK_ENGINE_SYNC);

		struct request r = request_make(&t, VIRTIO_BLK_T_OUT, 0, NULL, 512, 0);
		const struct ring_buf buf[] = { { r.header, cases[i].out, false },
						{ r.status, cases[i].in, true } };

		ring_send(&t.d.ring[0], buf, 2);
		capture_begin(&c);
		run(&t);
		capture_end(&c);
		assert_true(needs_reset(&t));
		assert_int_equal(t.d.config_interrupts, 1);
		assert_false(ring_take(&t.d.ring[0], &used));
		assert_on_disk(&t, 0, 0);
		assert_true(driver_start(&t.d, MODERN)); /* and a reset repairs it */
		assert_int_equal(request(&t, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0, NULL, NULL),
				 VIRTIO_BLK_S_OK);
		rig_down(&t);
	}
}

/* The driver offers one descriptor again and again while it is in flight. */
static void more_in_flight_than_the_queue_holds_stops_the_device(void **state __unused)
{
	struct rig t;
	struct capture c;

	rig_up_fake(&t, MODERN);

	struct request r = request_make(&t, VIRTIO_BLK_T_IN, 0, NULL, 0, 512);
	uint16_t head = request_send(&t, &r);

	for (unsigned i = 1; i < DISK_MAX_IN_FLIGHT; i++)
		ring_offer(&t.d.ring[0], head);
	run(&t);
	assert_int_equal(t.fake.nr, ROUND_REQUESTS);
	assert_true(event_take(t.d.kick_fd[0])); /* for another round */
	run(&t);
	assert_false(needs_reset(&t));
	assert_int_equal(t.fake.nr, DISK_MAX_IN_FLIGHT);
	ring_offer(&t.d.ring[0], head);
	capture_begin(&c);
	run(&t);
	capture_end(&c);
	assert_true(needs_reset(&t));
	rig_down(&t);
	assert_int_equal(t.fake.nr, 0);
}

static struct virtio_blk_discard_write_zeroes range_of(uint64_t sector, uint32_t sectors,
						       uint32_t flags)
{
	return (struct virtio_blk_discard_write_zeroes){ htole64(sector), htole32(sectors),
							 htole32(flags) };
}

/* -- rounds ---------------------------------------------------------------------------------- */

/* An engine that does each request while it is waited for. */
static struct {
	unsigned done;
	uint64_t bytes;
	bool slow; /* each request takes all of a round's time */
	struct disk_request *r;
} works;

static void works_submit(struct disk *d __unused, struct disk_request *r)
{
	assert_null(works.r);
	works.r = r;
}

static void works_run(struct disk *d, bool wait __unused)
{
	struct rig *t = container_of(d, struct rig, b.disk);
	struct disk_request *r = works.r;

	if (!r)
		return;
	works.r = NULL;
	works.done++;
	works.bytes += r->len;
	if (works.slow)
		t->b.vd.round.end_ns = 1;
	disk_finish(d, r, 0);
}

static const struct disk_engine_ops works_engine = {
	.name = "works", .waits = true, .stop = fake_stop, .submit = works_submit, .run = works_run
};

static void rig_up_works(struct rig *t, bool slow)
{
	rig_up_fake(t, MODERN);
	t->b.disk.engine = &works_engine;
	works.done = 0;
	works.bytes = 0;
	works.slow = slow;
}

/* However much a driver asks for at once, the loop has its turn after a round, and so has a stop;
 * nothing is forgotten, and a reset drops what was not begun. */
static void a_kick_is_as_long_as_a_round(void **state __unused)
{
	const unsigned nr = 200, len = SECTORS * DISK_SECTOR;
	unsigned rounds = 0;
	struct rig t;

	rig_up_works(&t, false);
	const struct virtio_blk_discard_write_zeroes all = range_of(0, SECTORS, 0);
	struct request q = request_make(&t, VIRTIO_BLK_T_WRITE_ZEROES, 0, &all, sizeof(all), 0);
	uint16_t head = request_send(&t, &q);

	for (unsigned i = 1; i < nr; i++)
		ring_offer(&t.d.ring[0], head);
	do {
		const uint64_t before = works.bytes;

		(void)!virtio_kick(&t.b.vd, 0);
		assert_in_range(works.bytes - before, len, ROUND_BYTES);
		assert_int_equal(ring_used(&t.d.ring[0]), works.done);
		rounds++;
	} while (event_take(t.d.kick_fd[0]));
	assert_int_equal(works.done, nr);
	assert_in_range(rounds, nr / (ROUND_BYTES / len), nr);

	for (unsigned i = 0; i < nr; i++)
		ring_offer(&t.d.ring[0], head);
	(void)!virtio_kick(&t.b.vd, 0);
	assert_true(works.done < 2 * nr);
	const unsigned done = works.done;

	virtio_reset(&t.b.vd);
	assert_int_equal(works.done, done);
	assert_int_equal(t.b.disk.in_flight, 0);
	assert_int_equal(t.b.nr_idle, DISK_MAX_IN_FLIGHT);
	rig_down(&t);
}

/* Flushes cost time, not bytes. */
static void a_slow_request_is_a_round(void **state __unused)
{
	struct rig t;

	rig_up_works(&t, true);
	struct request q = request_make(&t, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0);
	uint16_t head = request_send(&t, &q);

	for (unsigned i = 1; i < 20; i++)
		ring_offer(&t.d.ring[0], head);
	for (unsigned i = 1; i <= 20; i++) {
		(void)!virtio_kick(&t.b.vd, 0);
		assert_int_equal(works.done, i);
		assert_int_equal(event_take(t.d.kick_fd[0]), i < 20);
	}
	rig_down(&t);
}

static void unknown_requests_are_unsupported(void **state __unused)
{
	const uint32_t types[] = {
		2, 3, 5, 10, 14, 15, 255, VIRTIO_BLK_T_IN | 1u << 31, UINT32_MAX
	};
	struct rig t;

	rig_up(&t, DISK_ENGINE_SYNC);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(request(&t, types[i], 0, NULL, 512, 512, NULL, NULL),
				 VIRTIO_BLK_S_UNSUPP);
	assert_on_disk(&t, 0, 0);
	rig_down(&t);
}

static void a_readonly_disk_refuses_writes(void **state)
{
	const struct virtio_blk_discard_write_zeroes range = { .num_sectors = htole32(1) };
	struct rig t;
	uint8_t buf[512] = { 1 };
	struct capture c;

	rig_open(&t, &(struct disk_options){ .readonly = true, .engine = engine_of(state) });
	assert_true(t.b.vd.features & VIRTIO_BIT(VIRTIO_BLK_F_RO));
	assert_false(t.b.vd.features & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD));
	assert_false(t.b.vd.features & VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	capture_begin(&c);
	/* It makes no difference whether the driver accepts the feature. */
	for (unsigned ro = 0; ro < 2; ro++) {
		assert_true(driver_start(&t.d, (uint64_t)ro << VIRTIO_BLK_F_RO));
		assert_int_equal(request(&t, VIRTIO_BLK_T_OUT, 0, buf, 512, 0, NULL, NULL),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(&t, VIRTIO_BLK_T_DISCARD, 0, &range, sizeof(range), 0,
					 NULL, NULL),
				 VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(request(&t, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, sizeof(range), 0,
					 NULL, NULL),
				 VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(request(&t, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0, NULL, NULL),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(request(&t, VIRTIO_BLK_T_IN, 7, NULL, 0, 512, NULL, buf),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(buf[0], 7);
	}
	capture_end(&c);
	assert_string_equal(c.text, ""); /* it was not even tried */
	assert_on_disk(&t, 0, 0);
	rig_down(&t);
}

/* -- discard and write zeroes ---------------------------------------------------------------- */

static void ranges_are_discarded(void **state)
{
	const struct virtio_blk_discard_write_zeroes r[] = {
		range_of(0, 64, 0),
		range_of(128, 64, 0),
		range_of(SECTORS - 64, 64, 0),
	};
	struct rig t;
	struct stat st;

	rig_up(&t, engine_of(state));
	assert_int_equal(request(&t, VIRTIO_BLK_T_DISCARD, 0, r, sizeof(r), 0, NULL, NULL),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(fstat(t.image, &st), 0);
	assert_int_equal(st.st_blocks, SECTORS - 3 * 64);
	assert_int_equal(st.st_size, SECTORS * DISK_SECTOR);
	assert_on_disk(&t, 63, 0);
	assert_on_disk(&t, 64, 64);
	assert_on_disk(&t, 127, 127);
	assert_on_disk(&t, 191, 0);
	assert_on_disk(&t, 192, 192);
	rig_down(&t);
}

static void ranges_are_zeroed(void **state)
{
	struct rig t;

	rig_up(&t, engine_of(state));
	for (uint32_t unmap = 0; unmap < 2; unmap++) {
		const uint64_t at = 100 + 20 * unmap;
		const struct virtio_blk_discard_write_zeroes r = range_of(at, 10, unmap);

		assert_int_equal(request(&t, VIRTIO_BLK_T_WRITE_ZEROES, 0, &r, sizeof(r), 0, NULL,
					 NULL),
				 VIRTIO_BLK_S_OK);
		assert_on_disk(&t, at - 1, (uint8_t)(at - 1));
		assert_on_disk(&t, at, 0);
		assert_on_disk(&t, at + 9, 0);
		assert_on_disk(&t, at + 10, (uint8_t)(at + 10));
	}
	rig_down(&t);
}

static void bad_ranges_touch_nothing(void **state __unused)
{
	const uint32_t discard = VIRTIO_BLK_T_DISCARD, zero = VIRTIO_BLK_T_WRITE_ZEROES;
	const struct {
		uint32_t type;
		uint32_t len; /* bytes of r that are sent */
		struct virtio_blk_discard_write_zeroes r[2];
		uint8_t status;
	} cases[] = {
		{ discard, 16, { range_of(0, 1, 1) }, VIRTIO_BLK_S_UNSUPP }, /* unmap */
		{ discard, 16, { range_of(0, 1, 2) }, VIRTIO_BLK_S_UNSUPP },
		{ zero, 16, { range_of(0, 1, 2) }, VIRTIO_BLK_S_UNSUPP },
		{ zero, 16, { range_of(0, 1, 1u << 31 | 1) }, VIRTIO_BLK_S_UNSUPP },
		{ discard, 32, { range_of(0, 8, 0), range_of(8, 8, 2) }, VIRTIO_BLK_S_UNSUPP },
		{ discard, 16, { range_of(SECTORS - 7, 8, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 16, { range_of(SECTORS, 1, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 16, { range_of(UINT64_MAX, 1, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 16, { range_of(UINT64_MAX / 512 + 1, 8, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 16, { range_of(0, UINT32_MAX, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 16, { range_of(0, 0, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 32, { range_of(0, 8, 0), range_of(SECTORS, 8, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 15, { range_of(0, 8, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 17, { range_of(0, 8, 0) }, VIRTIO_BLK_S_IOERR },
		{ discard, 0, { range_of(0, 8, 0) }, VIRTIO_BLK_S_IOERR },
		{ zero, 32, { range_of(0, 8, 0), range_of(8, 8, 0) }, VIRTIO_BLK_S_IOERR },
		{ zero, 16, { range_of(SECTORS - 7, 8, 1) }, VIRTIO_BLK_S_IOERR },
		{ zero, 16, { range_of(0, UINT32_MAX, 1) }, VIRTIO_BLK_S_IOERR },
	};
	struct rig t;
	struct stat st;

	rig_up(&t, DISK_ENGINE_SYNC);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(request(&t, cases[i].type, 0, cases[i].r, cases[i].len, 0, NULL,
					 NULL),
				 cases[i].status);
	assert_int_equal(fstat(t.image, &st), 0);
	assert_int_equal(st.st_blocks, SECTORS);
	for (unsigned i = 0; i < SECTORS; i++)
		assert_on_disk(&t, i, (uint8_t)i);
	rig_down(&t);
}

/* The limits: this disk of SECTORS is too small to reach them by its size. */
static void ranges_are_bounded(void **state __unused)
{
	const uint32_t most[] = { (uint32_t)(GIB / 512), (uint32_t)(64 * MIB / 512) };
	const uint32_t type[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	struct rig t;
	struct virtio_blk_discard_write_zeroes r[17];

	rig_up_fake(&t, MODERN);
	t.b.disk.size = 8 * GIB;
	for (unsigned i = 0; i < 2; i++) {
		r[0] = range_of(0, most[i] + 1, 0);
		assert_int_equal(request(&t, type[i], 0, r, 16, 0, NULL, NULL), VIRTIO_BLK_S_IOERR);
		r[0] = range_of(0, most[i], 0);

		struct request q = request_make(&t, type[i], 0, r, 16, 0);

		request_send(&t, &q);
		run(&t);
		fake_finish(&t, 0, 0);
		assert_int_equal(status(&t, &q), VIRTIO_BLK_S_OK);
		t.d.ring[0].last_used++;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = range_of(i, 1, 0);
	assert_int_equal(request(&t, VIRTIO_BLK_T_DISCARD, 0, r, sizeof(r), 0, NULL, NULL),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(t.fake.nr, 0);
	rig_down(&t);
}

static void ranges_need_their_feature(void **state __unused)
{
	const struct virtio_blk_discard_write_zeroes r = range_of(8, 8, 0);
	struct rig t;

	rig_open(&t, &(struct disk_options){ .engine = DISK_ENGINE_SYNC });
	assert_true(driver_start(&t.d, 0));
	for (uint32_t type = VIRTIO_BLK_T_DISCARD; type <= VIRTIO_BLK_T_WRITE_ZEROES; type += 2)
		assert_int_equal(request(&t, type, 0, &r, sizeof(r), 0, NULL, NULL),
				 VIRTIO_BLK_S_UNSUPP);
	assert_on_disk(&t, 8, 8);
	rig_down(&t);
}

static void the_ranges_of_a_discard_fail_together(void **state __unused)
{
	const struct virtio_blk_discard_write_zeroes r[] = { range_of(0, 8, 0), range_of(16, 8, 0),
							     range_of(32, 8, 0) };
	struct rig t;
	struct capture c;

	rig_up_fake(&t, MODERN);

	struct request q = request_make(&t, VIRTIO_BLK_T_DISCARD, 0, r, sizeof(r), 0);

	request_send(&t, &q);
	run(&t);
	fake_finish(&t, 0, 0);
	assert_int_equal(t.fake.nr, 1);
	assert_int_equal(t.fake.waiting[0]->off, 16 * 512);
	assert_int_equal(t.fake.waiting[0]->len, 8 * 512);
	capture_begin(&c);
	fake_finish(&t, 0, -EIO);
	capture_end(&c);
	assert_int_equal(t.fake.nr, 0);
	assert_int_equal(status(&t, &q), VIRTIO_BLK_S_IOERR);
	rig_down(&t);
}

/* -- the cache ------------------------------------------------------------------------------- */

/* Sends a write, and returns whether it was flushed before it was answered. */
static bool write_is_flushed(struct rig *t)
{
	struct request r = request_make(t, VIRTIO_BLK_T_OUT, 0, NULL, 512, 0);
	bool flushed;

	request_send(t, &r);
	run(t);
	assert_int_equal(t->fake.nr, 1);
	assert_int_equal(t->fake.waiting[0]->op, DISK_WRITE);
	fake_finish(t, 0, 0);
	flushed = t->fake.nr == 1;
	if (flushed) {
		assert_int_equal(t->fake.waiting[0]->op, DISK_FLUSH);
		assert_int_equal(status(t, &r), NO_STATUS);
		fake_finish(t, 0, 0);
	}
	assert_int_equal(t->fake.nr, 0);
	assert_int_equal(status(t, &r), VIRTIO_BLK_S_OK);
	return flushed;
}

static uint8_t read_wce(struct rig *t)
{
	return (uint8_t)virtio_config_read(&t->b.vd, offsetof(struct virtio_blk_config, wce), 1);
}

static void write_wce(struct rig *t, uint8_t wce)
{
	virtio_config_write(&t->b.vd, offsetof(struct virtio_blk_config, wce), 1, wce);
}

static void the_driver_chooses_the_cache(void **state __unused)
{
	const uint64_t flush = VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
	const uint64_t wce = VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);
	struct rig t;

	rig_up_fake(&t, flush | wce);
	assert_int_equal(read_wce(&t), 1);
	assert_false(write_is_flushed(&t));
	write_wce(&t, 0);
	assert_int_equal(read_wce(&t), 0);
	assert_true(write_is_flushed(&t));
	write_wce(&t, 1);
	assert_int_equal(read_wce(&t), 1);
	assert_false(write_is_flushed(&t));
	write_wce(&t, 0);
	assert_true(driver_start(&t.d, flush)); /* a reset forgets it */
	assert_int_equal(read_wce(&t), 1);
	write_wce(&t, 0); /* not negotiated */
	assert_false(write_is_flushed(&t));
	/* A driver that can't flush gets a cache that needs no flush. */
	assert_true(driver_start(&t.d, wce));
	assert_int_equal(read_wce(&t), 0);
	assert_true(write_is_flushed(&t));
	assert_true(driver_start(&t.d, 0));
	assert_true(write_is_flushed(&t));
	rig_down(&t);
}

static void a_write_is_not_answered_when_its_flush_failed(void **state __unused)
{
	struct rig t;
	struct capture c;

	rig_up_fake(&t, 0);

	struct request r = request_make(&t, VIRTIO_BLK_T_OUT, 0, NULL, 512, 0);

	request_send(&t, &r);
	run(&t);
	fake_finish(&t, 0, 0);
	capture_begin(&c);
	fake_finish(&t, 0, -ENOSPC);
	capture_end(&c);
	assert_int_equal(status(&t, &r), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c.text, ": flush: No space left on device\n"));
	rig_down(&t);
}

/* -- errors of the host, order, reset -------------------------------------------------------- */

static void an_error_of_the_host_is_told_and_survived(void **state __unused)
{
	struct rig t;
	struct request r[3];
	struct ring_elem used;
	struct capture c;
	char want[160];

	rig_up_fake(&t, MODERN);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		r[i] = request_make(&t, VIRTIO_BLK_T_OUT, 8 * i, NULL, 512, 0);
		request_send(&t, &r[i]);
	}
	run(&t);
	assert_int_equal(t.fake.nr, 3);
	fake_finish(&t, 0, 0);
	capture_begin(&c);
	fake_finish(&t, 0, -ENOSPC);
	capture_end(&c);
	fake_finish(&t, 0, 0);
	assert_int_equal(status(&t, &r[0]), VIRTIO_BLK_S_OK);
	assert_int_equal(status(&t, &r[1]), VIRTIO_BLK_S_IOERR);
	assert_int_equal(status(&t, &r[2]), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		assert_true(ring_take(&t.d.ring[0], &used));
		assert_int_equal(used.len, 1);
	}
	snprintf(want, sizeof(want),
		 "minivmm: --disk %s: write of 512 bytes at 4096: No space left on device\n",
		 t.path);
	assert_string_equal(c.text, want);
	assert_false(needs_reset(&t));
	rig_down(&t);
}

static void a_guest_can_not_flood_the_log(void **state __unused)
{
	struct rig t;
	struct capture c;
	struct ring_elem used;
	unsigned lines = 0;

	rig_up(&t, DISK_ENGINE_SYNC);
	assert_int_equal(ftruncate(t.image, 0), 0); /* every read fails */
	capture_begin(&c);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(request(&t, VIRTIO_BLK_T_IN, 0, NULL, 0, 512, &used, NULL),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(used.len, 0);
	}
	capture_end(&c);
	for (const char *p = c.text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_true(lines >= 10);
	assert_true(lines < 500); /* ten a second, on any machine */
	rig_down(&t);
}

static void answers_come_in_the_order_of_the_host(void **state __unused)
{
	const unsigned order[] = { 2, 0, 1, 0 }; /* of what is left, each time */
	const unsigned who[] = { 2, 0, 3, 1 };
	struct rig t;
	struct request r[4];
	uint16_t head[4];
	struct ring_elem used;

	rig_up_fake(&t, MODERN);
	for (unsigned i = 0; i < 4; i++) {
		r[i] = request_make(&t, VIRTIO_BLK_T_IN, i, NULL, 0, 512);
		head[i] = request_send(&t, &r[i]);
	}
	run(&t);
	for (unsigned i = 0; i < 4; i++) {
		fake_finish(&t, order[i], 0);
		assert_true(ring_take(&t.d.ring[0], &used));
		assert_int_equal(used.id, head[who[i]]);
		assert_int_equal(status(&t, &r[who[i]]), VIRTIO_BLK_S_OK);
	}
	rig_down(&t);
}

static void a_reset_drops_what_is_in_flight(void **state __unused)
{
	const uint64_t features = MODERN | VIRTIO_BIT(VIRTIO_F_RING_RESET);
	struct rig t;

	for (unsigned queue_only = 0; queue_only < 2; queue_only++) {
		const struct virtio_blk_discard_write_zeroes ranges[] = { range_of(0, 8, 0),
									  range_of(8, 8, 0) };

		rig_up_fake(&t, features);

		struct request r[] = {
			request_make(&t, VIRTIO_BLK_T_IN, 0, NULL, 0, 512),
			request_make(&t, VIRTIO_BLK_T_DISCARD, 0, ranges, sizeof(ranges), 0),
			request_make(&t, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0),
		};

		for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
			request_send(&t, &r[i]);
		run(&t);
		assert_int_equal(t.fake.nr, 3);
		if (queue_only)
			virtio_queue_reset(&t.b.vd, virtio_queue(&t.b.vd, 0));
		else
			virtio_set_status(&t.b.vd, 0);
		assert_int_equal(t.fake.nr, 0);
		assert_int_equal(t.fake.drains, 3); /* the second range was not begun */
		assert_int_equal(ring_used(&t.d.ring[0]), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
			assert_int_equal(status(&t, &r[i]), NO_STATUS);
		assert_int_equal(t.b.nr_idle, DISK_MAX_IN_FLIGHT);

		assert_true(driver_start(&t.d, features));

		struct request again = request_make(&t, VIRTIO_BLK_T_IN, 0, NULL, 0, 512);

		request_send(&t, &again);
		run(&t);
		fake_finish(&t, 0, 0);
		assert_int_equal(status(&t, &again), VIRTIO_BLK_S_OK);
		rig_down(&t);
	}
}

/* The driver needn't wait for the whole of a round, nor be told of each answer. */
static void answers_are_published_in_eights(void **state __unused)
{
	struct rig t;

	rig_up_fake(&t, MODERN);
	for (unsigned i = 0; i < 20; i++) {
		struct request r = request_make(&t, VIRTIO_BLK_T_IN, i, NULL, 0, 512);

		request_send(&t, &r);
	}
	run(&t);
	for (unsigned n = 1; n < 20; n++) {
		fake_end(&t, 0, 0);
		assert_int_equal(ring_used(&t.d.ring[0]), n / 8 * 8);
	}
	fake_finish(&t, 0, 0);
	assert_int_equal(ring_used(&t.d.ring[0]), 20);
	assert_int_equal(t.d.interrupts[0], 1);
	rig_down(&t);
}

/* If the host is waited for between two answers, none of them waits. */
static void answers_of_an_engine_that_waits_are_published_one_by_one(void **state __unused)
{
	struct disk_engine_ops slow = fake_engine;
	struct rig t;

	slow.waits = true;
	rig_up_fake(&t, MODERN);
	t.b.disk.engine = &slow;
	for (unsigned i = 0; i < 3; i++) {
		struct request r = request_make(&t, VIRTIO_BLK_T_IN, i, NULL, 0, 512);

		request_send(&t, &r);
	}
	driver_kick(&t.d, 0);
	for (unsigned n = 1; t.fake.nr; n++) {
		fake_end(&t, 0, 0);
		assert_int_equal(ring_used(&t.d.ring[0]), n);
	}
	assert_int_equal(ring_used(&t.d.ring[0]), 3);
	rig_down(&t);
}

static bool completions_wait; /* in memory */

static bool fake_has_done(const struct disk *d __unused)
{
	return completions_wait;
}

/* A loop that polls finds completions without asking the kernel. */
static void completions_are_seen_in_memory(void **state __unused)
{
	struct disk_engine_ops looks = fake_engine;
	struct request r;
	struct rig t;

	looks.has_done = fake_has_done;
	rig_up_fake(&t, MODERN);
	t.b.disk.engine = &looks;
	r = request_make(&t, VIRTIO_BLK_T_IN, 1, NULL, 0, 512);
	request_send(&t, &r);
	driver_kick(&t.d, 0);
	assert_false(t.b.poller.look(&t.b.poller));
	fake_end(&t, 0, 0);
	completions_wait = true;
	assert_int_equal(ring_used(&t.d.ring[0]), 0);
	assert_true(t.b.poller.look(&t.b.poller));
	assert_int_equal(ring_used(&t.d.ring[0]), 1);
	rig_down(&t);
}

static void a_quiet_disk_has_answered_all(void **state __unused)
{
	const struct virtio_blk_discard_write_zeroes ranges[] = { range_of(0, 8, 0),
								  range_of(8, 8, 0) };
	struct rig t;

	rig_up_fake(&t, MODERN & ~VIRTIO_BIT(VIRTIO_BLK_F_FLUSH)); /* each write is two steps */

	struct request r[] = {
		request_make(&t, VIRTIO_BLK_T_IN, 0, NULL, 0, 512),
		request_make(&t, VIRTIO_BLK_T_DISCARD, 0, ranges, sizeof(ranges), 0),
		request_make(&t, VIRTIO_BLK_T_OUT, 0, NULL, 512, 0),
		request_make(&t, VIRTIO_BLK_T_IN, 1, NULL, 0, 512),
	};

	for (unsigned i = 0; i < 3; i++)
		request_send(&t, &r[i]);
	run(&t);
	assert_int_equal(t.fake.nr, 3);
	request_send(&t, &r[3]); /* not looked at yet */
	virtio_quiesce(&t.b.vd);
	assert_true(driver_holds_nothing(&t.d));
	assert_int_equal(t.fake.drains, 5);
	assert_int_equal(t.b.disk.in_flight, 0);
	assert_int_equal(t.b.nr_idle, DISK_MAX_IN_FLIGHT);
	assert_int_equal(t.d.interrupts[0], 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(status(&t, &r[i]), VIRTIO_BLK_S_OK);
	assert_int_equal(status(&t, &r[3]), NO_STATUS);

	driver_go_on(&t.d);
	assert_int_equal(t.fake.nr, 1);
	fake_finish(&t, 0, 0);
	assert_int_equal(ring_used(&t.d.ring[0]), 4);
	assert_int_equal(status(&t, &r[3]), VIRTIO_BLK_S_OK);
	rig_down(&t);
}

/* The same with the engines that there are: all that a queue holds. */
static void a_full_queue_is_quiet_when_it_is_done(void **state)
{
	struct rig t;
	struct request r[DISK_MAX_IN_FLIGHT / 4];

	rig_up(&t, engine_of(state));
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		r[i] = request_make(&t, VIRTIO_BLK_T_IN, i, NULL, 0, 512);
		request_send(&t, &r[i]);
	}
	(void)virtio_kick(&t.b.vd, 0);
	virtio_quiesce(&t.b.vd);
	assert_true(driver_holds_nothing(&t.d));
	run(&t);
	assert_int_equal(ring_used(&t.d.ring[0]), ARRAY_SIZE(r));
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		assert_int_equal(status(&t, &r[i]), VIRTIO_BLK_S_OK);
		assert_int_equal(*at(&t, r[i].in, 1), i);
	}
	rig_down(&t);
}

/* The device as in reality: its loop on a thread of its own, kicks and resets from others. */
static void *loop_thread(void *arg)
{
	assert_int_equal(loop_run(arg), 0);
	return NULL;
}

static void resets_race_with_completions(void **state)
{
	struct rig t;
	pthread_t thread;
	unsigned answered = 0;

	rig_open(&t, &(struct disk_options){ .engine = engine_of(state) });
	assert_true(driver_start(&t.d, MODERN));
	assert_int_equal(pthread_create(&thread, NULL, loop_thread, &t.loop), 0);
	for (unsigned round = 0; round < 200; round++) {
		gpa_t mark = t.d.next_alloc;
		struct request r[16];

		pthread_mutex_lock(&t.d.lock);
		for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
			r[i] = request_make(&t, i % 4 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH, i,
					    NULL, 0, i % 4 ? 4096 : 0);
			request_send(&t, &r[i]);
		}
		driver_kick(&t.d, 0);
		pthread_mutex_unlock(&t.d.lock);
		if (round % 2) /* this lets all of them come back */
			while (__atomic_load_n(&t.d.ring[0].used->idx, __ATOMIC_ACQUIRE) !=
			       htole16(ARRAY_SIZE(r))) {
				pthread_mutex_lock(&t.d.lock);
				(void)!run_again(&t);
				pthread_mutex_unlock(&t.d.lock);
				sched_yield();
			}
		pthread_mutex_lock(&t.d.lock);
		answered += ring_used(&t.d.ring[0]);
		virtio_set_status(&t.b.vd, 0);
		assert_int_equal(t.b.disk.in_flight, 0);
		assert_true(driver_start(&t.d, MODERN));
		t.d.next_alloc = mark;
		pthread_mutex_unlock(&t.d.lock);
	}
	loop_stop(&t.loop);
	pthread_join(thread, NULL);
	assert_true(answered >= 100 * 16);
	rig_down(&t);
}

/* -- configuration --------------------------------------------------------------------------- */

static void the_configuration_describes_the_disk(void **state __unused)
{
	struct rig t;
	struct virtio_blk_config c = { 0 };

	rig_up(&t, DISK_ENGINE_SYNC);
	assert_int_equal(t.b.vd.ops->device_id, VIRTIO_ID_BLOCK);
	assert_int_equal(t.b.vd.ops->config_size,
			 offsetof(struct virtio_blk_config, write_zeroes_may_unmap) + 4);
	for (unsigned i = 0; i < t.b.vd.ops->config_size; i++)
		((uint8_t *)&c)[i] = (uint8_t)virtio_config_read(&t.b.vd, i, 1);
	assert_int_equal(le64toh(c.capacity), SECTORS);
	assert_int_equal(le32toh(c.size_max), 0);
	assert_int_equal(le32toh(c.seg_max), 254);
	assert_int_equal(le32toh(c.blk_size), 512);
	assert_int_equal(c.physical_block_exp, 3);
	assert_int_equal(c.alignment_offset, 0);
	assert_int_equal(le16toh(c.min_io_size), 8);
	assert_int_equal(le32toh(c.opt_io_size), 0);
	assert_int_equal(c.wce, 1);
	assert_int_equal(le32toh(c.max_discard_sectors), GIB / 512);
	assert_int_equal(le32toh(c.max_discard_seg), 16);
	assert_int_equal(le32toh(c.discard_sector_alignment), 8);
	assert_int_equal(le32toh(c.max_write_zeroes_sectors), 64 * MIB / 512);
	assert_int_equal(le32toh(c.max_write_zeroes_seg), 1);
	assert_int_equal(c.write_zeroes_may_unmap, 1);
	assert_int_equal(virtio_config_read(&t.b.vd, 0, 8), SECTORS);
	assert_int_equal(virtio_config_read(&t.b.vd, 56, 4), 1);
	/* Only the cache mode can be written. */
	for (unsigned i = 0; i < t.b.vd.ops->config_size; i++)
		if (i != offsetof(struct virtio_blk_config, wce))
			virtio_config_write(&t.b.vd, i, 1, 0);
	assert_int_equal(virtio_config_read(&t.b.vd, 0, 8), SECTORS);
	assert_int_equal(read_wce(&t), 1);
	rig_down(&t);
}

/* 512 and 4096: the driver is told, and need not keep to it. */
static void the_block_size_is_the_user_s(void **state __unused)
{
	const uint32_t blk_size = offsetof(struct virtio_blk_config, blk_size);
	const uint32_t exp = offsetof(struct virtio_blk_config, physical_block_exp);
	uint8_t sector[DISK_SECTOR];
	struct rig t;

	for (uint32_t size = 512; size <= 4096; size *= 8) {
		rig_open(&t, &(struct disk_options){ .sector = size, .engine = DISK_ENGINE_SYNC });
		assert_true(driver_start(&t.d, MODERN));
		assert_int_equal(virtio_config_read(&t.b.vd, 0, 8), SECTORS);
		assert_int_equal(virtio_config_read(&t.b.vd, blk_size, 4), size);
		assert_int_equal(size << virtio_config_read(&t.b.vd, exp, 1), 4096);
		memset(sector, 0x55, sizeof(sector));
		assert_int_equal(request(&t, VIRTIO_BLK_T_OUT, 9, sector, sizeof(sector), 0, NULL,
					 NULL),
				 VIRTIO_BLK_S_OK);
		assert_on_disk(&t, 8, 8);
		assert_on_disk(&t, 9, 0x55);
		assert_on_disk(&t, 10, 10);
		rig_down(&t);
	}
}

static void destroy_is_safe_on_what_never_was(void **state __unused)
{
	struct virtio_blk b = { 0 };
	struct capture c;

	virtio_blk_destroy(&b);
	capture_begin(&c);
	assert_int_equal(virtio_blk_init(&b, &(struct disk_options){ .path = "/nowhere/at/all" }),
			 -ENOENT);
	capture_end(&c);
	virtio_blk_destroy(&b);
	virtio_blk_destroy(&b);
}

#define WITH(engine, test)                                                                         \
	{                                                                                          \
#test " (" #engine ")", test, NULL, NULL, &(enum disk_engine)                      \
		{                                                                                  \
			engine                                                                     \
		}                                                                                  \
	}
#define WITH_BOTH(test) WITH(DISK_ENGINE_SYNC, test), WITH(DISK_ENGINE_URING, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(sectors_are_read_and_written),
		WITH_BOTH(a_full_queue_is_served),
		WITH_BOTH(framing_does_not_matter),
		cmocka_unit_test(the_name_is_told),
		cmocka_unit_test(without_a_name_the_file_s_is_told),
		WITH_BOTH(nothing_leaves_the_disk),
		cmocka_unit_test(data_is_bounded),
		cmocka_unit_test(what_can_not_be_answered_stops_the_device),
		cmocka_unit_test(more_in_flight_than_the_queue_holds_stops_the_device),
		cmocka_unit_test(a_kick_is_as_long_as_a_round),
		cmocka_unit_test(a_slow_request_is_a_round),
		cmocka_unit_test(unknown_requests_are_unsupported),
		WITH_BOTH(a_readonly_disk_refuses_writes),
		WITH_BOTH(ranges_are_discarded),
		WITH_BOTH(ranges_are_zeroed),
		cmocka_unit_test(bad_ranges_touch_nothing),
		cmocka_unit_test(ranges_are_bounded),
		cmocka_unit_test(ranges_need_their_feature),
		cmocka_unit_test(the_ranges_of_a_discard_fail_together),
		cmocka_unit_test(the_driver_chooses_the_cache),
		cmocka_unit_test(a_write_is_not_answered_when_its_flush_failed),
		cmocka_unit_test(an_error_of_the_host_is_told_and_survived),
		cmocka_unit_test(a_guest_can_not_flood_the_log),
		cmocka_unit_test(answers_come_in_the_order_of_the_host),
		cmocka_unit_test(a_reset_drops_what_is_in_flight),
		cmocka_unit_test(answers_are_published_in_eights),
		cmocka_unit_test(answers_of_an_engine_that_waits_are_published_one_by_one),
		cmocka_unit_test(completions_are_seen_in_memory),
		cmocka_unit_test(a_quiet_disk_has_answered_all),
		WITH_BOTH(a_full_queue_is_quiet_when_it_is_done),
		WITH_BOTH(resets_race_with_completions),
		cmocka_unit_test(the_configuration_describes_the_disk),
		cmocka_unit_test(the_block_size_is_the_user_s),
		cmocka_unit_test(destroy_is_safe_on_what_never_was),
	};

	return cmocka_run_group_tests_name("virtio-blk", tests, NULL, NULL);
}
