/* SPDX-License-Identifier: BSD-2-Clause */
#include "qcow2_image.h"

#include "backend/disk/qcow2.h"

#include "capture.h"

#define CLUSTER_SECTORS 128ull                     /* of 64 KiB */
#define SECTORS         (37 * CLUSTER_SECTORS + 5) /* the last cluster is only a part */

/* What the host refuses: all calls pass through here (-Wl,--wrap). */
static struct {
	int write, sync; /* these fail with that errno; 0: they don't */
} refuse;

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	errno = refuse.write;
	return refuse.write ? -1 : __real_pwrite64(fd, buf, len, off);
}

ssize_t __real_pwritev64(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t off)
{
	errno = refuse.write;
	return refuse.write ? -1 : __real_pwritev64(fd, iov, nr, off);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	errno = refuse.sync;
	return refuse.sync ? -1 : __real_fdatasync(fd);
}

struct rig {
	struct disk d;
	char dir[32], base[48], overlay[48], raw[48], log[48];
};

static int rig_open(struct rig *t, const struct disk_options *how)
{
	struct disk_options o = *how;

	if (!o.path)
		o.path = t->base;
	return disk_open(&t->d, &o, disk_done);
}

static void rig_files(struct rig *t)
{
	*t = (struct rig){ .dir = "/tmp/qcow2-XXXXXX" };
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->base, sizeof(t->base), "%s/base.img", t->dir);
	snprintf(t->overlay, sizeof(t->overlay), "%s/over.qcow2", t->dir);
	snprintf(t->raw, sizeof(t->raw), "%s/raw", t->dir);
	snprintf(t->log, sizeof(t->log), "%s/log", t->dir);
	make_raw(t->base, SECTORS, BASE);
}

static void rig_up(struct rig *t)
{
	rig_files(t);
	assert_int_equal(rig_open(t, &(struct disk_options){ .overlay = t->overlay }), 0);
}

static void reopen(struct rig *t)
{
	disk_close(&t->d);
	assert_int_equal(rig_open(t, &(struct disk_options){ .overlay = t->overlay }), 0);
}

/* Checks that nothing was written to the base, and that QEMU finds the overlay in order. */
static void rig_down(struct rig *t)
{
	disk_close(&t->d);
	if (access(t->overlay, F_OK) == 0 && have_qemu_img()) {
		assert_int_equal(assert_sound(t->overlay, t->log), 0);
		convert(t->overlay, t->raw, t->log);
		assert_int_equal(rig_open(t, &(struct disk_options){ .overlay = t->overlay }), 0);
		assert_same(&t->d, t->raw);
		disk_close(&t->d);
	}
	assert_int_equal(rig_open(t, &(struct disk_options){ .readonly = true }), 0);
	assert_disk(&t->d, 0, SECTORS, BASE);
	disk_close(&t->d);
	unlink(t->base);
	unlink(t->overlay);
	unlink(t->raw);
	unlink(t->log);
	assert_int_equal(rmdir(t->dir), 0);
}

static void a_new_overlay_reads_as_its_base(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	assert_int_equal(t.d.size, SECTORS * SECTOR);
	assert_disk(&t.d, 0, SECTORS, BASE);
	reopen(&t);
	assert_disk(&t.d, 0, SECTORS, BASE);
	rig_down(&t);
}

static void what_is_written_stays_in_the_overlay(void **state __unused)
{
	static const struct {
		uint64_t sector, nr;
	} ranges[] = {
		{ 0, 1 },
		{ CLUSTER_SECTORS - 1, 2 },                       /* across */
		{ 3 * CLUSTER_SECTORS, CLUSTER_SECTORS },         /* one */
		{ 5 * CLUSTER_SECTORS + 7, 3 * CLUSTER_SECTORS }, /* a part, two, a part */
		{ 6 * CLUSTER_SECTORS, 5 },                       /* again, in place */
		{ 10 * CLUSTER_SECTORS, 16 * CLUSTER_SECTORS },
		{ 9 * CLUSTER_SECTORS, 20 * CLUSTER_SECTORS }, /* around those */
		{ SECTORS - 1, 1 },
		{ SECTORS - 5 - CLUSTER_SECTORS, CLUSTER_SECTORS + 5 },
	};
	uint32_t want[SECTORS];
	struct rig t;

	rig_up(&t);
	for (uint64_t s = 0; s < SECTORS; s++)
		want[s] = BASE;
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		assert_int_equal(disk_fill(&t.d, ranges[i].sector, ranges[i].nr, i + 2), 0);
		for (uint64_t s = 0; s < ranges[i].nr; s++)
			want[ranges[i].sector + s] = i + 2;
		for (uint64_t s = 0; s < SECTORS; s++)
			assert_disk(&t.d, s, 1, want[s]);
	}
	reopen(&t);
	for (uint64_t s = 0; s < SECTORS; s++)
		assert_disk(&t.d, s, 1, want[s]);
	rig_down(&t);
}

/* Over each kind of cluster: base, written, partly written, zeroes; whole and in part; and it
 * lasts. */
static void zeroes_hide_the_base(void **state __unused)
{
	struct rig t;

	for (int unmap = 0; unmap < 2; unmap++) {
		rig_up(&t);
		assert_int_equal(disk_fill(&t.d, 4 * CLUSTER_SECTORS, 4 * CLUSTER_SECTORS, 2), 0);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(
				disk_range(&t.d, DISK_ZERO, unmap, 3, CLUSTER_SECTORS * 6 - 9), 0);
			assert_disk(&t.d, 0, 3, BASE);
			assert_disk(&t.d, 3, CLUSTER_SECTORS * 6 - 9, 0);
			assert_disk(&t.d, CLUSTER_SECTORS * 6 - 6, 2 * CLUSTER_SECTORS + 6, 2);
			reopen(&t);
		}
		assert_disk(&t.d, 3, CLUSTER_SECTORS * 6 - 9, 0);
		/* In a cluster that was kept, and in one that was not. */
		assert_int_equal(disk_fill(&t.d, 4 * CLUSTER_SECTORS + 1, 1, 3), 0);
		assert_int_equal(disk_fill(&t.d, 2 * CLUSTER_SECTORS + 1, 1, 3), 0);
		assert_disk(&t.d, 4 * CLUSTER_SECTORS, 1, 0);
		assert_disk(&t.d, 4 * CLUSTER_SECTORS + 1, 1, 3);
		assert_disk(&t.d, 4 * CLUSTER_SECTORS + 2, CLUSTER_SECTORS - 2, 0);
		assert_disk(&t.d, 2 * CLUSTER_SECTORS + 2, CLUSTER_SECTORS - 2, 0);
		assert_int_equal(disk_range(&t.d, DISK_ZERO, unmap, SECTORS - 5, 5), 0);
		assert_disk(&t.d, SECTORS - 5, 5, 0);
		rig_down(&t);
	}
}

static void a_discard_does_not_show_the_base_again(void **state __unused)
{
	struct rig t;
	struct stat before, after;
	uint32_t value;
	uint8_t buf[SECTOR];

	rig_up(&t);
	assert_int_equal(disk_fill(&t.d, 0, 8 * CLUSTER_SECTORS, 2), 0);
	assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), 0);
	assert_int_equal(stat(t.overlay, &before), 0);
	assert_int_equal(disk_range(&t.d, DISK_DISCARD, false, 1, 6 * CLUSTER_SECTORS), 0);
	assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), 0);
	assert_int_equal(stat(t.overlay, &after), 0);
	assert_true(after.st_blocks <= before.st_blocks - 5 * 128);
	for (uint64_t s = 0; s < 8 * CLUSTER_SECTORS; s++) {
		assert_int_equal(disk_transfer(&t.d, DISK_READ, s, buf, 1), 0);
		value = sector_value(buf, s);
		assert_true(value == 2 || (value == 0 && s >= 1 && s <= 6 * CLUSTER_SECTORS));
	}
	/* Clusters that were given back are used again. */
	assert_int_equal(disk_fill(&t.d, 20 * CLUSTER_SECTORS, 5 * CLUSTER_SECTORS, 3), 0);
	assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), 0);
	assert_int_equal(stat(t.overlay, &before), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_disk(&t.d, 20 * CLUSTER_SECTORS, 5 * CLUSTER_SECTORS, 3);
	rig_down(&t);
}

/* The base was shared, and somebody cut it: what is missing must not be taken for zeroes. */
static void what_was_cut_off_the_base_fails(void **state __unused)
{
	struct rig t;
	uint8_t buf[SECTOR];

	rig_up(&t);
	assert_int_equal(truncate(t.base, 10 * CLUSTER_SECTORS * SECTOR), 0);
	assert_disk(&t.d, 0, 10 * CLUSTER_SECTORS, BASE);
	assert_int_equal(disk_transfer(&t.d, DISK_READ, 10 * CLUSTER_SECTORS, buf, 1), -ENODATA);
	assert_int_equal(disk_fill(&t.d, 10 * CLUSTER_SECTORS, 1, 2), -ENODATA);
	assert_int_equal(disk_fill(&t.d, 11 * CLUSTER_SECTORS, CLUSTER_SECTORS, 2), 0);
	assert_disk(&t.d, 11 * CLUSTER_SECTORS, CLUSTER_SECTORS, 2);
	make_raw(t.base, SECTORS, BASE);
	rig_down(&t);
}

static void a_large_disk_has_more_tables_than_the_cache(void **state __unused)
{
	struct rig t;
	const uint64_t step = 512 * MIB / SECTOR;

	rig_files(&t);
	assert_int_equal(truncate(t.base, (off_t)(60 * step * SECTOR)), 0);
	assert_int_equal(rig_open(&t, &(struct disk_options){ .overlay = t.overlay }), 0);
	for (uint32_t i = 0; i < 60; i++)
		assert_int_equal(disk_fill(&t.d, i * step + i, 3, i + 2), 0);
	for (uint32_t i = 0; i < 60; i++)
		assert_disk(&t.d, i * step + i, 3, i + 2);
	reopen(&t);
	for (uint32_t i = 0; i < 60; i++)
		assert_disk(&t.d, i * step + i, 3, i + 2);
	disk_close(&t.d);
	if (have_qemu_img())
		assert_int_equal(assert_sound(t.overlay, t.log), 0);
	unlink(t.overlay);
	assert_int_equal(truncate(t.base, SECTORS * SECTOR), 0);
	rig_down(&t);
}

static void a_temporary_overlay_leaves_nothing(void **state __unused)
{
	struct rig t, other;

	rig_files(&t);
	setenv("TMPDIR", t.dir, 1);
	log_set_level(LOG_ERROR); /* hides that it is a tmpfs, perhaps */
	assert_int_equal(rig_open(&t, &(struct disk_options){ .temp = true }), 0);
	other = t;
	assert_int_equal(rig_open(&other, &(struct disk_options){ .temp = true }), 0);
	log_set_level(LOG_WARN);
	assert_int_equal(disk_fill(&t.d, 0, 10 * CLUSTER_SECTORS, 2), 0);
	assert_int_equal(disk_fill(&other.d, 5, 7, 3), 0);
	assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), 0);
	assert_disk(&t.d, 0, 10 * CLUSTER_SECTORS, 2);
	assert_disk(&other.d, 0, 5, BASE);
	assert_disk(&other.d, 5, 7, 3);
	disk_close(&other.d);
	unsetenv("TMPDIR");
	rig_down(&t); /* removes the directory, so there is no other file in it */
}

/* A guest that restarts gets another struct disk. */
static void a_temporary_overlay_is_kept_for_a_restart(void **state __unused)
{
	struct kept kept = { 0 };
	const struct disk_options o = { .temp = true, .kept = &kept };
	struct rig t;

	rig_files(&t);
	setenv("TMPDIR", t.dir, 1);
	log_set_level(LOG_ERROR);
	for (uint32_t life = 0; life < 3; life++) {
		assert_int_equal(rig_open(&t, &o), 0);
		assert_disk(&t.d, life * CLUSTER_SECTORS, SECTORS - life * CLUSTER_SECTORS, BASE);
		for (uint32_t i = 0; i < life; i++)
			assert_disk(&t.d, i * CLUSTER_SECTORS, CLUSTER_SECTORS, 2 + i);
		assert_int_equal(disk_fill(&t.d, life * CLUSTER_SECTORS, CLUSTER_SECTORS, 2 + life),
				 0);
		disk_close(&t.d);
	}
	log_set_level(LOG_WARN);
	kept_end(&kept);
	unsetenv("TMPDIR");
	rig_down(&t);
}

/* After a sync that failed the kernel would call the next one a success. */
static void a_loss_is_not_forgotten_by_a_restart(void **state __unused)
{
	struct kept kept = { 0 };
	struct capture c;
	struct rig t;
	struct disk_options o = { .overlay = t.overlay, .kept = &kept };
	int rc;

	rig_files(&t);
	assert_int_equal(rig_open(&t, &o), 0);
	assert_int_equal(disk_fill(&t.d, 0, 1, 2), 0);
	refuse.sync = EIO;
	assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), -EIO);
	refuse.sync = 0;
	assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), -EIO);
	assert_int_equal(disk_fill(&t.d, 0, 1, 2), -EIO);
	capture_begin(&c);
	disk_close(&t.d);
	rc = rig_open(&t, &o);
	disk_close(&t.d);
	capture_end(&c);
	assert_int_equal(rc, -EIO);
	assert_non_null(strstr(c.text, "what was written last is lost"));
	assert_non_null(strstr(c.text, "the guest is not restarted with it"));
	kept_end(&kept);
	unlink(t.overlay); /* it counts what nothing uses */
	rig_down(&t);
}

/* A child of the program has copies of all descriptors, until it ends or calls exec. */
static void a_child_keeps_no_lock(void **state __unused)
{
	struct disk_options o = { 0 };
	int hold[2], status;
	struct rig t;
	pid_t pid;

	rig_files(&t);
	for (int over = 0; over < 2; over++) {
		o.overlay = over ? t.overlay : NULL;
		assert_int_equal(rig_open(&t, &o), 0);
		assert_int_equal(pipe(hold), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(hold[1]);
			_exit((int)read(hold[0], &status, 1));
		}
		close(hold[0]);
		disk_close(&t.d);
		assert_int_equal(rig_open(&t, &o), 0);
		disk_close(&t.d);
		o.overlay = NULL; /* the base may be written */
		assert_int_equal(rig_open(&t, &o), 0);
		disk_close(&t.d);
		close(hold[1]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	rig_down(&t);
}

static void assert_refused(struct rig *t, const struct disk_options *o, int want, const char *text)
{
	struct capture c;
	int rc;

	capture_begin(&c);
	rc = rig_open(t, o);
	disk_close(&t->d);
	capture_end(&c);
	if (rc != want || !strstr(c.text, text))
		fail_msg("%d: \"%s\" is not in \"%s\"", rc, text, c.text);
}

static void an_overlay_is_used_once_and_over_its_base(void **state __unused)
{
	struct rig t, other;
	const struct disk_options o = { .overlay = t.overlay };
	struct disk_options wrong = o;

	rig_up(&t);
	other = t;
	assert_refused(&other, &o, -EBUSY,
		       "the overlay is in use by another minivmm or given twice");
	/* Others may read the base, but not write it. */
	assert_refused(&other, &(struct disk_options){ 0 }, -EBUSY, "in use");
	assert_int_equal(rig_open(&other, &(struct disk_options){ .readonly = true }), 0);
	disk_close(&other.d);
	disk_close(&t.d);
	wrong.path = t.raw;
	make_raw(t.raw, SECTORS, BASE);
	assert_refused(&t, &wrong, -EINVAL, "the overlay is for another base, /tmp/qcow2-");
	wrong.path = t.overlay;
	assert_refused(&t, &wrong, -EBUSY, "the overlay is in use");
	wrong = (struct disk_options){ .path = t.overlay, .format = DISK_QCOW2 };
	assert_refused(&t, &wrong, -EINVAL, "has a base, /tmp/qcow2-");
	wrong = (struct disk_options){ .overlay = t.raw };
	assert_refused(&t, &wrong, -EINVAL, "is not a qcow2 image");
	rig_down(&t);
}

static mode_t overlay_mode(struct rig *t, mode_t base, mode_t mask)
{
	const mode_t before = umask(mask);
	struct stat st;

	assert_int_equal(chmod(t->base, base), 0);
	assert_int_equal(rig_open(t, &(struct disk_options){ .overlay = t->overlay }), 0);
	umask(before);
	disk_close(&t->d);
	assert_int_equal(stat(t->overlay, &st), 0);
	assert_int_equal(unlink(t->overlay), 0);
	return st.st_mode & 07777;
}

static void an_overlay_is_no_more_open_than_its_base(void **state __unused)
{
	struct rig t;

	rig_files(&t);
	assert_int_equal(overlay_mode(&t, 0600, 0), 0600);
	assert_int_equal(overlay_mode(&t, 0640, 0), 0600);
	assert_int_equal(overlay_mode(&t, 0666, 0), 0644);
	assert_int_equal(overlay_mode(&t, 0644, 027), 0640);
	assert_int_equal(chmod(t.base, 0644), 0);
	t.d = (struct disk){ .fd = -1, .base_fd = -1 };
	rig_down(&t);
}

static void a_link_to_an_overlay_is_not_followed(void **state __unused)
{
	struct rig t;
	char kept[64];

	rig_up(&t);
	disk_close(&t.d);
	snprintf(kept, sizeof(kept), "%s/kept", t.dir);
	assert_int_equal(rename(t.overlay, kept), 0);
	assert_int_equal(symlink("kept", t.overlay), 0);
	assert_refused(&t, &(struct disk_options){ .overlay = t.overlay }, -ELOOP,
		       "the overlay is a symbolic link, which is not followed");
	assert_int_equal(rename(kept, t.overlay), 0);
	rig_down(&t);
}

/* An image's own words about its base are not put into a command. */
static void hints_are_safe_to_paste(void **state __unused)
{
	struct disk_options o = { 0 };
	char odd[64], hint[256];
	struct rig t;

	rig_files(&t);
	snprintf(odd, sizeof(odd), "%s/it's;odd", t.dir);
	o.overlay = odd;
	assert_int_equal(rig_open(&t, &o), 0);
	disk_close(&t.d);
	make_raw(t.raw, SECTORS, BASE);
	o.path = t.raw;
	snprintf(hint, sizeof(hint),
		 "(if that was moved here: qemu-img rebase -u -F raw -b '%s' '%s/it'\\''s;odd')",
		 t.raw, t.dir);
	assert_refused(&t, &o, -EINVAL, hint);
	o.path = t.base;
	poke(odd, 112, 0x786177, 3); /* "xaw" */
	snprintf(
		hint, sizeof(hint),
		"as xaw, and it was given as raw (say format=, or correct it: qemu-img rebase -u -F raw -b '%s' ",
		t.base);
	assert_refused(&t, &o, -EINVAL, hint);
	unlink(odd);
	rig_down(&t);
}

static void a_base_that_was_changed_is_told_of(void **state __unused)
{
	struct timespec times[2];
	struct capture c;
	struct stat st;
	struct rig t;

	rig_up(&t);
	disk_close(&t.d);
	assert_int_equal(stat(t.overlay, &st), 0);
	times[0] = times[1] = st.st_mtim;
	for (int newer = 0; newer < 2; newer++) {
		times[1].tv_sec += newer;
		assert_int_equal(utimensat(AT_FDCWD, t.base, times, 0), 0);
		capture_begin(&c);
		reopen(&t);
		disk_close(&t.d);
		capture_end(&c);
		assert_int_equal(!!strstr(c.text, "the base was changed after the overlay"), newer);
	}
	log_set_level(LOG_ERROR);
	rig_down(&t);
	log_set_level(LOG_WARN);
}

static void a_dry_run_makes_no_file(void **state __unused)
{
	struct rig t;

	rig_files(&t);
	assert_int_equal(rig_open(&t, &(struct disk_options){ .overlay = t.overlay, .dry = true }),
			 0);
	assert_int_equal(t.d.size, SECTORS * SECTOR);
	disk_close(&t.d);
	assert_int_equal(access(t.overlay, F_OK), -1);
	assert_refused(&t, &(struct disk_options){ .overlay = "/nowhere/x" }, -ENOENT,
		       "overlay's directory");
	rig_down(&t);
}

/* The only refcount block counts nothing but used clusters: the next clusters need a block of their
 * own. */
static void a_large_file_has_more_refcount_blocks(void **state __unused)
{
	struct rig t;
	uint64_t block;

	rig_up(&t);
	disk_close(&t.d);
	block = peek(t.overlay, peek(t.overlay, 48));
	for (unsigned i = 0; i < 65536; i += 8)
		poke(t.overlay, block + i, 0x0001000100010001, 8);
	assert_int_equal(truncate(t.overlay, (off_t)(2 * GIB)), 0);
	reopen(&t);
	assert_int_equal(disk_fill(&t.d, 0, 8 * CLUSTER_SECTORS, 2), 0);
	assert_int_equal(disk_fill(&t.d, SECTORS - 5, 5, 2), 0);
	reopen(&t);
	assert_disk(&t.d, 0, 8 * CLUSTER_SECTORS, 2);
	assert_disk(&t.d, SECTORS - 5, 5, 2);
	disk_close(&t.d);
	assert_int_equal(peek(t.overlay, peek(t.overlay, 48) + 8), 2 * GIB);
	if (have_qemu_img()) /* as we reported, it is in use */
		assert_in_range(assert_sound(t.overlay, t.log), 32000, 32768);
	unlink(t.overlay);
	rig_down(&t);
}

/* -- images of QEMU's ------------------------------------------------------------------------ */

static void qemu(struct rig *t, char *const argv[])
{
	if (run_tool(t->log, argv) != 0)
		fail_msg("%s %s failed", argv[0], argv[1]);
}

static void an_image_of_qemus_is_a_disk(void **state __unused)
{
	static char *const options[] = { "preallocation=off", "preallocation=metadata",
					 "cluster_size=2M",
					 "cluster_size=128k,preallocation=full" };
	struct disk_options o = { .format = DISK_QCOW2 };
	struct rig t;

	if (!have_qemu_img())
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
		rig_files(&t);
		qemu(&t, (char *[]){ "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o",
				     options[i], t.base, t.overlay, NULL });
		o.path = t.overlay;
		assert_int_equal(rig_open(&t, &o), 0);
		assert_disk(&t.d, 0, SECTORS, BASE);
		assert_int_equal(disk_fill(&t.d, 100, 3000, 2), 0);
		assert_int_equal(disk_range(&t.d, DISK_ZERO, false, 200, 1000), 0);
		assert_int_equal(disk_range(&t.d, DISK_DISCARD, false, 2000, 700), 0);
		disk_close(&t.d);
		assert_int_equal(assert_sound(t.overlay, t.log), 0);
		convert(t.overlay, t.raw, t.log);
		o.readonly = true;
		assert_int_equal(rig_open(&t, &o), 0);
		o.readonly = false;
		assert_disk(&t.d, 0, 100, BASE);
		assert_disk(&t.d, 100, 100, 2);
		assert_disk(&t.d, 200, 1000, 0);
		assert_disk(&t.d, 3100, SECTORS - 3100, BASE);
		assert_int_equal(disk_fill(&t.d, 0, 1, 3), -EBADF);
		assert_same(&t.d, t.raw);
		disk_close(&t.d);
		unlink(t.overlay);
		rig_down(&t);
	}
}

/* Our overlay has a qcow2 base, and QEMU has an overlay over ours. */
static void chains_with_qemu(void **state __unused)
{
	struct rig t;
	struct disk_options o = { .path = t.raw, .overlay = t.overlay, .format = DISK_QCOW2 };

	if (!have_qemu_img())
		skip();
	rig_files(&t);
	qemu(&t,
	     (char *[]){ "qemu-img", "convert", "-f", "raw", "-O", "qcow2", t.base, t.raw, NULL });
	assert_int_equal(rig_open(&t, &o), 0);
	assert_disk(&t.d, 0, SECTORS, BASE);
	assert_int_equal(disk_fill(&t.d, 77, 1000, 2), 0);
	disk_close(&t.d);
	assert_int_equal(assert_sound(t.overlay, t.log), 0);
	o.format = DISK_RAW;
	assert_refused(&t, &o, -EINVAL,
		       "the overlay records its base as qcow2, and it was given as raw");
	o.format = DISK_QCOW2;
	assert_int_equal(rig_open(&t, &o), 0);
	assert_disk(&t.d, 0, 77, BASE);
	assert_disk(&t.d, 77, 1000, 2);
	disk_close(&t.d);
	unlink(t.raw);
	unlink(t.overlay);
	/* QEMU's overlay is larger than its base, whose name is relative to it. */
	qemu(&t, (char *[]){ "qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", "base.img",
			     t.overlay, "4M", NULL });
	assert_int_equal(rig_open(&t, &(struct disk_options){ .overlay = t.overlay }), 0);
	assert_int_equal(t.d.size, 4 * MIB);
	assert_disk(&t.d, 0, SECTORS, BASE);
	assert_disk(&t.d, SECTORS, 4 * MIB / SECTOR - SECTORS, 0);
	assert_int_equal(disk_fill(&t.d, SECTORS - 1, 2, 2), 0);
	assert_disk(&t.d, SECTORS - 2, 1, BASE);
	assert_disk(&t.d, SECTORS + 1, 50, 0);
	rig_down(&t);
}

static void what_is_not_supported_is_refused(void **state __unused)
{
	static const struct {
		char *how, *text;
	} cases[] = {
		{ "compat=0.10", "version 2; upgrade it with qemu-img amend -o compat=v3" },
		{ "cluster_size=32k", "has clusters smaller than 64K" },
		{ "refcount_bits=1", "has refcounts that are not 16 bits wide" },
		{ "extended_l2=on,cluster_size=128k", "has extended L2 entries" },
		{ "data_file=/tmp/qcow2-data", "keeps its data in another file" },
	};
	struct disk_options o = { .format = DISK_QCOW2 };
	struct rig t;

	if (!have_qemu_img())
		skip();
	rig_files(&t);
	o.path = t.overlay;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		qemu(&t, (char *[]){ "qemu-img", "create", "-f", "qcow2", "-o", cases[i].how,
				     t.overlay, "1M", NULL });
		assert_refused(&t, &o, -EINVAL, cases[i].text);
	}
	unlink("/tmp/qcow2-data");
	unlink(t.overlay);
	qemu(&t, (char *[]){ "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", t.base,
			     t.overlay, NULL });
	assert_refused(&t, &o, -EINVAL, "is compressed; convert it");
	qemu(&t, (char *[]){ "qemu-img", "convert", "-f", "raw", "-O", "qcow2", t.base, t.overlay,
			     NULL });
	qemu(&t, (char *[]){ "qemu-img", "snapshot", "-c", "one", t.overlay, NULL });
	assert_refused(&t, &o, -EINVAL, "has snapshots inside");
	o.readonly = true;
	assert_int_equal(rig_open(&t, &o), 0);
	assert_disk(&t.d, 0, SECTORS, BASE);
	disk_close(&t.d);
	unlink(t.overlay);
	rig_down(&t);
}

/* -- damage ---------------------------------------------------------------------------------- */

static void damage_is_told(void **state __unused)
{
	static const struct {
		uint64_t off, value;
		unsigned size;
		const char *text;
	} cases[] = {
		{ 0, 0x514649fa, 4, "is not a qcow2 image" },
		{ 4, 4, 4, "unknown version 4" },
		{ 8, 65536 - 3, 8, "the name of its backing file" },
		{ 16, 1024, 4, "the name of its backing file" },
		{ 20, 63, 4, "has clusters smaller than 64K or larger than 2M" },
		{ 24, 0, 8, "not possible for a disk" },
		{ 24, 1ull << 62, 8, "not possible for a disk" },
		{ 24, 1023, 8, "not possible for a disk" },
		{ 32, 1, 4, "is encrypted" },
		{ 36, 0, 4, "an L1 table that is too short" },
		{ 40, 0, 8, "the place of its L1 table" },
		{ 40, UINT64_MAX - 65535, 8, "the place of its L1 table" },
		{ 40, 512, 8, "the place of its L1 table" },
		{ 48, 1ull << 40, 8, "the place of its refcount table" },
		{ 56, UINT32_MAX, 4, "the size of its refcount table" },
		{ 56, 0, 4, "the size of its refcount table" },
		{ 72, 1, 8, "was not closed properly" },
		{ 72, 2, 8, "is marked as corrupt" },
		{ 72, 1ull << 63, 8, "has features that minivmm does not know" },
		{ 96, 6, 4, "has refcounts that are not 16 bits wide" },
		{ 100, 103, 4, "the length of its header" },
		{ 108, 0x7fffffff, 4, "an extension of its header" },
		{ 108, 16, 4, "the format of its backing file" },
	};
	struct rig t;

	rig_up(&t);
	disk_close(&t.d);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t was = peek(t.overlay, cases[i].off);

		poke(t.overlay, cases[i].off, cases[i].value, cases[i].size);
		assert_refused(&t, &(struct disk_options){ .overlay = t.overlay },
			       strstr(cases[i].text, " its ") && !strstr(cases[i].text, "none")
				       ? -EUCLEAN
			       : strstr(cases[i].text, "too short") ? -EUCLEAN
								    : -EINVAL,
			       cases[i].text);
		poke(t.overlay, cases[i].off, was, 8);
	}
	rig_down(&t);
}

/* Checks that the image can be read except for its first cluster. */
static void assert_read_only(struct rig *t, const char *path)
{
	const struct disk_options o = { .path = path, .format = DISK_QCOW2, .readonly = true };
	uint8_t buf[SECTOR];
	struct capture c;

	capture_begin(&c);
	assert_int_equal(rig_open(t, &o), 0);
	capture_end(&c);
	assert_non_null(strstr(c.text, "; what is missing fails when it is read"));
	assert_int_equal(disk_transfer(&t->d, DISK_READ, 0, buf, 1), -EUCLEAN);
	disk_close(&t->d);
}

/* With tables that make no sense, any write might make the image worse (qcow2_damage.c has more).
 * An image that is only read fails at those places, and its other parts can be read. */
static void damaged_tables_fail(void **state __unused)
{
	static const uint64_t values[] = { 0x200, 1ull << 55, 0x00fffffffffff000, 65536 + 512,
					   1ull << 63 | 1ull << 50 };
	struct rig t;
	const struct disk_options o = { .path = t.overlay, .format = DISK_QCOW2 };
	const struct qcow2_info info = { .size = SECTORS * SECTOR };
	uint64_t l1, l2, reftable, was;
	int fd;

	rig_files(&t);
	fd = open(t.overlay, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(qcow2_create(fd, &info), 0);
	close(fd);
	assert_int_equal(rig_open(&t, &o), 0);
	assert_int_equal(disk_fill(&t.d, 0, 1, 2), 0);
	disk_close(&t.d);
	l1 = peek(t.overlay, 40);
	reftable = peek(t.overlay, 48);
	l2 = peek(t.overlay, l1) & 0x00fffffffffffe00;
	const uint64_t places[] = { l1, reftable, l2 };

	for (unsigned i = 0; i < ARRAY_SIZE(values) * ARRAY_SIZE(places); i++) {
		const uint64_t place = places[i % ARRAY_SIZE(places)];

		was = peek(t.overlay, place);
		poke(t.overlay, place, values[i / ARRAY_SIZE(places)], 8);
		assert_refused(&t, &o, -EUCLEAN, "the qcow2 image is damaged: ");
		if (place != reftable)
			assert_read_only(&t, o.path);
		poke(t.overlay, place, was, 8);
	}
	poke(t.overlay, l2 + 8, 1ull << 62 | 65536, 8);
	assert_refused(&t, &o, -EINVAL, "is compressed; convert it");
	unlink(t.overlay);
	rig_down(&t);
}

/* -- the host -------------------------------------------------------------------------------- */

static uint64_t file_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

/* What a session gave back is used by later ones, and so is what a crash left. */
static void what_is_given_back_is_used_again(void **state __unused)
{
	struct rig t;
	uint64_t most;

	rig_up(&t);
	assert_int_equal(disk_fill(&t.d, 0, 30 * CLUSTER_SECTORS, 2), 0);
	reopen(&t);
	most = file_size(t.overlay) + 2 * 65536;
	for (uint32_t i = 3; i < 13; i++) {
		assert_int_equal(disk_range(&t.d, DISK_DISCARD, false, 0, 30 * CLUSTER_SECTORS), 0);
		if (i % 2)
			assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), 0);
		else
			reopen(&t);
		assert_int_equal(disk_fill(&t.d, 0, 30 * CLUSTER_SECTORS, i), 0);
		assert_disk(&t.d, 0, 30 * CLUSTER_SECTORS, i);
		reopen(&t);
	}
	assert_in_range(file_size(t.overlay), 1, most);
	rig_down(&t);
}

static void what_was_cut_off_an_image_fails(void **state __unused)
{
	struct rig t;
	uint8_t buf[SECTOR];
	uint64_t size;

	rig_up(&t);
	assert_int_equal(disk_fill(&t.d, 0, 4 * CLUSTER_SECTORS, 2), 0);
	reopen(&t);
	assert_int_equal(disk_fill(&t.d, 6 * CLUSTER_SECTORS, CLUSTER_SECTORS, 3), 0);
	size = file_size(t.overlay);
	assert_int_equal(truncate(t.overlay, (off_t)(size - 2 * 65536)), 0);
	assert_int_equal(disk_transfer(&t.d, DISK_READ, 6 * CLUSTER_SECTORS, buf, 1), -ENODATA);
	assert_disk(&t.d, 0, 1, 2);
	assert_disk(&t.d, 5 * CLUSTER_SECTORS, 1, BASE);
	disk_close(&t.d);
	unlink(t.overlay);
	rig_down(&t);
}

/* Reads need no room, however many tables wait to be written. */
static void reads_go_on_when_the_host_is_full(void **state __unused)
{
	static const int errors[] = { ENOSPC, EIO };
	const uint64_t step = 512 * MIB / SECTOR;
	uint32_t written;
	struct rig t;

	for (unsigned k = 0; k < ARRAY_SIZE(errors); k++) {
		rig_files(&t);
		assert_int_equal(truncate(t.base, (off_t)(80 * step * SECTOR)), 0);
		assert_int_equal(rig_open(&t, &(struct disk_options){ .overlay = t.overlay }), 0);
		for (uint32_t i = 0; i < 40; i++)
			assert_int_equal(disk_fill(&t.d, i * step + 1, 3, i + 2), 0);
		reopen(&t);
		for (uint32_t i = 0; i < 40; i++) /* each table is changed, as far as possible */
			assert_int_equal(disk_fill(&t.d, i * step + CLUSTER_SECTORS, 3, i + 2), 0);
		*(k ? &refuse.sync : &refuse.write) = errors[k];
		for (written = 40; written < 80; written++)
			if (disk_fill(&t.d, written * step + 1, 3, 2) < 0)
				break;
		assert_in_range(written, 40, 79);
		for (uint32_t i = 0; i < 40; i++) {
			assert_disk(&t.d, i * step + 1, 3, i + 2);
			assert_disk(&t.d, i * step + CLUSTER_SECTORS, 3, i + 2);
		}
		assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), -errors[k]);
		refuse.write = refuse.sync = 0;
		/* There is room again, but nobody knows what a failed sync has written. */
		assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), k ? -EIO : 0);
		assert_int_equal(disk_fill(&t.d, 60 * step, 3, 4), k ? -EIO : 0);
		log_set_level(LOG_QUIET);
		disk_close(&t.d);
		log_set_level(LOG_WARN);
		if (!k && have_qemu_img())
			assert_int_equal(assert_sound(t.overlay, t.log), 0);
		unlink(t.overlay);
		assert_int_equal(truncate(t.base, SECTORS * SECTOR), 0);
		rig_down(&t);
	}
}

/* Every write fails once, and then succeeds: nothing is lost, and no cluster is counted without a
 * use. */
static void a_full_host_leaks_nothing(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	for (uint32_t i = 0; i < 20; i++) {
		refuse.write = ENOSPC;
		assert_int_equal(disk_fill(&t.d, i * CLUSTER_SECTORS, 2 * CLUSTER_SECTORS, i + 2),
				 -ENOSPC);
		assert_int_equal(disk_fill(&t.d, i * CLUSTER_SECTORS + 1, 1, i + 2), -ENOSPC);
		refuse.write = 0;
		assert_int_equal(disk_fill(&t.d, i * CLUSTER_SECTORS, CLUSTER_SECTORS, i + 2), 0);
		if (i % 3 == 0)
			assert_int_equal(disk_range(&t.d, DISK_FLUSH, false, 0, 0), 0);
	}
	for (uint32_t i = 0; i < 20; i++)
		assert_disk(&t.d, i * CLUSTER_SECTORS, CLUSTER_SECTORS, i + 2);
	assert_disk(&t.d, 20 * CLUSTER_SECTORS, 1, BASE);
	rig_down(&t);
}

/* Not even by a refused write: the bits stand for what another program knows of it. */
static void an_image_is_changed_by_writes_only(void **state __unused)
{
	struct rig t;
	struct disk_options wrong = { 0 };
	const uint64_t bits = 0x100;

	rig_up(&t);
	disk_close(&t.d);
	poke(t.overlay, 88, bits, 8);
	make_raw(t.raw, SECTORS, BASE);
	wrong.path = t.raw;
	wrong.overlay = t.overlay;
	assert_refused(&t, &wrong, -EINVAL, "the overlay is for another base");
	assert_int_equal(peek(t.overlay, 88), bits);
	assert_int_equal(rig_open(&t, &(struct disk_options){ .overlay = t.overlay }), 0);
	assert_disk(&t.d, 0, 5, BASE);
	assert_int_equal(peek(t.overlay, 88), bits);
	refuse.sync = EIO;
	assert_int_equal(disk_fill(&t.d, 0, 1, 2), -EIO);
	refuse.sync = 0;
	log_set_level(LOG_QUIET);
	disk_close(&t.d);
	log_set_level(LOG_WARN);
	poke(t.overlay, 88, bits, 8);
	assert_int_equal(rig_open(&t, &(struct disk_options){ .overlay = t.overlay }), 0);
	assert_int_equal(disk_fill(&t.d, 0, 1, 2), 0);
	assert_int_equal(peek(t.overlay, 88), 0);
	rig_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_overlay_reads_as_its_base),
		cmocka_unit_test(what_is_written_stays_in_the_overlay),
		cmocka_unit_test(zeroes_hide_the_base),
		cmocka_unit_test(a_discard_does_not_show_the_base_again),
		cmocka_unit_test(what_was_cut_off_the_base_fails),
		cmocka_unit_test(a_large_disk_has_more_tables_than_the_cache),
		cmocka_unit_test(a_large_file_has_more_refcount_blocks),
		cmocka_unit_test(a_temporary_overlay_leaves_nothing),
		cmocka_unit_test(a_temporary_overlay_is_kept_for_a_restart),
		cmocka_unit_test(a_loss_is_not_forgotten_by_a_restart),
		cmocka_unit_test(a_child_keeps_no_lock),
		cmocka_unit_test(an_overlay_is_no_more_open_than_its_base),
		cmocka_unit_test(a_link_to_an_overlay_is_not_followed),
		cmocka_unit_test(an_overlay_is_used_once_and_over_its_base),
		cmocka_unit_test(hints_are_safe_to_paste),
		cmocka_unit_test(a_base_that_was_changed_is_told_of),
		cmocka_unit_test(a_dry_run_makes_no_file),
		cmocka_unit_test(an_image_of_qemus_is_a_disk),
		cmocka_unit_test(chains_with_qemu),
		cmocka_unit_test(what_is_not_supported_is_refused),
		cmocka_unit_test(damage_is_told),
		cmocka_unit_test(damaged_tables_fail),
		cmocka_unit_test(what_is_given_back_is_used_again),
		cmocka_unit_test(what_was_cut_off_an_image_fails),
		cmocka_unit_test(reads_go_on_when_the_host_is_full),
		cmocka_unit_test(a_full_host_leaks_nothing),
		cmocka_unit_test(an_image_is_changed_by_writes_only),
	};

	return cmocka_run_group_tests_name("qcow2", tests, NULL, NULL);
}
