/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/life.h"

#include <errno.h>
#include <stdlib.h>

#include "machine/machine.h"
#include "vmm/log.h"

/* These keep a guest that does nothing but reset itself from taking a processor of the host's. */
#define SECOND_NS     1000000000ull
#define SHORT_LIFE_NS SECOND_NS
#define FREE_RESTARTS 5 /* how many short lives are followed by the next at once */
#define PAUSE_NS      (SECOND_NS / 10)
#define PAUSE_MAX_NS  (5 * SECOND_NS)

uint64_t life_pause(unsigned *short_lives, uint64_t life_ns)
{
	unsigned n;

	*short_lives = life_ns < SHORT_LIFE_NS ? *short_lives + 1 : 0;
	if (*short_lives <= FREE_RESTARTS)
		return 0;
	n = *short_lives - FREE_RESTARTS - 1;
	if (n == 0)
		log_warn(
			"the guest has reset itself %u times, each within a second of its start; from here on it is kept waiting, up to %u s, before it starts again (--on-reset restart)",
			*short_lives, (unsigned)(PAUSE_MAX_NS / SECOND_NS));
	n = min(n, 16u);
	return min(PAUSE_NS << n, PAUSE_MAX_NS);
}

void machine_rearm(struct machine *m)
{
	loop_rearm(&m->loop);
}

enum machine_end machine_linger(struct machine *m, uint64_t until)
{
	enum machine_end how = __atomic_load_n(&m->called_off, __ATOMIC_ACQUIRE);

	machine_stop_guest(m);
	if (how == END_NONE && loop_run_until(&m->loop, until) < 0)
		return END_FAILED;
	return __atomic_load_n(&m->called_off, __ATOMIC_ACQUIRE);
}

struct machine_kept *machine_keep(void)
{
	struct machine_kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		log_ret(-ENOMEM, "out of memory");
	return kept;
}

void machine_forget(struct machine_kept *kept)
{
	struct kept *each = (struct kept *)kept;

	_Static_assert(sizeof(*kept) % sizeof(*each) == 0, "nothing but these");
	for (size_t i = 0; kept && i < sizeof(*kept) / sizeof(*each); i++)
		kept_end(&each[i]);
	free(kept);
}
