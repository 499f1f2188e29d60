/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads a guest's time stamp counter together with the host's clock. */
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <time.h>

#include "arch/x86/x86.h"

#define MSR_IA32_TSC 0x10
#define TRIES        4 /* the shortest one is the most exact */

static bool read_tsc(const struct vcpu *v, uint64_t *tsc)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} get = { .room = { 0 } };

	get.head.nmsrs = 1;
	get.head.entries[0].index = MSR_IA32_TSC;
	if (ioctl(v->fd, KVM_GET_MSRS, &get) != 1)
		return false;
	*tsc = get.head.entries[0].data;
	return true;
}

static uint64_t realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct vcpu_clock vcpu_clock(const struct vcpu *v)
{
	const int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0L);
	struct vcpu_clock best = { 0 };
	uint64_t shortest = UINT64_MAX;

	for (unsigned i = 0; i < TRIES && khz > 0; i++) {
		const uint64_t before = realtime_ns();
		uint64_t tsc, took;

		if (!read_tsc(v, &tsc))
			break;
		took = realtime_ns() - before;
		if (took >= shortest)
			continue; /* this one is skipped also if the clock was set back */
		shortest = took;
		best = (struct vcpu_clock){ tsc, before + took / 2, (uint32_t)khz };
	}
	return best;
}
