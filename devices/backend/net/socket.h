/* SPDX-License-Identifier: BSD-2-Clause */
/* A network at the other end of a stream UNIX socket: passt, or whatever else speaks its frames. */
#pragma once

#include "backend/kept.h"
#include "backend/net/net.h"

/* Connects to path. path and kept, which may be NULL, must outlive the backend. *b is freed by its
 * destroy. Returns 0, or -errno, logged. */
int net_socket_open(struct net_backend **b, const char *path, struct kept *kept) __must_check;
