/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/figures.h"

#include <sys/resource.h>

#include "machine/machine.h"
#include "virtio/balloon.h"

_Static_assert(FIGURES_EXITS == VCPU_EXIT_REASONS, "each has its place");
_Static_assert(FIGURES_BALLOON_STATS >= VIRTIO_BALLOON_S_NR, "each has its place");

static void take_vcpus(struct machine_figures *f, const struct machine *m)
{
	for (unsigned r = 0; r < FIGURES_EXITS; r++)
		f->exit_name[r] = vcpu_exit_name(r);
	f->nr_vcpus = m->nr_vcpus;
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		const struct vcpu_stats *s = &m->vcpu[i].stats;
		struct vcpu_figures *v = &f->vcpu[i];

		memcpy(v->exits, s->exits, sizeof(v->exits));
		v->interrupted = s->interrupted;
		v->unclaimed = s->unclaimed;
		v->guest_ns = s->guest_ns;
		v->host_ns = s->host_ns;
	}
}

static void take_bus(struct machine_figures *f, const struct bus *b)
{
	for (size_t i = 0; i < b->nr; i++) {
		const struct bus_range *r = &b->range[i];

		f->device[f->nr_devices++] =
			(struct device_figures){ r->dev->ops->name, r->base, r->reads, r->writes };
	}
}

static void take_balloon(struct machine_figures *to, const struct virtio_balloon *b)
{
	static const char *const names[] = VIRTIO_BALLOON_S_NAMES;
	struct balloon_figures *f = &to->balloon;

	to->has_balloon = true;
	f->target = b->state.target_pages * BALLOON_PAGE;
	f->actual = b->state.actual_pages * BALLOON_PAGE;
	f->inflated = b->inflated;
	f->reported = b->reported;
	for (size_t i = 0; i < ARRAY_SIZE(b->state.stat); i++) {
		if (!(b->state.stats >> i & 1))
			continue;
		f->stat[f->nr_stats].name = names[i];
		f->stat[f->nr_stats++].value = b->state.stat[i];
	}
}

static void take_streams(struct machine_figures *f, const struct virtio_vsock *v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(f->stream); i++) {
		f->stream[i].to_guest = v->offer[i].to_guest;
		f->stream[i].from_guest = v->offer[i].from_guest;
	}
}

void machine_figures(const struct machine *m, struct machine_figures *f)
{
	struct virtio_dev *balloon = machine_device(m, VIRTIO_ID_BALLOON);
	struct rusage usage = { 0 };

	*f = (struct machine_figures){
		.end = m->end,
		.status = machine_status(m, m->end),
		.times = m->times,
		.first_run_ns = (int64_t)m->vcpu[0].stats.first_run_ns,
		.decompress_ns = (int64_t)m->placed.decompress_ns,
		.memory = m->config->memory.size,
	};
	getrusage(RUSAGE_SELF, &usage);
	f->peak_memory = (uint64_t)usage.ru_maxrss * 1024;
	take_vcpus(f, m);
	if (board_bus(&m->board))
		take_bus(f, board_bus(&m->board));
	take_bus(f, &m->mmio);
	if (balloon)
		take_balloon(f, container_of(balloon, struct virtio_balloon, vd));
	take_streams(f, &m->vsock);
}
