/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A qcow2 image in a memfd. The input first changes the image as it likes - header, tables, its
 * length - and then is a list of requests, flushes and reopenings, with more changes in between:
 * the contents of the file are never trusted, not even what was read from there before.
 *
 * An image that nobody else changed must hold what was written to it. One that was changed before
 * it was opened, and not after that, must not have more errors when it is closed than it had then.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "backend/disk/qcow2.h"

#include "qcow2_judge.h"
#include "fuzz.h"

#define CLUSTER   (64 * KIB)
#define DISK_SIZE (11 * CLUSTER + 3 * DISK_SECTOR)
#define FAR       (512 * MIB) /* needs a second L2 table */

struct target {
	int fd, base_fd;
	struct qcow2 *q;
	struct qcow2_base base;
	uint8_t buf[4 * CLUSTER];
	uint8_t model[DISK_SIZE / DISK_SECTOR]; /* the byte that fills each sector */
	bool sound, over, large;
	long errors; /* number when it was opened; -1: unknown, or changed since then */
};

static struct target t = { .fd = -1, .base_fd = -1 };

static void make_base(void)
{
	t.base_fd = memfd_create("base", MFD_CLOEXEC);
	memset(t.buf, 0xba, sizeof(t.buf));
	for (uint64_t off = 0; off < 6 * CLUSTER + 512; off += 512)
		if (pwrite(t.base_fd, t.buf, 512, (off_t)off) != 512)
			abort();
}

/* Makes an image with a few clusters written, and changes it as the input says. */
static void make_image(struct fuzz_in *in)
{
	struct qcow2_info info = { .size = DISK_SIZE, .backing = "/b", .backing_format = "raw" };
	const uint8_t how = (uint8_t)fuzz_number(in, 1);
	int rc;

	t.over = how & 1;
	t.large = how & 2;
	if (!t.over)
		*info.backing = *info.backing_format = '\0';
	if (t.large)
		info.size = FAR * 3;
	if (t.fd >= 0)
		close(t.fd);
	t.fd = memfd_create("image", MFD_CLOEXEC);
	rc = qcow2_create(t.fd, &info);
	assert(rc == 0);
	t.base = (struct qcow2_base){ .fd = t.base_fd, .size = t.over ? 6 * CLUSTER + 512 : 0 };
	for (size_t s = 0; s < sizeof(t.model); s++)
		t.model[s] = s * 512 < t.base.size ? 0xba : 0;
	t.sound = true;
}

static void shut(void)
{
	int rc = t.q ? qcow2_close(t.q) : 0;

	assert(rc == 0 || !t.sound);
	assert(!t.q || t.errors < 0 || judge_image(t.fd) <= t.errors);
	t.q = NULL;
}

static void reopen(void)
{
	struct qcow2_info info;
	int rc;

	shut();
	t.errors = judge_image(t.fd);
	assert(t.errors == 0 || !t.sound);
	rc = qcow2_open(&t.q, t.fd, "image", QCOW2_WRITE, &info);
	assert(rc == 0 || !t.sound);
	assert(rc < 0 || (info.size && info.size <= QCOW2_MAX_SIZE));
	if (rc < 0)
		return;
	assert(memchr(info.backing, '\0', sizeof(info.backing)));
	qcow2_set_base(t.q, &t.base);
}

/* Important places are near the beginning: header, tables, first clusters. */
static void poke(struct fuzz_in *in)
{
	const uint64_t off = fuzz_number(in, 1) * CLUSTER + fuzz_number(in, 2);
	uint8_t bytes[64];
	const size_t len = fuzz_number(in, 1) % sizeof(bytes);

	fuzz_take(in, bytes, len);
	t.sound = false;
	t.errors = -1;
	if (pwrite(t.fd, bytes, len, (off_t)off) != (ssize_t)len)
		abort();
}

static void check_read(uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len; i += DISK_SECTOR / 4)
		if (t.buf[i] != t.model[(off + i) / DISK_SECTOR])
			abort();
}

static void request(struct fuzz_in *in, enum disk_op op)
{
	uint64_t off = fuzz_number(in, 2) % (DISK_SIZE / DISK_SECTOR) * DISK_SECTOR;
	uint64_t len = (1 + fuzz_number(in, 2) % 400) * DISK_SECTOR;
	const uint8_t flags = (uint8_t)fuzz_number(in, 1);
	const bool far = t.large && flags & 2;
	struct iovec iov[2];
	struct disk_request r = { .op = op, .unmap = flags & 1, .iov = iov, .nr_iov = 2 };
	int rc;

	len = min(len, DISK_SIZE - off);
	r.off = far ? off + FAR : off;
	r.len = len;
	iov[0] = (struct iovec){ t.buf, len / 3 };
	iov[1] = (struct iovec){ t.buf + len / 3, len - len / 3 };
	if (op == DISK_WRITE)
		memset(t.buf, flags, len);
	rc = qcow2_do(t.q, &r);
	assert(rc <= 0);
	if (!t.sound || far)
		return;
	assert(rc == 0);
	if (op == DISK_READ)
		check_read(off, len);
	else if (op == DISK_WRITE)
		memset(t.model + off / DISK_SECTOR, flags, len / DISK_SECTOR);
	else if (op == DISK_ZERO)
		memset(t.model + off / DISK_SECTOR, 0, len / DISK_SECTOR);
}

/* A discard may or may not have been done: what is read after it counts from then on. */
static void discard(struct fuzz_in *in)
{
	request(in, DISK_DISCARD);
	for (uint64_t off = 0; off < DISK_SIZE && t.sound; off += sizeof(t.buf)) {
		const uint64_t len = min(DISK_SIZE - off, sizeof(t.buf));
		struct iovec iov = { t.buf, len };
		struct disk_request r = {
			.op = DISK_READ, .off = off, .len = len, .iov = &iov, .nr_iov = 1
		};

		if (qcow2_do(t.q, &r) < 0)
			abort();
		for (uint64_t i = 0; i < len; i += DISK_SECTOR) {
			uint8_t *was = &t.model[(off + i) / DISK_SECTOR];

			if (t.buf[i] && t.buf[i] != *was)
				abort();
			*was = t.buf[i];
		}
	}
}

static void step(struct fuzz_in *in)
{
	struct disk_request flush = { .op = DISK_FLUSH };
	int rc;

	switch (fuzz_number(in, 1) % 8) {
	case 0:
	case 1:
		request(in, DISK_WRITE);
		break;
	case 2:
		request(in, DISK_READ);
		break;
	case 3:
		discard(in);
		break;
	case 4:
		request(in, DISK_ZERO);
		break;
	case 5:
		rc = qcow2_do(t.q, &flush);
		assert(rc == 0 || !t.sound);
		break;
	case 6:
		reopen();
		break;
	case 7:
		poke(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	unsigned pokes;

	if (t.base_fd < 0)
		make_base();
	make_image(&in);
	reopen();
	/* There must be something to damage. */
	pokes = (unsigned)fuzz_number(&in, 1) % 8;
	for (unsigned i = pokes; i; i--)
		poke(&in);
	if (pokes)
		reopen();
	if (fuzz_number(&in, 1) == 0xc7) {
		t.sound = false;
		t.errors = -1;
		(void)!ftruncate(t.fd, (off_t)(fuzz_number(&in, 7)));
		reopen();
	}
	for (unsigned steps = 0; t.q && in.len && steps < 40; steps++)
		step(&in);
	shut();
	close(t.fd);
	t.fd = -1;
	return 0;
}
