/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting the emulated host (machine.c) for host.c. All of these say what failed and exit with
 * BED_FAILED.
 */
#pragma once

#include <sys/types.h>

#include "wire.h"

enum {
	TIMED_OUT = 124,
	BED_FAILED = 125,
	BOOT_SECONDS = 300, /* a hang guard: it takes 3 to 5 */
};

#define PROC_LEN 32 /* of the name of QEMU's threads in /proc */

#define CONSOLE "/mnt/console" /* what L1's kernel and agent print */
#define LOG     "/mnt/log"     /* what QEMU and virtiofsd print */

struct options {
	int kernel, initrd; /* open files: /mnt may hide their names */
	unsigned cpus, megabytes, seconds, patience;
	char **shares, **command;
	uint32_t nr_shares, nr_command;
	int environ; /* an open file: the bytes of /proc/PID/environ as od(1) prints them in hex */
};

/*
 * Makes the next child of the caller PID 1 of a PID namespace, in a mount namespace that is its
 * own. Not for threads.
 */
void enter_namespaces(void);

/* Makes what virtiofsd serves: everything that the caller sees, read-only but for the shares. Hides
 * /mnt from us. */
void make_tree(const struct options *o);

/* As many descriptors as we may have, for us and what we start: each file that the emulated host's
 * kernel remembers is one of virtiofsd's. Returns how many. */
rlim_t raise_descriptors(void);

/* Returns the process id, as does start_qemu(). First of the two. */
pid_t start_virtiofsd(void);

/* port[PORT_CTL…]: QEMU's ends of the ports. proc: filled with the name that waited_ns() wants. */
pid_t start_qemu(const struct options *o, const int port[NR_PORTS + 1], char proc[PROC_LEN]);

/* How long QEMU's threads, in sum, were ready to run and had to wait for a processor. */
uint64_t waited_ns(const char proc[PROC_LEN]);
