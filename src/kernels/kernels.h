/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernels that are kept as guest memory has them before they run, so that the next start of one
 * neither reads, unpacks nor copies it. Each is a file (entry.h) in a directory of the user's
 * (dir.h). Nothing that is wrong with them fails a start: without an entry the kernel is unpacked.
 *
 *   k-SUM-LENGTH  an entry, named by its kernel's file. The sum is one of samples, and only finds
 *                 the entry: the whole file is in there, and is compared. So nobody can make a
 *                 kernel for which another one is taken, and no hash has to be trusted
 *   l-…           a link, named by a file's key (key.h), to NAME:ID of the entry for that file's
 *                 content. By then NAME may be that of an entry for another file of the same sum,
 *                 which somebody made on purpose; but not ID
 *   t-…           an entry that is being written
 *
 * An entry is complete and on the disk before it gets its name, and never changes afterwards, so a
 * loss of power leaves none that is damaged. It may be removed at any time: machines that have it
 * mapped keep it.
 */
#pragma once

#include <sys/stat.h>

#include "host/file.h"
#include "kernels/entry.h"
#include "kernels/key.h"

#define KERNELS_NAME_LEN 48
#define KERNELS_LINK_LEN (KERNELS_NAME_LEN + 17)

struct config;
struct kept;

struct kernels {
	int dir;        /* -1: nothing is kept, and nothing found */
	struct stat st; /* its */
	uint64_t boot;
};

/* An entry. */
struct kernels_found {
	int fd; /* -1: none */
	struct entry e;
	struct file head; /* the first bytes of the kernel's file */
};

/* Opens the cache that c asks for; or, if kept has one, that again. kept may be NULL; in a later
 * life of a guest it has what the first one had. kernels_close() is safe on zeroes with
 * dir = -1. */
void kernels_open(struct kernels *k, const struct config *c, struct kept *kept);
void kernels_close(struct kernels *k);

/* Finds the entry for a file with that key. Returns false if there is none; kernels_let_go() is
 * safe then, too. */
bool kernels_find(const struct kernels *k, const struct key *key, struct kernels_found *f);
/* Finds the entry for that file, by its content, and remembers its key. */
bool kernels_match(const struct kernels *k, const struct file *file, const struct key *key,
		   struct kernels_found *f);
void kernels_let_go(struct kernels_found *f);

/* Remembers that the file with that key has the content of entry name with that id. (store.c) */
void kernels_link(const struct kernels *k, const struct key *key, const char *name, uint64_t id);
/* Reads a link. Returns false if it is none of ours. (store.c) */
bool kernels_read_link(const struct kernels *k, const char *link, char name[KERNELS_NAME_LEN],
		       uint64_t *id);

/* Writes an entry: file, and pages, which are those of i; and remembers the key. Returns 0;
 * -EEXIST: there is one, or another process is writing it; -ECANCELED: *stop has become true; or
 * another -errno. Nothing is logged. Entries that weren't used for longest are removed if all
 * together are too large. (store.c) */
int kernels_store(const struct kernels *k, const struct key *key, const struct file *file,
		  const struct boot_image *i, const uint8_t *pages, const bool *stop) __must_check;

/* Writes the name of an entry. */
void kernels_name(char name[KERNELS_NAME_LEN], const struct file *file);
