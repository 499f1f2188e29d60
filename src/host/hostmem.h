/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What memory the host has to give, as /proc, /sys and the control groups (version 2) tell it, and
 * what to do when that isn't enough.
 *
 * root is put before every path: "" for this machine, another folder in a test.
 */
#pragma once

#include "vmm/types.h"

/* Could this process take size bytes of ordinary memory now? 0, or -ENOMEM, logged with what is
 * lacking. What cannot be found out doesn't limit. */
int hostmem_check(uint64_t size, const char *root) __must_check;

/* Logs why size bytes in huge pages of page bytes (2 MiB or 1 GiB) could not be had, mmap() having
 * said err, and how to provide them. Returns -err. */
int hostmem_no_huge_pages(int err, uint64_t size, uint64_t page, const char *root);

/* Warn when the host is set up not to do what the user asks for: transparent huge pages;
 * merging. */
void hostmem_warn_if_never(const char *root, bool shared);
void hostmem_warn_if_not_merging(const char *root);
