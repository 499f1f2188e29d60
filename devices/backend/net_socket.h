/* SPDX-License-Identifier: BSD-2-Clause */
/* A network behind a stream UNIX socket: passt, or whatever else speaks its frames. */
#pragma once

#include "net.h"

/* Connects to path, which must outlive the backend. *b is freed by its destroy. 0, or -errno,
 * logged. */
int net_socket_open(struct net_backend **b, const char *path) __must_check;
