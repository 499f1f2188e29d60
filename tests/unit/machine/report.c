/* SPDX-License-Identifier: BSD-2-Clause */
/* What --stats prints, which others read by program (tests/bench/table). */
#include "machine/figures.h"

#include <stdio.h>
#include <stdlib.h>

#include "machine/machine.h"
#include "test.h"

static char *text_of(const struct machine_figures *f)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	machine_print_stats(f, out);
	fclose(out);
	return text;
}

static void figures_are_a_table_with_a_column_for_each_vcpu(void **state __unused)
{
	static const char expected[] = "exits of    vCPU 0   vCPU 1\n"
				       "  io                   22        0\n"
				       "  mmio                  1        3\n"
				       "  (interrupted)         4        0\n"
				       "  (unclaimed)           0        5\n"
				       "  guest, us      50122284        0\n"
				       "  monitor, us           0        2\n"
				       "accesses           reads   writes\n"
				       "  uart                  6       10  at 0x3f8\n"
				       "  virtio-mmio           0        1  at 0xd0000000\n"
				       "start, us\n"
				       "  memory, loops         1\n"
				       "  KVM                   2\n"
				       "  devices, ACPI         3\n"
				       "  files read            4\n"
				       "  decompressed          5\n"
				       "  placed                6\n"
				       "  vCPUs                 7\n"
				       "  first KVM_RUN         8\n"
				       "  in all               36\n"
				       "first KVM_RUN at 136 us (CLOCK_MONOTONIC)\n";
	static struct machine_figures f = {
		.times = { 100000, 101000, 103000, 106000, 110000, 121000, 128000 },
		.first_run_ns = 136000,
		.decompress_ns = 5000,
		.exit_name = { [2] = "io", [5] = "hlt", [6] = "mmio" },
		.vcpu = { { .exits = { [2] = 22, [6] = 1 },
			    .interrupted = 4,
			    .guest_ns = 50122284999 },
			  { .exits = { [6] = 3 }, .unclaimed = 5, .host_ns = 2000 } },
		.nr_vcpus = 2,
		.device = { { "uart", 0x3f8, 6, 10 },
			    { "rtc", 0x70, 0, 0 },
			    { "virtio-mmio", 0xd0000000, 0, 1 } },
		.nr_devices = 3,
	};
	char *text = text_of(&f);

	assert_string_equal(text, expected);
	free(text);
}

static void a_balloon_has_its_rows(void **state __unused)
{
	static const char expected[] = "balloon, KiB\n"
				       "  target             1024\n"
				       "  actual              512\n"
				       "  inflated              4\n"
				       "  reported free         8\n"
				       "the guest's own figures, in bytes or times\n"
				       "  free-memory                   4096\n"
				       "start, us\n";
	static struct machine_figures f = {
		.has_balloon = true,
		.balloon = { MIB, 512 * KIB, 4 * KIB, 8 * KIB, { { "free-memory", 4096 } }, 1 },
	};
	char *text = text_of(&f);

	assert_non_null(strstr(text, expected));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_are_a_table_with_a_column_for_each_vcpu),
		cmocka_unit_test(a_balloon_has_its_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
