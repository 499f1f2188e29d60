/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Output by the virtio console, as much at a time as fits the queue. Parameters:
 *   size=BYTES   of each chain
 *   count=N      chains in a repetition
 *   runs=N       repetitions, after one that isn't counted
 * Prints "cycles N" for each repetition: cycles a chain; and "kicks N", in a thousand chains.
 */
#include "virtio.h"

static struct device console;
static struct queue input, output;

static void write_all(uint8_t *text, uint32_t size, uint64_t count)
{
	uint64_t done = 0;

	for (uint64_t begun = 0; done < count; done += queue_poll(&output, NULL) != NULL) {
		while (begun < count &&
		       queue_add(&output, &(struct piece){ text, size }, 1, 0, text)) {
			queue_kick(&output);
			begun++;
		}
	}
}

void guest(void)
{
	const uint64_t count = param("count", 1000), runs = param("runs", 5);
	const uint32_t size = (uint32_t)param("size", 64);
	uint8_t *text;

	device_find(&console, VIRTIO_CONSOLE, 0);
	device_start(&console, RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&console, &input, 0, QUEUE_MAX);
	queue_init(&console, &output, 1, QUEUE_MAX);
	device_live(&console);
	text = alloc(size);
	for (uint32_t i = 0; i < size; i++)
		text[i] = i % 64 == 63 ? '\n' : 'a';
	for (uint64_t i = 0; i <= runs; i++) {
		const uint64_t kicks = output.kicks, start = tsc();
		uint64_t cycles;

		write_all(text, size, count);
		cycles = tsc() - start;
		if (i == 0)
			continue;
		report("cycles", cycles / count);
		report("kicks", (output.kicks - kicks) * 1000 / count);
	}
	finish();
}
