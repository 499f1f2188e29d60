/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk of 1 MiB, by each engine and with an overlay: blocks of 4 KiB, alone and 32 at a time. With
 * io_uring, those that come alone are done at once, without it (backend/disk/at_once.c). */
#include "virtio/blk.h"

#include <linux/virtio_blk.h>
#include <stdio.h>
#include <sys/mman.h>

#include "count.h"
#include "vmm/log.h"

#define BLOCK 4096u
#define MOST  32 /* requests at once */

static struct virtio_blk b;
static struct driver d;
static struct loop loop;
static struct {
	gpa_t header, data, status;
} request[MOST];

static bool up(int image, struct disk_options o)
{
	must(ftruncate(image, 1 * MIB) == 0);
	must(loop_init(&loop) == 0);
	log_set_level(LOG_QUIET);
	if (virtio_blk_init(&b, &o) < 0)
		return false;
	driver_init(&d, &b.vd);
	must(driver_start(&d,
			  VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	for (unsigned i = 0; i < MOST; i++) {
		request[i].header = driver_alloc(&d, sizeof(struct virtio_blk_outhdr));
		request[i].data = driver_alloc(&d, BLOCK);
		request[i].status = driver_alloc(&d, 1);
	}
	return true;
}

static bool up_memory(enum disk_engine engine)
{
	static char path[32];
	int image = memfd_create("disk", MFD_CLOEXEC);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	return up(image, (struct disk_options){ .path = path, .engine = engine });
}

static bool up_sync(void)
{
	return up_memory(DISK_ENGINE_SYNC);
}

static void ask(uint32_t type, unsigned batch)
{
	const bool data = type != VIRTIO_BLK_T_FLUSH;

	for (unsigned i = 0; i < batch; i++) {
		struct virtio_blk_outhdr *h =
			ram_at(&d.ram, request[i].header, sizeof(struct virtio_blk_outhdr));
		uint8_t *status = ram_at(&d.ram, request[i].status, 1);

		*h = (struct virtio_blk_outhdr){
			.type = htole32(type),
			.sector = htole64(i * BLOCK / DISK_SECTOR),
		};
		*status = 0xff;
		offer(&d.ring[0],
		      (struct ring_buf[]){
			      { request[i].header, sizeof(*h), false },
			      data ? (struct ring_buf){ request[i].data, BLOCK,
							type == VIRTIO_BLK_T_IN }
				   : (struct ring_buf){ request[i].status, 1, true },
			      { request[i].status, 1, true },
		      },
		      data ? 3 : 2);
	}
	counted_kick(&d, 0);
	turn_loop(&loop);
	take(&d.ring[0], batch);
	for (unsigned i = 0; i < batch; i++)
		must(*(uint8_t *)ram_at(&d.ram, request[i].status, 1) == VIRTIO_BLK_S_OK);
}

static void ask_read(unsigned batch)
{
	ask(VIRTIO_BLK_T_IN, batch);
}

static void ask_write(unsigned batch)
{
	ask(VIRTIO_BLK_T_OUT, batch);
}

static void ask_flush(unsigned batch)
{
	ask(VIRTIO_BLK_T_FLUSH, batch);
}

static bool up_overlay(void)
{
	static char path[] = "/tmp/count-XXXXXX"; /* an overlay asks for the path of its base */
	bool ok = up(mkstemp(path), (struct disk_options){ .path = path, .temp = true });

	unlink(path);
	return ok;
}

#ifdef HAVE_IO_URING
static bool up_uring(void)
{
	return up_memory(DISK_ENGINE_URING);
}
#endif

const struct kind blk_kinds[KINDS_MAX] = {
	{ "blk.sync.read", 1, up_sync, ask_read, NULL },
	{ "blk.sync.read-32", 32, up_sync, ask_read, NULL },
	{ "blk.sync.write", 1, up_sync, ask_write, NULL },
	{ "blk.sync.flush", 1, up_sync, ask_flush, NULL },
	{ "blk.overlay.read", 1, up_overlay, ask_read, NULL },
	{ "blk.overlay.write", 1, up_overlay, ask_write, NULL },
#ifdef HAVE_IO_URING
	{ "blk.uring.read", 1, up_uring, ask_read, NULL },
	{ "blk.uring.read-32", 32, up_uring, ask_read, NULL },
	{ "blk.uring.write", 1, up_uring, ask_write, NULL },
	{ "blk.uring.flush", 1, up_uring, ask_flush, NULL },
#endif
};
