/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is between two lives of a guest that restarts (--on-reset restart). */
#pragma once

#include "machine/machine.h"

/* After a life of so many ns that ended by a reset: how long the guest waits for the next one, in
 * ns. Not at all, unless its lives are short, and then longer and longer; the first time that is
 * said. *short_lives is 0 at first. */
uint64_t life_pause(unsigned *short_lives, uint64_t life_ns);

/* After machine_serve(): the guest's processors stop, and its terminal and the like go on to the time
 * until (monotonic_ns()), or to machine_end(), which is heard since the last machine_listen().
 * Returns END_QUIT or END_KILLED, if that came after the end that m has; END_FAILED, logged; or
 * END_NONE. */
void machine_listen(struct machine *m);
enum machine_end machine_linger(struct machine *m, uint64_t until) __must_check;

/* The guest lives no more: lets go of all that is kept. */
void machine_forget(struct machine_kept *kept);
