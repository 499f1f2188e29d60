/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/disk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "backend/disk/disk_impl.h"
#include "vmm/log.h"

#include "capture.h"
#include "test.h"

#define BLOCK 4096u

/* An image in a directory of its own, and what its disk has reported. */
struct image {
	struct disk d;
	char dir[32], path[48];
	unsigned done;
};

static void count_done(struct disk *d, struct disk_request *r __unused)
{
	container_of(d, struct image, d)->done++;
}

static void image_make(struct image *im, const char *parent, off_t size)
{
	*im = (struct image){ 0 };
	snprintf(im->dir, sizeof(im->dir), "%s/disk-XXXXXX", parent);
	assert_non_null(mkdtemp(im->dir));
	assert_int_equal(chmod(im->dir, 0755), 0);
	snprintf(im->path, sizeof(im->path), "%s/disk.img", im->dir);

	int fd = open(im->path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void image_remove(struct image *im)
{
	disk_close(&im->d);
	unlink(im->path);
	assert_int_equal(rmdir(im->dir), 0);
}

static int image_open(struct image *im, struct disk *d, bool readonly, enum disk_engine engine)
{
	const struct disk_options o = { .path = im->path, .readonly = readonly, .engine = engine };

	return disk_open(d, &o, count_done);
}

/* Makes a disk of size bytes with engine *state; skips the test if the host has no such engine. */
static void image_up(struct image *im, const char *parent, off_t size, void **state)
{
	const enum disk_engine engine = *(const enum disk_engine *)*state;

	image_make(im, parent, size);
	if (image_open(im, &im->d, false, engine) < 0) {
		image_remove(im);
		assert_int_not_equal(engine, DISK_ENGINE_SYNC);
		skip();
	}
}

/* Runs one request to its end and returns its result. */
static int perform(struct image *im, struct disk_request *r)
{
	unsigned before = im->done;

	r->result = 1;
	disk_submit(&im->d, r);
	disk_drain(&im->d);
	assert_int_equal(im->done, before + 1);
	assert_int_equal(im->d.in_flight, 0);
	return r->result;
}

static int transfer(struct image *im, enum disk_op op, uint64_t off, void *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct disk_request r = { .op = op, .off = off, .len = len, .iov = &iov, .nr_iov = 1 };

	return perform(im, &r);
}

static int range(struct image *im, enum disk_op op, bool unmap, uint64_t off, uint64_t len)
{
	struct disk_request r = { .op = op, .unmap = unmap, .off = off, .len = len };

	return perform(im, &r);
}

static void assert_filled(struct image *im, uint64_t off, uint64_t len, uint8_t with)
{
	uint8_t *got = malloc(len), *want = malloc(len);

	memset(want, with, len);
	assert_int_equal(transfer(im, DISK_READ, off, got, len), 0);
	assert_memory_equal(got, want, len);
	free(got);
	free(want);
}

static void fill(struct image *im, uint64_t off, uint64_t len, uint8_t with)
{
	uint8_t *buf = malloc(len);

	memset(buf, with, len);
	assert_int_equal(transfer(im, DISK_WRITE, off, buf, len), 0);
	free(buf);
}

static uint64_t allocated(struct image *im)
{
	struct stat st;

	assert_int_equal(fsync(im->d.fd), 0);
	assert_int_equal(fstat(im->d.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void what_is_written_is_read(void **state)
{
	struct image im;
	uint8_t a[700], b[324], c[1024];
	struct iovec out[] = { { a, sizeof(a) }, { b, sizeof(b) } };
	struct disk_request w = {
		.op = DISK_WRITE, .off = 512, .len = 1024, .iov = out, .nr_iov = 2
	};

	image_up(&im, "/tmp", 2 * MIB, state);
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	assert_int_equal(perform(&im, &w), 0);
	assert_int_equal(range(&im, DISK_FLUSH, false, 0, 0), 0);
	assert_int_equal(pread(im.d.fd, c, sizeof(c), 512), sizeof(c));
	assert_memory_equal(c, a, sizeof(a));
	assert_memory_equal(c + sizeof(a), b, sizeof(b));
	memset(c, 0, sizeof(c));
	assert_int_equal(transfer(&im, DISK_READ, 512, c, sizeof(c)), 0);
	assert_memory_equal(c + sizeof(a), b, sizeof(b));
	assert_filled(&im, 0, 512, 0);
	image_remove(&im);
}

static void many_are_in_flight_at_once(void **state)
{
	struct image im;
	static uint8_t buf[DISK_MAX_IN_FLIGHT][512];
	struct iovec iov[DISK_MAX_IN_FLIGHT];
	struct disk_request r[DISK_MAX_IN_FLIGHT];

	image_up(&im, "/tmp", 2 * MIB, state);
	for (unsigned op = DISK_WRITE;; op = DISK_READ) {
		for (unsigned i = 0; i < DISK_MAX_IN_FLIGHT; i++) {
			iov[i] = (struct iovec){ buf[i], 512 };
			memset(buf[i], op == DISK_WRITE ? (int)i : 0xff, 512);
			r[i] = (struct disk_request){
				.op = op, .off = 512 * i, .len = 512, .iov = &iov[i], .nr_iov = 1
			};
			disk_submit(&im.d, &r[i]);
		}
		assert_int_equal(im.d.in_flight, DISK_MAX_IN_FLIGHT);
		(void)!disk_run(&im.d, &(struct round){ 1000, GIB, 0 });
		disk_drain(&im.d);
		for (unsigned i = 0; i < DISK_MAX_IN_FLIGHT; i++) {
			assert_int_equal(r[i].result, 0);
			assert_int_equal(buf[i][511], (uint8_t)i);
		}
		if (op == DISK_READ)
			break;
	}
	assert_int_equal(im.done, 2 * DISK_MAX_IN_FLIGHT);
	image_remove(&im);
}

/* Zeroes that must be written are written a piece at a time; what a round left can be dropped. */
static void zeroes_by_hand_take_many_rounds(void **state)
{
	struct disk_request r = { .op = DISK_ZERO, .len = 64 * MIB };
	struct round round = round_begin();
	struct image im;
	bool by_hand, more;

	image_up(&im, "/dev/shm", 64 * MIB, state);
	by_hand = fallocate(im.d.fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0;
	disk_submit(&im.d, &r);
	more = disk_run(&im.d, &round);
	if (!strcmp(im.d.engine->name, "sync") && by_hand) {
		assert_int_equal(im.done, 0);
		assert_true(more);
		assert_in_range(r.off, DISK_PIECE, ROUND_BYTES);
		assert_int_equal(r.len, 64 * MIB - r.off);
		assert_int_equal(im.d.nr_begun, 0);
	}
	disk_drop(&im.d);
	assert_int_equal(im.done, 1);
	assert_int_equal(im.d.in_flight, 0);
	assert_int_equal(perform(&im, &(struct disk_request){ .op = DISK_ZERO, .len = 64 * MIB }),
			 0);
	assert_filled(&im, 63 * MIB, MIB, 0);
	image_remove(&im);
}

static void *start_them(void *arg)
{
	(void)!disk_run(&((struct image *)arg)->d, &(struct round){ 1000, GIB, 0 });
	return NULL;
}

/* When a thread ends, what it started in the kernel goes on. */
static void what_a_thread_left_behind_is_done(void **state)
{
	static uint8_t buf[DISK_MAX_IN_FLIGHT][BLOCK];
	struct iovec iov[DISK_MAX_IN_FLIGHT];
	struct disk_request r[DISK_MAX_IN_FLIGHT];
	struct image im;
	pthread_t thread;

	image_up(&im, "/tmp", 2 * MIB, state);
	for (unsigned i = 0; i < DISK_MAX_IN_FLIGHT; i++) {
		memset(buf[i], (int)i, BLOCK);
		iov[i] = (struct iovec){ buf[i], BLOCK };
		r[i] = (struct disk_request){ .op = DISK_WRITE,
					      .off = BLOCK * i,
					      .len = BLOCK,
					      .iov = &iov[i],
					      .nr_iov = 1 };
		disk_submit(&im.d, &r[i]);
	}
	assert_int_equal(pthread_create(&thread, NULL, start_them, &im), 0);
	pthread_join(thread, NULL);
	disk_drain(&im.d);
	for (unsigned i = 0; i < DISK_MAX_IN_FLIGHT; i++) {
		assert_int_equal(r[i].result, 0);
		assert_filled(&im, BLOCK * i, BLOCK, (uint8_t)i);
	}
	image_remove(&im);
}

static void a_discard_gives_storage_back(void **state)
{
	struct image im;

	image_up(&im, "/tmp", 1 * MIB, state);
	fill(&im, 0, 1 * MIB, 0xaa);
	assert_true(allocated(&im) >= 1 * MIB);
	assert_int_equal(range(&im, DISK_DISCARD, false, 64 * KIB, 512 * KIB), 0);
	assert_true(allocated(&im) <= 512 * KIB + 64 * KIB);
	assert_filled(&im, 0, 64 * KIB, 0xaa);
	assert_filled(&im, 576 * KIB, 448 * KIB, 0xaa);
	image_remove(&im);
}

static void zeroes_are_written(struct image *im)
{
	const uint64_t off = 512, len = 600 * KIB + 512; /* not round numbers of anything */

	for (int unmap = 0; unmap < 2; unmap++) {
		fill(im, 0, 1 * MIB, 0xaa);
		assert_int_equal(range(im, DISK_ZERO, unmap, off, len), 0);
		assert_filled(im, 0, off, 0xaa);
		assert_filled(im, off, len, 0);
		assert_filled(im, off + len, 1 * MIB - off - len, 0xaa);
		if (!unmap)
			assert_true(allocated(im) >= 1 * MIB);
		else
			assert_true(allocated(im) <= 512 * KIB);
	}
}

static void zeroes_by_the_file_system(void **state)
{
	struct image im;

	image_up(&im, "/tmp", 1 * MIB, state);
	zeroes_are_written(&im);
	image_remove(&im);
}

/* tmpfs can punch holes, but not zero a range. */
static void zeroes_by_hand(void **state)
{
	struct image im;

	image_up(&im, "/dev/shm", 1 * MIB, state);
	assert_int_equal(fallocate(im.d.fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 512),
			 -1);
	assert_int_equal(errno, EOPNOTSUPP);
	zeroes_are_written(&im);
	image_remove(&im);
}

static void what_was_cut_off_the_file_fails(void **state)
{
	struct image im;
	uint8_t buf[2048] = { 0 };
	struct iovec iov[] = { { buf, 512 }, { buf + 512, 1536 } };
	struct disk_request r = { .op = DISK_READ, .len = 2048, .iov = iov, .nr_iov = 2 };

	image_up(&im, "/tmp", 1 * MIB, state);
	fill(&im, 0, 2048, 0x55);
	assert_int_equal(ftruncate(im.d.fd, 1000), 0);
	assert_int_equal(perform(&im, &r), -ENODATA);
	assert_int_equal(r.off, 1000); /* the place of the failure, and what is missing */
	assert_int_equal(r.len, 1048);
	assert_int_equal(buf[999], 0x55);
	assert_int_equal(buf[1000], 0);
	assert_filled(&im, 0, 512, 0x55);
	image_remove(&im);
}

static void a_write_that_the_host_refuses_fails(void **state)
{
	struct rlimit was, small;
	struct image im;
	uint8_t buf[1024] = { 1 };

	image_up(&im, "/tmp", 1 * MIB, state);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = (struct rlimit){ .rlim_cur = 512, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

	int beyond = transfer(&im, DISK_WRITE, 4096, buf, 512);
	int across = transfer(&im, DISK_WRITE, 0, buf, 1024); /* half of it goes through */

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(beyond, -EFBIG);
	assert_int_equal(across, -EFBIG);
	assert_int_equal(transfer(&im, DISK_WRITE, 4096, buf, 512), 0);
	image_remove(&im);
}

static void a_readonly_disk_is_not_written(void **state)
{
	const enum disk_engine engine = *(const enum disk_engine *)*state;
	struct image im;
	uint8_t buf[512] = { 1 };

	image_up(&im, "/tmp", 1 * MIB, state);
	disk_close(&im.d);
	assert_int_equal(image_open(&im, &im.d, true, engine), 0);
	assert_true(im.d.readonly);
	assert_filled(&im, 0, 512, 0);
	assert_int_equal(transfer(&im, DISK_WRITE, 0, buf, 512), -EBADF);
	assert_int_not_equal(range(&im, DISK_ZERO, true, 0, 512), 0);
	assert_int_equal(range(&im, DISK_FLUSH, false, 0, 0), 0);
	image_remove(&im);
}

/* Makes a loop device on im's file, with its descriptor in *loop_fd; it disappears with that. Needs
 * root. */
static bool loop_up(struct image *im, int *loop_fd, char *path, size_t len, uint32_t block)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int file = open(im->path, O_RDWR | O_CLOEXEC);
	int n = ioctl(control, LOOP_CTL_GET_FREE);
	struct loop_config lc = { .fd = (uint32_t)file,
				  .block_size = block,
				  .info.lo_flags = LO_FLAGS_AUTOCLEAR };

	snprintf(path, len, "/dev/loop%d", n);
	*loop_fd = open(path, O_RDWR | O_CLOEXEC);

	bool up = ioctl(*loop_fd, LOOP_CONFIGURE, &lc) == 0;

	close_fd(&file);
	close_fd(&control);
	if (!up)
		close_fd(loop_fd);
	return up;
}

static void a_block_device_is_a_disk(void **state)
{
	const enum disk_engine engine = *(const enum disk_engine *)*state;
	struct image im;
	char file[sizeof(im.path)];
	int loop_fd;

	image_make(&im, "/tmp", 1 * MIB);
	strcpy(file, im.path);
	if (!loop_up(&im, &loop_fd, im.path, sizeof(im.path), 512) ||
	    image_open(&im, &im.d, false, engine) < 0) {
		close_fd(&loop_fd);
		strcpy(im.path, file);
		image_remove(&im);
		skip();
	}
	assert_true(im.d.block_device);
	assert_int_equal(im.d.size, 1 * MIB);
	assert_int_equal(im.d.block_size, 512);
	fill(&im, 0, 1 * MIB, 0xaa);
	for (int unmap = 0; unmap < 2; unmap++) {
		fill(&im, 0, 256 * KIB, 0xaa);
		assert_int_equal(range(&im, DISK_ZERO, unmap, 512, 64 * KIB), 0);
		assert_filled(&im, 512, 64 * KIB, 0);
		assert_filled(&im, 512 + 64 * KIB, 64 * KIB, 0xaa);
	}
	assert_int_equal(range(&im, DISK_DISCARD, false, 512 * KIB, 512 * KIB), 0);
	assert_filled(&im, 512 * KIB, 512 * KIB, 0); /* the loop device punched a hole there */
	assert_int_equal(range(&im, DISK_FLUSH, false, 0, 0), 0);
	disk_close(&im.d);
	close_fd(&loop_fd);
	strcpy(im.path, file);
	image_remove(&im);
}

/* Sectors of 512 bytes on a device of 4096: neighbours don't change. */
static void smaller_sectors_than_the_device_s_work(void **state)
{
	const enum disk_engine engine = *(const enum disk_engine *)*state;
	struct disk_options o = { .sector = 512, .engine = engine };
	struct image im;
	char file[sizeof(im.path)];
	int loop_fd;

	image_make(&im, "/tmp", 1 * MIB);
	strcpy(file, im.path);
	if (!loop_up(&im, &loop_fd, im.path, sizeof(im.path), 4096)) {
		print_message("# SKIP: no loop devices here\n");
		strcpy(im.path, file);
		image_remove(&im);
		skip();
	}
	o.path = im.path;
	if (disk_open(&im.d, &o, count_done) < 0) {
		close_fd(&loop_fd);
		strcpy(im.path, file);
		image_remove(&im);
		assert_int_not_equal(engine, DISK_ENGINE_SYNC);
		skip();
	}
	assert_int_equal(im.d.block_size, 512);
	assert_int_equal(im.d.physical_block_size, 4096);
	fill(&im, 0, 1 * MIB, 0xaa);
	fill(&im, 512, 512, 0xbb);
	fill(&im, 4096 + 3584, 1024, 0xcc); /* across */
	for (int unmap = 0; unmap < 2; unmap++) {
		fill(&im, 128 * KIB, 128 * KIB, 0xaa);
		assert_int_equal(range(&im, DISK_ZERO, unmap, 128 * KIB + 512, 64 * KIB), 0);
		assert_filled(&im, 128 * KIB, 512, 0xaa);
		assert_filled(&im, 128 * KIB + 512, 64 * KIB, 0);
		assert_filled(&im, 128 * KIB + 512 + 64 * KIB, 63 * KIB, 0xaa);
	}
	/* A discard is a hint: only whole blocks of the device are discarded. */
	assert_int_equal(range(&im, DISK_DISCARD, false, 512 * KIB + 512, 512), 0);
	assert_int_equal(range(&im, DISK_DISCARD, false, 600 * KIB + 3584, 1024), 0);
	assert_int_equal(range(&im, DISK_DISCARD, false, 700 * KIB - 512, 64 * KIB), 0);
	assert_filled(&im, 512 * KIB, 188 * KIB, 0xaa);
	assert_filled(&im, 700 * KIB, 60 * KIB, 0);
	assert_filled(&im, 764 * KIB - 512, 1 * KIB, 0xaa);
	assert_int_equal(range(&im, DISK_FLUSH, false, 0, 0), 0);
	disk_close(&im.d);
	strcpy(im.path, file);
	assert_int_equal(image_open(&im, &im.d, true, DISK_ENGINE_SYNC), 0);
	assert_filled(&im, 0, 512, 0xaa);
	assert_filled(&im, 512, 512, 0xbb);
	assert_filled(&im, 1024, 4096 + 2560, 0xaa);
	assert_filled(&im, 4096 + 3584, 1024, 0xcc);
	close_fd(&loop_fd);
	image_remove(&im);
}

/* -- opening --------------------------------------------------------------------------------- */

static void a_disk_has_whole_sectors(void **state __unused)
{
	struct disk_options o = { .sector = 4096 };
	struct capture c;
	struct image im;

	image_make(&im, "/tmp", 1 * MIB + 512);
	o.path = im.path;
	capture_begin(&c);
	assert_int_equal(disk_open(&im.d, &o, count_done), -EINVAL);
	disk_close(&im.d);
	assert_non_null(
		strstr(capture_end(&c), "is not a multiple of sector=4096 (use sector=512"));
	o.sector = 512;
	assert_int_equal(disk_open(&im.d, &o, count_done), 0);
	disk_close(&im.d);
	assert_int_equal(truncate(im.path, 1 * MIB), 0);
	o.sector = 4096;
	assert_int_equal(disk_open(&im.d, &o, count_done), 0);
	assert_int_equal(im.d.block_size, 4096);
	assert_int_equal(im.d.physical_block_size, 4096);
	fill(&im, 512, 512, 1); /* whatever the guest was told */
	assert_filled(&im, 512, 512, 1);
	disk_close(&im.d);
	/* It is the same for an overlay. */
	setenv("TMPDIR", im.dir, 1);
	o.temp = true;
	log_set_level(LOG_ERROR); /* hides that it is a tmpfs, perhaps */
	assert_int_equal(disk_open(&im.d, &o, count_done), 0);
	log_set_level(LOG_WARN);
	unsetenv("TMPDIR");
	assert_int_equal(im.d.block_size, 4096);
	image_remove(&im);
}

static void it_is_measured(void **state __unused)
{
	struct image im;

	image_make(&im, "/tmp", 3 * MIB + 512);
	assert_int_equal(image_open(&im, &im.d, false, DISK_ENGINE_AUTO), 0);
	assert_int_equal(im.d.size, 3 * MIB + 512);
	assert_int_equal(im.d.block_size, 512);
	assert_int_equal(im.d.physical_block_size, 4096);
	image_remove(&im);
}

/* Opens im, which must fail with rc and a message that has text in it. */
static void assert_refused(struct image *im, bool readonly, int rc, const char *text)
{
	struct capture c;
	struct disk d;
	int got;

	capture_begin(&c);
	got = image_open(im, &d, readonly, DISK_ENGINE_AUTO);
	disk_close(&d);
	capture_end(&c);
	assert_int_equal(got, rc);
	if (!strstr(c.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, c.text);
}

static void an_image_is_used_by_one_writer_or_by_readers(void **state __unused)
{
	struct image im;
	struct disk other;

	image_make(&im, "/tmp", 1 * MIB);
	assert_int_equal(image_open(&im, &im.d, false, DISK_ENGINE_AUTO), 0);
	assert_refused(
		&im, false, -EBUSY,
		"disk.img: in use by another minivmm or given twice (attach it with readonly=on in both, or make a copy)\n");
	assert_refused(&im, true, -EBUSY, "in use");
	disk_close(&im.d);
	assert_int_equal(image_open(&im, &im.d, true, DISK_ENGINE_AUTO), 0);
	assert_int_equal(image_open(&im, &other, true, DISK_ENGINE_AUTO), 0);
	assert_refused(&im, false, -EBUSY, "in use");
	disk_close(&other);
	disk_close(&im.d);
	assert_int_equal(image_open(&im, &im.d, false, DISK_ENGINE_AUTO), 0);
	image_remove(&im);
}

/* From one life of the guest to the next it is always locked, and it is not opened by name
 * again. */
static void a_kept_image_stays_locked_and_the_same(void **state __unused)
{
	struct kept kept = { 0 };
	const struct disk_options o = { .kept = &kept };
	struct image im;
	char moved[sizeof(im.path) + 8];

	image_make(&im, "/tmp", 1 * MIB);
	snprintf(moved, sizeof(moved), "%s.moved", im.path);
	for (int life = 0; life < 3; life++) {
		struct disk_options here = o;

		here.path = im.path;
		assert_int_equal(disk_open(&im.d, &here, count_done), 0);
		assert_int_equal(im.d.size, 1 * MIB);
		disk_close(&im.d);
		if (life == 0)
			assert_refused(&im, false, -EBUSY, "in use");
		if (life == 0)
			assert_int_equal(rename(im.path, moved), 0);
		unlink(im.path);
		assert_int_equal(symlink("/etc/passwd", im.path), 0);
	}
	assert_int_equal(rename(moved, im.path), 0);
	assert_refused(&im, false, -EBUSY, "in use");
	kept_end(&kept);
	assert_int_equal(image_open(&im, &im.d, false, DISK_ENGINE_AUTO), 0);
	image_remove(&im);
}

/* QEMU says by locks of single bytes what it does: 100 it reads, 101 it writes, 201 it forbids
 * others to write. */
static void readers_agree_with_qemu(void **state __unused)
{
	static const struct {
		off_t byte;
		int rc;
	} rows[] = { { 100, 0 }, { 101, -EBUSY }, { 103, -EBUSY }, { 200, -EBUSY }, { 201, 0 } };
	struct image im;

	image_make(&im, "/tmp", 1 * MIB);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct flock l = {
			.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = rows[i].byte, .l_len = 1
		};
		int fd = open(im.path, O_RDWR | O_CLOEXEC);

		assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
		if (rows[i].rc)
			assert_refused(&im, true, rows[i].rc, "in use");
		else
			assert_int_equal(image_open(&im, &im.d, true, DISK_ENGINE_AUTO), 0);
		disk_close(&im.d);
		assert_refused(&im, false, -EBUSY, "in use"); /* nobody else may, when we write */
		close(fd);
	}
	/* The locks that QEMU looks for before it writes, and before it reads. */
	assert_int_equal(image_open(&im, &im.d, true, DISK_ENGINE_AUTO), 0);
	for (off_t byte = 200; byte < 204; byte++) {
		struct flock l = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
		};
		int fd = open(im.path, O_RDWR | O_CLOEXEC);

		assert_int_equal(fcntl(fd, F_OFD_GETLK, &l), 0);
		assert_int_equal(l.l_type != F_UNLCK, byte == 201 || byte == 203);
		close(fd);
	}
	image_remove(&im);
}

static void odd_sizes_are_refused(void **state __unused)
{
	struct image im;

	image_make(&im, "/tmp", 1000);
	assert_refused(&im, false, -EINVAL, "its size, 1000 bytes, is not a multiple of 512");
	assert_refused(&im, false, -EINVAL, "truncate -s %512 '/tmp/");
	assert_int_equal(truncate(im.path, 0), 0);
	assert_refused(&im, false, -EINVAL, "truncate -s 8G '/tmp/");
	image_remove(&im);
}

static void what_is_no_disk_is_refused(void **state __unused)
{
	struct image im;
	char path[sizeof(im.path)];

	image_make(&im, "/tmp", 1 * MIB);
	strcpy(path, im.path);
	strcpy(im.path, im.dir);
	assert_refused(&im, true, -EISDIR, "is a directory");
	strcpy(im.path, "/dev/zero");
	assert_refused(&im, true, -ENOTBLK,
		       "--disk /dev/zero: is neither a file nor a block device");
	snprintf(im.path, sizeof(im.path), "%s/fifo", im.dir);
	assert_int_equal(mkfifo(im.path, 0600), 0);
	assert_refused(&im, true, -ENOTBLK, "is neither");
	unlink(im.path);
	assert_refused(&im, false, -ENOENT,
		       "No such file or directory (make an empty disk with: truncate -s 8G '/tmp/");
	strcpy(im.path, path);
	image_remove(&im);
}

static void the_way_out_of_no_permission_is_named(void **state __unused)
{
	struct image im;
	uid_t me = geteuid();

	image_make(&im, "/tmp", 1 * MIB);
	assert_int_equal(chmod(im.path, 0444), 0);
	if (me == 0)
		assert_int_equal(seteuid(65534), 0); /* root may do anything */
	/* access(2) asks about the real user, who may read in either case. */
	assert_refused(
		&im, false, -EACCES,
		"disk.img: Permission denied (open for writing; use readonly=on to attach it read-only)\n");
	assert_int_equal(image_open(&im, &im.d, true, DISK_ENGINE_AUTO), 0);
	assert_int_equal(seteuid(me), 0);
	image_remove(&im);
}

/* There are no descriptors when the ring needs one: one of many reasons. */
static void without_io_uring_it_works(void **state __unused)
{
	struct rlimit was, tight;
	struct image im;
	int next;

	image_make(&im, "/tmp", 1 * MIB);
	next = dup(STDERR_FILENO);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	tight = (struct rlimit){ .rlim_cur = (rlim_t)next + 1, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);

	int rc = image_open(&im, &im.d, false, DISK_ENGINE_AUTO);

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(rc, 0);
	assert_string_equal(im.d.engine->name, "sync");
	assert_int_equal(im.d.event_fd, -1);
	fill(&im, 0, 512, 1);
	image_remove(&im);
}

static void no_range_leaves_the_disk(void **state __unused)
{
	const struct disk d = { .size = 8 * DISK_SECTOR };

	assert_true(disk_covers(&d, 0, 8 * 512));
	assert_true(disk_covers(&d, 7, 512));
	assert_true(disk_covers(&d, 8, 0));
	assert_false(disk_covers(&d, 8, 512));
	assert_false(disk_covers(&d, 7, 1024));
	assert_false(disk_covers(&d, 9, 0));
	assert_false(disk_covers(&d, 0, 511));
	assert_false(disk_covers(&d, 0, UINT64_MAX & ~511ull));
	assert_false(disk_covers(&d, UINT64_MAX, 512));
	assert_false(disk_covers(&d, UINT64_MAX / 512 + 1, 512)); /* times 512: byte 0 */
}

static void closing_what_never_was_is_safe(void **state __unused)
{
	struct disk d = { 0 };
	int stdin_flags = fcntl(STDIN_FILENO, F_GETFD);

	disk_close(&d); /* d.fd is 0 */
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), stdin_flags);
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
		WITH_BOTH(what_is_written_is_read),
		WITH_BOTH(many_are_in_flight_at_once),
		WITH_BOTH(zeroes_by_hand_take_many_rounds),
		WITH_BOTH(what_a_thread_left_behind_is_done),
		WITH_BOTH(a_discard_gives_storage_back),
		WITH_BOTH(zeroes_by_the_file_system),
		WITH_BOTH(zeroes_by_hand),
		WITH_BOTH(what_was_cut_off_the_file_fails),
		WITH_BOTH(a_write_that_the_host_refuses_fails),
		WITH_BOTH(a_readonly_disk_is_not_written),
		WITH_BOTH(a_block_device_is_a_disk),
		WITH_BOTH(smaller_sectors_than_the_device_s_work),
		cmocka_unit_test(a_disk_has_whole_sectors),
		cmocka_unit_test(it_is_measured),
		cmocka_unit_test(an_image_is_used_by_one_writer_or_by_readers),
		cmocka_unit_test(a_kept_image_stays_locked_and_the_same),
		cmocka_unit_test(readers_agree_with_qemu),
		cmocka_unit_test(odd_sizes_are_refused),
		cmocka_unit_test(what_is_no_disk_is_refused),
		cmocka_unit_test(the_way_out_of_no_permission_is_named),
		cmocka_unit_test(without_io_uring_it_works),
		cmocka_unit_test(no_range_leaves_the_disk),
		cmocka_unit_test(closing_what_never_was_is_safe),
	};

	return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
