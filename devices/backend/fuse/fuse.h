/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FUSE server for one folder of the host: what is behind a virtio-fs device.
 *
 * It speaks the protocol of the kernel's <linux/fuse.h> itself: libfuse's session wants a
 * descriptor to read and write, copies all data through a buffer of its own and takes the kernel's
 * word for every length and name, where here a guest stands.
 *
 * A request is served at once, on the thread that asks, always the same one; it gets a umask of its
 * own and is one of ours, which block SIGXFSZ. Data goes between the file and guest memory without
 * a copy. Nothing but a disk or a file server of the host's can make a request wait.
 *
 * What keeps a guest in the folder: every file that it knows is a descriptor (O_PATH) of ours; it
 * names files by that one and one component below it, never "..", never a link's target; and only
 * regular files and folders are ever opened. Mount points below the folder are part of it, but
 * those of the host's kernel (proc, sysfs, …) are closed.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/fd_budget.h"
#include "vmm/log.h"
#include "vmm/virtq.h"

/* What the file is called in the root of a server that has just one. */
#define FUSE_ONLY_NAME "file"

/* How long the guest may believe what it knows. */
enum fuse_cache {
	FUSE_CACHE_AUTO,   /* a second; a file's content until it is opened again */
	FUSE_CACHE_ALWAYS, /* nobody but the guest changes the folder */
	FUSE_CACHE_NONE,   /* not at all, content neither */
};

struct fuse_options {
	const char *option; /* a constant, for messages; NULL: "--fs" */
	const char *path;
	bool readonly;
	/* path may be a regular file: then the root, which can't be listed or changed, has that one
	 * alone, by the name FUSE_ONLY_NAME. */
	bool files;
	enum fuse_cache cache;
	const bool *stopping;  /* atomic: breaks off what takes long; or NULL; not owned */
	struct fd_budget *fds; /* what its descriptors come from, or NULL; not owned */
	struct kept *kept;     /* outlives the server; or NULL */
};

struct fuse_server;

/* 0; or -errno, logged, with *f NULL. Nothing of *o but its path is kept. */
int fuse_server_new(struct fuse_server **f, const struct fuse_options *o) __must_check;
void fuse_server_free(struct fuse_server *f); /* or NULL */

/* As if the guest had never asked for anything. */
void fuse_server_reset(struct fuse_server *f);

/* Serves the request of c. The bytes that were written to it; or -EPROTO, when it has no room for
 * an answer or is none. */
int fuse_serve(struct fuse_server *f, const struct virtq_chain *c) __must_check;
