/* SPDX-License-Identifier: BSD-2-Clause */
/* What the start leaves in memory and the guest's life doesn't need. */
#pragma once

#include <poll.h>

/* Lets go of the pages of code and constants, ours and those of shared libraries: what only the
 * start needed counts no longer as memory of this process, and what is needed again comes from the
 * host's page cache. A segment of which this process has pages of its own, as it has where a
 * debugger has set breakpoints, stays as it is. Any thread, while others run. */
void give_back_code(void);

/* Waits until one of p is ready, as poll(2) does. When none is for a second, the start is over: then
 * it gives back code and returns, so that a machine that lives for less has no trouble with it. */
void give_back_after_start(struct pollfd *p, nfds_t nr);
