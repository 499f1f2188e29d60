/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protection against the known holes of the libslirp that Debian 12 has (4.7): a guest must not
 * crash or read the monitor. See slirp_guard.c for each hole.
 */
#pragma once

#include <netinet/in.h>

#include "vmm/types.h"

#define SLIRP_GUARD_FLOWS 16

/* A TCP connection that is about to use a sequence number at which no segment may end, and how far
 * libslirp takes what the guest sends. */
struct slirp_flow {
	struct in6_addr guest, other; /* IPv4 addresses are in the first four bytes */
	uint16_t guest_port, other_port;
	uint32_t edge;
	bool used;
};

struct slirp_guard {
	struct slirp_flow flow[SLIRP_GUARD_FLOWS];
	unsigned next;
};

/* Looks at a frame of the guest's, and may change it. False: libslirp must not see it. */
bool slirp_guard_pass(struct slirp_guard *g, uint8_t *frame, size_t len);

/* Looks at a frame for the guest. */
void slirp_guard_look(struct slirp_guard *g, const uint8_t *frame, size_t len);
