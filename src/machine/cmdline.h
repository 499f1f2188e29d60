/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's command line: what minivmm's guests want by default, then what the user appends. */
#pragma once

#include "config/config.h"

/* Returns the command line that c asks for, which the caller frees; NULL when memory is out,
 * logged. It is --append's text. If the kernel is Linux, and there is no --no-default-cmdline,
 * these words come before it, with those of x86 as an example (words.h has the architecture's):
 *
 *  console=ttyS0     unless --serial none
 *  console=hvc0      with --console, which then is /dev/console. When the serial port is on the
 *                    same terminal, earlyprintk=ttyS0 replaces console=ttyS0
 *  quiet             boot messages from warnings up; loglevel=7 shows all
 *  panic=-1          a panic ends the guest at once
 *  reboot=panic_warm,acpi
 *                    a panic is told from a reset (end.c)
 *  root=/dev/vda     with --disk and without --initrd; rw, or ro when the disk is read-only
 *
 * A default whose key --append sets (console=, panic=, root=, …) is left out; reboot= stays, as
 * Linux puts several of them together. */
char *cmdline_make(const struct config *c, bool linux_kernel) __must_check;

/* With this command line, does Linux mark the reset after a panic, and no other, as a warm one? */
bool cmdline_marks_panics(const char *cmdline);
