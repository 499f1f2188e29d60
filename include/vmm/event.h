/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An eventfd as a flag between threads, or between KVM and us: it is signalled or it isn't. How
 * often it was signalled means nothing.
 */
#pragma once

#include <stdbool.h>

/* Signals an eventfd that only we and the kernel have, and that doesn't block (EFD_NONBLOCK): so
 * it never waits. Any thread; async-signal-safe. */
void event_signal(int fd);

/* Empties an eventfd and returns whether it was signalled. It never waits, even if another process
 * that has the descriptor made it a blocking one. Any thread. */
bool event_take(int fd);
