/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio devices (virtio 1.2 §2), free of any transport.
 *
 * A device is const data (struct virtio_ops) and a few functions, most of them optional. A
 * transport (virtio-mmio, virtio-pci) owns the registers and reaches the device through the
 * functions virtio_*() below; a device reaches its driver through virtio_notify() and
 * virtio_config_changed() only.
 *
 * Threads: every call below, and every function of virtio_ops, runs with *vd->lock held, except
 * make, destroy, start and describe, which run before the machine starts or after it has stopped.
 * kick and quiesce run on the device's loop; the others on a vCPU thread.
 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdio.h>

#include "vmm/log.h"
#include "vmm/loop.h"
#include "vmm/round.h"
#include "vmm/shared_fd.h"
#include "vmm/virtq.h"

/* As many as a console has: two for each of 16 ports, and two for control. */
#define VIRTIO_MAX_QUEUES 34

struct virtio_dev;
struct fd_budget;
struct kept;

/* The parts of a machine for a device that one of its options adds. All of them outlive the
 * device. */
struct virtio_host {
	struct loop *loop; /* of an I/O thread: for its kicks, and for its sources and streams */
	bool dry;          /* the machine never starts: the device opens and makes nothing */
	struct kept *kept; /* for what its option opens (backend/kept.h); or NULL */
	struct fd_budget *fds; /* for descriptors that the guest causes to be opened; or NULL */
	uint64_t memory;       /* the guest's, in bytes */
	/* Takes memory back from the guest: ranges of whole pages of 4 KiB in guest RAM, at most
	 * 1024 of them. Afterwards they read as zeroes, or as before if they can't be taken back:
	 * the guest relies on neither. Returns how many bytes were taken back. NULL: none ever
	 * are. */
	uint64_t (*release)(void *ctx, const struct iovec *range, unsigned nr);
	void *ctx; /* release's */
};

struct virtio_ops {
	const char *name;
	const char *module;   /* the module of Linux's driver; NULL: the guest needs no module */
	uint32_t device_id;   /* VIRTIO_ID_* */
	unsigned nr_queues;   /* unless virtio_set_nr_queues() says otherwise */
	uint16_t queue_size;  /* largest, a power of two <= VIRTQ_MAX_SIZE */
	uint32_t config_size; /* bytes of device configuration space */

	/* Makes the device that options ask for: *vd, which is left NULL if they ask for none.
	 * options is a struct of the device's own, which outlives it; all zeroes if the option
	 * wasn't given. Returns 0; or -errno, logged, and then nothing was made. NULL: the machine
	 * has code of its own for this device, which needs more than there is in host. */
	int (*make)(struct virtio_dev **vd, const void *options, const struct virtio_host *host);
	/* Frees what make() made. The transport is gone by then, and no loop runs. */
	void (*destroy)(struct virtio_dev *vd);
	/* The last step of setting up, for streams and sources that need the lock: the transport,
	 * and so vd->lock, is there, and no loop runs yet. It is called once. loop is the one that
	 * the kicks are on. Returns 0 or -errno, logged. NULL: there is nothing to do. */
	int (*start)(struct virtio_dev *vd, struct loop *loop);
	/* Prints what its option asked for, for people: "vda, a.img, 64 MiB". nth is the number of
	 * devices of these ops that come before it. NULL: there is nothing to say. */
	void (*describe)(const struct virtio_dev *vd, unsigned nth, FILE *out);

	/* The driver made buffers available in q: pop, work and push, for as long as vd->round has
	 * something left (vmm/round.h); the rest waits for virtq_leave() or virtio_again().
	 * Afterwards the core interrupts the driver, if it wants that. < 0 (a malformed ring): the
	 * core sets DEVICE_NEEDS_RESET instead. */
	int (*kick)(struct virtio_dev *vd, struct virtq *q);
	/* DRIVER_OK was set: features are negotiated, queues are up. Returns 0, or < 0 as above. */
	int (*activate)(struct virtio_dev *vd);
	/* Forgets all that is in flight on q (NULL: on the whole device, and its state). After this
	 * returns, nothing touches guest memory of those queues any more. */
	void (*reset)(struct virtio_dev *vd, struct virtq *q);
	/* For a device that holds chains, or addresses in guest memory, between its callbacks:
	 * answers or gives back (virtq_unpop()) what it holds, and holds nothing when it returns.
	 * It goes on when it is kicked again. Called on the device's loop, or while that is
	 * parked. */
	void (*quiesce)(struct virtio_dev *vd);
	/* For a device that lends queues to another process: the driver kicked q, which is lent,
	 * and the process that has it can't know that. Called on the device's loop. */
	void (*lent_kick)(struct virtio_dev *vd, struct virtq *q);
	/* size is 1, 2, 4 or 8, and off + size <= config_size. NULL: reads as zeroes; writes are
	 * ignored. */
	uint64_t (*config_read)(struct virtio_dev *vd, uint32_t off, unsigned size);
	void (*config_write)(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value);
};

/* The transport's half. */
struct virtio_transport_ops {
	/* Raises an interrupt. queue < 0: the configuration changed. */
	void (*interrupt)(void *ctx, int queue);

	/* The status or the configuration has changed other than by a register. May be NULL. */
	void (*changed)(void *ctx);

	/* For a queue that something other than us serves (vhost). kick_fd is the eventfd that the
	 * driver's kicks signal. watch_kicks says whether our loop reads it: it does until told
	 * otherwise, and again after a reset of the device. Writing to call_fd interrupts the
	 * driver as interrupt(queue) would; it is asked for in activate, as it depends on what the
	 * driver has set up. Both descriptors stay the transport's. */
	int (*kick_fd)(void *ctx, unsigned queue);
	void (*watch_kicks)(void *ctx, unsigned queue, bool on);
	int (*call_fd)(void *ctx, unsigned queue);

	/* The same for a queue that another process serves (vhost-user), which may do what it likes
	 * with what it has. Only that process and KVM have these eventfds, until the device is
	 * reset. Each lend_kick() makes a new one that replaces the last; it has a count already,
	 * for what was kicked before. A kick that KVM doesn't signal there goes to
	 * virtio_ops.lent_kick(). What comes back stays the transport's. They return 0 or -errno,
	 * logged. */
	int (*lend_kick)(void *ctx, unsigned queue, struct shared_fd *kick);
	int (*lend_call)(void *ctx, unsigned queue, struct shared_fd *call);
};

struct virtio_dev {
	const struct virtio_ops *ops;
	uint64_t features; /* offered: the device's own plus the core's (virtio_init) */
	unsigned nr_queues;

	/* Negotiation. With that of each queue, it is all that a snapshot needs of the core. A
	 * reset clears both. */
	struct virtio_state {
		uint64_t driver_features;
		uint32_t config_generation;
		uint8_t status; /* VIRTIO_CONFIG_S_* */
	} state;
	struct virtq q[VIRTIO_MAX_QUEUES];

	/* Set by the transport before the device is used. */
	const struct gmem *mem;
	pthread_mutex_t *lock; /* the one lock of device and transport; not owned */
	const struct virtio_transport_ops *transport;
	void *transport_ctx;

	/* The loop looks at the rings, so no kick need be asked for. */
	bool looked_at;

	/* A new one for each kick, and for what else a device does on its loop. */
	struct round round;
	struct ratelimit log;
};

/* features are those of the device itself, a mask made of VIRTIO_BIT(). The core adds VERSION_1,
 * INDIRECT_DESC, EVENT_IDX and RING_RESET. All else in *vd is zeroed. */
void virtio_init(struct virtio_dev *vd, const struct virtio_ops *ops, uint64_t features);
#define VIRTIO_BIT(f) (1ull << (f))
/* Sets the number of queues, at most VIRTIO_MAX_QUEUES, where it is an option: after virtio_init(),
 * before the transport's. */
void virtio_set_nr_queues(struct virtio_dev *vd, unsigned nr);

/* Was feature bit f negotiated? */
static inline bool virtio_has(const struct virtio_dev *vd, unsigned f)
{
	return vd->state.driver_features >> f & 1;
}

/* May the device use those of its queues that are ready (§2.1.2)? Not before DRIVER_OK, and not
 * while it needs a reset. */
static inline bool virtio_live(const struct virtio_dev *vd)
{
	return (vd->state.status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) ==
	       VIRTIO_CONFIG_S_DRIVER_OK;
}

/* -- for transports -------------------------------------------------------------------------- */

/* Calls ops->start(), as the last step of the transport's set-up. Returns 0 or -errno, logged. */
int virtio_start(struct virtio_dev *vd, struct loop *loop) __must_check;

/* The driver writes the status register: 0 resets; FEATURES_OK is refused (stays clear) if the
 * driver accepted what was not offered, or not VERSION_1; DRIVER_OK activates. */
void virtio_set_status(struct virtio_dev *vd, uint8_t status);
void virtio_reset(struct virtio_dev *vd);
/* Returns the queue of that index, or NULL. This is the one place where a queue index is
 * bounded. */
struct virtq *virtio_queue(struct virtio_dev *vd, uint32_t index);
/* The driver accepts these features of word (0: bits 0 to 31, 1: bits 32 to 63). Ignored once
 * FEATURES_OK is set. */
void virtio_accept_features(struct virtio_dev *vd, uint32_t word, uint32_t bits);
/* Makes queue q ready. Ignored before FEATURES_OK is set. If its set-up is malformed, the queue
 * doesn't become ready, and the device is broken. */
void virtio_queue_enable(struct virtio_dev *vd, struct virtq *q);
/* The driver stops using one queue: it is drained, and is as after a reset. Does nothing if it
 * isn't ready. */
void virtio_queue_disable(struct virtio_dev *vd, struct virtq *q);
/* The same, when the driver asks for it as in virtio 1.2 §2.6.1. Ignored unless RING_RESET was
 * negotiated. */
void virtio_queue_reset(struct virtio_dev *vd, struct virtq *q);
/* The driver kicked queue index: serves one round of what it has made available by now. Returns
 * true if there is more to do: the caller calls again, after the other sources of the loop had
 * their turn. */
bool virtio_kick(struct virtio_dev *vd, uint32_t index);
/* Has queue index buffers that the device waits for? For a loop that looks (vmm/loop.h), which
 * then calls virtio_kick(). */
bool virtio_has_work(struct virtio_dev *vd, uint32_t index);
/* The loop looks no more: asks for the kicks that were not asked for. Returns whether there is work
 * already. */
bool virtio_rest(struct virtio_dev *vd);
/* These access the device's configuration space. An access that reaches beyond its end, even by one
 * byte, reads as zero, and such a write is ignored. */
uint64_t virtio_config_read(struct virtio_dev *vd, uint64_t off, unsigned size);
void virtio_config_write(struct virtio_dev *vd, uint64_t off, unsigned size, uint64_t value);

/* Makes the device let go of guest memory: its requests in flight are answered, and the chains that
 * it had popped ahead are available again. Then the structs called X_state have all of its state.
 * It may wait for the host, as a reset does. All queues are kicked, so the device goes on with its
 * loop, and has lost nothing. Called on that loop, or while it is parked. */
void virtio_quiesce(struct virtio_dev *vd);

/* -- for devices ----------------------------------------------------------------------------- */

/* Called after a push to q outside kick (an asynchronous completion): interrupts the driver if it
 * wants that. */
void virtio_notify(struct virtio_dev *vd, struct virtq *q);
/* For a quiet queue (vmm/virtq.h), in place of virtq_want_kick(): while the loop looks at the rings,
 * no kick is asked for. */
bool virtio_want_kick(struct virtio_dev *vd, struct virtq *q);
/* This is virtq_pop() for as long as the round lasts. After that it returns 0, and what is left in
 * q waits for the next round. */
int virtio_pop(struct virtio_dev *vd, struct virtq *q, struct virtq_chain *c) __must_check;
/* Kicks that queue once more, after the loop's other sources had their turn. */
void virtio_again(struct virtio_dev *vd, unsigned queue);
/* The device's configuration space changed. */
void virtio_config_changed(struct virtio_dev *vd);
/* The same for what the driver changed by a request: it isn't interrupted. */
void virtio_config_set(struct virtio_dev *vd);
/* Sets DEVICE_NEEDS_RESET (virtio 1.2 §2.1.2) and says why, rate-limited. */
void virtio_broken(struct virtio_dev *vd, const char *why);
