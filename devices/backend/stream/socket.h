/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host end for a console or port: a UNIX socket that listens, and takes one client after the
 * other. The next client waits until the guest has read what the previous one sent.
 *
 * A client that shuts down only its sending side is still connected, and may read on. A client that
 * comes while there are no descriptors is not lost: it waits until there are.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/loop.h"
#include "vmm/stream.h"

/* Listens at path, for this user (mode 0600). A socket that a dead process left there is replaced;
 * a socket that somebody listens at, and any other file, is an error. The file is removed at the
 * end. A kept listener goes on, and kept_end() removes its file: a client that connects between two
 * lives of the guest waits. The argument what is as in tty.h. kept outlives the stream, or is NULL.
 * Returns 0 or -errno, logged. */
int socket_listen(struct stream **s, struct loop *loop, const char *what, const char *path,
		  struct kept *kept) __must_check;
