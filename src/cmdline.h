/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's command line: what a guest of minivmm wants by default, then what the user appends.
 */
#pragma once

#include "config.h"

/* Of c, for the caller to free; NULL when memory is out, logged. Defaults:
 *
 *  console=ttyS0     unless --serial none
 *  console=hvc0      with --console; the console of the two. When the serial port is on the same
 *                    terminal, earlyprintk=ttyS0 stands for console=ttyS0
 *  quiet             boot messages from warnings up; loglevel=7 shows all
 *  panic=-1          a panic ends the guest at once
 *  root=/dev/vda     with --disk and without --initrd; rw, or ro when the disk is read-only
 *
 * A default whose key --append sets (console=, panic=, root=, …) is left out. */
char *cmdline_make(const struct config *c) __must_check;
