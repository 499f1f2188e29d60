/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wires without KVM: they note what is connected, and the messages that a guest would have got.
 * Like KVM, they read an eventfd as soon as it is connected.
 */
#pragma once

#include <assert.h>

#include "vmm/wires.h"

#define WIRES_MAX 128

struct test_wires {
	struct {
		gpa_t gpa;
		int fd;
	} bell[WIRES_MAX]; /* fd -1: free */
	unsigned nr_bells;
	struct {
		uint64_t address, told_address; /* as routed, and at the last connect */
		uint32_t data, told_data, device;
		int fd, lent; /* -1: not connected */
	} msi[WIRES_MAX];
	unsigned connects, disconnects, tells;
	bool changed;
	bool no_bells;  /* KVM has no room */
	bool no_routes; /* KVM takes no message either */
};

static inline int test_doorbell(void *ctx, const struct doorbell *bell, int fd, bool on)
{
	struct test_wires *w = ctx;
	const gpa_t gpa = bell->gpa;

	for (unsigned i = 0; i < WIRES_MAX; i++) {
		if (!on && w->bell[i].fd == fd && w->bell[i].gpa == gpa) {
			w->bell[i].fd = -1;
			w->nr_bells--;
			return 0;
		}
		if (on && w->bell[i].fd >= 0 && w->bell[i].gpa == gpa)
			return -17; /* EEXIST */
	}
	assert(on); /* only what is there is removed */
	for (unsigned i = 0; i < WIRES_MAX && !w->no_bells; i++) {
		if (w->bell[i].fd >= 0)
			continue;
		w->bell[i].gpa = gpa;
		w->bell[i].fd = fd;
		w->nr_bells++;
		return 0;
	}
	return -28; /* ENOSPC */
}

static inline void test_msi_route(void *ctx, unsigned n, const struct msi *msi)
{
	struct test_wires *w = ctx;

	assert(n < WIRES_MAX);
	w->msi[n].address = msi->address;
	w->msi[n].data = msi->data;
	w->msi[n].device = msi->device;
	w->changed = true;
}

static inline int test_msi_connect(void *ctx, unsigned n, int fd)
{
	struct test_wires *w = ctx;

	assert(n < WIRES_MAX && (w->msi[n].fd < 0 || w->msi[n].lent < 0) && fd >= 0);
	if (w->no_routes)
		return -22; /* EINVAL */
	if (w->msi[n].fd >= 0) {
		w->msi[n].lent = fd;
		return 0;
	}
	w->tells += w->changed;
	w->changed = false;
	w->msi[n].told_address = w->msi[n].address;
	w->msi[n].told_data = w->msi[n].data;
	w->msi[n].fd = fd;
	w->connects++;
	return 0;
}

static inline void test_msi_disconnect(void *ctx, unsigned n, int fd)
{
	struct test_wires *w = ctx;

	assert(n < WIRES_MAX && (w->msi[n].fd == fd || w->msi[n].lent == fd));
	if (w->msi[n].lent == fd) {
		w->msi[n].lent = -1;
		return;
	}
	w->msi[n].fd = -1;
	w->disconnects++;
}

/* Returns how often message n was signalled and sent since the last call. */
static inline uint64_t test_wires_sent(const struct test_wires *w, unsigned n)
{
	uint64_t nr = 0, lent = 0;

	if (w->msi[n].fd >= 0 && read(w->msi[n].fd, &nr, sizeof(nr)) < 0)
		nr = 0;
	if (w->msi[n].lent >= 0 && read(w->msi[n].lent, &lent, sizeof(lent)) < 0)
		lent = 0;
	return nr + lent;
}

/* The guest stores to gpa: does KVM signal an eventfd? */
static inline bool test_wires_store(const struct test_wires *w, gpa_t gpa)
{
	const uint64_t one = 1;

	for (unsigned i = 0; i < WIRES_MAX; i++)
		if (w->bell[i].fd >= 0 && w->bell[i].gpa == gpa)
			return write(w->bell[i].fd, &one, sizeof(one)) == sizeof(one);
	return false;
}

static inline struct wires test_wires_init(struct test_wires *w, unsigned first)
{
	static const struct wires_ops ops = {
		.doorbell = test_doorbell,
		.msi_route = test_msi_route,
		.msi_connect = test_msi_connect,
		.msi_disconnect = test_msi_disconnect,
	};

	*w = (struct test_wires){ 0 };
	for (unsigned i = 0; i < WIRES_MAX; i++)
		w->bell[i].fd = w->msi[i].fd = w->msi[i].lent = -1;
	return (struct wires){ .ops = &ops, .ctx = w, .first = first };
}
