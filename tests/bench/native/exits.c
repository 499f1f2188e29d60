/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What leaving the guest costs. Parameters: count=N exits in a repetition, runs=N repetitions. With
 * count=0 the guest does nothing, and never looks for its disk. Prints, for each repetition,
 * cycles of
 *   out N, in N     a port of the serial port that keeps what is written
 *   mmio N          a read of a register of the first disk's
 *   doorbell N      a store that signals an ioeventfd, for a queue with nothing in it: what it costs
 *                   the guest, not when the monitor has heard of it
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

static void measure(const char *key, void (*leave_once)(void), uint64_t count)
{
	uint64_t start = tsc();

	for (uint64_t i = 0; i < count; i++)
		leave_once();
	report(key, (tsc() - start) / count);
}

static void doorbell(void)
{
	queue_ring(&queue);
}

void guest(void)
{
	const uint64_t count = param("count", 1000);

	if (count == 0)
		finish();
	device_find(&disk, VIRTIO_BLK, 0);
	device_start(&disk, RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&disk, &queue, 0, QUEUE_MAX);
	device_live(&disk);
	for (uint64_t i = param("runs", 5); i-- > 0;) {
		measure("out", out, count);
		measure("in", in, count);
		measure("mmio", mmio, count);
		measure("doorbell", doorbell, count);
	}
	finish();
}
