/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An overlay survives the end of its process at any moment, and a loss of power of its host.
 *
 * A kill: a child process makes random requests to an overlay and reports each in shared memory,
 * before and after it; the parent kills it, has qemu-img check the file, and compares every sector
 * with what it may be: what the last flush made stable, or what came after it. Then the next child
 * goes on.
 *
 * A loss of power: all that is written to the file passes through here (-Wl,--wrap), and files are
 * made of what was synced and any part of what was not.
 */
#include "qcow2_image.h"

#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "capture.h"

#define CLUSTER_SECTORS 128u
#define MAX_OPS         (1u << 20)

/* Only a part of each L2 table's range is used: each time, every sector of it is compared. Sectors
 * are numbered consecutively; this finds their places. */
#define REGIONS        16u
#define REGION_SECTORS (6 * CLUSTER_SECTORS)
#define SECTORS        (REGIONS * REGION_SECTORS)
#define STRIDE         (512 * MIB / SECTOR)

static uint64_t place(uint32_t s)
{
	return s / REGION_SECTORS * STRIDE + s % REGION_SECTORS;
}

static uint64_t seed;

static uint32_t number_below(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((seed >> 33) % n);
}

/* The child's report. begun grows before an operation, ended after it; flushed is how many had
 * ended when the last successful flush began. */
struct op {
	enum disk_op op;
	uint32_t sector, nr, value;
};

struct story {
	uint32_t begun, ended, flushed;
	struct op op[MAX_OPS];
};

struct rig {
	struct disk d;
	char dir[32], base[48], overlay[48], raw[48], log[48];
	struct story *story;
	uint32_t next_value;
	uint32_t now[SECTORS]; /* what the disk holds when no child runs */
};

static void rig_open(struct rig *t)
{
	const struct disk_options o = { .path = t->base, .overlay = t->overlay };

	assert_int_equal(disk_open(&t->d, &o, disk_done), 0);
}

static void make_base(const char *path)
{
	static uint8_t buf[REGION_SECTORS * SECTOR];
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	for (uint32_t s = 0; s < SECTORS; s++) {
		sector_fill(buf + s % REGION_SECTORS * SECTOR, place(s), BASE);
		if ((s + 1) % REGION_SECTORS == 0)
			assert_int_equal(pwrite(fd, buf, sizeof(buf),
						(off_t)(place(s + 1 - REGION_SECTORS) * SECTOR)),
					 sizeof(buf));
	}
	close(fd);
}

static void rig_up(struct rig *t)
{
	*t = (struct rig){ .dir = "/tmp/qcow2-crash-XXXXXX", .next_value = BASE + 1 };
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->base, sizeof(t->base), "%s/base.img", t->dir);
	snprintf(t->overlay, sizeof(t->overlay), "%s/over.qcow2", t->dir);
	snprintf(t->raw, sizeof(t->raw), "%s/raw", t->dir);
	snprintf(t->log, sizeof(t->log), "%s/log", t->dir);
	make_base(t->base);
	for (unsigned s = 0; s < SECTORS; s++)
		t->now[s] = BASE;
	t->story = mmap(NULL, sizeof(*t->story), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert_ptr_not_equal(t->story, MAP_FAILED);
	rig_open(t);
	disk_close(&t->d);
}

static void rig_down(struct rig *t)
{
	munmap(t->story, sizeof(*t->story));
	unlink(t->base);
	unlink(t->overlay);
	unlink(t->raw);
	unlink(t->log);
	assert_int_equal(rmdir(t->dir), 0);
}

/* Mostly small writes; one in ten is a flush. */
static struct op random_op(uint32_t value)
{
	static const enum disk_op kinds[] = { DISK_WRITE, DISK_WRITE, DISK_WRITE,   DISK_WRITE,
					      DISK_WRITE, DISK_WRITE, DISK_DISCARD, DISK_ZERO,
					      DISK_ZERO,  DISK_FLUSH };
	struct op o = { .op = kinds[number_below(ARRAY_SIZE(kinds))], .value = value };
	const uint32_t region = number_below(REGIONS) * REGION_SECTORS;

	if (number_below(3)) {
		o.nr = 1 + number_below(number_below(4) ? 24 : REGION_SECTORS);
		o.sector = region + number_below(REGION_SECTORS - o.nr + 1);
	} else {
		o.nr = (1 + number_below(6)) * CLUSTER_SECTORS;
		o.sector = region + number_below((REGION_SECTORS - o.nr) / CLUSTER_SECTORS + 1) *
					    CLUSTER_SECTORS;
	}
	if (o.op == DISK_FLUSH)
		o.nr = o.sector = 0;
	return o;
}

static int do_op(struct disk *d, const struct op *o)
{
	if (o->op == DISK_WRITE)
		return disk_fill(d, place(o->sector), o->nr, o->value);
	return disk_range(d, o->op, o->value & 1, place(o->sector), o->nr);
}

/* Does one operation, and reports it. */
static void step(struct rig *t)
{
	struct story *st = t->story;
	const uint32_t n = st->begun;
	int rc;

	st->op[n] = random_op(t->next_value++);
	__atomic_store_n(&st->begun, n + 1, __ATOMIC_SEQ_CST);
	rc = do_op(&t->d, &st->op[n]);
	assert_int_equal(rc, 0);
	__atomic_store_n(&st->ended, n + 1, __ATOMIC_SEQ_CST);
	if (st->op[n].op == DISK_FLUSH)
		__atomic_store_n(&st->flushed, n + 1, __ATOMIC_SEQ_CST);
}

/* May sector s hold value: the stable one, by the last flush, or any later one? */
static bool may_hold(const struct rig *t, uint32_t s, uint32_t value)
{
	const struct story *st = t->story;
	uint32_t sure = t->now[s];
	bool zero_too = false; /* a discard leaves it as it was, or zeroes */
	bool ok;

	for (uint32_t i = 0; i < st->flushed; i++) {
		const struct op *o = &st->op[i];

		if (o->op == DISK_FLUSH || s < o->sector || s - o->sector >= o->nr)
			continue;
		if (o->op == DISK_DISCARD) {
			zero_too = true;
			continue;
		}
		sure = o->op == DISK_WRITE ? o->value : 0;
		zero_too = false;
	}
	ok = value == sure || (zero_too && !value);
	for (uint32_t i = st->flushed; i < st->begun && !ok; i++) {
		const struct op *o = &st->op[i];

		if (s >= o->sector && s - o->sector < o->nr)
			ok = o->op == DISK_WRITE ? value == o->value : value == 0;
	}
	return ok;
}

/* Checks that the disk is what it may be, and remembers what it is. The raw copy agrees, if there
 * is one. */
static void compare(struct rig *t, const char *raw)
{
	static uint8_t buf[REGION_SECTORS * SECTOR], copy[REGION_SECTORS * SECTOR];
	AUTO_CLOSE int fd = raw ? open(raw, O_RDONLY | O_CLOEXEC) : -1;

	for (uint32_t s = 0; s < SECTORS; s++) {
		const uint32_t in = s % REGION_SECTORS;
		uint32_t value;

		if (in == 0)
			assert_int_equal(
				disk_transfer(&t->d, DISK_READ, place(s), buf, REGION_SECTORS), 0);
		if (in == 0 && raw) {
			assert_int_equal(pread(fd, copy, sizeof(copy), (off_t)(place(s) * SECTOR)),
					 sizeof(copy));
			assert_memory_equal(buf, copy, sizeof(copy));
		}
		value = sector_value(buf + in * SECTOR, place(s));
		if (!may_hold(t, s, value))
			fail_msg(
				"sector %u holds %u, after %u operations of which %u are stable; before them it held %u",
				s, value, t->story->begun, t->story->flushed, t->now[s]);
		t->now[s] = value;
	}
}

static void start_story(struct rig *t)
{
	t->story->begun = t->story->ended = t->story->flushed = 0;
}

/* -- a kill ---------------------------------------------------------------------------------- */

static unsigned rounds(unsigned most)
{
	const char *s = getenv("MINIVMM_TEST_ROUNDS");

	return s ? (unsigned)atoi(s) : most;
}

static pid_t start_child(struct rig *t)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	rig_open(t);
	while (t->story->begun < MAX_OPS)
		step(t);
	_exit(1);
}

static void kills_leave_the_image_in_order(void **state __unused)
{
	const unsigned nr = rounds(200);
	unsigned leaks = 0, leaky = 0, operations = 0;
	struct rig t;

	if (!have_qemu_img())
		skip();
	rig_up(&t);
	for (unsigned i = 0; i < nr; i++) {
		int status, lost;
		pid_t pid;

		seed = i;
		start_story(&t);
		pid = start_child(&t);
		/* The kill comes some operations later, plus some part of a millisecond. */
		for (uint32_t n = number_below(60);
		     __atomic_load_n(&t.story->begun, __ATOMIC_SEQ_CST) < n;)
			usleep(50);
		nanosleep(&(struct timespec){ .tv_nsec = number_below(1000000) }, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status)); /* it did not fail by itself */
		lost = assert_sound(t.overlay, t.log);
		leaks += (unsigned)lost;
		leaky += lost > 0;
		convert(t.overlay, t.raw, t.log);
		rig_open(&t);
		compare(&t, t.raw);
		disk_close(&t.d);
		operations += t.story->begun;
		t.next_value += t.story->begun;
		if (lost) /* otherwise the next round would find them again */
			run_tool(t.log, (char *[]){ "qemu-img", "check", "-f", "qcow2", "-r",
						    "leaks", t.overlay, NULL });
	}
	print_message(
		"# %u kills, %u operations; %u clusters counted and not used after %u of them\n",
		nr, operations, leaks, leaky);
	rig_down(&t);
}

/* -- a loss of power ------------------------------------------------------------------------- */

/* A write since the last sync: its bytes, or (data NULL) a hole. */
struct pending {
	uint64_t off, len;
	uint8_t *data;
};

static struct {
	int fd; /* the overlay's; -1: nothing is recorded */
	uint8_t *stable;
	uint64_t stable_len;
	struct pending w[8192];
	unsigned nr;
	unsigned countdown; /* writes and syncs before the power fails */
	void (*off)(void);
} power = { .fd = -1 };

#define FILE_MAX (64 * MIB)

/* Every disk writes in its own pieces, in any order. */
#define PIECE 4096

static void tick(void)
{
	if (power.countdown && --power.countdown == 0)
		power.off();
}

static void apply(uint8_t *image, uint64_t *len, const struct pending *p, uint64_t from, uint64_t n)
{
	assert_true(p->off + from + n <= FILE_MAX);
	if (p->data)
		memcpy(image + p->off + from, p->data + from, n);
	else
		memset(image + p->off + from, 0, n);
	if (p->data)
		*len = max(*len, p->off + from + n);
}

static void record(uint64_t off, uint64_t len, uint8_t *data)
{
	assert_true(power.nr < ARRAY_SIZE(power.w));
	power.w[power.nr++] = (struct pending){ off, len, data };
	tick();
}

static void forget(void)
{
	while (power.nr)
		free(power.w[--power.nr].data);
}

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	ssize_t n = __real_pwrite64(fd, buf, len, off);

	if (fd == power.fd && n > 0) {
		uint8_t *copy = malloc((size_t)n);

		memcpy(copy, buf, (size_t)n);
		record((uint64_t)off, (uint64_t)n, copy);
	}
	return n;
}

ssize_t __real_pwritev64(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t off)
{
	ssize_t n = __real_pwritev64(fd, iov, nr, off);

	if (fd == power.fd && n > 0) {
		uint8_t *copy = malloc((size_t)n), *p = copy;

		for (int i = 0; i < nr; p += iov[i++].iov_len)
			memcpy(p, iov[i].iov_base, iov[i].iov_len);
		assert_int_equal(p - copy, n);
		record((uint64_t)off, (uint64_t)n, copy);
	}
	return n;
}

int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	int rc = __real_fallocate64(fd, mode, off, len);

	if (fd == power.fd && rc == 0)
		record((uint64_t)off, (uint64_t)len, NULL);
	return rc;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	if (fd != power.fd)
		return __real_fdatasync(fd);
	tick(); /* before any part of it is stable */
	for (unsigned i = 0; i < power.nr; i++)
		apply(power.stable, &power.stable_len, &power.w[i], 0, power.w[i].len);
	forget();
	return 0;
}

static struct rig *powered;
static unsigned losses, loss_leaks;

static void write_image(const char *path, const uint8_t *image, uint64_t len)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, image, len), len);
	close(fd);
}

/* Makes the file as the host finds it when the power is back: all that was synced, and any part of
 * the rest. */
static void check_loss(void)
{
	struct rig *t = powered, after = *t;
	const uint32_t now = t->story->begun;
	const unsigned chance = number_below(5); /* from none of it to all of it */
	const int recorded = power.fd;
	uint8_t *image = malloc(FILE_MAX);
	uint64_t len = power.stable_len;

	memcpy(image, power.stable, FILE_MAX);
	for (unsigned i = 0; i < power.nr; i++)
		for (uint64_t from = 0; from < power.w[i].len;) {
			uint64_t n =
				min(PIECE - (power.w[i].off + from) % PIECE, power.w[i].len - from);

			if (number_below(4) < chance)
				apply(image, &len, &power.w[i], from, n);
			from += n;
		}
	power.fd = -1;
	snprintf(after.overlay, sizeof(after.overlay), "%s/after", t->dir);
	write_image(after.overlay, image, len);
	free(image);
	loss_leaks += (unsigned)assert_sound(after.overlay, t->log);
	rig_open(&after);
	compare(&after, NULL);
	disk_close(&after.d);
	unlink(after.overlay);
	power.fd = recorded;
	assert_int_equal(t->story->begun, now);
	losses++;
	power.countdown = 1 + number_below(120);
}

static void power_losses_leave_the_image_in_order(void **state __unused)
{
	const unsigned nr = rounds(100);
	struct rig t;
	int fd;

	if (!have_qemu_img())
		skip();
	rig_up(&t);
	seed = 42;
	start_story(&t);
	power.stable = calloc(1, FILE_MAX);
	fd = open(t.overlay, O_RDONLY | O_CLOEXEC);
	power.stable_len = (uint64_t)pread(fd, power.stable, FILE_MAX, 0);
	close(fd);
	rig_open(&t);
	powered = &t;
	power.fd = t.d.fd;
	power.off = check_loss;
	power.countdown = 50;
	while (losses < nr)
		step(&t);
	power.countdown = 0;
	disk_close(&t.d);
	power.fd = -1;
	forget();
	free(power.stable);
	print_message("# %u losses of power, %u operations; %u clusters counted and not used\n",
		      losses, t.story->begun, loss_leaks);
	rig_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kills_leave_the_image_in_order),
		cmocka_unit_test(power_losses_leave_the_image_in_order),
	};

	return cmocka_run_group_tests_name("qcow2-crash", tests, NULL, NULL);
}
