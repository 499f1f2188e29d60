/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run finds out by doing it, a dry run finds out by looking. */
#pragma once

#include "config/config.h"

/* Would a run get all that it opens, makes, binds and connects to, beside what a machine opens in a
 * dry run, too (disks, shares, kernel, initrd, modules)? Changes nothing: no file is made or
 * emptied, and nobody is connected to. Whether the host has KVM is a warning only. 0 or -errno,
 * logged. */
int dry_run_check(const struct config *c) __must_check;
