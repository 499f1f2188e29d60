/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libslirp, loaded only when a guest is to have a user-mode network: Debian has no static one, and
 * it brings GLib with it, which would cost every start more than everything else.
 */
#pragma once

#include <slirp/libslirp.h>

#define SLIRP_FUNCTIONS(f)                                                                         \
	f(slirp_new) f(slirp_cleanup) f(slirp_pollfds_fill) f(slirp_pollfds_poll) f(slirp_input)   \
		f(slirp_handle_timer) f(slirp_add_hostfwd)

struct slirp_lib {
#define SLIRP_MEMBER(name) __typeof__(name) *name;
	SLIRP_FUNCTIONS(SLIRP_MEMBER)
#undef SLIRP_MEMBER
};

/* Returns 0, or -errno, logged. The library stays loaded: GLib can't be unloaded. */
int slirp_lib_load(struct slirp_lib *lib);
