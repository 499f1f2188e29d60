/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting the emulated host (machine.c) for host.c. If one of these functions fails, it says why
 * and exits with BED_FAILED.
 */
#pragma once

#include <sys/types.h>

#include "wire.h"

enum {
	TIMED_OUT = 124,
	BED_FAILED = 125,
	BOOT_SECONDS = 300, /* a guard against hanging: it takes 3 to 5 */
};

#define PROC_LEN 32 /* for the name of QEMU's threads in /proc */

#define CONSOLE "/mnt/console" /* L1's kernel and agent print here */
#define LOG     "/mnt/log"     /* QEMU and virtiofsd print here */

struct options {
	int kernel, initrd; /* open files: /mnt may hide their names */
	unsigned cpus, megabytes, seconds, patience;
	char **shares, **command;
	uint32_t nr_shares, nr_command;
	int environ; /* an open file: the bytes of /proc/PID/environ as od(1) prints them in hex */
};

/*
 * Makes the caller's next child PID 1 of a PID namespace, in a mount namespace of its own. Not for
 * threads.
 */
void enter_namespaces(void);

/* Makes the tree that virtiofsd serves: everything that the caller sees, read-only except for the
 * shares. Hides /mnt from us. */
void make_tree(const struct options *o);

/* Raises the limit of descriptors to its maximum, for us and what we start: each file that the
 * emulated host's kernel remembers is one of virtiofsd's. Returns the limit. */
rlim_t raise_descriptors(void);

/* Returns the process id, as start_qemu() does. Must be called first. */
pid_t start_virtiofsd(void);

/* port[PORT_CTL…]: QEMU's ends of the ports. proc is filled with the name for waited_ns(). */
pid_t start_qemu(const struct options *o, const int port[NR_PORTS + 1], char proc[PROC_LEN]);

/* Returns how long QEMU's threads, in sum, were ready to run and had to wait for a processor. */
uint64_t waited_ns(const char proc[PROC_LEN]);
