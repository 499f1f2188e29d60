/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FUSE server for one directory of the host: the host's half of a virtio-fs device.
 *
 * It speaks the protocol of the kernel's <linux/fuse.h> itself: libfuse's session wants a
 * descriptor to read and write, copies all data through a buffer of its own, and trusts the kernel
 * with every length and name, but here they come from a guest.
 *
 * A request is served at once, on the thread that asks, which is always the same one. That thread
 * is one of ours, which block SIGXFSZ, and gets a umask of its own. Data goes between the file and
 * guest memory without a copy. Only a disk or a file server of the host's can make a request wait.
 *
 * This keeps a guest in the directory: every file that it knows is a descriptor (O_PATH) of ours;
 * it names files by that one and one component below it, never "..", never a link's target; and
 * only regular files and directories are ever opened. Mount points below the directory are part of
 * it, but those of the host's kernel (proc, sysfs, …) are closed.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/fd_budget.h"
#include "vmm/log.h"
#include "vmm/virtq.h"

/* The file's name in the root of a server that shares just one file. */
#define FUSE_ONLY_NAME "file"

/* How long the guest may believe what it knows. */
enum fuse_cache {
	FUSE_CACHE_AUTO,   /* one second; a file's content until it is opened again */
	FUSE_CACHE_ALWAYS, /* for ever: only the guest changes the directory */
	FUSE_CACHE_NONE,   /* not at all, a file's content included */
};

struct fuse_options {
	const char *option; /* a constant, for messages; NULL: "--fs" */
	const char *path;
	bool readonly;
	/* path may be a regular file. Then the root, which can't be listed or changed, has only
	 * that one, with the name FUSE_ONLY_NAME. */
	bool files;
	enum fuse_cache cache;
	const bool *stopping;  /* atomic; breaks off what takes long; or NULL; not owned */
	struct fd_budget *fds; /* its descriptors count in this; NULL: in none; not owned */
	struct kept *kept;     /* outlives the server; or NULL */
};

struct fuse_server;

/* Returns 0; or -errno, logged, with *f NULL. The server keeps path, and nothing else of *o. */
int fuse_server_new(struct fuse_server **f, const struct fuse_options *o) __must_check;
void fuse_server_free(struct fuse_server *f); /* f may be NULL */

/* Sets the state before the guest's first request. */
void fuse_server_reset(struct fuse_server *f);

/* Serves the request of c. Returns the number of bytes written to it; or -EPROTO: it has no room
 * for an answer, or is not a request. */
int fuse_serve(struct fuse_server *f, const struct virtq_chain *c) __must_check;
