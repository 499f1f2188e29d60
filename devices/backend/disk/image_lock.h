/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock of an image file. It belongs to the open file description; QEMU's locks and ours see
 * each other.
 */
#pragma once

#include "vmm/types.h"

/* Locks an image for writing or for reading. Returns 0; -EBUSY; or another -errno if its file
 * system has no locks. Nothing is logged. */
int image_lock(int fd, bool readonly) __must_check;

/* Unlocks and closes *fd, unless it is -1. The lock belongs to the open file description: after a
 * mere close(2) it would last as long as a child of fork() has that, too. */
void image_release(int *fd);
