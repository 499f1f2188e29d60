/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's end of a guest's vsock: stream UNIX sockets, in the convention of Firecracker and
 * cloud-hypervisor.
 *
 * A client on the host connects to PATH and writes "CONNECT port\n"; once the guest has accepted it
 * reads "OK hostport\n", and from then on both are connected. A guest that connects to port P of
 * the host reaches the listener at PATH_P: a socket in the directory that PATH was in at the start,
 * never one that a link leads to, nor the listener of a monitor.
 *
 * Every descriptor that is returned here is non-blocking. These functions keep no state.
 */
#pragma once

#include "backend/unix/dir.h"
#include "backend/unix/file.h"

/* PATH_P must fit into a struct sockaddr_un: P has up to ten digits. */
#define VSOCK_UNIX_MAX_PATH (UNIX_MAX_PATH - 11)

/* Listens at path, for this user (mode 0600); dir was opened by the same path. A socket file there
 * that nobody listens at any more is replaced, and *file is the new one. Returns the descriptor, or
 * -errno, logged. */
int vsock_unix_listen(const char *path, const struct unix_dir *dir,
		      struct unix_file *file) __must_check;

/* Returns the next client, or -errno. */
int vsock_unix_accept(int listener) __must_check;

/* Connects to path_port. Returns the descriptor, or -errno; -EAGAIN: too many clients wait for the
 * listener; -ELOOP: it is a symbolic link; -EREMOTE: a monitor listens there. */
int vsock_unix_dial(const struct unix_dir *dir, uint32_t port) __must_check;

/* Returns why path_port can't be reached although it seems to exist; NULL: there is no listener. */
const char *vsock_unix_refusal(int rc);

/* Reads a client's first line, and nothing after it. Returns 1: it asks for *port; 0: the line is
 * not complete yet; -errno: it never will be, or it is not a command. */
int vsock_unix_command(int fd, uint32_t *port) __must_check;

/* Tells a client that it is connected, as host_port. Returns 0 or -errno. */
int vsock_unix_ok(int fd, uint32_t host_port) __must_check;

/* Has the peer closed its socket (and not just one direction)? */
bool vsock_unix_hung_up(int fd);
