/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `minivmm doctor`: looks at the host and says, item by item, what works, and which command fixes
 * what doesn't. It changes nothing.
 *
 * It tries whether a guest's kernel can run, rather than guessing: a backend without VT-x or AMD-V
 * (such as PVM) has the whole KVM API and yet interprets kernel code, without the instructions that
 * Linux uses.
 */
#pragma once

#include <limits.h>
#include <stdio.h>

/* Writes where unpacked kernels are kept. Returns NULL; or why they can't be. */
typedef const char *doctor_cache_fn(char path[PATH_MAX]);

/* The parts of the host that the doctor looks at. Tests have a directory of their own for root, and
 * functions with made-up answers. */
struct doctor_host {
	const char *root; /* contains /dev, /proc and /sys; "" is the host's own */
	int (*kvm)(int fd, unsigned long request, unsigned long arg); /* ioctl(2) on /dev/kvm */
	int (*try_guest)(int kvm_fd);                                 /* arch_try_guest() */
	int (*io_uring)(void);                                        /* 0 or -errno */
	doctor_cache_fn *cache;
};

/* Examines this host. Returns 0: a guest can run; or -ENOTSUP. */
int doctor(FILE *out, doctor_cache_fn *cache);

/* The same for a host that needn't be this one. */
int doctor_examine(const struct doctor_host *host, FILE *out);
