/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network benchmark: a guest at 10.8.0.2 and a peer on its host, 10.8.0.1. The guest connects,
 * says in one byte what it wants, and measures.
 */
#pragma once

#include <stdint.h>

#define NET_PEER  0x0a080001
#define NET_GUEST 0x0a080002
#define NET_PORT  7300
#define NET_CHUNK (256 << 10)
#define NET_BYTES (192ull << 20)
#define NET_TURNS 2000

/* After the byte: NET_BYTES to the peer, which then answers with one byte; or NET_BYTES from the
 * peer; or one byte there and back, NET_TURNS times. */
enum net_wish { WISH_OUT = 'o', WISH_IN = 'i', WISH_TURNS = 't' };

/* Prints "bench-result", MiB/s to the host, MiB/s from the host, turns a second. */
void net_bench(void);
