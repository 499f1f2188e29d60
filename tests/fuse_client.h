/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's side of FUSE, for tests: over the virtqueues of a virtio-fs device that shares a
 * directory of the client's own. Beside that directory is a secret that no request may reach.
 *
 *	struct client c;
 *	client_init(&c, &(struct fuse_options){ .cache = FUSE_CACHE_AUTO });
 *	client_start(&c);                             // the device is up, FUSE_INIT is done
 *	rc = ask(&c, FUSE_LOOKUP, 1, NULL, 0, "name"); // bytes of the answer, or -errno
 *	... c.out.entry ...
 *	client_destroy(&c);
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ring.h"
#include "virtio/fs.h"

#define CLIENT_OUT (64 * KIB) /* room for an answer */
#define SECRET     "nobody may read or change this\n"

struct client {
	struct virtio_fs fs;
	struct driver d;
	char top[64];   /* the directory of all its files */
	char share[80]; /* top/share */
	gpa_t restart;
	uint64_t unique;
	uint32_t room; /* for an answer, header included */

	/* The last answer. */
	struct fuse_out_header head;
	union {
		struct fuse_init_out init;
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct {
			struct fuse_entry_out entry;
			struct fuse_open_out open;
		} create;
		struct fuse_write_out write;
		struct fuse_statfs_out statfs;
		struct fuse_getxattr_out getxattr;
		struct fuse_lseek_out lseek;
		char text[CLIENT_OUT];
	} out;
};

/* Writes a file of the host's, in the client's top directory. */
static inline void host_write(const struct client *c, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", c->top, name);
	f = fopen(path, "w");
	assert(f);
	fputs(text, f);
	fclose(f);
}

/* Does the file contain text and nothing else? */
static inline bool host_has(const struct client *c, const char *name, const char *text)
{
	char path[256], got[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", c->top, name);
	f = fopen(path, "r");
	if (!f)
		return false;
	got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
	fclose(f);
	return !strcmp(got, text);
}

static inline const char *host_path(const struct client *c, const char *name)
{
	static char path[4][256];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", c->top, name);
	return path[turn];
}

/* Sets o->path itself. */
static inline void client_init(struct client *c, const struct fuse_options *o)
{
	struct fuse_options own = *o;
	const char *base = getenv("TMPDIR");
	int rc;

	memset(c, 0, sizeof(*c));
	snprintf(c->top, sizeof(c->top), "%.40s/fuse-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(c->top))
		assert(false);
	snprintf(c->share, sizeof(c->share), "%s/share", c->top);
	rc = mkdir(c->share, 0755);
	assert(rc == 0);
	host_write(c, "secret", SECRET);
	own.path = c->share;
	rc = virtio_fs_init(&c->fs, "tag", &own);
	assert(rc == 0);
	driver_init(&c->d, &c->fs.vd);
	c->restart = c->d.next_alloc;
	c->room = sizeof(struct fuse_out_header) + CLIENT_OUT;
}

static inline void client_destroy(struct client *c)
{
	char command[192];
	int rc;

	driver_destroy(&c->d);
	virtio_fs_destroy(&c->fs);
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", c->top, c->top);
	rc = system(command);
	assert(rc == 0);
}

/* Sends header and body unchanged; the header is followed by len bytes. Returns whether there was
 * an answer. */
static inline bool send_raw(struct client *c, const struct fuse_in_header *h, const void *body,
			    size_t len)
{
	struct driver *d = &c->d;
	gpa_t in, out;
	struct ring_buf buf[3];
	struct ring_elem e;
	unsigned nr = 0;

	d->next_alloc = c->restart;
	in = driver_put(d, h, sizeof(*h));
	buf[nr++] = (struct ring_buf){ in, sizeof(*h), false };
	if (len) {
		in = driver_put(d, body, len);
		buf[nr++] = (struct ring_buf){ in, (uint32_t)len, false };
	}
	out = driver_alloc(d, c->room ? c->room : 1);
	if (c->room)
		buf[nr++] = (struct ring_buf){ out, c->room, true };
	ring_send(&d->ring[1], buf, nr);
	driver_kick(d, 1);
	memset(&c->head, 0, sizeof(c->head));
	if (!ring_take(&d->ring[1], &e) || e.len < sizeof(c->head))
		return false;
	memcpy(&c->head, ram_at(&d->ram, out, sizeof(c->head)), sizeof(c->head));
	assert(c->head.len == e.len && c->head.unique == h->unique);
	assert(e.len - sizeof(c->head) <= sizeof(c->out));
	memset(&c->out, 0, sizeof(c->out));
	memcpy(&c->out, ram_at(&d->ram, out + sizeof(c->head), e.len - sizeof(c->head)),
	       e.len - sizeof(c->head));
	return true;
}

static inline int ask_bytes(struct client *c, uint32_t opcode, uint64_t node, const void *body,
			    size_t len)
{
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + len),
		.opcode = opcode,
		.unique = ++c->unique,
		.nodeid = node,
		.uid = geteuid(),
		.gid = getegid(),
	};

	if (!send_raw(c, &h, body, len))
		return -ENODATA;
	return c->head.error ? c->head.error : (int)(c->head.len - sizeof(c->head));
}

/* Sends in, then the names, up to a NULL. */
static inline int ask_names(struct client *c, uint32_t opcode, uint64_t node, const void *in,
			    size_t in_len, ...)
{
	static char body[16 * KIB];
	size_t len = in_len;
	const char *name;
	va_list ap;

	if (in_len)
		memcpy(body, in, in_len);
	va_start(ap, in_len);
	while ((name = va_arg(ap, const char *))) {
		size_t n = strlen(name) + 1;

		assert(len + n <= sizeof(body));
		memcpy(body + len, name, n);
		len += n;
	}
	va_end(ap);
	return ask_bytes(c, opcode, node, body, len);
}
#define ask(...) ask_names(__VA_ARGS__, (const char *)NULL)

static inline int client_hello(struct client *c)
{
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 128 * KIB,
		.flags = ~0u,
	};

	return ask_bytes(c, FUSE_INIT, 0, &in, sizeof(in));
}

static inline void client_start(struct client *c)
{
	bool up = driver_start(&c->d, c->fs.vd.features);
	int rc = client_hello(c);

	assert(up && rc == sizeof(struct fuse_init_out));
}
