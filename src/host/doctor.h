/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `minivmm doctor`: looks at the host and says, item by item, what works, and which command mends
 * what doesn't. Nothing is changed.
 *
 * Whether a guest's kernel can run is tried, not guessed: a backend without VT-x or AMD-V (such as
 * PVM) has the whole KVM API and yet interprets kernel code, without the instructions that Linux
 * uses.
 */
#pragma once

#include <stdio.h>

/* What the doctor looks at. Tests have a folder of their own for root, and functions that make up
 * an answer. */
struct doctor_host {
	const char *root; /* of /dev, /proc and /sys: "" is the host's own */
	int (*kvm)(int fd, unsigned long request, unsigned long arg); /* ioctl(2) on /dev/kvm */
	int (*try_guest)(int kvm_fd);                                 /* x86_try_guest() */
	int (*io_uring)(void);                                        /* 0 or -errno */
};

/* Examines this host. 0: a guest can run; or -ENOTSUP. */
int doctor(FILE *out);

/* The same for a host that need not be this one. */
int doctor_examine(const struct doctor_host *host, FILE *out);

/* In src/x86: runs one kernel-mode instruction that KVM's instruction emulator lacks, in a VM of
 * its own with a few pages of memory. */
enum try_guest {
	TRY_RAN,         /* the processor executed it */
	TRY_INTERPRETED, /* KVM tried to emulate it, and could not */
	TRY_ODD,         /* something else happened */
};
/* One of these, or -errno when there is no such VM to be had. Nothing is logged. */
int x86_try_guest(int kvm_fd);
