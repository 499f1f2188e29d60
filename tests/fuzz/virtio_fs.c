/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-fs device on a directory, and an input that is a list of what its guest does: requests
 * that are nearly right, with node ids and handles that exist or don't, chains of any shape,
 * resets; and now and then the host moves things about. Beside the directory is a secret: whatever
 * the guest asks for, no answer may contain its content or its name, and it must not change.
 */
#include <sys/random.h>

#include "fuse_client.h"
#include "backend/fuse/fuse_impl.h"
#include "fuzz.h"

#define BUF_SIZE (128 * KIB)

static struct client writable, readonly;
static char secret[33]; /* a new one in each process */

/* A guest may have left a link of that name, which is not followed. */
static void put(const struct client *c, const char *name, const char *text)
{
	int fd = open(host_path(c, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/* Makes links to what is outside, which a request must not follow, and some files to work with. */
static void furnish(const struct client *c)
{
	if (mkdir(host_path(c, "share/dir"), 0755) == 0) {
		put(c, "share/dir/below", "below\n");
		put(c, "share/file", "some text\n");
		(void)!symlink("../secret", host_path(c, "share/out"));
		(void)!symlink("..", host_path(c, "share/up"));
		(void)!symlink(c->top, host_path(c, "share/dir/top"));
		(void)!mkfifo(host_path(c, "share/pipe"), 0600);
	}
}

/* Removes everything in the share. */
static void clear(const struct client *c)
{
	char command[256];

	snprintf(command, sizeof(command), "chmod -R u+rwx %s; find %s -mindepth 1 -delete",
		 c->share, c->share);
	(void)!system(command);
}

/* Is the secret in there? Compared byte by byte: the fuzzer learns what memmem() or strcmp()
 * compare, and would write the secret itself. */
#ifdef __clang__
__attribute__((no_sanitize("coverage")))
#endif
static bool
contains(const char *p, size_t size)
{
	const size_t len = sizeof(secret) - 1;

	for (size_t at = 0; at + len <= size; at++) {
		size_t same = 0;

		while (same < len && p[at + same] == secret[same])
			same++;
		if (same == len)
			return true;
	}
	return false;
}

static void check(struct client *c)
{
	int fd = open(host_path(c, "secret"), O_RDONLY);
	char text[64];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_nlink != 1 || (st.st_mode & 07777) != 0644 ||
	    st.st_size != sizeof(secret) - 1 || read(fd, text, sizeof(text)) != st.st_size ||
	    !contains(text, sizeof(secret) - 1))
		abort();
	close(fd);
}

static void clean_up(void)
{
	if (*writable.top)
		client_destroy(&writable);
	if (*readonly.top)
		client_destroy(&readonly);
}

static void start(void)
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		abort();
	snprintf(secret, sizeof(secret), "%016llx%016llx", (unsigned long long)random[0],
		 (unsigned long long)random[1]);
	umask(022);
	atexit(clean_up);
}

static void target_init(struct client *c, bool ro)
{
	const struct fuse_options o = { .readonly = ro, .cache = ro ? FUSE_CACHE_ALWAYS : 0 };

	if (!*secret)
		start();
	client_init(c, &o);
	host_write(c, "secret", secret);
	furnish(c);
}

static const char *const names[] = {
	"file",  "dir", "below", "out", "up",        "pipe",      "top",    "new",
	"other", "..",  ".",     "",    "dir/below", "../secret", "secret", "user.a",
};

/* Returns a number that is likely to have a meaning, or any. */
static uint64_t some_id(struct fuzz_in *in)
{
	const uint8_t kind = (uint8_t)fuzz_number(in, 1);

	return kind < 200 ? kind % 12 : fuzz_number(in, 8);
}

/* Fills the request's fixed part from the input; the first eight bytes are often an id. */
static size_t fixed_part(struct fuzz_in *in, uint8_t *body, size_t size)
{
	const size_t len = fuzz_number(in, 1) % 128;
	const uint64_t id = some_id(in);

	fuzz_take(in, body, min(len, size));
	memcpy(body, &id, min(len, sizeof(id)));
	return min(len, size);
}

static void look_for_secret(const struct client *c, gpa_t out, uint32_t room)
{
	if (room && contains(ram_at(&c->d.ram, out, room), room))
		abort();
}

/* Cuts the request and the room for its answer into pieces, and sends it. */
static void send(struct client *c, struct fuzz_in *in, gpa_t req, uint32_t len, uint32_t room)
{
	struct ring_buf buf[VIRTQ_MAX_SIZE];
	const uint32_t piece = (uint32_t)fuzz_number(in, 1);
	const unsigned queue = piece >> 7;
	gpa_t out = req + 16 * KIB;
	unsigned nr = 0;

	if (piece & 64)
		out = req; /* so that the answer overwrites the request */
	for (uint32_t done = 0; done < len + room && nr < ARRAY_SIZE(buf); nr++) {
		const bool is_in = done >= len;
		const uint32_t most = is_in ? len + room - done : len - done;
		const uint32_t n = nr < 200 && piece & 63 ? min(most, 4 * (piece & 63)) : most;

		buf[nr] = (struct ring_buf){ is_in ? out + done - len : req + done, n, is_in };
		done += n;
	}
	if (!nr)
		return;
	ring_send(&c->d.ring[queue], buf, nr);
	virtio_kick(&c->fs.vd, queue);
	look_for_secret(c, out, room);
}

static void request(struct client *c, struct fuzz_in *in)
{
	struct fuse_in_header h = { .unique = 1, .uid = geteuid(), .gid = getegid() };
	uint8_t body[1024];
	uint8_t how;
	size_t len;
	gpa_t req;

	h.opcode = (uint32_t)fuzz_number(in, 1) % 56;
	h.nodeid = some_id(in);
	how = (uint8_t)fuzz_number(in, 1);
	if (how & 64)
		h.uid = h.gid = 1000; /* a monitor that root runs makes files as this user */
	len = how & 1 ? fixed_part(in, body, sizeof(body)) : 0;
	for (unsigned i = 0; i < (how >> 1 & 3u); i++) {
		const char *name = names[fuzz_number(in, 1) % ARRAY_SIZE(names)];

		memcpy(body + len, name, strlen(name) + 1);
		len += strlen(name) + 1;
	}
	if (how & 8 && len)
		len--;
	h.len = how & 16 ? (uint32_t)fuzz_number(in, 4) : (uint32_t)(sizeof(h) + len);
	c->d.next_alloc = c->restart;
	req = driver_alloc(&c->d, BUF_SIZE);
	memcpy(ram_at(&c->d.ram, req, sizeof(h)), &h, sizeof(h));
	memcpy(ram_at(&c->d.ram, req + sizeof(h), sizeof(body)), body, len);
	send(c, in, req, (uint32_t)(sizeof(h) + len),
	     how & 32 ? (uint32_t)fuzz_number(in, 2) : 16 + 4096);
}

/* Sends a chain of anything. */
static void chain(struct client *c, struct fuzz_in *in)
{
	struct ring_buf buf[8];
	const unsigned n = 1 + fuzz_number(in, 1) % ARRAY_SIZE(buf);
	const unsigned queue = n & 1;
	gpa_t base;

	c->d.next_alloc = c->restart;
	base = driver_alloc(&c->d, BUF_SIZE);
	fuzz_take(in, ram_at(&c->d.ram, base, 256), fuzz_number(in, 1));
	for (unsigned i = 0; i < n; i++)
		buf[i] = (struct ring_buf){ base + fuzz_number(in, 1), (uint32_t)fuzz_number(in, 2),
					    fuzz_number(in, 1) & 1 };
	ring_send(&c->d.ring[queue], buf, n);
	virtio_kick(&c->fs.vd, queue);
}

/* Somebody on the host changes the directory. */
static void host(struct client *c, struct fuzz_in *in)
{
	switch (fuzz_number(in, 1) % 5) {
	case 0:
		(void)!rename(host_path(c, "share/dir"), host_path(c, "share/moved"));
		(void)!symlink("..", host_path(c, "share/dir"));
		break;
	case 1:
		(void)!unlink(host_path(c, "share/dir"));
		(void)!rename(host_path(c, "share/moved"), host_path(c, "share/dir"));
		break;
	case 2:
		(void)!rename(host_path(c, "share/out"), host_path(c, "share/file"));
		break;
	case 3:
		put(c, "share/more", "and more\n");
		break;
	case 4:
		furnish(c);
		break;
	}
}

static void step(struct client *c, struct fuzz_in *in)
{
	switch (fuzz_number(in, 1) % 16) {
	default:
		request(c, in);
		break;
	case 11:
		chain(c, in);
		break;
	case 12:
		host(c, in);
		break;
	case 13:
		ring_offer(&c->d.ring[1], (uint16_t)fuzz_number(in, 2));
		virtio_kick(&c->fs.vd, 1);
		break;
	case 14:
		client_start(c);
		break;
	case 15:
		c->fs.server->fds.most = 4 + (uint32_t)fuzz_number(in, 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static unsigned runs;
	struct fuzz_in in = { data, len };
	struct client *c = fuzz_number(&in, 1) & 1 ? &readonly : &writable;

	if (!*c->top)
		target_init(c, c == &readonly);
	client_start(c);
	for (unsigned steps = 0; in.len && steps < 100; steps++)
		step(c, &in);
	check(c);
	virtio_reset(&c->fs.vd);
	assert(c->fs.server->fds.taken == 0);
	c->fs.server->fds.most = 200;
	/* Files that were made stay for the next inputs, but not for ever. */
	if (c == &writable && ++runs % 64 == 0)
		clear(c);
	furnish(c);
	return 0;
}
