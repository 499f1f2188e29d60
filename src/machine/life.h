/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens between two lives of a guest that restarts (--on-reset restart). */
#pragma once

#include "machine/owner.h"

/* Returns how long the guest waits for its next life, in ns, after a life of life_ns that ended by
 * a reset: not at all, unless its lives are short; then longer and longer, and the first wait is
 * logged. *short_lives is 0 at first. */
uint64_t life_pause(unsigned *short_lives, uint64_t life_ns);

/* For the pause between two lives, after machine_serve(). machine_rearm() forgets every
 * machine_end() before it, so that the pause hears only those that come later. machine_linger()
 * stops the guest's processors, and serves its terminal and the like until the time until
 * (monotonic_ns()) or until a machine_end(). It returns END_QUIT or END_KILLED, if the user has
 * ended the machine since its reset; END_FAILED, logged; or END_NONE. */
void machine_rearm(struct machine *m);
enum machine_end machine_linger(struct machine *m, uint64_t until) __must_check;
