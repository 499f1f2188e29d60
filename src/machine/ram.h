/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's RAM on the host: one mapping, which the guest may see in several parts. A kernel that
 * was unpacked before is a private mapping of its file in there (ram_map()).
 *
 * The mapping is anonymous and private, not a memfd: only such memory is merged by KSM, gets
 * transparent huge pages by the host's default settings, and faults in without a file's page cache
 * between. It is a memfd, sealed so that nobody can make it smaller or larger, when a device in
 * another process needs it (RAM_SHARED, vhost-user). Nothing is taken from the host before the
 * guest touches it (unless prefault=on), so that a guest may be larger than the host; and a core
 * dump leaves it out. Inaccessible pages lie on either side, so that an index of ours that runs out
 * of guest RAM crashes minivmm, rather than overwriting something silently.
 */
#pragma once

#include <sys/uio.h>

#include "config/config.h"
#include "vmm/mem.h"

#define RAM_SHARED 1u /* with a device in another process */
#define RAM_AGAIN  2u /* we had as much just now: the host's limits are not looked at again */

struct ram {
	uint8_t *host;   /* NULL: none */
	uint64_t size;   /* bytes */
	bool releasable; /* see ram_release() */
	bool mappable;   /* see ram_map() */
	bool mergeable;
	int memfd; /* it is a mapping of this; 0: it is private */
	int self;  /* a pidfd of this process; 0: none yet; < 0: the kernel has no use for it */

	/* The part of it that is a file's (ram_map()). given has a byte for each of its pages: was
	 * it given back? holes says how often some were. */
	uint8_t *file_start, *file_end, *given;
	unsigned holes;

	/* The whole mapping, with alignment and inaccessible pages. */
	void *mapping;
	uint64_t mapping_len;
};

/* Allocates RAM. c->size is a multiple of the page size that c->huge asks for (config_parse() sees
 * to that). how is 0 or RAM_SHARED, RAM_AGAIN. Returns 0, or -errno, logged, with *r zeroed, as
 * ram_free() leaves it, too. */
int ram_alloc(struct ram *r, const struct memory_config *c, unsigned how) __must_check;
void ram_free(struct ram *r);

/* Makes whole pages of it, [host, host + len), the bytes of a file from offset on, where nobody has
 * written yet. They are the page cache's, which all machines that map this file share, until
 * somebody writes to one and gets a page of his own; the file never changes. It must not become
 * shorter for as long as it is mapped: the touch of a page that isn't there kills us.
 *
 * Returns false, with RAM as it was, if it isn't possible, or isn't what the user asked for: memory
 * that a daemon shares, huge pages, prefault=on. It can be called once. */
bool ram_map(struct ram *r, void *host, uint64_t len, int fd, uint64_t offset) __must_check;

/* Gives ranges of it, at most 1024, of whole pages, back to the host; the next touch finds zeroes.
 * Returns how many bytes the ranges have in which all pages were given back. Two kinds of pages
 * stay as they were. Huge pages of a fixed size are set aside for us whether used or not; if we
 * gave one back, somebody else could have it when the guest touches it again, which would kill us.
 * And a file's pages (ram_map()) are given back in a limited number of pieces, because each piece
 * is a mapping of its own from then on, and a process may have only some 65,000 of these. One
 * thread at a time. */
uint64_t ram_release(struct ram *r, const struct iovec *range, unsigned nr);

/* Adds r to m where the architecture has RAM (arch_layout). Each part begins at a multiple of 1
 * GiB, in r as for the guest, so that huge pages of the host and of the guest coincide. Returns
 * what gmem_add() returns. */
int ram_layout(const struct ram *r, struct gmem *m) __must_check;
