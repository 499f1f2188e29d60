/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory that the host has to give, according to /proc, /sys and the control groups (version
 * 2), and what to do when that isn't enough.
 *
 * root is put before every path: "" for this machine, another directory in a test.
 */
#pragma once

#include "vmm/types.h"

/* Could this process take size bytes of ordinary memory now? Returns 0, or -ENOMEM, after a message
 * that says what is missing. A limit that can't be found out doesn't count. */
int hostmem_check(uint64_t size, const char *root) __must_check;

/* Logs why mmap() failed by err for size bytes in huge pages of page bytes (2 MiB or 1 GiB), and
 * how to provide them. Returns -err. */
int hostmem_no_huge_pages(int err, uint64_t size, uint64_t page, const char *root);

/* These warn if the host is set up not to do what the user asks for: transparent huge pages;
 * merging. */
void hostmem_warn_if_never(const char *root, bool shared);
void hostmem_warn_if_not_merging(const char *root);
