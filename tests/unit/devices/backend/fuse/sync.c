/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the guest's changes the host writes to its disk, when, and that it writes nothing
 * else. */
#include "fuse_client.h"
#include "backend/fuse/fuse_impl.h"
#include "test.h"

#define ROOT FUSE_ROOT_ID

static struct client c;
static unsigned fsyncs, syncfss, slices, stop_after;
static int failure;
static bool stopping;

int __wrap_fsync(int fd);
int __wrap_syncfs(int fd);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);

int __wrap_fsync(int fd)
{
	fsyncs++;
	errno = failure ?: errno;
	return failure || fcntl(fd, F_GETFL) & O_PATH ? -1 : 0;
}

int __wrap_syncfs(int fd)
{
	syncfss++;
	errno = failure ?: errno;
	return failure || fcntl(fd, F_GETFL) & O_PATH ? -1 : 0;
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	slices++;
	assert_true(len > 0 && ((uint64_t)len <= 64 * MIB || mode & FALLOC_FL_PUNCH_HOLE));
	if (slices == stop_after)
		stopping = true;
	return __real_fallocate64(fd, mode, off, len);
}

static void up(void)
{
	stopping = false;
	client_init(&c, &(struct fuse_options){ .stopping = &stopping });
	client_start(&c);
	fsyncs = syncfss = slices = stop_after = 0;
}

static int sync_all(void)
{
	const struct fuse_syncfs_in in = { 0 };

	fsyncs = syncfss = 0;
	return ask_bytes(&c, FUSE_SYNCFS, ROOT, &in, sizeof(in));
}

/* Checks what one sync costs the host. */
static void assert_sync(unsigned files, unsigned whole)
{
	assert_int_equal(sync_all(), 0);
	assert_int_equal(fsyncs, files);
	assert_int_equal(syncfss, whole);
}

static uint64_t create(const char *name, uint64_t *node)
{
	const struct fuse_create_in in = { .flags = O_RDWR, .mode = 0600 };

	assert_int_equal(ask(&c, FUSE_CREATE, ROOT, &in, sizeof(in), name), sizeof(c.out.create));
	*node = c.out.create.entry.nodeid;
	return c.out.create.open.fh;
}

static void write_to(uint64_t node, uint64_t fh)
{
	struct {
		struct fuse_write_in in;
		char text[4];
	} body = { .in = { .fh = fh, .size = 4 }, .text = "text" };

	assert_int_equal(ask_bytes(&c, FUSE_WRITE, node, &body, sizeof(body)), sizeof(c.out.write));
}

static void release(uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	assert_int_equal(ask_bytes(&c, FUSE_RELEASE, ROOT, &in, sizeof(in)), 0);
}

static void who_changes_nothing_costs_nothing(void **state __unused)
{
	const struct fuse_getattr_in in = { 0 };

	up();
	assert_sync(0, 1); /* changes from before it started, perhaps by this guest */
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(ask_bytes(&c, FUSE_GETATTR, ROOT, &in, sizeof(in)),
				 sizeof(c.out.attr));
		assert_sync(0, 0);
	}
	client_destroy(&c);
}

static void what_is_written_is_synced_alone(void **state __unused)
{
	uint64_t node[20], fh[20];
	char name[8];

	up();
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "%u", i);
		fh[i] = create(name, &node[i]);
	}
	assert_sync(0, 1);
	for (unsigned nr = 1; nr <= 16; nr++) {
		for (unsigned i = 0; i < nr; i++) {
			write_to(node[i], fh[i]);
			write_to(node[i], fh[i]);
		}
		assert_sync(nr, 0);
		assert_sync(0, 0);
	}
	for (unsigned i = 0; i < 20; i++)
		write_to(node[i], fh[i]);
	assert_sync(0, 1);
	assert_sync(0, 0);
	/* A file need not be open any more, nor known. */
	write_to(node[0], fh[0]);
	release(fh[0]);
	assert_sync(1, 0);
	write_to(node[1], fh[1]);
	release(fh[1]);
	ask_bytes(&c, FUSE_FORGET, node[1], &(struct fuse_forget_in){ UINT64_MAX },
		  sizeof(struct fuse_forget_in));
	assert_sync(0, 1);
	/* The file that is open in its place is another one. */
	create("new", &node[1]);
	assert_sync(0, 1);
	assert_sync(0, 0);
	client_destroy(&c);
}

/* Another kernel goes on, or the device was reset: a sync also syncs what the previous one
 * wrote. */
static void what_was_changed_stays_so(void **state __unused)
{
	uint64_t node, fh;

	up();
	fh = create("file", &node);
	assert_sync(0, 1);
	write_to(node, fh);
	assert_int_equal(ask_bytes(&c, FUSE_DESTROY, ROOT, NULL, 0), 0);
	client_start(&c);
	assert_sync(0, 1);
	assert_sync(0, 0);
	client_destroy(&c);
}

static void what_is_where_is_the_whole_systems(void **state __unused)
{
	const struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	const struct fuse_setattr_in size = { .valid = FATTR_SIZE, .size = 3 };
	const struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0700 };
	const struct fuse_open_in cut = { .flags = O_WRONLY | O_TRUNC };
	uint64_t node, to = ROOT, fh;

	up();
	fh = create("file", &node);
	assert_sync(0, 1);
	assert_int_equal(ask(&c, FUSE_MKDIR, ROOT, &mkdir_in, sizeof(mkdir_in), "dir"),
			 sizeof(c.out.entry));
	assert_sync(0, 1);
	assert_int_equal(ask(&c, FUSE_RENAME, ROOT, &to, sizeof(to), "dir", "other"), 0);
	assert_sync(0, 1);
	assert_int_equal(ask(&c, FUSE_RMDIR, ROOT, NULL, 0, "other"), 0);
	assert_sync(0, 1);
	assert_int_equal(ask(&c, FUSE_SYMLINK, ROOT, NULL, 0, "link", "target"),
			 sizeof(c.out.entry));
	assert_sync(0, 1);
	assert_int_equal(ask(&c, FUSE_UNLINK, ROOT, NULL, 0, "link"), 0);
	assert_sync(0, 1);
	assert_int_equal(ask_bytes(&c, FUSE_SETATTR, ROOT, &mode, sizeof(mode)),
			 sizeof(c.out.attr));
	assert_sync(0, 1);
	assert_int_equal(ask_bytes(&c, FUSE_SETATTR, node, &size, sizeof(size)),
			 sizeof(c.out.attr));
	assert_sync(1, 0);
	assert_int_equal(ask_bytes(&c, FUSE_OPEN, node, &cut, sizeof(cut)), sizeof(c.out.open));
	assert_sync(1, 0);
	write_to(node, fh);
	assert_int_equal(ask(&c, FUSE_UNLINK, ROOT, NULL, 0, "file"), 0);
	assert_sync(0, 1);
	assert_sync(0, 0);
	client_destroy(&c);
}

static void an_error_is_told_and_tried_again(void **state __unused)
{
	uint64_t node, fh;

	up();
	fh = create("file", &node);
	assert_sync(0, 1);
	write_to(node, fh);
	failure = EIO;
	assert_int_equal(sync_all(), -EIO);
	assert_int_equal(sync_all(), -EIO);
	failure = 0;
	assert_sync(0, 1);
	assert_sync(0, 0);
	client_destroy(&c);
}

/* Its descriptor was taken back, and its name is gone. */
static void what_is_lost_is_synced_with_the_rest(void **state __unused)
{
	uint64_t node, fh;
	int rc;

	up();
	fh = create("file", &node);
	assert_sync(0, 1);
	write_to(node, fh);
	release(fh);
	c.fs.server->fds.most = 4;
	for (unsigned i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "share/%u", i);
		host_write(&c, name, "text");
		assert_int_equal(ask(&c, FUSE_LOOKUP, ROOT, NULL, 0, name + 6),
				 sizeof(c.out.entry));
	}
	rc = rename(host_path(&c, "share/file"), host_path(&c, "share/moved"));
	assert_int_equal(rc, 0);
	assert_sync(0, 1);
	assert_sync(0, 0);
	client_destroy(&c);
}

static void a_stop_ends_what_takes_long(void **state __unused)
{
	struct fuse_fallocate_in in = { .offset = 5, .length = 300 * MIB };
	uint64_t node;
	struct stat st;

	up();
	in.fh = create("file", &node);
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, node, &in, sizeof(in)), 0);
	assert_int_equal(slices, 5);
	assert_int_equal(stat(host_path(&c, "share/file"), &st), 0);
	assert_int_equal(st.st_size, 300 * MIB + 5);
	in.mode = FALLOC_FL_KEEP_SIZE;
	slices = 0;
	stop_after = 2;
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, node, &in, sizeof(in)), -EINTR);
	assert_int_equal(slices, 2);
	stop_after = 0;
	in.length = 0;
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, node, &in, sizeof(in)), -EINVAL);
	in.length = UINT64_MAX;
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, node, &in, sizeof(in)), -EFBIG);
	/* There is not so much room: no part of it is begun. */
	in.length = 1ull << 60;
	slices = 0;
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, node, &in, sizeof(in)), -ENOSPC);
	assert_int_equal(slices, 0);
	client_destroy(&c);
}

/* Returns how far a hole may reach here. */
static off_t end_of_files(int fd)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return __real_fallocate64(fd, mode, 0, INT64_MAX) == 0 ? INT64_MAX : 15ll * 1024 * GIB;
}

/* A hole "from here to the end of all files", as programs ask for it: only what exists is done in
 * slices. */
static void a_hole_without_end_is_soon_made(void **state __unused)
{
	const off_t at[] = { 4096, 100 * MIB, 10ll * 1024 * GIB };
	struct fuse_fallocate_in in = { .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	uint64_t node;
	struct stat st;
	char text[4];
	int fd;

	up();
	in.fh = create("file", &node);
	fd = open(host_path(&c, "share/file"), O_RDWR);
	assert_true(fd >= 0);
	in.offset = 4096 + 2;
	in.length = (uint64_t)end_of_files(fd) - in.offset;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(pwrite(fd, "text", 4, at[i]), 4);
	slices = 0;
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, node, &in, sizeof(in)), 0);
	assert_true(slices <= 2 * ARRAY_SIZE(at) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		assert_int_equal(pread(fd, text, 4, at[i]), 4);
		assert_memory_equal(text, i ? "\0\0\0\0" : "te\0\0", 4);
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, at[2] + 4);
	close(fd);
	client_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_changes_nothing_costs_nothing),
		cmocka_unit_test(what_is_written_is_synced_alone),
		cmocka_unit_test(what_was_changed_stays_so),
		cmocka_unit_test(what_is_where_is_the_whole_systems),
		cmocka_unit_test(an_error_is_told_and_tried_again),
		cmocka_unit_test(what_is_lost_is_synced_with_the_rest),
		cmocka_unit_test(a_stop_ends_what_takes_long),
		cmocka_unit_test(a_hole_without_end_is_soon_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
