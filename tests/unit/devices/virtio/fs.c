/* SPDX-License-Identifier: BSD-2-Clause */
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "count_fds.h"
#include "fuse_client.h"
#include "backend/fuse/fuse_impl.h"
#include "capture.h"
#include "test.h"

#define ROOT FUSE_ROOT_ID

/* A request's fixed part, and its size. */
#define WITH(type, ...) ((struct type[]){ { __VA_ARGS__ } }), sizeof(struct type)

static struct client c; /* each test has its own */

static const struct fuse_options writable = { 0 }, readonly = { .readonly = true };

static void up(const struct fuse_options *o)
{
	client_init(&c, o);
	client_start(&c);
}

static void down(void)
{
	assert_true(host_has(&c, "secret", SECRET));
	client_destroy(&c);
}

static int lookup(uint64_t dir, const char *name)
{
	return ask(&c, FUSE_LOOKUP, dir, NULL, 0, name);
}

/* Returns the node of a file that exists. */
static uint64_t node_of(uint64_t dir, const char *name)
{
	assert_int_equal(lookup(dir, name), sizeof(c.out.entry));
	assert_int_not_equal(c.out.entry.nodeid, 0);
	return c.out.entry.nodeid;
}

static int open_node(uint64_t node, uint32_t flags)
{
	const struct fuse_open_in in = { .flags = flags };

	return ask_bytes(&c, FUSE_OPEN, node, &in, sizeof(in));
}

/* Returns the handle of a file that can be opened. */
static uint64_t opened(uint64_t node, uint32_t flags)
{
	assert_int_equal(open_node(node, flags), sizeof(c.out.open));
	return c.out.open.fh;
}

static int read_at(uint64_t fh, uint64_t off, uint32_t size)
{
	const struct fuse_read_in in = { .fh = fh, .offset = off, .size = size };

	return ask_bytes(&c, FUSE_READ, ROOT, &in, sizeof(in));
}

static int write_at(uint64_t fh, uint64_t off, const char *text, uint32_t flags)
{
	char body[4096];
	struct fuse_write_in in = {
		.fh = fh, .offset = off, .size = (uint32_t)strlen(text), .flags = flags
	};

	memcpy(body, &in, sizeof(in));
	memcpy(body + sizeof(in), text, in.size);
	return ask_bytes(&c, FUSE_WRITE, ROOT, body, sizeof(in) + in.size);
}

static int create(uint64_t dir, const char *name, uint32_t flags, uint32_t mode, uint32_t mask)
{
	const struct fuse_create_in in = { .flags = flags, .mode = mode, .umask = mask };

	return ask(&c, FUSE_CREATE, dir, &in, sizeof(in), name);
}

static int release_file(uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return ask_bytes(&c, FUSE_RELEASE, ROOT, &in, sizeof(in));
}

static int getattr(uint64_t node)
{
	const struct fuse_getattr_in in = { 0 };

	return ask_bytes(&c, FUSE_GETATTR, node, &in, sizeof(in));
}

/* -- the device ------------------------------------------------------------------------------ */

static void test_config(void **state __unused)
{
	const struct fuse_options o = { .path = "/tmp" };
	const char longest[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct virtio_fs fs;

	assert_int_equal(virtio_fs_init(&fs, longest, &o), 0);
	for (unsigned i = 0; i < 36; i++)
		assert_int_equal(virtio_config_read(&fs.vd, i, 1), longest[i]);
	assert_int_equal(virtio_config_read(&fs.vd, 36, 4), 1);
	assert_int_equal(virtio_config_read(&fs.vd, 40, 1), 0);
	virtio_fs_destroy(&fs);
	virtio_fs_destroy(&fs);
}

static void test_what_cant_be_shared(void **state __unused)
{
	const char *path[] = { "/nowhere", "/etc/passwd", "/proc", "/sys" };
	struct capture said;
	struct virtio_fs fs;

	for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
		const struct fuse_options o = { .path = path[i] };

		capture_begin(&said);
		assert_true(virtio_fs_init(&fs, "tag", &o) < 0);
		assert_non_null(strstr(capture_end(&said), path[i]));
		virtio_fs_destroy(&fs);
	}
}

static void test_negotiation(void **state __unused)
{
	struct fuse_init_in in = { .major = 7, .minor = 30, .flags = FUSE_ASYNC_READ };

	client_init(&c, &writable);
	assert_true(driver_start(&c.d, 0));
	assert_int_equal(getattr(ROOT), -ENOTCONN);
	assert_int_equal(ask_bytes(&c, FUSE_INIT, 0, &in, 16), -EPROTO);
	in.major = 8;
	assert_int_equal(ask_bytes(&c, FUSE_INIT, 0, &in, 16), sizeof(c.out.init));
	assert_int_equal(c.out.init.major, 7);
	assert_int_equal(getattr(ROOT), -ENOTCONN);
	in = (struct fuse_init_in){ .major = 7, .minor = 31, .flags = FUSE_ASYNC_READ };
	assert_int_equal(ask_bytes(&c, FUSE_INIT, 0, &in, 16), sizeof(c.out.init));
	assert_int_equal(c.out.init.flags, FUSE_ASYNC_READ); /* no more than was offered */
	assert_int_equal(c.out.init.max_write, MIB);
	assert_int_equal(getattr(ROOT), sizeof(c.out.attr));
	assert_true(S_ISDIR(c.out.attr.attr.mode));
	assert_int_equal(ask_bytes(&c, FUSE_DESTROY, 0, NULL, 0), 0);
	assert_int_equal(getattr(ROOT), -ENOTCONN);
	down();
}

static void test_locks_are_the_guests(void **state __unused)
{
	up(&writable);
	assert_false(c.out.init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS));
	assert_int_equal(ask_bytes(&c, FUSE_SETLKW, ROOT, WITH(fuse_lk_in, 0)), -ENOSYS);
	down();
}

static void test_unknown_opcodes(void **state __unused)
{
	const uint32_t op[] = { 0,           7,          FUSE_IOCTL,
				FUSE_BMAP,   FUSE_POLL,  FUSE_SETUPMAPPING,
				FUSE_ACCESS, FUSE_FLUSH, 52,
				99,          4096,       UINT32_MAX };

	up(&writable);
	for (size_t i = 0; i < ARRAY_SIZE(op); i++)
		assert_int_equal(ask_bytes(&c, op[i], ROOT, "", 0), -ENOSYS);
	down();
}

static void test_rounds_are_bounded(void **state __unused)
{
	const struct fuse_in_header h = { .len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = ROOT };
	gpa_t in, out;
	uint16_t head;
	bool more;

	up(&writable);
	in = driver_put(&c.d, &h, sizeof(h));
	out = driver_alloc(&c.d, 128);
	head = ring_send(&c.d.ring[1],
			 (struct ring_buf[]){ { in, sizeof(h), false }, { out, 128, true } }, 2);
	for (unsigned i = 1; i < 200; i++)
		ring_offer(&c.d.ring[1], head);
	more = virtio_kick(&c.fs.vd, 1);
	assert_true(more && ring_used(&c.d.ring[1]) <= ROUND_REQUESTS);
	driver_kick(&c.d, 1);
	assert_int_equal(ring_used(&c.d.ring[1]), 200);
	down();
}

static void test_reset_forgets_all(void **state __unused)
{
	unsigned before;
	uint64_t node, fh;

	client_init(&c, &writable);
	host_write(&c, "share/file", "text");
	before = count_fds();
	for (unsigned how = 0; how < 3; how++) {
		client_start(&c);
		node = node_of(ROOT, "file");
		fh = opened(node, O_RDONLY);
		assert_true(count_fds() > before);
		switch (how) {
		case 0: /* the driver begins anew */
			client_start(&c);
			break;
		case 1: /* the file system does */
			assert_int_equal(client_hello(&c), sizeof(c.out.init));
			break;
		case 2:
			assert_int_equal(ask_bytes(&c, FUSE_DESTROY, 0, NULL, 0), 0);
			assert_int_equal(client_hello(&c), sizeof(c.out.init));
			break;
		}
		assert_int_equal(count_fds(), before + 1); /* the root has one */
		assert_int_equal(getattr(node), -ESTALE);
		assert_int_equal(read_at(fh, 0, 4), -EBADF);
	}
	virtio_reset(&c.fs.vd);
	assert_int_equal(count_fds(), before);
	down();
}

/* -- files ----------------------------------------------------------------------------------- */

static void test_read(void **state __unused)
{
	uint64_t node, fh;

	up(&writable);
	host_write(&c, "share/file", "what the host wrote");
	node = node_of(ROOT, "file");
	assert_int_equal(c.out.entry.attr.size, 19);
	assert_int_equal(c.out.entry.entry_valid, 1);
	assert_int_equal(node_of(ROOT, "file"), node);
	fh = opened(node, O_RDONLY | O_DIRECT | O_NONBLOCK);
	assert_int_equal(read_at(fh, 0, 4096), 19);
	assert_string_equal(c.out.text, "what the host wrote");
	assert_int_equal(read_at(fh, 5, 3), 3);
	assert_string_equal(c.out.text, "the");
	assert_int_equal(read_at(fh, 19, 10), 0);
	assert_int_equal(read_at(fh, 1ull << 62, 10), 0);
	assert_int_equal(read_at(fh, UINT64_MAX, 10), -EINVAL);
	assert_int_equal(read_at(fh, 0, UINT32_MAX), 19); /* no more than it has room for */
	assert_int_equal(write_at(fh, 0, "x", 0), -EBADF);
	assert_int_equal(release_file(fh), 0);
	assert_int_equal(release_file(fh), -EBADF);
	assert_int_equal(read_at(fh, 0, 1), -EBADF);
	down();
}

static void test_read_scattered(void **state __unused)
{
	const struct fuse_in_header h = { .len = 80, .opcode = FUSE_READ, .nodeid = ROOT };
	struct fuse_read_in in = { .size = 10 };
	struct ring_buf buf[120];
	unsigned nr = 0;
	gpa_t req, out;

	up(&writable);
	host_write(&c, "share/file", "0123456789");
	in.fh = opened(node_of(ROOT, "file"), O_RDONLY);
	req = driver_put(&c.d, &h, sizeof(h));
	driver_put(&c.d, &in,
		   sizeof(in)); /* directly after it, or a little later: 40 is 8 modulo 16 */
	memcpy(ram_at(&c.d.ram, req + sizeof(h), sizeof(in)), &in, sizeof(in));
	out = driver_alloc(&c.d, 64);
	for (unsigned i = 0; i < 80; i++)
		buf[nr++] = (struct ring_buf){ req + i, 1, false };
	for (unsigned i = 0; i < 26; i++)
		buf[nr++] = (struct ring_buf){ out + 2 * i, 1, true }; /* every other byte */
	ring_send(&c.d.ring[1], buf, nr);
	driver_kick(&c.d, 1);
	assert_int_equal(ring_used(&c.d.ring[1]), 1);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(*(char *)ram_at(&c.d.ram, out + 32 + 2 * i, 1), '0' + i);
		assert_int_equal(*(char *)ram_at(&c.d.ram, out + 33 + 2 * i, 1), 0);
	}
	down();
}

static void test_create_write(void **state __unused)
{
	const mode_t mask = umask(077); /* the monitor's own must not count */
	uint64_t fh, node;
	struct stat st;

	up(&writable);
	assert_int_equal(create(ROOT, "new", O_RDWR, S_IFREG | 0666, 027), sizeof(c.out.create));
	fh = c.out.create.open.fh;
	node = c.out.create.entry.nodeid;
	assert_int_equal(stat(host_path(&c, "share/new"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(umask(mask), 077);
	assert_int_equal(write_at(fh, 0, "hello", 0), sizeof(c.out.write));
	assert_int_equal(c.out.write.size, 5);
	assert_int_equal(write_at(fh, 3, "p!", 0), sizeof(c.out.write));
	assert_true(host_has(&c, "share/new", "help!"));
	/* The host appended something that the guest doesn't know. */
	host_write(&c, "share/new", "longer than it was");
	assert_int_equal(write_at(fh, 5, ", indeed", O_APPEND | O_DSYNC), sizeof(c.out.write));
	assert_true(host_has(&c, "share/new", "longer than it was, indeed"));
	assert_int_equal(write_at(fh, UINT64_MAX, "x", 0), -EINVAL);
	assert_int_equal(node_of(ROOT, "new"), node);
	assert_int_equal(create(ROOT, "new", O_RDWR | O_EXCL, 0600, 0), -EEXIST);
	down();
}

/* Forbids unshare(2) in this thread, as Docker does. */
static void forbid_unshare(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(code), code };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

static void *make_without_unshare(void *unused __unused)
{
	const struct fuse_mkdir_in dir = { .mode = 0777, .umask = 022 };
	struct capture told;

	forbid_unshare();
	capture_begin(&told);
	up(&writable);
	assert_non_null(strstr(capture_end(&told), "umask"));
	assert_int_equal(create(ROOT, "new", O_RDWR, S_IFREG | 0666, 027), sizeof(c.out.create));
	assert_int_equal(ask(&c, FUSE_MKDIR, ROOT, &dir, sizeof(dir), "dir"), sizeof(c.out.entry));
	return NULL;
}

/* Then the thread's umask is the process's: it counts, too, and does not change. */
static void test_no_umask_of_its_own(void **state __unused)
{
	const mode_t mask = umask(05);
	pthread_t thread;
	struct stat st;

	assert_int_equal(pthread_create(&thread, NULL, make_without_unshare, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(umask(mask), 05);
	assert_int_equal(stat(host_path(&c, "share/new"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(stat(host_path(&c, "share/dir"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	down();
}

/* The guest's kernel asks for a file that doesn't exist, and checks nobody's right to one that
 * does. */
static void test_create_opens_nothing(void **state __unused)
{
	const uint32_t flags[] = { O_RDONLY, O_RDWR, O_RDWR | O_TRUNC };
	struct stat st;
	unsigned fds;

	up(&writable);
	host_write(&c, "share/file", "root's");
	assert_int_equal(chmod(host_path(&c, "share/file"), 06711), 0);
	fds = count_fds();
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		assert_int_equal(create(ROOT, "file", flags[i], 0600, 0), -ESTALE);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(stat(host_path(&c, "share/file"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 06711);
	assert_true(host_has(&c, "share/file", "root's"));
	down();
}

/* A file whose handle couldn't be reported is not made. */
static void test_create_without_a_handle(void **state __unused)
{
	struct fuse_handles *t, before;
	uint32_t fds;

	up(&writable);
	t = &c.fs.server->handles;
	before = *t;
	fds = c.fs.server->fds.taken;
	t->nr_slots = FUSE_MAX_HANDLES;
	t->free = 0;
	assert_int_equal(create(ROOT, "new", O_RDWR, 0600, 0), -ENFILE);
	*t = before;
	assert_int_equal(access(host_path(&c, "share/new"), F_OK), -1);
	assert_int_equal(c.fs.server->fds.taken, fds);
	assert_int_equal(create(ROOT, "new", O_RDWR, 0600, 0), sizeof(c.out.create));
	down();
}

static void test_whole_life(void **state __unused)
{
	struct fuse_setattr_in set = {
		.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME | FATTR_ATIME,
		.mode = 0604,
		.size = 3,
		.mtime = 1000000000,
		.mtimensec = 5,
		.atime = 7,
	};
	struct fuse_link_in link;
	uint64_t dir, file;
	struct stat st;

	up(&writable);
	assert_int_equal(ask(&c, FUSE_MKDIR, ROOT, WITH(fuse_mkdir_in, .mode = 0777, .umask = 022),
			     "dir"),
			 sizeof(c.out.entry));
	dir = c.out.entry.nodeid;
	assert_int_equal(c.out.entry.attr.mode, S_IFDIR | 0755);
	host_write(&c, "share/dir/file", "12345");
	file = node_of(dir, "file");
	assert_int_equal(ask_bytes(&c, FUSE_SETATTR, file, &set, sizeof(set)), sizeof(c.out.attr));
	assert_int_equal(c.out.attr.attr.mode, S_IFREG | 0604);
	assert_int_equal(c.out.attr.attr.size, 3);
	assert_int_equal(c.out.attr.attr.mtime, 1000000000);
	assert_int_equal(c.out.attr.attr.mtimensec, 5);
	link.oldnodeid = file;
	assert_int_equal(ask(&c, FUSE_LINK, ROOT, &link, sizeof(link), "hard"),
			 sizeof(c.out.entry));
	assert_int_equal(c.out.entry.nodeid, file);
	assert_int_equal(c.out.entry.attr.nlink, 2);
	assert_int_equal(ask(&c, FUSE_SYMLINK, ROOT, NULL, 0, "soft", "../secret"),
			 sizeof(c.out.entry));
	assert_int_equal(ask_bytes(&c, FUSE_READLINK, c.out.entry.nodeid, NULL, 0), 9);
	assert_string_equal(c.out.text, "../secret");
	assert_int_equal(ask_bytes(&c, FUSE_READLINK, file, NULL, 0), -EINVAL);
	assert_int_equal(ask(&c, FUSE_RENAME, dir, WITH(fuse_rename_in, ROOT), "file", "moved"), 0);
	assert_true(host_has(&c, "share/moved", "123"));
	assert_int_equal(ask(&c, FUSE_RENAME2, ROOT,
			     WITH(fuse_rename2_in, ROOT, RENAME_NOREPLACE, 0), "moved", "hard"),
			 -EEXIST);
	assert_int_equal(ask(&c, FUSE_RENAME2, ROOT, WITH(fuse_rename2_in, ROOT, 0x80, 0), "moved",
			     "other"),
			 -EINVAL);
	assert_int_equal(ask(&c, FUSE_RMDIR, ROOT, NULL, 0, "dir"), 0);
	assert_int_equal(ask(&c, FUSE_UNLINK, ROOT, NULL, 0, "hard"), 0);
	assert_int_equal(ask(&c, FUSE_UNLINK, ROOT, NULL, 0, "moved"), 0);
	assert_int_equal(stat(host_path(&c, "share/moved"), &st), -1);
	assert_int_equal(getattr(file), sizeof(c.out.attr)); /* gone, but still known */
	assert_int_equal(c.out.attr.attr.nlink, 0);
	assert_int_equal(ask_bytes(&c, FUSE_STATFS, ROOT, NULL, 0), sizeof(c.out.statfs));
	assert_int_not_equal(c.out.statfs.st.blocks, 0);
	down();
}

static void test_file_operations(void **state __unused)
{
	struct fuse_fallocate_in room = { .length = 65536 };
	struct fuse_lseek_in seek = { .whence = SEEK_HOLE };
	struct fuse_copy_file_range_in copy = { .off_out = 2, .len = UINT64_MAX / 2 };
	uint64_t from, to;

	up(&writable);
	host_write(&c, "share/from", "some text");
	host_write(&c, "share/to", "> ");
	from = opened(node_of(ROOT, "from"), O_RDWR);
	to = opened(node_of(ROOT, "to"), O_RDWR);
	seek.fh = from;
	assert_int_equal(ask_bytes(&c, FUSE_LSEEK, ROOT, &seek, sizeof(seek)), sizeof(c.out.lseek));
	assert_int_equal(c.out.lseek.offset, 9);
	seek.whence = SEEK_CUR;
	assert_int_equal(ask_bytes(&c, FUSE_LSEEK, ROOT, &seek, sizeof(seek)), -EINVAL);
	copy.fh_in = from;
	copy.fh_out = to;
	assert_int_equal(ask_bytes(&c, FUSE_COPY_FILE_RANGE, ROOT, &copy, sizeof(copy)),
			 sizeof(c.out.write));
	assert_true(host_has(&c, "share/to", "> some text"));
	room.fh = from;
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, ROOT, &room, sizeof(room)), 0);
	assert_int_equal(getattr(node_of(ROOT, "from")), sizeof(c.out.attr));
	assert_int_equal(c.out.attr.attr.size, 65536);
	room.mode = 0x80;
	assert_int_equal(ask_bytes(&c, FUSE_FALLOCATE, ROOT, &room, sizeof(room)), -EOPNOTSUPP);
	assert_int_equal(ask_bytes(&c, FUSE_FSYNC, ROOT, WITH(fuse_fsync_in, .fh = from)), 0);
	assert_int_equal(ask_bytes(&c, FUSE_FSYNCDIR, ROOT, WITH(fuse_fsync_in, .fh = from)),
			 -EBADF); /* of a file */
	down();
}

static void test_tmpfile(void **state __unused)
{
	const struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	struct fuse_link_in link;
	int rc;

	up(&writable);
	rc = ask(&c, FUSE_TMPFILE, ROOT, &in, sizeof(in), "/"); /* the name that Linux uses */
	if (rc != -EOPNOTSUPP) {
		assert_int_equal(rc, sizeof(c.out.create));
		link.oldnodeid = c.out.create.entry.nodeid;
		assert_int_equal(write_at(c.out.create.open.fh, 0, "text", 0), sizeof(c.out.write));
		assert_int_equal(ask(&c, FUSE_LINK, ROOT, &link, sizeof(link), "name"),
				 sizeof(c.out.entry));
		assert_true(host_has(&c, "share/name", "text"));
	}
	down();
}

static void test_caches(void **state __unused)
{
	const struct {
		enum fuse_cache cache;
		uint64_t valid;
		uint32_t first, again, changed;
	} want[] = {
		{ FUSE_CACHE_AUTO, 1, 0, FOPEN_KEEP_CACHE, 0 },
		{ FUSE_CACHE_ALWAYS, 86400, FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE },
		{ FUSE_CACHE_NONE, 0, FOPEN_DIRECT_IO, FOPEN_DIRECT_IO, FOPEN_DIRECT_IO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		uint64_t node;

		up(&(struct fuse_options){ .cache = want[i].cache });
		assert_int_equal(!!(c.out.init.flags & FUSE_AUTO_INVAL_DATA), i == 0);
		host_write(&c, "share/file", "text");
		node = node_of(ROOT, "file");
		assert_int_equal(c.out.entry.entry_valid, want[i].valid);
		assert_int_equal(c.out.entry.attr_valid, want[i].valid);
		opened(node, O_RDONLY);
		assert_int_equal(c.out.open.open_flags, want[i].first);
		opened(node, O_RDONLY);
		assert_int_equal(c.out.open.open_flags, want[i].again);
		host_write(&c, "share/file", "text, and more");
		opened(node, O_RDONLY);
		assert_int_equal(c.out.open.open_flags, want[i].changed);
		/* That a name does not exist is an answer, too. */
		if (want[i].valid) {
			assert_int_equal(lookup(ROOT, "none"), sizeof(c.out.entry));
			assert_int_equal(c.out.entry.nodeid, 0);
			assert_int_equal(c.out.entry.entry_valid, want[i].valid);
		} else {
			assert_int_equal(lookup(ROOT, "none"), -ENOENT);
		}
		down();
	}
}

static void test_xattrs(void **state __unused)
{
	struct fuse_getxattr_in get = { .size = 100 };
	struct __attribute__((packed)) {
		uint32_t size, flags;
		char name[11];
		char value[5];
	} set = { 5, 0, "user.color", "green" };
	uint64_t node;

	up(&writable);
	host_write(&c, "share/file", "");
	node = node_of(ROOT, "file");
	if (setxattr(host_path(&c, "share/file"), "user.a", "b", 1, 0) == 0) {
		assert_int_equal(ask_bytes(&c, FUSE_SETXATTR, node, &set, sizeof(set)), 0);
		assert_int_equal(ask(&c, FUSE_GETXATTR, node, &get, sizeof(get), "user.color"), 5);
		assert_string_equal(c.out.text, "green");
		get.size = 4;
		assert_int_equal(ask(&c, FUSE_GETXATTR, node, &get, sizeof(get), "user.color"),
				 -ERANGE);
		get.size = 0;
		assert_int_equal(ask(&c, FUSE_GETXATTR, node, &get, sizeof(get), "user.color"),
				 sizeof(c.out.getxattr));
		assert_int_equal(c.out.getxattr.size, 5);
		get.size = 100;
		assert_int_equal(ask_bytes(&c, FUSE_LISTXATTR, node, &get, sizeof(get)), 18);
		assert_int_equal(ask(&c, FUSE_REMOVEXATTR, node, NULL, 0, "user.color"), 0);
		assert_int_equal(ask(&c, FUSE_GETXATTR, node, &get, sizeof(get), "user.color"),
				 -ENODATA);
	}
	set.size = 6; /* more than follows */
	assert_int_equal(ask_bytes(&c, FUSE_SETXATTR, node, &set, sizeof(set)), -EINVAL);
	set.size = UINT32_MAX;
	assert_int_equal(ask_bytes(&c, FUSE_SETXATTR, node, &set, sizeof(set)), -E2BIG);
	assert_int_equal(ask(&c, FUSE_GETXATTR, node, &get, sizeof(get), "security.selinux"),
			 -EOPNOTSUPP);
	assert_int_equal(ask(&c, FUSE_REMOVEXATTR, node, NULL, 0, "system.posix_acl_access"),
			 -EOPNOTSUPP);
	down();
}

/* -- directories ----------------------------------------------------------------------------- */

static int opendir_node(uint64_t node)
{
	return ask_bytes(&c, FUSE_OPENDIR, node, WITH(fuse_open_in, 0));
}

/* Reads a directory of files called 0 to nr - 1, so many bytes at a time. */
static void list_all(uint64_t fh, uint32_t size, bool plus, unsigned nr)
{
	bool seen[400] = { 0 };
	struct fuse_read_in in = { .fh = fh, .size = size };
	unsigned found = 0, dots = 0;
	int len;

	while ((len = ask_bytes(&c, plus ? FUSE_READDIRPLUS : FUSE_READDIR, ROOT, &in,
				sizeof(in))) > 0) {
		assert_true((unsigned)len <= size);
		for (int at = 0; at < len;) {
			const struct fuse_entry_out *e = (void *)(c.out.text + at);
			const struct fuse_dirent *d = plus ? (void *)(e + 1) : (void *)e;
			unsigned long i = strtoul(d->name, NULL, 10);

			at += (int)FUSE_DIRENT_ALIGN((plus ? sizeof(*e) : 0) + FUSE_NAME_OFFSET +
						     d->namelen);
			in.offset = d->off;
			if (*d->name == '.') {
				dots++;
				continue;
			}
			assert_true(i < nr && !seen[i]);
			seen[i] = true;
			found++;
			if (plus) {
				assert_int_not_equal(e->nodeid, 0);
				assert_int_equal(e->attr.ino, d->ino);
			}
		}
	}
	assert_int_equal(len, 0);
	assert_int_equal(found, nr);
	assert_int_equal(dots, 2);
}

static void test_readdir(void **state __unused)
{
	const uint32_t size[] = { 200, 1000, 4096, 60000 };
	struct fuse_read_in in = { .size = 20 };
	char name[32];
	uint64_t fh;

	up(&writable);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "share/%u", i);
		host_write(&c, name, "");
	}
	assert_int_equal(opendir_node(ROOT), sizeof(c.out.open));
	fh = c.out.open.fh;
	for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
		list_all(fh, size[i], false, 300);
		list_all(fh, size[i], true, 300);
	}
	in.fh = fh;
	assert_int_equal(ask_bytes(&c, FUSE_READDIR, ROOT, &in, sizeof(in)), -EINVAL);
	in.offset = UINT64_MAX - 5;
	in.size = 4096;
	assert_true(ask_bytes(&c, FUSE_READDIR, ROOT, &in, sizeof(in)) <= 0);
	/* in another directory, for which the share's root would have a ".." */
	assert_int_equal(mkdir(host_path(&c, "share/dir"), 0755), 0);
	in.offset = 0;
	assert_int_equal(ask_bytes(&c, FUSE_READDIR, node_of(ROOT, "dir"), &in, sizeof(in)),
			 -EBADF);
	assert_int_equal(ask_bytes(&c, FUSE_READDIRPLUS, node_of(ROOT, "7"), &in, sizeof(in)),
			 -EBADF);
	assert_int_equal(read_at(fh, 0, 10), -EBADF); /* not of a file */
	assert_int_equal(release_file(fh), -EBADF);
	assert_int_equal(ask_bytes(&c, FUSE_RELEASEDIR, ROOT, WITH(fuse_release_in, .fh = fh)), 0);
	assert_int_equal(opendir_node(node_of(ROOT, "7")), -ENOTDIR);
	down();
}

static void test_forget(void **state __unused)
{
	struct fuse_forget_in forget = { .nlookup = 1 };
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one one[3];
	} batch = { .head.count = UINT32_MAX };
	uint64_t node, generation;
	unsigned before;

	up(&writable);
	host_write(&c, "share/file", "text");
	before = count_fds();
	node = node_of(ROOT, "file");
	generation = c.out.entry.generation;
	node_of(ROOT, "file");
	assert_int_equal(ask_bytes(&c, FUSE_FORGET, node, &forget, sizeof(forget)), -ENODATA);
	assert_int_equal(getattr(node), sizeof(c.out.attr));
	forget.nlookup = UINT64_MAX; /* more than there were */
	ask_bytes(&c, FUSE_FORGET, node, &forget, sizeof(forget));
	assert_int_equal(getattr(node), -ESTALE);
	assert_int_equal(count_fds(), before);
	ask_bytes(&c, FUSE_FORGET, node, &forget, sizeof(forget));
	ask_bytes(&c, FUSE_FORGET, ROOT, &forget, sizeof(forget));
	ask_bytes(&c, FUSE_FORGET, 0, &forget, sizeof(forget));
	assert_int_equal(getattr(ROOT), sizeof(c.out.attr));
	node = node_of(ROOT, "file");
	assert_int_not_equal(c.out.entry.generation, generation);
	batch.one[1] = (struct fuse_forget_one){ node, 1 };
	batch.one[2] = (struct fuse_forget_one){ node, 1 };
	ask_bytes(&c, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch));
	assert_int_equal(getattr(node), -ESTALE);
	assert_int_equal(c.fs.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	down();
}

/* Makes the guest know so many files, called 0 and so on. */
static void fill(unsigned nr, uint64_t node[])
{
	char name[32];

	for (unsigned i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "share/%u", i);
		host_write(&c, name, name);
		node[i] = node_of(ROOT, name + 6);
	}
}

static void test_more_files_than_descriptors(void **state __unused)
{
	uint64_t node[300], open = 0;
	char name[32];
	unsigned before;

	up(&writable);
	c.fs.server->fds.most = 20;
	before = count_fds();
	fill(300, node);
	open = opened(node[7], O_RDWR);
	assert_int_equal(unlink(host_path(&c, "share/7")), 0); /* only we hold it */
	for (unsigned i = 0; i < 300; i += 1 + (i == 6)) {
		int len = snprintf(name, sizeof(name), "share/%u", i);
		uint64_t fh = opened(node[i], O_RDONLY);

		assert_int_equal(read_at(fh, 0, 100), len);
		assert_string_equal(c.out.text, name);
		assert_int_equal(release_file(fh), 0);
		assert_int_equal(node_of(ROOT, name + 6), node[i]);
		assert_true(count_fds() <= before + 20);
	}
	assert_int_equal(getattr(node[7]), sizeof(c.out.attr));
	assert_int_equal(c.out.attr.attr.nlink, 0);
	assert_int_equal(read_at(open, 0, 100), 7);
	assert_int_equal(release_file(open), 0);
	down();
}

/* The file that is found under the name must be the one that the guest means. */
static void test_descriptors_that_return(void **state __unused)
{
	uint64_t node[100], dir;

	up(&writable);
	c.fs.server->fds.most = 20;
	assert_int_equal(mkdir(host_path(&c, "share/dir"), 0755), 0);
	dir = node_of(ROOT, "dir");
	host_write(&c, "share/dir/file", "below");
	node[99] = node_of(dir, "file");
	fill(98, node);
	assert_int_equal(getattr(node[0]), sizeof(c.out.attr));
	fill(98, node);
	/* the host moved it: the guest's kernel looks the path up again, and finds it */
	assert_int_equal(rename(host_path(&c, "share/0"), host_path(&c, "share/dir/0")), 0);
	for (unsigned i = 1; i < 98; i++)
		getattr(node[i]);
	assert_int_equal(getattr(node[0]), -ESTALE);
	assert_int_equal(node_of(dir, "0"), node[0]);
	assert_int_equal(getattr(node[0]), sizeof(c.out.attr));
	/* there are a link and another file in their places */
	for (unsigned i = 1; i < 98; i++)
		getattr(node[i]);
	assert_int_equal(unlink(host_path(&c, "share/dir/0")), 0);
	assert_int_equal(symlink("../../secret", host_path(&c, "share/dir/0")), 0);
	assert_int_equal(getattr(node[0]), -ESTALE);
	assert_int_equal(open_node(node[0], O_RDWR | O_TRUNC), -ESTALE);
	assert_int_not_equal(node_of(dir, "0"), node[0]);
	/* its directory is gone */
	ask(&c, FUSE_FORGET, dir, WITH(fuse_forget_in, UINT64_MAX));
	for (unsigned i = 1; i < 98; i++)
		getattr(node[i]);
	assert_int_equal(getattr(node[99]), -ESTALE);
	down();
}

static uint64_t make_dir(uint64_t dir, const char *name)
{
	const struct fuse_mkdir_in in = { .mode = 0755 };

	assert_int_equal(ask(&c, FUSE_MKDIR, dir, &in, sizeof(in), name), sizeof(c.out.entry));
	return c.out.entry.nodeid;
}

static void test_more_directories_than_descriptors(void **state __unused)
{
	uint64_t deep[12] = { ROOT }, wide[100], from, to;
	char name[32];
	unsigned before;

	up(&writable);
	c.fs.server->fds.most = 20;
	before = count_fds();
	for (unsigned i = 1; i < ARRAY_SIZE(deep); i++)
		deep[i] = make_dir(deep[i - 1], "deep");
	assert_int_equal(create(deep[11], "file", O_RDWR, 0644, 0), sizeof(c.out.create));
	assert_int_equal(release_file(c.out.create.open.fh), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wide); i++) {
		snprintf(name, sizeof(name), "%u", i);
		wide[i] = make_dir(ROOT, name);
	}
	assert_true(lookup(deep[11], "file") > 0 && c.out.entry.nodeid);
	for (unsigned i = 0; i < ARRAY_SIZE(wide); i++)
		assert_int_equal(getattr(wide[i]), sizeof(c.out.attr));
	/* The guest moves a directory that the file is in: nothing has to be looked up again. */
	from = deep[3], to = wide[5];
	assert_int_equal(ask(&c, FUSE_RENAME, from, &to, sizeof(to), "deep", "moved"), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wide); i++)
		assert_int_equal(getattr(wide[i]), sizeof(c.out.attr));
	assert_true(lookup(deep[11], "file") > 0 && c.out.entry.nodeid);
	for (unsigned i = 0; i < ARRAY_SIZE(wide); i++)
		assert_int_equal(getattr(wide[i]), sizeof(c.out.attr));
	assert_int_equal(ask(&c, FUSE_RENAME2, ROOT,
			     WITH(fuse_rename2_in, ROOT, RENAME_EXCHANGE, 0), "5", "6"),
			 0);
	for (unsigned i = 10; i < ARRAY_SIZE(wide); i++)
		assert_int_equal(getattr(wide[i]), sizeof(c.out.attr));
	assert_true(lookup(deep[11], "file") > 0 && c.out.entry.nodeid);
	assert_true(count_fds() <= before + 20);
	/* The host puts another directory in its place: the contents of that are not shown. */
	for (unsigned i = 10; i < ARRAY_SIZE(wide); i++)
		getattr(wide[i]);
	assert_int_equal(rename(host_path(&c, "share/6"), host_path(&c, "outside")), 0);
	assert_int_equal(symlink("../outside", host_path(&c, "share/6")), 0);
	assert_int_equal(getattr(wide[5]), -ESTALE);
	assert_int_equal(lookup(deep[11], "file"), -ESTALE);
	assert_int_equal(create(wide[5], "new", O_RDWR, 0600, 0), -ESTALE);
	down();
}

/* The host turned two directories inside out, and the guest knows one half of it. */
static void test_directories_in_a_circle(void **state __unused)
{
	uint64_t a, b, node[100];

	up(&writable);
	a = make_dir(ROOT, "a");
	b = make_dir(a, "b");
	assert_int_equal(rename(host_path(&c, "share/a/b"), host_path(&c, "share/b")), 0);
	assert_int_equal(rename(host_path(&c, "share/a"), host_path(&c, "share/b/a")), 0);
	assert_int_equal(ask(&c, FUSE_RENAME, b, &b, sizeof(b), "a", "x"), 0);
	c.fs.server->fds.most = 20;
	fill(100, node);
	assert_int_equal(getattr(a), -ESTALE);
	assert_int_equal(getattr(b), -ESTALE);
	assert_int_equal(node_of(ROOT, "b"), b);
	assert_int_equal(getattr(a), sizeof(c.out.attr));
	down();
}

/* This process has no more descriptors: others may have used them up. */
static void test_descriptors_of_the_process(void **state __unused)
{
	struct rlimit before, few;
	uint64_t node[100], fh;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	up(&writable);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(few.rlim_cur, before.rlim_cur); /* which we may not change */
	for (unsigned i = 0; i < 20; i++)
		host_write(&c, "share/file", "text"); /* the C library keeps it open from here on */
	few.rlim_cur = count_fds() + 20;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (unsigned i = 0; i < 100; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(ask(&c, FUSE_MKNOD, ROOT,
				     WITH(fuse_mknod_in, .mode = S_IFREG | 0600), name),
				 sizeof(c.out.entry));
		node[i] = c.out.entry.nodeid;
	}
	for (unsigned i = 0; i < 100; i++) {
		fh = opened(node[i], O_RDONLY);
		assert_int_equal(release_file(fh), 0);
	}
	assert_int_equal(create(ROOT, "new", O_RDWR, 0600, 0), sizeof(c.out.create));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	down();
}

/* The root lent its descriptor, and got none back when its last handle was closed, because the
 * process had none. Without a root nothing could be served any more. */
static void test_root_returns(void **state __unused)
{
	struct rlimit before, few;
	uint64_t dir, node[60], fh;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	up(&writable);
	c.fs.server->fds.most = 20;
	dir = make_dir(ROOT, "dir");
	assert_int_equal(opendir_node(ROOT), sizeof(c.out.open));
	fh = c.out.open.fh;
	for (unsigned i = 0; i < ARRAY_SIZE(node); i++) {
		char name[32];

		snprintf(name, sizeof(name), "share/dir/%u", i);
		host_write(&c, name, "text");
		node[i] = node_of(dir, name + 10);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(node); i++)
		ask(&c, FUSE_FORGET, node[i], WITH(fuse_forget_in, UINT64_MAX));
	ask(&c, FUSE_FORGET, dir, WITH(fuse_forget_in, UINT64_MAX));
	assert_int_equal(c.fs.server->fds.taken, 1); /* for the handle */
	few = (struct rlimit){ 1, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(ask(&c, FUSE_RELEASEDIR, ROOT, WITH(fuse_release_in, .fh = fh)), 0);
	assert_int_equal(getattr(ROOT), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(getattr(ROOT), sizeof(c.out.attr));
	assert_int_equal(node_of(ROOT, "dir"), dir);
	down();
}

/* Open files use nearly all descriptors; what the guest only knows goes on with the few that are
 * left. */
static void test_nothing_to_take(void **state __unused)
{
	struct fuse_read_in in = { .size = 4096 };
	uint64_t node[30], fh[30];
	unsigned nr = 0;

	up(&writable);
	c.fs.server->fds.most = 20;
	fill(30, node);
	assert_int_equal(opendir_node(ROOT), sizeof(c.out.open));
	in.fh = c.out.open.fh;
	while (open_node(node[nr], O_RDONLY) > 0)
		fh[nr++] = c.out.open.fh;
	assert_int_equal(open_node(node[nr], O_RDONLY), -ENFILE);
	assert_in_range(nr, 16, 18);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(getattr(node[i]), sizeof(c.out.attr));
	assert_true(ask_bytes(&c, FUSE_READDIRPLUS, ROOT, &in, sizeof(in)) > 0);
	assert_int_equal(open_node(node[nr], O_RDONLY), -ENFILE);
	assert_int_equal(release_file(fh[0]), 0);
	assert_int_equal(release_file(fh[1]), 0);
	fh[0] = opened(node[29], O_RDONLY);
	assert_int_equal(getattr(node[3]), sizeof(c.out.attr));
	assert_int_equal(read_at(fh[0], 0, 100), 8);
	assert_true(c.fs.server->fds.taken <= 20);
	down();
}

/* Several handles of one file are closed in any order; no name leads to one of the files any
 * more. */
static void test_handles_that_lend(void **state __unused)
{
	uint64_t node[50], fh[3];

	up(&writable);
	c.fs.server->fds.most = 12;
	fill(50, node);
	for (unsigned round = 0; round < 6; round++) {
		static const uint8_t order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
						     { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
		const uint64_t n = node[round];
		char name[32];

		for (unsigned i = 0; i < 3; i++)
			fh[i] = opened(n, O_RDONLY);
		snprintf(name, sizeof(name), "share/%u", round);
		assert_int_equal(unlink(host_path(&c, name)), 0);
		for (unsigned i = 0; i < 3; i++) {
			for (unsigned j = 10; j < 50; j++)
				assert_int_equal(getattr(node[j]), sizeof(c.out.attr));
			assert_int_equal(getattr(n), sizeof(c.out.attr));
			assert_int_equal(c.out.attr.attr.nlink, 0);
			for (unsigned j = 10; j < 50; j++)
				assert_int_equal(getattr(node[j]), sizeof(c.out.attr));
			assert_int_equal(release_file(fh[order[round][i]]), 0);
		}
		assert_int_equal(getattr(n), sizeof(c.out.attr));
		ask(&c, FUSE_FORGET, n, WITH(fuse_forget_in, UINT64_MAX));
	}
	assert_true(c.fs.server->fds.taken <= 12);
	down();
}

/* A find over many files, then as many open ones as possible, with few descriptors. */
static void test_a_budget_of_forty(void **state __unused)
{
	static uint64_t node[3000], fh[40];
	struct fd_budget budget;
	struct capture said;
	unsigned before, nr = 0;
	const char *text;

	fd_budget_init(&budget, 160);
	up(&(struct fuse_options){ .fds = &budget });
	before = count_fds();
	fill(3000, node);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(getattr(node[i]), sizeof(c.out.attr));
	assert_true(count_fds() <= before + 40);
	capture_begin(&said);
	while (nr < 40 && open_node(node[nr], O_RDONLY) > 0)
		fh[nr++] = c.out.open.fh;
	assert_in_range(nr, 36, 38); /* the root has one, and two are for finding files again */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(open_node(node[100 + i], O_RDONLY), -ENFILE);
	text = capture_end(&said);
	assert_non_null(strstr(text, "ulimit -n"));
	assert_int_equal(strchr(text, '\n') + 1 - text, strlen(text)); /* one line */
	for (unsigned i = 0; i < nr; i++)
		assert_int_equal(release_file(fh[i]), 0);
	for (unsigned i = 0; i < nr; i++)
		fh[i] = opened(node[1000 + i], O_RDONLY);
	assert_true(count_fds() <= before + 40);
	for (unsigned i = 0; i < nr; i++)
		assert_int_equal(release_file(fh[i]), 0);
	down();
	assert_int_equal(budget.common, 0);
}

static void test_limits(void **state __unused)
{
	uint64_t node[30];
	int rc = 0;

	up(&writable);
	c.fs.server->fds.most = 20;
	fill(30, node);
	for (unsigned i = 0; i < 30 && rc >= 0; i++)
		rc = open_node(node[i], O_RDONLY);
	assert_int_equal(rc, -ENFILE);
	assert_int_equal(create(ROOT, "new", O_RDWR, 0600, 0), -ENFILE);
	assert_int_equal(access(host_path(&c, "share/new"), F_OK), -1);
	assert_true(getattr(ROOT) > 0 && lookup(ROOT, "0") > 0);
	down();
}

/* -- what a guest may not -------------------------------------------------------------------- */

static void test_readonly(void **state __unused)
{
	const uint32_t op[] = { FUSE_SETATTR, FUSE_SYMLINK,  FUSE_MKNOD,           FUSE_MKDIR,
				FUSE_UNLINK,  FUSE_RMDIR,    FUSE_RENAME,          FUSE_LINK,
				FUSE_WRITE,   FUSE_SETXATTR, FUSE_REMOVEXATTR,     FUSE_CREATE,
				FUSE_RENAME2, FUSE_TMPFILE,  FUSE_COPY_FILE_RANGE, FUSE_FALLOCATE };
	const uint32_t flags[] = { O_WRONLY, O_RDWR, O_TRUNC, O_RDWR | O_APPEND };
	char body[256] = { 0 };
	uint64_t node;

	up(&readonly);
	host_write(&c, "share/file", "text");
	node = node_of(ROOT, "file");
	for (size_t i = 0; i < ARRAY_SIZE(op); i++)
		assert_int_equal(ask_bytes(&c, op[i], node, body, sizeof(body)), -EROFS);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		assert_int_equal(open_node(node, flags[i]), -EROFS);
	assert_int_equal(open_node(node, O_ACCMODE), -EINVAL);
	assert_int_equal(ask_bytes(&c, FUSE_SYNCFS, ROOT, body, 8), 0);
	assert_true(read_at(opened(node, O_RDONLY), 0, 10) == 4);
	assert_true(host_has(&c, "share/file", "text"));
	down();
}

/* Starts a server of one file, top/NAME: whatever else is in its directory does not exist for the
 * guest. */
static void up_with_file(bool rdonly)
{
	struct fuse_options o = { .readonly = rdonly, .files = true };

	client_init(&c, &o);
	host_write(&c, "share/only", "text");
	host_write(&c, "share/other", "other");
	virtio_fs_destroy(&c.fs);
	o.path = host_path(&c, "share/only");
	assert_int_equal(virtio_fs_init(&c.fs, "tag", &o), 0);
	driver_destroy(&c.d);
	driver_init(&c.d, &c.fs.vd);
	client_start(&c);
}

/* Returns how many bytes can be read of it. */
static int length(uint64_t node)
{
	const struct fuse_read_in in = { .fh = opened(node, O_RDONLY), .size = 100 };

	return ask_bytes(&c, FUSE_READ, node, &in, sizeof(in));
}

static int write_node(uint64_t node, const char *text)
{
	char body[256];
	struct fuse_write_in in = { .fh = opened(node, O_RDWR), .size = (uint32_t)strlen(text) };

	memcpy(body, &in, sizeof(in));
	memcpy(body + sizeof(in), text, in.size);
	return ask_bytes(&c, FUSE_WRITE, node, body, sizeof(in) + in.size);
}

static void test_one_file(void **state __unused)
{
	const uint32_t op[] = { FUSE_SETATTR,  FUSE_SYMLINK,  FUSE_MKNOD,       FUSE_MKDIR,
				FUSE_UNLINK,   FUSE_RMDIR,    FUSE_RENAME,      FUSE_LINK,
				FUSE_SETXATTR, FUSE_GETXATTR, FUSE_REMOVEXATTR, FUSE_LISTXATTR,
				FUSE_CREATE,   FUSE_RENAME2,  FUSE_TMPFILE,     FUSE_OPENDIR,
				FUSE_OPEN,     FUSE_FSYNCDIR, FUSE_READDIR,     FUSE_READDIRPLUS,
				FUSE_READLINK };
	char body[256] = { 0 };
	uint64_t node;

	up_with_file(false);
	strcpy(body + 64, "x"); /* a name, wherever it begins */
	memset(body + 8, 'x', 32);
	for (size_t i = 0; i < ARRAY_SIZE(op); i++)
		assert_true(ask_bytes(&c, op[i], ROOT, body, sizeof(body)) < 0);
	assert_int_equal(ask_bytes(&c, FUSE_SYNCFS, ROOT, body, sizeof(body)), 0);
	assert_int_equal(ask(&c, FUSE_UNLINK, ROOT, NULL, 0, FUSE_ONLY_NAME), -EPERM);
	assert_int_equal(ask(&c, FUSE_UNLINK, ROOT, NULL, 0, "only"), -EPERM);
	assert_int_equal(create(ROOT, "new", O_WRONLY, 0644, 0), -EPERM);
	assert_int_equal(lookup(ROOT, "other"), -ENOENT);
	assert_int_equal(lookup(ROOT, "only"), -ENOENT);
	assert_int_equal(ask_bytes(&c, FUSE_SYNCFS, ROOT, body, 8), 0);
	assert_int_equal(getattr(ROOT), sizeof(c.out.attr));
	assert_true(S_ISDIR(c.out.attr.attr.mode));
	node = node_of(ROOT, FUSE_ONLY_NAME);
	assert_int_equal(length(node), 4);
	assert_int_equal(write_node(node, "more than text"), sizeof(c.out.write));
	assert_true(host_has(&c, "share/only", "more than text"));
	assert_int_equal(lookup(node, "x"), -ENOTDIR);
	assert_true(host_has(&c, "share/other", "other"));
	assert_int_equal(access(host_path(&c, "share/new"), F_OK), -1);
	down();
	up_with_file(true);
	node = node_of(ROOT, FUSE_ONLY_NAME);
	assert_int_equal(open_node(node, O_RDWR), -EROFS);
	assert_int_equal(length(node), 4);
	down();
}

/* If the host puts another file in its place, that is found. */
static void test_one_file_that_the_host_replaces(void **state __unused)
{
	up_with_file(false);
	assert_int_equal(rename(host_path(&c, "share/other"), host_path(&c, "share/only")), 0);
	assert_int_equal(length(node_of(ROOT, FUSE_ONLY_NAME)), 5);
	assert_int_equal(unlink(host_path(&c, "share/only")), 0);
	assert_int_equal(lookup(ROOT, FUSE_ONLY_NAME), -ENOENT);
	assert_int_equal(symlink("../secret", host_path(&c, "share/only")), 0);
	assert_int_equal(lookup(ROOT, FUSE_ONLY_NAME), -ENOENT);
	assert_int_equal(unlink(host_path(&c, "share/only")), 0);
	assert_int_equal(mkdir(host_path(&c, "share/only"), 0755), 0);
	assert_int_equal(lookup(ROOT, FUSE_ONLY_NAME), -ENOENT);
	down();
}

static void test_files_that_cant_be_shared(void **state __unused)
{
	const char *path[] = { "/nowhere", "/dev/null", "/proc/version", "/proc/self/fd" };
	struct capture said;
	struct virtio_fs fs;

	for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
		const struct fuse_options o = { .path = path[i], .files = true };

		capture_begin(&said);
		assert_true(virtio_fs_init(&fs, "tag", &o) < 0);
		assert_non_null(strstr(capture_end(&said), path[i]));
		virtio_fs_destroy(&fs);
	}
}

static void test_names_lead_nowhere_else(void **state __unused)
{
	static char longer[300];
	const char *const bad[] = {
		"",     ".",       "..", "../secret", "/etc/passwd",    "dir/file",
		"dir/", "file/..", "/",  "//",        "a/../../secret", longer
	};
	const struct {
		uint32_t op;
		size_t in;
		unsigned names;
	} with[] = {
		{ FUSE_LOOKUP, 0, 1 },   { FUSE_UNLINK, 0, 1 }, { FUSE_RMDIR, 0, 1 },
		{ FUSE_MKDIR, 8, 1 },    { FUSE_MKNOD, 16, 1 }, { FUSE_CREATE, 16, 1 },
		{ FUSE_SYMLINK, 0, 2 },  { FUSE_LINK, 8, 1 },   { FUSE_RENAME, 8, 2 },
		{ FUSE_RENAME2, 16, 2 },
	};
	uint64_t in[2] = { ROOT };

	memset(longer, 'a', sizeof(longer) - 1);
	up(&writable);
	assert_int_equal(mkdir(host_path(&c, "share/dir"), 0755), 0);
	host_write(&c, "share/dir/file", "text");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const int want = bad[i] == longer ? -ENAMETOOLONG : -EINVAL;

		for (size_t j = 0; j < ARRAY_SIZE(with); j++) {
			const char *second = with[j].names > 1 ? "good" : NULL;

			assert_int_equal(ask(&c, with[j].op, ROOT, in, with[j].in, bad[i], second),
					 want);
		}
		assert_int_equal(ask(&c, FUSE_RENAME, ROOT, in, 8, "dir", bad[i]), want);
	}
	assert_int_equal(ask_bytes(&c, FUSE_LOOKUP, ROOT, "dir", 3), -EINVAL); /* without its NUL */
	assert_int_equal(ask_bytes(&c, FUSE_LOOKUP, ROOT, "", 0), -EINVAL);
	assert_int_equal(ask_bytes(&c, FUSE_RENAME, ROOT, "\1\0\0\0\0\0\0\0dir", 12), -EINVAL);
	assert_true(host_has(&c, "share/dir/file", "text"));
	assert_int_equal(access(host_path(&c, "good"), F_OK), -1);
	down();
}

static void test_links_lead_nowhere(void **state __unused)
{
	uint64_t link, dir;

	up(&writable);
	assert_int_equal(symlink("../secret", host_path(&c, "share/link")), 0);
	assert_int_equal(symlink("..", host_path(&c, "share/up")), 0);
	assert_int_equal(symlink("/proc/self", host_path(&c, "share/self")), 0);
	link = node_of(ROOT, "link");
	assert_true(S_ISLNK(c.out.entry.attr.mode));
	assert_int_equal(open_node(link, O_RDONLY), -ELOOP);
	assert_int_equal(open_node(link, O_RDWR | O_TRUNC), -ELOOP);
	assert_int_equal(create(ROOT, "link", O_RDWR | O_TRUNC, 0600, 0), -ESTALE);
	assert_int_equal(ask_bytes(&c, FUSE_SETATTR, link,
				   WITH(fuse_setattr_in, .valid = FATTR_SIZE)),
			 -EINVAL);
	assert_int_equal(ask_bytes(&c, FUSE_SETATTR, link,
				   WITH(fuse_setattr_in, .valid = FATTR_MODE)),
			 -EOPNOTSUPP);
	for (unsigned i = 0; i < 2; i++) {
		dir = node_of(ROOT, i ? "self" : "up");
		assert_int_equal(lookup(dir, "secret"), -ENOTDIR);
		assert_int_equal(opendir_node(dir), -ENOTDIR);
		assert_int_equal(create(dir, "new", O_RDWR, 0600, 0), -ENOTDIR);
		assert_int_equal(ask(&c, FUSE_UNLINK, dir, NULL, 0, "secret"), -ENOTDIR);
	}
	/* A hard link to a link is one to the link itself. */
	assert_int_equal(ask(&c, FUSE_LINK, ROOT, WITH(fuse_link_in, link), "hard"),
			 sizeof(c.out.entry));
	assert_true(S_ISLNK(c.out.entry.attr.mode));
	down();
}

/* The guest knows the file, not the name, whoever is faster. */
static void test_swapped_for_a_link(void **state __unused)
{
	uint64_t dir, file, fh;

	up(&writable);
	assert_int_equal(mkdir(host_path(&c, "share/dir"), 0755), 0);
	host_write(&c, "share/dir/secret", "mine");
	dir = node_of(ROOT, "dir");
	file = node_of(dir, "secret");
	assert_int_equal(rename(host_path(&c, "share/dir"), host_path(&c, "share/was")), 0);
	assert_int_equal(symlink("..", host_path(&c, "share/dir")), 0);
	fh = opened(file, O_RDWR);
	assert_int_equal(read_at(fh, 0, 100), 4);
	assert_string_equal(c.out.text, "mine");
	assert_int_equal(node_of(dir, "secret"), file);
	assert_int_equal(write_at(opened(file, O_RDWR | O_TRUNC), 0, "changed", 0),
			 sizeof(c.out.write));
	assert_true(host_has(&c, "share/was/secret", "changed"));
	assert_int_not_equal(node_of(ROOT, "dir"), dir);
	down();
}

static void test_special_files_stay_closed(void **state __unused)
{
	const struct sockaddr_un none = { .sun_family = AF_UNIX };
	struct sockaddr_un at = none;
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct fuse_mknod_in in = { .mode = S_IFBLK | 0600, .rdev = 0x800 };

	up(&writable);
	assert_int_equal(mkfifo(host_path(&c, "share/pipe"), 0600), 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", host_path(&c, "share/socket"));
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(open_node(node_of(ROOT, "pipe"), O_RDONLY), -ENXIO);
	assert_int_equal(open_node(node_of(ROOT, "pipe"), O_RDWR), -ENXIO);
	assert_int_equal(create(ROOT, "pipe", O_WRONLY, 0600, 0), -ESTALE);
	assert_int_equal(open_node(node_of(ROOT, "socket"), O_RDONLY), -ENXIO);
	assert_int_equal(open_node(ROOT, O_RDONLY), -EISDIR);
	assert_int_equal(ask(&c, FUSE_MKNOD, ROOT, &in, sizeof(in), "disk"), -EPERM);
	in.mode = S_IFCHR | 0600;
	assert_int_equal(ask(&c, FUSE_MKNOD, ROOT, &in, sizeof(in), "tty"), -EPERM);
	in.mode = S_IFDIR | 0600;
	assert_int_equal(ask(&c, FUSE_MKNOD, ROOT, &in, sizeof(in), "dir"), -EINVAL);
	in.mode = S_IFIFO | 0666;
	in.umask = 022;
	assert_int_equal(ask(&c, FUSE_MKNOD, ROOT, &in, sizeof(in), "fifo"), sizeof(c.out.entry));
	assert_int_equal(c.out.entry.attr.mode, S_IFIFO | 0644);
	close(s);
	down();
}

static void test_lies(void **state __unused)
{
	const uint64_t lie[] = { 0,         2,         1024, 1025, 1ull << 32, (1ull << 32) + 1,
				 INT64_MAX, UINT64_MAX };
	const struct fuse_in_header h = { .len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = ROOT };
	struct fuse_in_header wrong = h;
	struct fuse_write_in write = { .size = 100 };

	up(&writable);
	host_write(&c, "share/file", "text");
	for (size_t i = 0; i < ARRAY_SIZE(lie); i++) {
		assert_int_equal(getattr(lie[i]), -ESTALE);
		assert_int_equal(lookup(lie[i], "file"), -ESTALE);
		assert_int_equal(read_at(lie[i], 0, 10), -EBADF);
		assert_int_equal(write_at(lie[i], 0, "x", 0), -EBADF);
		assert_int_equal(release_file(lie[i]), -EBADF);
		assert_int_equal(ask(&c, FUSE_RENAME, ROOT, &lie[i], 8, "file", "other"),
				 lie[i] == ROOT ? 0 : -ESTALE);
		assert_int_equal(ask(&c, FUSE_LINK, ROOT, &lie[i], 8, "other"), -ESTALE);
	}
	write.fh = opened(node_of(ROOT, "file"), O_RDWR);
	assert_int_equal(ask_bytes(&c, FUSE_WRITE, ROOT, &write, sizeof(write)), -EINVAL);
	write.size = UINT32_MAX;
	assert_int_equal(ask_bytes(&c, FUSE_WRITE, ROOT, &write, sizeof(write)), -EINVAL);
	assert_int_equal(ask_bytes(&c, FUSE_WRITE, ROOT, &write, sizeof(write) - 1), -EINVAL);
	wrong.len = sizeof(h) + 1; /* more than there is */
	assert_true(send_raw(&c, &wrong, NULL, 0));
	assert_int_equal(c.head.error, -EINVAL);
	wrong.len = sizeof(h) - 1;
	assert_true(send_raw(&c, &wrong, NULL, 0));
	assert_int_equal(c.head.error, -EINVAL);
	c.room = sizeof(struct fuse_out_header) + 4; /* for an error only: nothing is done */
	assert_int_equal(create(ROOT, "new", O_RDWR, 0600, 0), -EINVAL);
	assert_int_equal(access(host_path(&c, "share/new"), F_OK), -1);
	assert_int_equal(getattr(ROOT), -EINVAL);
	assert_true(host_has(&c, "share/file", "text"));
	down();
}

static void test_unanswerable(void **state __unused)
{
	const struct fuse_in_header h = { .len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = ROOT };

	for (unsigned how = 0; how < 3; how++) {
		struct capture said;
		gpa_t at;

		up(&writable);
		at = driver_put(&c.d, &h, sizeof(h));
		capture_begin(&said);
		switch (how) {
		case 0: /* half a header */
			ring_send(&c.d.ring[1], (struct ring_buf[]){ { at, 39, false } }, 1);
			break;
		case 1: /* nowhere to put the answer */
			ring_send(&c.d.ring[1],
				  (struct ring_buf[]){ { at, 40, false }, { at, 15, true } }, 2);
			break;
		case 2:
			ring_offer(&c.d.ring[1], 9999);
			break;
		}
		driver_kick(&c.d, 1);
		assert_non_null(strstr(capture_end(&said), "virtio-fs"));
		assert_true(c.fs.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
		client_start(&c);
		assert_int_equal(getattr(ROOT), sizeof(c.out.attr));
		down();
	}
}

/* The answer overwrites the request, which was copied. */
static void test_overlapping(void **state __unused)
{
	const struct fuse_in_header h = { .len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = ROOT };
	struct ring_elem e;
	gpa_t at;

	up(&writable);
	at = driver_alloc(&c.d, 128);
	memcpy(ram_at(&c.d.ram, at, sizeof(h)), &h, sizeof(h));
	ring_send(
		&c.d.ring[1],
		(struct ring_buf[]){ { at, sizeof(h), false }, { at, 50, true }, { at, 78, true } },
		3);
	driver_kick(&c.d, 1);
	assert_true(ring_take(&c.d.ring[1], &e));
	assert_int_equal(e.len, sizeof(struct fuse_out_header) + sizeof(struct fuse_statfs_out));
	down();
}

/* A mount point of the host's kernel, as it would be found. */
static void test_closed_mounts(void **state __unused)
{
	const struct fuse_getxattr_in get = { .size = 100 };
	uint64_t node;

	up(&writable);
	assert_int_equal(mkdir(host_path(&c, "share/proc"), 0755), 0);
	host_write(&c, "share/proc/version", "text");
	node = node_of(ROOT, "proc");
	fuse_node(c.fs.server, node)->closed = true;
	assert_int_equal(lookup(node, "version"), sizeof(c.out.entry));
	assert_int_equal(c.out.entry.nodeid, 0);
	assert_int_equal(opendir_node(node), -EACCES);
	assert_int_equal(create(node, "new", O_RDWR, 0600, 0), -EACCES);
	assert_int_equal(ask(&c, FUSE_UNLINK, node, NULL, 0, "version"), -EACCES);
	assert_int_equal(ask_bytes(&c, FUSE_SETATTR, node,
				   WITH(fuse_setattr_in, .valid = FATTR_MODE)),
			 -EPERM);
	assert_int_equal(ask(&c, FUSE_SETXATTR, node, WITH(fuse_getxattr_in, 0), "user.a"),
			 -EOPNOTSUPP);
	assert_int_equal(ask(&c, FUSE_GETXATTR, node, &get, sizeof(get), "user.a"), -EOPNOTSUPP);
	assert_int_equal(ask_bytes(&c, FUSE_LISTXATTR, node, &get, sizeof(get)), -EOPNOTSUPP);
	assert_int_equal(ask(&c, FUSE_REMOVEXATTR, node, NULL, 0, "user.a"), -EOPNOTSUPP);
	down();
}

/* -- who asks -------------------------------------------------------------------------------- */

static int ask_as(uint32_t uid, uint32_t gid, uint32_t opcode, const void *body, size_t len)
{
	const struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + len),
		.opcode = opcode,
		.nodeid = ROOT,
		.uid = uid,
		.gid = gid,
	};

	assert_true(send_raw(&c, &h, body, len));
	return c.head.error;
}

static int make_dir_as(uint32_t uid, uint32_t gid, const char *name)
{
	struct __attribute__((packed)) {
		struct fuse_mkdir_in in;
		char name[16];
	} body = { .in.mode = 0755 };

	snprintf(body.name, sizeof(body.name), "%s", name);
	return ask_as(uid, gid, FUSE_MKDIR, &body, sizeof(body));
}

static void test_owner(void **state __unused)
{
	struct stat st;
	bool may; /* we may give files away; in a namespace, root may not have those users */

	up(&writable);
	host_write(&c, "share/given", "");
	may = geteuid() == 0 && chown(host_path(&c, "share/given"), 1234, 5678) == 0;
	if (may || geteuid() != 0) {
		assert_int_equal(make_dir_as(1234, 5678, "dir"), 0);
		assert_int_equal(stat(host_path(&c, "share/dir"), &st), 0);
		assert_int_equal(st.st_uid, may ? 1234 : geteuid());
		assert_int_equal(st.st_gid, may ? 5678 : st.st_gid);
	} else {
		assert_int_equal(make_dir_as(1234, 5678, "dir"), -EPERM);
	}
	/* Afterwards we have our own rights again. */
	assert_int_equal(make_dir_as(geteuid(), getegid(), "own"), 0);
	assert_int_equal(stat(host_path(&c, "share/own"), &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	if (geteuid() == 0)
		assert_int_equal(make_dir_as(UINT32_MAX, 0, "nobody"), -EPERM);
	down();
}

/* The guest can't use what the host keeps for root. */
static void test_no_more_than_its_share(void **state __unused)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	const uint32_t not = CAP_TO_MASK(CAP_SYS_RESOURCE) | CAP_TO_MASK(CAP_LINUX_IMMUTABLE);

	up(&writable);
	make_dir_as(1234, 5678, "dir"); /* it takes some and gives them back */
	assert_int_equal(syscall(SYS_capget, &head, caps), 0);
	assert_int_equal((caps[0].effective | caps[0].permitted) & not, 0);
	down();
}

static void test_set_id_bits_go(void **state __unused)
{
	struct __attribute__((packed)) {
		struct fuse_write_in in;
		char text[4];
	} w = { .in = { .size = 4, .write_flags = FUSE_WRITE_KILL_SUIDGID }, .text = "text" };
	struct stat st;

	up(&writable);
	host_write(&c, "share/file", "");
	assert_int_equal(chmod(host_path(&c, "share/file"), 04755), 0);
	w.in.fh = opened(node_of(ROOT, "file"), O_RDWR);
	assert_int_equal(ask_bytes(&c, FUSE_WRITE, ROOT, &w, sizeof(w)), sizeof(c.out.write));
	assert_int_equal(stat(host_path(&c, "share/file"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	down();
}

/* For these operations the guest's kernel only says who asks. */
static void test_set_id_bits_go_with_a_user(void **state __unused)
{
	struct fuse_copy_file_range_in copy = { .len = 4 };
	struct fuse_fallocate_in room = { .length = 100 };
	struct stat st;

	up(&writable);
	host_write(&c, "share/file", "program");
	host_write(&c, "share/from", "text");
	copy.fh_in = opened(node_of(ROOT, "from"), O_RDONLY);
	copy.fh_out = room.fh = opened(node_of(ROOT, "file"), O_RDWR);
	for (unsigned i = 0; i < 4; i++) {
		const uint32_t id = i < 2 ? 0 : 1000;

		assert_int_equal(chmod(host_path(&c, "share/file"), 06755), 0);
		if (i & 1)
			assert_int_equal(ask_as(id, id, FUSE_COPY_FILE_RANGE, &copy, sizeof(copy)),
					 0);
		else
			assert_int_equal(ask_as(id, id, FUSE_FALLOCATE, &room, sizeof(room)), 0);
		assert_int_equal(stat(host_path(&c, "share/file"), &st), 0);
		if (id || geteuid() == 0)
			assert_int_equal(st.st_mode & 07777, id ? 0755 : 06755);
	}
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_what_cant_be_shared),
		cmocka_unit_test(test_negotiation),
		cmocka_unit_test(test_locks_are_the_guests),
		cmocka_unit_test(test_unknown_opcodes),
		cmocka_unit_test(test_rounds_are_bounded),
		cmocka_unit_test(test_reset_forgets_all),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_scattered),
		cmocka_unit_test(test_create_write),
		cmocka_unit_test(test_no_umask_of_its_own),
		cmocka_unit_test(test_create_opens_nothing),
		cmocka_unit_test(test_create_without_a_handle),
		cmocka_unit_test(test_whole_life),
		cmocka_unit_test(test_file_operations),
		cmocka_unit_test(test_tmpfile),
		cmocka_unit_test(test_caches),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_readdir),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_more_files_than_descriptors),
		cmocka_unit_test(test_descriptors_that_return),
		cmocka_unit_test(test_more_directories_than_descriptors),
		cmocka_unit_test(test_directories_in_a_circle),
		cmocka_unit_test(test_descriptors_of_the_process),
		cmocka_unit_test(test_root_returns),
		cmocka_unit_test(test_nothing_to_take),
		cmocka_unit_test(test_handles_that_lend),
		cmocka_unit_test(test_a_budget_of_forty),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_one_file),
		cmocka_unit_test(test_one_file_that_the_host_replaces),
		cmocka_unit_test(test_files_that_cant_be_shared),
		cmocka_unit_test(test_names_lead_nowhere_else),
		cmocka_unit_test(test_links_lead_nowhere),
		cmocka_unit_test(test_swapped_for_a_link),
		cmocka_unit_test(test_special_files_stay_closed),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_unanswerable),
		cmocka_unit_test(test_overlapping),
		cmocka_unit_test(test_closed_mounts),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_no_more_than_its_share),
		cmocka_unit_test(test_set_id_bits_go),
		cmocka_unit_test(test_set_id_bits_go_with_a_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
