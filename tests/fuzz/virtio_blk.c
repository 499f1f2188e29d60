/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-blk device on a small memfd, and an input that is a list of operations of its driver:
 * requests that are nearly right, chains of any shape, kicks, resets, accesses to the configuration
 * space. The host completes requests at once or late, as the input says, and may cut the file
 * short.
 */
#include "virtio/blk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "backend/disk/disk_impl.h"
#include "ring.h"
#include "fuzz.h"

#define DISK_SIZE (64 * KIB)
#define BUF_SIZE  (64 * KIB)

struct target {
	struct virtio_blk b;
	struct driver d;
	int image;
	gpa_t buf;     /* BUF_SIZE bytes that requests point into, and beyond */
	gpa_t restart; /* where d allocates from, for the next input */
	bool late;     /* completions wait */
	struct disk_request *begun;
	bool cut; /* the file is short */
};

static struct target writable, readonly;

/* The engine of system calls, but the input can delay it. */
static void late_stop(struct disk *d __unused) {}

static struct target *target_of(struct disk *d)
{
	return container_of(d, struct target, b.disk);
}

static void late_submit(struct disk *d, struct disk_request *r)
{
	r->next = target_of(d)->begun;
	target_of(d)->begun = r;
}

static void late_run(struct disk *d, bool wait)
{
	struct target *t = target_of(d);

	while ((wait || !t->late) && t->begun) {
		struct disk_request *r = t->begun;
		int rc;

		t->begun = r->next;
		rc = disk_do(d, r);
		if (rc > 0)
			disk_again(d, r);
		else
			disk_finish(d, r, rc);
	}
}

static const struct disk_engine_ops late_engine = {
	.name = "late",
	.stop = late_stop,
	.submit = late_submit,
	.run = late_run,
};

static void target_init(struct target *t, bool ro)
{
	char path[32];
	struct disk_options o = { .path = path, .readonly = ro, .engine = DISK_ENGINE_SYNC };
	int rc;

	t->image = memfd_create("disk", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->image);
	rc = ftruncate(t->image, DISK_SIZE);
	assert(rc == 0);
	rc = virtio_blk_init(&t->b, &o);
	assert(rc == 0);
	t->b.disk.engine = &late_engine;
	driver_init(&t->d, &t->b.vd);
	t->buf = driver_alloc(&t->d, BUF_SIZE);
	t->restart = t->d.next_alloc;
}

/* Header and data are correct except for the values, and cut into pieces of any size. */
static void send_request(struct target *t, struct fuzz_in *in)
{
	struct ring_buf buf[VIRTQ_MAX_SIZE];
	uint8_t wire[256] = { 0 };
	uint32_t type = (uint32_t)fuzz_number(in, 1);
	uint64_t sector = fuzz_number(in, type & 0x80 ? 8 : 1);
	uint32_t out_len = (uint32_t)fuzz_number(in, 2), in_len = (uint32_t)fuzz_number(in, 2);
	uint32_t piece = (uint32_t)fuzz_number(in, 1);
	size_t payload = fuzz_number(in, 1);
	gpa_t gpa = t->buf;
	unsigned n = 0;

	store_le(wire, 4, type & 0x7f);
	store_le(wire + 8, 8, sector);
	fuzz_take(in, wire + 16, min(payload, sizeof(wire) - 16));
	memcpy(ram_at(&t->d.ram, t->buf, sizeof(wire)), wire, sizeof(wire));
	out_len = min(out_len, 32 * 1024u) + 16;
	for (uint32_t left = out_len + in_len; left && n < ARRAY_SIZE(buf); n++) {
		bool is_in = left <= in_len;
		uint32_t most = is_in ? left : left - in_len;

		/* The pieces get the first half of the table, then what is left. */
		buf[n] =
			(struct ring_buf){ gpa, n < 128 && piece ? min(piece, most) : most, is_in };
		gpa += buf[n].len;
		left -= buf[n].len;
	}
	ring_send(&t->d.ring[0], buf, n);
}

static void send_chain(struct target *t, struct fuzz_in *in)
{
	struct ring_buf buf[16];
	unsigned n = 1 + fuzz_number(in, 1) % ARRAY_SIZE(buf);

	for (unsigned i = 0; i < n; i++) {
		buf[i].gpa = t->buf + fuzz_number(in, 2);
		buf[i].len = (uint32_t)fuzz_number(in, 2);
		buf[i].in = fuzz_number(in, 1) & 1;
	}
	ring_send(&t->d.ring[0], buf, n);
}

static void poke(struct target *t, struct fuzz_in *in)
{
	gpa_t gpa = t->buf + fuzz_number(in, 2);
	uint8_t bytes[32];
	size_t len = fuzz_number(in, 1) % sizeof(bytes);

	fuzz_take(in, bytes, len);
	(void)!gmem_write(&t->d.ram.mem, gpa, bytes, len);
}

static void access_config(struct target *t, struct fuzz_in *in)
{
	unsigned size = 1u << (fuzz_number(in, 1) & 3);
	uint64_t off = fuzz_number(in, 1);

	(void)virtio_config_read(&t->b.vd, off, size);
	virtio_config_write(&t->b.vd, off, size, fuzz_number(in, 1));
}

static void step(struct target *t, struct fuzz_in *in)
{
	const unsigned op = (unsigned)fuzz_number(in, 1);

	if (op == FUZZ_REST) {
		driver_rest(&t->d);
		return;
	}
	switch (op % 12) {
	case 0:
	case 1:
	case 2:
		send_request(t, in);
		break;
	case 3:
		send_chain(t, in);
		break;
	case 4:
	case 5:
		virtio_kick(&t->b.vd, 0);
		break;
	case 6:
		ring_offer(&t->d.ring[0], (uint16_t)fuzz_number(in, 2));
		break;
	case 7:
		t->late = !t->late;
		if (!t->late)
			t->b.completions.fn(&t->b.completions, EPOLLIN);
		break;
	case 8:
		if (!driver_start(&t->d, fuzz_number(in, 4) & t->b.vd.features))
			driver_start(&t->d, 0);
		break;
	case 9:
		virtio_queue_disable(&t->b.vd, virtio_queue(&t->b.vd, 0));
		driver_queue_up(&t->d, 0);
		break;
	case 10:
		access_config(t, in);
		break;
	case 11:
		poke(t, in);
		if (fuzz_number(in, 1) == 0xc7) {
			t->cut = true;
			(void)!ftruncate(t->image, (off_t)fuzz_number(in, 2));
		}
		break;
	}
	assert(t->b.nr_idle + t->b.disk.in_flight == DISK_MAX_IN_FLIGHT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct target *t = fuzz_number(&in, 1) & 1 ? &readonly : &writable;
	struct stat st;

	if (!t->b.disk.path)
		target_init(t, t == &readonly);
	t->d.next_alloc = t->restart;
	t->late = false;
	driver_start(&t->d, t->b.vd.features);
	for (unsigned steps = 0; in.len && steps < 200; steps++)
		step(t, &in);
	virtio_reset(&t->b.vd);
	assert(t->b.nr_idle == DISK_MAX_IN_FLIGHT && t->b.disk.in_flight == 0);
	if (t->cut)
		(void)!ftruncate(t->image, DISK_SIZE);
	t->cut = false;
	if (fstat(t->image, &st) < 0 || st.st_size != DISK_SIZE)
		abort(); /* no request makes a disk larger or smaller */
	return 0;
}
