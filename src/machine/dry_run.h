/* SPDX-License-Identifier: BSD-2-Clause */
/* A run finds out by doing; a dry run finds out by looking. */
#pragma once

#include "config/config.h"

/* Would a run get all that it opens, makes, binds and connects to? What a machine opens in a dry
 * run, too, is not looked at here (disks, shares, kernel, initrd, modules). This changes nothing:
 * no file is made or emptied, and nobody is connected to. A host without KVM is a warning only.
 * Returns 0 or -errno, logged. */
int dry_run_check(const struct config *c) __must_check;
