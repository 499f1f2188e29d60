/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What leaving the guest costs. Parameters:
 *   what=out|in     a port of the serial port that keeps what is written
 *   what=mmio       a read of a register of the first disk's
 *   what=doorbell   a store that signals an ioeventfd, for a queue with nothing in it: what it costs
 *                   the guest, not when the monitor has heard of it
 *   what=nothing    ends at once
 *   count=N exits in a repetition, runs=N repetitions
 * Prints "cycles N" for each repetition: cycles an exit.
 */
#include "virtio.h"

#define SCRATCH (COM1 + 7)

static struct device disk;
static struct queue queue;

static void out(void)
{
	out8(SCRATCH, 0);
}

static void in(void)
{
	in8(SCRATCH);
}

static void mmio(void)
{
	device_config(&disk, 0, 4);
}

static void doorbell(void)
{
	queue_ring(&queue);
}

static const struct {
	const char *name;
	void (*leave_once)(void);
} whats[] = { { "out", out }, { "in", in }, { "mmio", mmio }, { "doorbell", doorbell } };

static void measure(void (*leave_once)(void), uint64_t count)
{
	uint64_t start = tsc();

	for (uint64_t i = 0; i < count; i++)
		leave_once();
	report("cycles", (tsc() - start) / count);
}

void guest(void)
{
	if (param_is("what", "nothing"))
		finish();
	device_find(&disk, VIRTIO_BLK, 0);
	device_start(&disk, RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&disk, &queue, 0, QUEUE_MAX);
	device_live(&disk);
	for (unsigned i = 0; i < sizeof(whats) / sizeof(*whats); i++)
		for (uint64_t n = param("runs", 3); n > 0 && param_is("what", whats[i].name); n--)
			measure(whats[i].leave_once, param("count", 1000));
	finish();
}
