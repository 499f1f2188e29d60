/* SPDX-License-Identifier: BSD-2-Clause */
/* See arch.h. */
#pragma once

#define WORDS_CONSOLE    "console=ttyS0"
#define WORDS_EARLY      "earlycon"
#define WORDS_EARLY_ONLY "earlycon", "keep_bootcon"
#define WORDS_PANIC      "reboot=cold"
#define WORDS_NO_SEARCH  "pci=noearly"

#define WORDS_NO_KVM "this build of minivmm has no architecture"

#define WORDS_HELP_KERNEL     "the kernel"
#define WORDS_HELP_INITRD     "initial RAM disk"
#define WORDS_HELP_DEBUG_EXIT "a device that ends the guest with a status of its own"
#define WORDS_HELP_NESTED     "let guests have guests of their own (off)"
