/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end of vhost-user (docs/interop/vhost-user.rst of QEMU 7.2): a daemon, connected by a
 * UNIX socket, serves the queues of a virtio device in guest memory that it shares with us. Kicks
 * and interrupts pass us by, through the transport's eventfds.
 *
 * The daemon has all of guest memory, so the guest has to trust it. We do not: what it says is
 * checked, each answer is waited for no longer than a few seconds, and what it says unasked ends
 * the connection. If the daemon is gone or was given up, the device needs a reset and does not
 * start again. We neither read nor write the eventfds that the daemon shares with KVM
 * (vmm/shared_fd.h), so it can't block anybody by them.
 *
 * Deliberately missing: reconnecting (nothing is opened once the machine runs), the dirty log,
 * in-flight tables, several rings of requests, configuration space (the device answers for itself).
 *
 * Each call but init and destroy is made with the device's lock held.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/virtio.h"

/* Guest memory as one file; host is the address of its beginning. */
struct vhost_user_memory {
	int fd; /* not owned */
	const uint8_t *host;
};

struct vhost_user {
	int fd;       /* the socket, which never blocks; -1: there is none (any more) */
	char *option; /* for messages */
	int timeout_ms;
	uint64_t deadline; /* the current step must be over at this monotonic_ns() */
	uint64_t features; /* of virtio: those that the daemon has */
	bool acks;         /* it answers every request */
	struct vhost_user_memory memory;

	struct virtio_dev *vd;
	struct loop *loop;
	struct loop_source hangup;
	bool watched; /* hangup is on the loop */
	bool running; /* the daemon uses the rings */
};

#define VHOST_USER_TIMEOUT_MS 10000

/* Takes fd, a connected socket, and agrees on features. Returns 0; or -errno, logged, with *v safe
 * to destroy. */
int vhost_user_init(struct vhost_user *v, const char *option, int fd,
		    const struct vhost_user_memory *memory, int timeout_ms) __must_check;
void vhost_user_destroy(struct vhost_user *v);

/* Returns a socket for vhost_user_init(), or -errno, logged. */
int vhost_user_connect(const char *option, const char *path, struct kept *kept) __must_check;

/* Returns those of features that the queues may have when the daemon serves them. */
uint64_t vhost_user_offer(const struct vhost_user *v, uint64_t features);

/* Called in activate: hands guest memory and all queues that are ready to the daemon. Returns 0 or
 * -errno, logged. */
int vhost_user_start(struct vhost_user *v, struct virtio_dev *vd, struct loop *loop) __must_check;
/* Makes the daemon look at a queue whose kick KVM could not deliver (a store to an address without
 * a doorbell, such as by virtio-pci's window in configuration space). It stops the queue and starts
 * it again, since nothing that we may write would reach the daemon. */
void vhost_user_look(struct vhost_user *v, unsigned queue);
/* Called in reset and quiesce: when it returns, the daemon has stopped, or was given up, and each
 * queue's positions say how far it came. vhost_user_go_on() has it continue there; it does nothing
 * if the daemon runs. */
void vhost_user_stop(struct vhost_user *v);
void vhost_user_go_on(struct vhost_user *v);
