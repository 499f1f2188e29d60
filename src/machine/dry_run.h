/* SPDX-License-Identifier: BSD-2-Clause */
/* What a start finds out by doing, a dry run finds out by looking. */
#pragma once

#include "config/config.h"

/* Checks that a machine, if it were started, would get all that it opens, makes, binds and connects
 * to. Disks, shares, kernel, initrd and modules are not looked at here: machine_new() opens them
 * in a dry run as well. This changes nothing: no file is made or emptied, and nobody is connected
 * to. A host without KVM is a warning only. Returns 0 or -errno, logged. */
int dry_run_check(const struct config *c) __must_check;
