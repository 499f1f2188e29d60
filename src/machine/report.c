/* SPDX-License-Identifier: BSD-2-Clause */
/* Describes the machine in words: what it is made of (--dry-run) and what it did (--stats). */
#include <limits.h>
#include <stdio.h>

#include "arch/arch.h"
#include "machine/console.h"
#include "machine/machine.h"
#include "machine/transport.h"

/* -- what it is made of ---------------------------------------------------------------------- */

static void print_memory(FILE *out, const struct machine *m)
{
	const struct layout_tables *tables = &arch_layout.tables;

	fprintf(out, "memory map\n");
	for (size_t i = 0; i < m->mem.nr; i++) {
		const struct gmem_region *r = &m->mem.region[i];

		fprintf(out, "  0x%010llx-0x%010llx  RAM, %llu MiB\n", (ull)r->base,
			(ull)(r->base + r->size - 1), (ull)(r->size / MIB));
	}
	if (tables->what)
		fprintf(out, "  0x%010llx-0x%010llx  %s\n", (ull)tables->base,
			(ull)(tables->base + tables->len - 1), tables->what);
	fprintf(out, "  0x%010llx-0x%010llx  kernel: %s\n", (ull)m->placed.kernel_start,
		(ull)m->placed.kernel_end - 1, m->placed.how);
	if (m->placed.initrd_start != m->placed.initrd_end)
		fprintf(out, "  0x%010llx-0x%010llx  initrd: %s\n", (ull)m->placed.initrd_start,
			(ull)m->placed.initrd_end - 1, m->config->initrd ?: "of run");
	fprintf(out, "  0x%010llx             entry, %s\n", (ull)m->placed.entry, m->placed.mode);
	for (size_t i = 0; i < LAYOUT_CHIP; i++)
		if (arch_layout.chip[i].what)
			fprintf(out, "  0x%010llx             %s\n", (ull)arch_layout.chip[i].at,
				arch_layout.chip[i].what);
}

/* Returns how many devices of the same kind come before device number i. */
static unsigned nth_of_kind(const struct machine *m, size_t i)
{
	unsigned nth = 0;

	for (size_t before = 0; before < i; before++)
		nth += m->virtio[before].vd->ops == m->virtio[i].vd->ops;
	return nth;
}

static void print_virtio(FILE *out, const struct machine *m, size_t i)
{
	const struct virtio_dev *vd = m->virtio[i].vd;
	char where[TRANSPORT_WHERE_LEN];

	fprintf(out, "  %s  virtio-%s", transport_where(m, i, where), vd->ops->name);
	if (vd->ops->describe) {
		fprintf(out, ": ");
		vd->ops->describe(vd, nth_of_kind(m, i), out);
	}
	fprintf(out, "\n");
}

static void print_devices(FILE *out, const struct machine *m)
{
	const struct host_end *serial = &m->config->serial;
	char where[PATH_MAX + 64];

	snprintf(where, sizeof(where), "%s%s", machine_console_where(serial), serial->path ?: "");
	fprintf(out, "devices\n");
	board_print_devices(&m->board, where, out);
	for (size_t i = 0; i < m->nr_virtio; i++)
		print_virtio(out, m, i);
}

void machine_print(const struct machine *m, FILE *out)
{
	fprintf(out, "processors\n");
	board_print_processors(&m->board, out);
	print_memory(out, m);
	print_devices(out, m);
	fprintf(out, "command line\n  %s\n", m->cmdline);
}

/* -- what it did ----------------------------------------------------------------------------- */

static void print_exits(FILE *out, const struct machine_figures *f)
{
	fprintf(out, "exits of");
	for (unsigned c = 0; c < f->nr_vcpus; c++)
		fprintf(out, "%*s%u", c ? 8 : 9, "vCPU ", c);
	fprintf(out, "\n");
	for (unsigned r = 0; r < FIGURES_EXITS; r++) {
		uint64_t sum = 0;

		for (unsigned c = 0; c < f->nr_vcpus; c++)
			sum += f->vcpu[c].exits[r];
		if (!sum)
			continue;
		fprintf(out, "  %-14s", f->exit_name[r]);
		for (unsigned c = 0; c < f->nr_vcpus; c++)
			fprintf(out, " %8llu", (ull)f->vcpu[c].exits[r]);
		fprintf(out, "\n");
	}
}

struct row {
	const char *name;
	size_t offset; /* of a uint64_t in struct vcpu_figures */
	uint64_t divisor;
};

static void print_rows(FILE *out, const struct machine_figures *f)
{
	static const struct row rows[] = {
		{ "(interrupted)", offsetof(struct vcpu_figures, interrupted), 1 },
		{ "(unclaimed)", offsetof(struct vcpu_figures, unclaimed), 1 },
		{ "guest, us", offsetof(struct vcpu_figures, guest_ns), 1000 },
		{ "monitor, us", offsetof(struct vcpu_figures, host_ns), 1000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fprintf(out, "  %-14s", rows[i].name);
		for (unsigned c = 0; c < f->nr_vcpus; c++) {
			const char *stats = (const char *)&f->vcpu[c];
			uint64_t value;

			memcpy(&value, stats + rows[i].offset, sizeof(value));
			fprintf(out, " %8llu", (ull)(value / rows[i].divisor));
		}
		fprintf(out, "\n");
	}
}

static void print_accesses(FILE *out, const struct machine_figures *f)
{
	fprintf(out, "accesses           reads   writes\n");
	for (unsigned i = 0; i < f->nr_devices; i++) {
		const struct device_figures *d = &f->device[i];

		if (d->reads + d->writes)
			fprintf(out, "  %-14s %8llu %8llu  at %#llx\n", d->name, (ull)d->reads,
				(ull)d->writes, (ull)d->base);
	}
}

static void print_start(FILE *out, const struct machine_figures *f)
{
	const struct machine_times *t = &f->times;
	const struct {
		const char *what;
		int64_t ns;
	} rows[] = {
		{ "memory, loops", t->memory - t->begin },
		{ "KVM", t->kvm - t->memory },
		{ "devices, ACPI", t->devices - t->kvm },
		{ "files read", t->files - t->devices },
		{ "decompressed", f->decompress_ns },
		{ "placed", t->kernel - t->files - f->decompress_ns },
		{ "vCPUs", t->vcpus - t->kernel },
		{ "first KVM_RUN", f->first_run_ns - t->vcpus },
		{ "in all", f->first_run_ns - t->begin },
	};

	fprintf(out, "start, us\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(out, "  %-14s %8lld\n", rows[i].what, (long long)rows[i].ns / 1000);
	fprintf(out, "first KVM_RUN at %lld us (CLOCK_MONOTONIC)\n",
		(long long)f->first_run_ns / 1000);
}

static void print_balloon(FILE *out, const struct balloon_figures *b)
{
	fprintf(out, "balloon, KiB\n");
	fprintf(out, "  %-14s %8llu\n", "target", b->target / KIB);
	fprintf(out, "  %-14s %8llu\n", "actual", b->actual / KIB);
	fprintf(out, "  %-14s %8llu\n", "inflated", b->inflated / KIB);
	fprintf(out, "  %-14s %8llu\n", "reported free", b->reported / KIB);
	if (b->nr_stats)
		fprintf(out, "the guest's own figures, in bytes or times\n");
	for (unsigned i = 0; i < b->nr_stats; i++)
		fprintf(out, "  %-19s %14llu\n", b->stat[i].name, (ull)b->stat[i].value);
}

void machine_print_stats(const struct machine_figures *f, FILE *out)
{
	print_exits(out, f);
	print_rows(out, f);
	print_accesses(out, f);
	if (f->has_balloon)
		print_balloon(out, &f->balloon);
	print_start(out, f);
}
