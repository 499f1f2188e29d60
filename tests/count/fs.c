/* SPDX-License-Identifier: BSD-2-Clause */
/* A shared directory, of which the guest knows a file and has it open. */
#include "fuse_client.h"

#include "count.h"

#define BLOCK 4096u
#define ROOM  (sizeof(struct fuse_out_header) + BLOCK)

static struct client c;
static gpa_t in, out;
static uint64_t node, handle;

static bool up(void)
{
	struct fuse_open_in open = { 0 };

	client_init(&c, &(struct fuse_options){ .cache = FUSE_CACHE_AUTO });
	host_write(&c, "share/file", "");
	must(truncate(host_path(&c, "share/file"), BLOCK) == 0);
	must(driver_start(&c.d, c.fs.vd.features));
	must(client_hello(&c) > 0);
	must(ask(&c, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "file") > 0);
	node = c.out.entry.nodeid;
	must(ask(&c, FUSE_OPEN, node, &open, sizeof(open)) > 0);
	handle = c.out.open.fh;
	in = driver_alloc(&c.d, sizeof(struct fuse_in_header) + 64);
	out = driver_alloc(&c.d, ROOM);
	return true;
}

static void down(void)
{
	client_destroy(&c);
}

/* Linux has header and body in buffers of their own. */
static void request(uint32_t opcode, uint64_t id, const void *body, uint32_t len, uint32_t answer)
{
	const struct fuse_in_header h = {
		.len = (uint32_t)sizeof(h) + len,
		.opcode = opcode,
		.unique = ++c.unique,
		.nodeid = id,
		.uid = geteuid(),
		.gid = getegid(),
	};
	const struct fuse_out_header *got = ram_at(&c.d.ram, out, ROOM);

	memcpy(ram_at(&c.d.ram, in, sizeof(h)), &h, sizeof(h));
	memcpy(ram_at(&c.d.ram, in + sizeof(h), len), body, len);
	offer(&c.d.ring[1],
	      (struct ring_buf[]){ { in, sizeof(h), false },
				   { in + sizeof(h), len, false },
				   { out, sizeof(*got), true },
				   { out + sizeof(*got), answer, true } },
	      4);
	counted_kick(&c.d, 1);
	must(take(&c.d.ring[1], 1) == sizeof(*got) + answer);
	must(got->error == 0 && got->unique == h.unique);
}

static void read_block(unsigned batch __unused)
{
	const struct fuse_read_in body = { .fh = handle, .size = BLOCK };

	request(FUSE_READ, node, &body, sizeof(body), BLOCK);
}

static void look_up(unsigned batch __unused)
{
	request(FUSE_LOOKUP, FUSE_ROOT_ID, "file", 5, sizeof(struct fuse_entry_out));
}

static void get_attributes(unsigned batch __unused)
{
	const struct fuse_getattr_in body = { 0 };

	request(FUSE_GETATTR, node, &body, sizeof(body), sizeof(struct fuse_attr_out));
}

const struct kind fs_kinds[KINDS_MAX] = {
	{ "fs.read", 1, up, read_block, down },
	{ "fs.lookup", 1, up, look_up, down },
	{ "fs.getattr", 1, up, get_attributes, down },
};
