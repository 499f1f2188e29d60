/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a machine comes to rest, from the guest to the host: first the vCPUs, which make work for
 * devices; then the loops, which do it; then what the devices still hold.
 */
#include "arch/arch.h"
#include "machine/machine.h"

static bool park_vcpus(struct machine *m)
{
	bool parked = true;

	board_make_room(&m->board, true);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		parked = vcpu_await_parked(&m->vcpu[i]) && parked;
	board_make_room(&m->board, false);
	return parked;
}

static void quiesce(struct machine *m)
{
	for (size_t i = 0; i < m->nr_virtio; i++) {
		struct virtio_dev *vd = m->virtio[i].vd;

		pthread_mutex_lock(vd->lock);
		virtio_quiesce(vd);
		pthread_mutex_unlock(vd->lock);
	}
}

bool machine_park(struct machine *m)
{
	if (!park_vcpus(m))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(m->io); i++)
		if (m->io[i].started)
			loop_park(&m->io[i].loop);
	loop_park(&m->loop);
	quiesce(m);
	return true;
}

void machine_unpark(struct machine *m)
{
	loop_go_on(&m->loop);
	for (size_t i = 0; i < ARRAY_SIZE(m->io); i++)
		if (m->io[i].started)
			loop_go_on(&m->io[i].loop);
}
