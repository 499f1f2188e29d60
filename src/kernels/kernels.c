/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "backend/kept.h"
#include "config/config.h"
#include "kernels/dir.h"

#define KEPT_DIR     1 /* 0 is the kernel's file */
#define CHUNK        (256 * KIB)
#define SAMPLE       (4 * KIB)
#define SAMPLE_EVERY (256 * KIB)
#define FRESH_S      60 /* an entry's time of use isn't written more often */

/* -- the directory --------------------------------------------------------------------------- */

void kernels_open(struct kernels *k, const struct config *c, struct kept *kept)
{
	const bool again = kept_has(kept, 0);

	*k = (struct kernels){ .dir = -1 };
	if (c->kernel_cache.off)
		return;
	k->dir = again ? kept_open(kept, KEPT_DIR) : dir_open(c);
	if (k->dir < 0)
		return;
	k->boot = again ? kept->number[0] : key_boot();
	if (fstat(k->dir, &k->st) < 0 ||
	    (!again && kept_keep(kept, KEPT_DIR, k->dir, "kernel cache") < 0))
		kernels_close(k);
	else if (kept)
		kept->number[0] = k->boot;
}

void kernels_close(struct kernels *k)
{
	close_fd(&k->dir);
}

/* -- entries --------------------------------------------------------------------------------- */

static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & 077);
}

static void note_use(int fd, const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (st->st_mtim.tv_sec > now.tv_sec || st->st_mtim.tv_sec + FRESH_S < now.tv_sec)
		(void)!futimens(fd, NULL);
}

static bool read_head(struct kernels_found *f)
{
	const uint64_t len = f->e.image.head_len;

	return file_alloc(&f->head, len) == 0 &&
	       file_read_at(f->fd, f->head.data, len, ENTRY_FILE) == 0 &&
	       entry_sum(f->head.data, len) == f->e.head_sum;
}

static bool open_entry(const struct kernels *k, const char *name, struct kernels_found *f)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	uint8_t header[ENTRY_FILE];
	struct stat st;

	f->fd = openat(k->dir, name, flags);
	if (f->fd < 0 || fstat(f->fd, &st) < 0 || !is_ours(&st) ||
	    file_read_at(f->fd, header, sizeof(header), 0) < 0 ||
	    !entry_read(&f->e, header, (uint64_t)st.st_size) || !read_head(f)) {
		kernels_let_go(f);
		return false;
	}
	note_use(f->fd, &st);
	return true;
}

void kernels_let_go(struct kernels_found *f)
{
	close_fd(&f->fd);
	file_free(&f->head);
}

bool kernels_find(const struct kernels *k, const struct key *key, struct kernels_found *f)
{
	char name[KERNELS_NAME_LEN];
	uint64_t id;

	*f = (struct kernels_found){ .fd = -1 };
	if (k->dir < 0 || !*key->name || !kernels_read_link(k, key->name, name, &id) ||
	    !open_entry(k, name, f))
		return false;
	if (f->e.id == id)
		return true;
	kernels_let_go(f);
	return false;
}

/* Is that the file which the entry is for? */
static bool is_same(const struct kernels_found *f, const struct file *file)
{
	struct file chunk = { 0 };
	bool same = f->e.file_len == file->len && file_alloc(&chunk, CHUNK) == 0;

	for (size_t at = 0; at < file->len && same; at += CHUNK) {
		const size_t len = min(file->len - at, (size_t)CHUNK);

		same = file_read_at(f->fd, chunk.data, len, ENTRY_FILE + at) == 0 &&
		       !memcmp(chunk.data, file->data + at, len);
	}
	file_free(&chunk);
	return same;
}

/* Samples cost next to nothing, and tell kernels apart, because these are packed. */
static uint64_t sample(const struct file *file)
{
	const size_t tail = min(file->len, (size_t)SAMPLE);
	uint64_t sum = entry_sum(file->data + file->len - tail, tail);

	for (size_t at = 0; at < file->len; at += SAMPLE_EVERY) {
		const size_t len = min(file->len - at, (size_t)SAMPLE);

		sum = (sum << 7 | sum >> 57) ^ entry_sum(file->data + at, len);
	}
	return sum;
}

void kernels_name(char name[KERNELS_NAME_LEN], const struct file *file)
{
	snprintf(name, KERNELS_NAME_LEN, "k-%016llx-%zx", (unsigned long long)sample(file),
		 file->len);
}

bool kernels_match(const struct kernels *k, const struct file *file, const struct key *key,
		   struct kernels_found *f)
{
	char name[KERNELS_NAME_LEN];

	*f = (struct kernels_found){ .fd = -1 };
	if (k->dir < 0)
		return false;
	kernels_name(name, file);
	if (!open_entry(k, name, f))
		return false;
	if (is_same(f, file)) {
		kernels_link(k, key, name, f->e.id);
		return true;
	}
	kernels_let_go(f);
	return false;
}
