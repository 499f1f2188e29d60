/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing makes no damage worse. Each image here is QEMU's, and something happened to it. It is
 * refused for writing, also by a dry run; or qemu-img check finds no more errors after the writes
 * than before them, and sectors that were not written have not changed.
 */
#include "qcow2_image.h"

#include "backend/disk/qcow2.h"

#include "capture.h"

#define CLUSTER         65536ull
#define CLUSTER_SECTORS (CLUSTER / SECTOR)
#define USED            37u /* number of the disk's clusters that have data */
#define SECTORS         (64 * CLUSTER_SECTORS)
#define OFFSET          0x00fffffffffffe00ull
#define COPIED          (1ull << 63)

static uint64_t bytes_read;

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off)
{
	bytes_read += len;
	return __real_pread64(fd, buf, len, off);
}

struct rig {
	struct disk d;
	char dir[32], base[48], image[48], log[48];
	uint64_t l1, l2, reftable, block; /* their places in the image */
};

static void rig_up(struct rig *t)
{
	*t = (struct rig){ .dir = "/tmp/damage-XXXXXX" };
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->base, sizeof(t->base), "%s/base.img", t->dir);
	snprintf(t->image, sizeof(t->image), "%s/image", t->dir);
	snprintf(t->log, sizeof(t->log), "%s/log", t->dir);
	make_raw(t->base, USED * CLUSTER_SECTORS, BASE);
}

static void qemu(struct rig *t, char *const argv[])
{
	if (run_tool(t->log, argv) != 0)
		fail_msg("%s %s failed", argv[0], argv[1]);
}

/* Makes an image with QEMU's tools: USED clusters, and room for more. */
static void make_image(struct rig *t)
{
	qemu(t, (char *[]){ "qemu-img", "convert", "-f", "raw", "-O", "qcow2", t->base, t->image,
			    NULL });
	qemu(t, (char *[]){ "qemu-img", "resize", "-f", "qcow2", t->image, "4M", NULL });
	t->l1 = peek(t->image, 40);
	t->reftable = peek(t->image, 48);
	t->l2 = peek(t->image, t->l1) & OFFSET;
	t->block = peek(t->image, t->reftable);
}

static void rig_down(struct rig *t)
{
	unlink(t->base);
	unlink(t->image);
	unlink(t->log);
	assert_int_equal(rmdir(t->dir), 0);
}

static int rig_open(struct rig *t, bool readonly, bool dry)
{
	const struct disk_options o = {
		.path = t->image, .format = DISK_QCOW2, .readonly = readonly, .dry = dry
	};

	return disk_open(&t->d, &o, disk_done);
}

/* Returns how many errors (not leaks) qemu-img check finds. */
static long errors_of(struct rig *t)
{
	static char text[4 << 20];
	const char *at;
	FILE *f;

	(void)run_tool(t->log, (char *[]){ "qemu-img", "check", "--output=json", "-f", "qcow2",
					   t->image, NULL });
	f = fopen(t->log, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_non_null(strstr(text, "\"check-errors\": 0"));
	at = strstr(text, "\"corruptions\": ");
	return at ? strtol(at + strlen("\"corruptions\": "), NULL, 10) : 0;
}

static uint64_t length_of(const struct rig *t)
{
	struct stat st;

	assert_int_equal(stat(t->image, &st), 0);
	return (uint64_t)st.st_size;
}

static void cut(struct rig *t, uint64_t len)
{
	assert_int_equal(truncate(t->image, (off_t)len), 0);
}

static uint64_t data_at(struct rig *t, unsigned i)
{
	return peek(t->image, t->l2 + 8 * i) & OFFSET;
}

static void set_data(struct rig *t, unsigned i, uint64_t entry)
{
	poke(t->image, t->l2 + 8 * i, entry, 8);
}

static void set_count(struct rig *t, uint64_t off, uint64_t count)
{
	poke(t->image, t->block + off / CLUSTER * 2, count, 2);
}

/* Does everything that changes tables: new clusters, whole and in part, old ones, discards,
 * zeroes. */
static void write_all_over(struct rig *t)
{
	assert_int_equal(disk_fill(&t->d, 40 * CLUSTER_SECTORS, 20 * CLUSTER_SECTORS, 2), 0);
	assert_int_equal(disk_fill(&t->d, 38 * CLUSTER_SECTORS + 7, 3, 2), 0);
	assert_int_equal(disk_fill(&t->d, 0, 2 * CLUSTER_SECTORS, 2), 0);
	assert_int_equal(disk_range(&t->d, DISK_DISCARD, false, 2 * CLUSTER_SECTORS,
				    5 * CLUSTER_SECTORS),
			 0);
	assert_int_equal(
		disk_range(&t->d, DISK_ZERO, true, 7 * CLUSTER_SECTORS, 3 * CLUSTER_SECTORS), 0);
	assert_int_equal(disk_range(&t->d, DISK_FLUSH, false, 0, 0), 0);
	assert_int_equal(disk_fill(&t->d, 2 * CLUSTER_SECTORS, 8 * CLUSTER_SECTORS, 2), 0);
	assert_int_equal(disk_fill(&t->d, 60 * CLUSTER_SECTORS, 4 * CLUSTER_SECTORS, 2), 0);
}

static void assert_written(struct rig *t)
{
	assert_disk(&t->d, 0, 10 * CLUSTER_SECTORS, 2);
	assert_disk(&t->d, 10 * CLUSTER_SECTORS, (USED - 10) * CLUSTER_SECTORS, BASE);
	assert_disk(&t->d, 40 * CLUSTER_SECTORS, 24 * CLUSTER_SECTORS, 2);
	assert_disk(&t->d, 39 * CLUSTER_SECTORS, CLUSTER_SECTORS, 0);
}

static void assert_not_worse(struct rig *t)
{
	const long before = errors_of(t);

	assert_int_equal(rig_open(t, false, false), 0);
	write_all_over(t);
	disk_close(&t->d);
	assert_in_range(errors_of(t), 0, before);
	assert_int_equal(rig_open(t, false, false), 0);
	assert_written(t);
	disk_close(&t->d);
}

static void assert_refused(struct rig *t, const char *text)
{
	struct capture c;
	int rc;

	for (int dry = 0; dry < 2; dry++) {
		capture_begin(&c);
		rc = rig_open(t, false, dry);
		disk_close(&t->d);
		capture_end(&c);
		if (rc >= 0 || !strstr(c.text, text))
			fail_msg("dry %d: %d: \"%s\" is not in \"%s\"", dry, rc, text, c.text);
	}
}

/* -- what happens to images ------------------------------------------------------------------ */

static void cut_data(struct rig *t)
{
	cut(t, length_of(t) - 10 * CLUSTER);
}

static void cut_l2(struct rig *t)
{
	cut(t, t->l2 + 100);
}

static void cut_l1(struct rig *t)
{
	cut(t, t->l1);
}

static void uncount_data(struct rig *t)
{
	set_count(t, data_at(t, 3), 0);
}

static void uncount_l2(struct rig *t)
{
	set_count(t, t->l2, 0);
}

static void uncount_l1(struct rig *t)
{
	set_count(t, t->l1, 0);
}

static void uncount_header(struct rig *t)
{
	set_count(t, 0, 0);
}

static void uncount_reftable(struct rig *t)
{
	set_count(t, t->reftable, 0);
}

static void uncount_block(struct rig *t)
{
	set_count(t, t->block, 0);
}

static void lose_block(struct rig *t)
{
	poke(t->image, t->reftable, 0, 8);
}

static void clear_block(struct rig *t)
{
	for (uint64_t i = 0; i < CLUSTER; i += 8)
		poke(t->image, t->block + i, 0, 8);
}

static void same_block_twice(struct rig *t)
{
	poke(t->image, t->reftable + 8, t->block, 8);
}

static void block_is_data(struct rig *t)
{
	set_data(t, 50, t->block | COPIED);
}

static void block_beyond_end(struct rig *t)
{
	poke(t->image, t->reftable + 8, 1ull << 30, 8);
}

static void block_at_odd_place(struct rig *t)
{
	poke(t->image, t->reftable + 8, t->block + 512, 8);
}

static void reserved_in_reftable(struct rig *t)
{
	poke(t->image, t->reftable, t->block | 1, 8);
}

static void same_data_twice(struct rig *t)
{
	set_data(t, 50, data_at(t, 3) | COPIED);
}

static void same_data_shared(struct rig *t)
{
	set_data(t, 3, data_at(t, 3));
	set_data(t, 50, data_at(t, 3));
	set_count(t, data_at(t, 3), 2);
}

static void data_is_l2(struct rig *t)
{
	set_data(t, 50, t->l2 | COPIED);
}

static void data_is_l1(struct rig *t)
{
	set_data(t, 50, t->l1 | COPIED);
}

static void data_is_reftable(struct rig *t)
{
	set_data(t, 50, t->reftable | COPIED);
}

static void zeroes_have_others_place(struct rig *t)
{
	set_data(t, 50, data_at(t, 3) | COPIED | 1);
}

static void data_at_odd_place(struct rig *t)
{
	set_data(t, 50, (data_at(t, 3) + 512) | COPIED);
}

static void reserved_in_l2(struct rig *t)
{
	set_data(t, 50, 1ull << 57);
}

static void reserved_in_l1(struct rig *t)
{
	poke(t->image, t->l1, t->l2 | COPIED | 1ull << 58, 8);
}

static void l2_is_shared(struct rig *t)
{
	poke(t->image, t->l1, t->l2, 8);
}

/* The disk's size doesn't need a second L1 entry; its table counts nevertheless. */
static void same_l2_twice(struct rig *t)
{
	poke(t->image, 36, 2, 4);
	poke(t->image, t->l1 + 8, t->l2 | COPIED, 8);
}

static void reftable_is_l1(struct rig *t)
{
	poke(t->image, 48, t->l1, 8);
}

static void l1_is_header(struct rig *t)
{
	poke(t->image, 40, 0, 8);
}

static void l1_too_long(struct rig *t)
{
	poke(t->image, 36, 1u << 30, 4);
}

static void dirty(struct rig *t)
{
	poke(t->image, 72, 1, 8);
}

static void marked(struct rig *t)
{
	poke(t->image, 72, 2, 8);
}

static void snapshot(struct rig *t)
{
	qemu(t, (char *[]){ "qemu-img", "snapshot", "-c", "one", t->image, NULL });
}

/* The header has forgotten its snapshot; the counts have not. */
static void forgotten_snapshot(struct rig *t)
{
	snapshot(t);
	poke(t->image, 60, 0, 4);
}

static void compressed(struct rig *t)
{
	set_data(t, 50, 1ull << 62 | data_at(t, 3));
}

static void damage_is_refused(void **state __unused)
{
	static const struct {
		void (*happens)(struct rig *t);
		const char *text;
		bool repairs; /* the command in the message is enough */
	} cases[] = {
		{ cut_data, "it ends before what its tables refer to (copy it again, or save ", 0 },
		{ cut_l2, "it ends within a table", 0 },
		{ cut_l1, "the place of its L1 table", 0 },
		{ uncount_data,
		  "leave out clusters that are in use (repair it with: qemu-img check", 1 },
		{ uncount_l2, "leave out clusters that are in use", 1 },
		{ uncount_l1, "leave out clusters that are in use", 1 },
		{ uncount_header, "leave out clusters that are in use", 1 },
		{ uncount_reftable, "leave out clusters that are in use", 1 },
		{ uncount_block, "leave out clusters that are in use", 1 },
		{ lose_block, "leave out clusters that are in use", 1 },
		{ clear_block, "leave out clusters that are in use", 1 },
		{ same_block_twice, "the same place", 0 },
		{ block_is_data, "the same place", 0 },
		{ block_beyond_end, "it ends before", 0 },
		{ block_at_odd_place, "a place within a cluster", 0 },
		{ reserved_in_reftable, "an entry of its refcount table", 0 },
		{ same_data_twice, "the same place", 0 },
		{ same_data_shared, "the same place", 0 },
		{ data_is_l2, "the same place", 0 },
		{ data_is_l1, "the same place", 0 },
		{ data_is_reftable, "the same place", 0 },
		{ zeroes_have_others_place, "the same place", 0 },
		{ data_at_odd_place, "a place within a cluster", 0 },
		{ reserved_in_l2, "an entry of an L2 table", 0 },
		{ reserved_in_l1, "an entry of its L1 table", 0 },
		{ l2_is_shared, "are wrong for an L2 table (repair", 1 },
		{ same_l2_twice, "the same place", 0 },
		{ reftable_is_l1, "the same place", 0 },
		{ l1_is_header, "the place of its L1 table", 0 },
		{ l1_too_long, "an L1 table that is too long", 0 },
		{ dirty, "was not closed properly; repair it", 1 },
		{ marked, "is marked as corrupt; repair it", 1 },
		{ snapshot, "has snapshots inside", 0 },
		{ forgotten_snapshot, "are wrong for an L2 table", 1 },
		{ compressed, "is compressed", 0 },
	};
	struct rig t;

	if (!have_qemu_img())
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_up(&t);
		make_image(&t);
		cases[i].happens(&t);
		assert_refused(&t, cases[i].text);
		if (cases[i].repairs) {
			(void)run_tool(t.log, (char *[]){ "qemu-img", "check", "-r", "all", "-f",
							  "qcow2", t.image, NULL });
			assert_not_worse(&t);
		}
		rig_down(&t);
	}
}

/* -- what harms nobody ----------------------------------------------------------------------- */

/* Clusters as a crash leaves them: counted, not used, and beyond the file's end. */
static void counted_beyond_end(struct rig *t)
{
	const uint64_t end = (length_of(t) + CLUSTER - 1) / CLUSTER * CLUSTER;

	for (uint64_t i = 0; i < 50; i += 2)
		set_count(t, end + i * CLUSTER, 1);
}

/* QEMU's image ends with the last of its data. */
static void counted_in_gaps(struct rig *t)
{
	cut(t, length_of(t) + 30 * CLUSTER);
	for (uint64_t i = 0; i < 30; i += 3)
		set_count(t, length_of(t) - i * CLUSTER, 2);
}

static void count_is_high(struct rig *t)
{
	for (unsigned i = 0; i < 8; i++)
		set_count(t, data_at(t, i), i % 2 ? 2 : 65535);
}

static void not_copied(struct rig *t)
{
	for (unsigned i = 0; i < 8; i++)
		set_data(t, i, data_at(t, i));
}

static void not_counted_and_not_used(struct rig *t)
{
	cut(t, 3 * CLUSTER + (1ull << 31)); /* it ends in a range that no block counts */
}

static void bitmap(struct rig *t)
{
	qemu(t, (char *[]){ "qemu-img", "bitmap", "--add", "-f", "qcow2", t->image, "b", NULL });
	assert_int_not_equal(peek(t->image, 88), 0);
}

static void lazy(struct rig *t)
{
	qemu(t, (char *[]){ "qemu-img", "amend", "-o", "lazy_refcounts=on", "-f", "qcow2", t->image,
			    NULL });
}

static void writes_make_nothing_worse(void **state __unused)
{
	static void (*const happens[])(struct rig * t) = {
		counted_beyond_end,       counted_in_gaps, count_is_high, not_copied,
		not_counted_and_not_used, bitmap,          lazy,
	};
	struct rig t;

	if (!have_qemu_img())
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(happens); i++) {
		rig_up(&t);
		make_image(&t);
		happens[i](&t);
		assert_not_worse(&t);
		assert_int_equal(peek(t.image, 88), 0); /* autoclear */
		rig_down(&t);
	}
}

/* Not even beyond the end of the file, where there are no data to see. */
static void what_is_counted_is_not_taken(void **state __unused)
{
	struct rig t;
	uint64_t end;

	if (!have_qemu_img())
		skip();
	rig_up(&t);
	make_image(&t);
	end = (length_of(&t) + CLUSTER - 1) / CLUSTER * CLUSTER;
	counted_beyond_end(&t);
	assert_int_equal(rig_open(&t, false, false), 0);
	assert_int_equal(disk_fill(&t.d, 40 * CLUSTER_SECTORS, 20 * CLUSTER_SECTORS, 2), 0);
	disk_close(&t.d);
	for (unsigned i = 40; i < 60; i++) {
		assert_true(data_at(&t, i) >= end);
		assert_int_equal((data_at(&t, i) - end) / CLUSTER % 2, 1);
	}
	rig_down(&t);
}

/* A file of some kilobytes whose tables are half a gigabyte of holes: only what exists must be
 * read. */
static void holes_take_no_time(void **state __unused)
{
	struct rig t;
	uint64_t end;

	if (!have_qemu_img())
		skip();
	rig_up(&t);
	make_image(&t);
	end = (length_of(&t) + CLUSTER - 1) / CLUSTER * CLUSTER;
	poke(t.image, 36, CLUSTER / 8, 4);
	cut(&t, end + CLUSTER / 8 * CLUSTER);
	for (uint64_t i = 1; i < CLUSTER / 8; i++)
		poke(t.image, t.l1 + 8 * i, (end + i * CLUSTER) | COPIED, 8);
	bytes_read = 0;
	assert_refused(&t, "leave out clusters that are in use");
	assert_in_range(bytes_read, 1, 4 << 20);
	for (uint64_t i = 0; i < CLUSTER / 8; i++)
		set_count(&t, end + i * CLUSTER, 1);
	bytes_read = 0;
	assert_int_equal(rig_open(&t, false, false), 0);
	assert_in_range(bytes_read, 1, 4 << 20);
	write_all_over(&t);
	assert_written(&t);
	disk_close(&t.d);
	rig_down(&t);
}

/* -- an image that is only read -------------------------------------------------------------- */

static void what_is_left_can_be_read(void **state __unused)
{
	uint8_t buf[SECTOR];
	struct capture c;
	struct rig t;

	if (!have_qemu_img())
		skip();
	rig_up(&t);
	make_image(&t);
	cut_data(&t);
	capture_begin(&c);
	assert_int_equal(rig_open(&t, true, false), 0);
	capture_end(&c);
	assert_non_null(strstr(
		c.text,
		"it ends before what its tables refer to; what is missing fails when it is read"));
	assert_disk(&t.d, 0, 27 * CLUSTER_SECTORS, BASE);
	for (unsigned i = 28; i < USED; i++)
		assert_true(disk_transfer(&t.d, DISK_READ, i * CLUSTER_SECTORS, buf, 1) < 0);
	assert_disk(&t.d, 40 * CLUSTER_SECTORS, CLUSTER_SECTORS, 0);
	disk_close(&t.d);
	/* Half a table is no table: what it seems not to have was there. */
	cut_l2(&t);
	capture_begin(&c);
	assert_int_equal(rig_open(&t, true, false), 0);
	capture_end(&c);
	assert_non_null(strstr(c.text, "it ends within a table"));
	assert_int_equal(disk_transfer(&t.d, DISK_READ, 0, buf, 1), -EUCLEAN);
	disk_close(&t.d);
	dirty(&t);
	capture_begin(&c);
	assert_int_equal(rig_open(&t, true, false), 0);
	capture_end(&c);
	assert_non_null(strstr(c.text, "was not closed properly"));
	disk_close(&t.d);
	rig_down(&t);
}

/* -- somebody else --------------------------------------------------------------------------- */

static void an_image_cut_while_open_is_not_written(void **state __unused)
{
	struct capture c;
	struct rig t;
	uint64_t len;

	if (!have_qemu_img())
		skip();
	rig_up(&t);
	make_image(&t);
	assert_int_equal(rig_open(&t, false, false), 0);
	assert_int_equal(disk_fill(&t.d, 40 * CLUSTER_SECTORS, CLUSTER_SECTORS, 2), 0);
	cut_data(&t);
	len = length_of(&t);
	capture_begin(&c);
	assert_int_equal(disk_fill(&t.d, 50 * CLUSTER_SECTORS, CLUSTER_SECTORS, 2), -EIO);
	assert_int_equal(disk_fill(&t.d, (USED - 1) * CLUSTER_SECTORS, 1, 2), -EIO);
	assert_int_equal(disk_range(&t.d, DISK_ZERO, false, 0, 50), -EIO);
	assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), -EIO);
	disk_close(&t.d);
	capture_end(&c);
	assert_non_null(strstr(c.text, "somebody cut the file short"));
	assert_int_equal(length_of(&t), len);
	rig_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test(writes_make_nothing_worse),
		cmocka_unit_test(what_is_counted_is_not_taken),
		cmocka_unit_test(holes_take_no_time),
		cmocka_unit_test(what_is_left_can_be_read),
		cmocka_unit_test(an_image_cut_while_open_is_not_written),
	};

	return cmocka_run_group_tests_name("qcow2-damage", tests, NULL, NULL);
}
