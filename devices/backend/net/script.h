/* SPDX-License-Identifier: BSD-2-Clause */
/* The program that is run for a new network interface (--net script=). */
#pragma once

#include "vmm/types.h"

/* Runs script with the interface's name as its argument, and waits for its end. Returns 0; or
 * -errno, logged as option's (-EIO: the script failed). */
int net_script_run(const char *option, const char *script, const char *interface) __must_check;
