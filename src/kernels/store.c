/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes entries and links, and removes those that nobody needs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "kernels/kernels.h"

#define MOST       (256 * MIB) /* what all entries may take; some four kernels of distributions */
#define MOST_FILES 32          /* entries */
#define MOST_LINKS 256
#define STALE_S    600 /* what was not written to for so long has no writer any more */
#define CHUNK      (2 * MIB)

/* -- room ------------------------------------------------------------------------------------ */

struct listed {
	char name[NAME_MAX + 1];
	uint64_t len; /* bytes on the disk */
	struct timespec used;
};

struct list {
	struct listed *at; /* allocated */
	size_t nr, links;
	uint64_t len;
};

static int by_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct listed *)a)->used,
			      *y = &((const struct listed *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static void list_entry(struct list *l, const char *name, const struct stat *st)
{
	struct listed *more = reallocarray(l->at, l->nr + 1, sizeof(*more));

	if (!more)
		return;
	l->at = more;
	l->at[l->nr] = (struct listed){ .len = (uint64_t)st->st_blocks * 512, .used = st->st_mtim };
	strcpy(l->at[l->nr].name, name);
	l->len += l->at[l->nr++].len;
}

/* Removes a link that leads nowhere, or any if there are too many: they come back by themselves. */
static void look_at_link(const struct kernels *k, struct list *l, const char *link)
{
	char name[KERNELS_NAME_LEN];
	struct stat st;
	uint64_t id;

	if (++l->links > MOST_LINKS || !kernels_read_link(k, link, name, &id) ||
	    fstatat(k->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		unlinkat(k->dir, link, 0);
}

static void look_at(const struct kernels *k, struct list *l, const char *name)
{
	struct stat st;

	if (!strncmp(name, "l-", 2))
		look_at_link(k, l, name);
	else if (fstatat(k->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	else if (!strncmp(name, "k-", 2))
		list_entry(l, name, &st);
	else if (!strncmp(name, "t-", 2) && st.st_mtim.tv_sec + STALE_S < time(NULL))
		unlinkat(k->dir, name, 0);
}

/* Removes entries until there is room for one of so many bytes. */
static void make_room(const struct kernels *k, uint64_t len)
{
	int fd = openat(k->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct list l = { 0 };
	struct dirent *e;

	if (!d) {
		close_fd(&fd);
		return;
	}
	while ((e = readdir(d)))
		look_at(k, &l, e->d_name);
	closedir(d);
	if (l.nr)
		qsort(l.at, l.nr, sizeof(*l.at), by_use);
	for (size_t i = 0; i < l.nr && (l.len + len > MOST || l.nr - i >= MOST_FILES); i++) {
		unlinkat(k->dir, l.at[i].name, 0);
		l.len -= l.at[i].len;
	}
	free(l.at);
}

/* -- links ----------------------------------------------------------------------------------- */

bool kernels_read_link(const struct kernels *k, const char *link, char name[KERNELS_NAME_LEN],
		       uint64_t *id)
{
	char text[KERNELS_LINK_LEN];
	ssize_t len = readlinkat(k->dir, link, text, sizeof(text) - 1);
	char *colon;

	text[max(len, (ssize_t)0)] = '\0';
	colon = strchr(text, ':');
	if (!colon || colon - text >= KERNELS_NAME_LEN || strncmp(text, "k-", 2) ||
	    strchr(text, '/'))
		return false;
	*colon = '\0';
	strcpy(name, text);
	*id = strtoull(colon + 1, NULL, 16);
	return true;
}

void kernels_link(const struct kernels *k, const struct key *key, const char *name, uint64_t id)
{
	char text[KERNELS_LINK_LEN];

	if (!*key->name || !key->settled)
		return;
	snprintf(text, sizeof(text), "%s:%016llx", name, (unsigned long long)id);
	if (symlinkat(text, k->dir, key->name) == 0 || errno != EEXIST)
		return;
	/* It leads to something that isn't there, is damaged, or is another file's. */
	unlinkat(k->dir, key->name, 0);
	(void)!symlinkat(text, k->dir, key->name);
}

/* -- entries --------------------------------------------------------------------------------- */

/* Writes, and waits until it is on the disk, so that *stop isn't noticed late. */
static int write_chunk(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		const ssize_t n = pwrite(fd, data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	(void)!sync_file_range(fd, (off_t)offset, (off_t)len,
			       SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				       SYNC_FILE_RANGE_WAIT_AFTER);
	return 0;
}

static int write_part(int fd, const uint8_t *data, uint64_t len, uint64_t offset, const bool *stop)
{
	int rc = 0;

	for (uint64_t at = 0; at < len && rc == 0; at += CHUNK)
		rc = __atomic_load_n(stop, __ATOMIC_RELAXED)
			     ? -ECANCELED
			     : write_chunk(fd, data + at, min(len - at, CHUNK), offset + at);
	return rc;
}

/* The header comes last. */
static int write_entry(int fd, const struct entry *e, const struct file *file, const uint8_t *pages,
		       const bool *stop)
{
	uint8_t header[ENTRY_FILE];
	int rc = write_part(fd, file->data, file->len, ENTRY_FILE, stop);

	if (rc == 0)
		rc = write_part(fd, pages, e->image.end - e->image.start, e->image_at, stop);
	entry_write(e, header);
	if (rc == 0)
		rc = write_part(fd, header, sizeof(header), 0, stop);
	if (rc == 0 && (fchmod(fd, 0400) < 0 || fdatasync(fd) < 0))
		rc = -errno;
	return rc;
}

int kernels_store(const struct kernels *k, const struct key *key, const struct file *file,
		  const struct boot_image *i, const uint8_t *pages, const bool *stop)
{
	struct entry e;
	char name[KERNELS_NAME_LEN], temp[KERNELS_NAME_LEN];
	struct kernels_found found;
	uint64_t id;
	int rc;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	if (i->head_len > min(file->len, (size_t)ENTRY_HEAD_MAX))
		return -EFBIG;
	e = entry_of(i, file->data, file->len, id);
	if (entry_len(&e) > MOST)
		return -EFBIG;
	if (kernels_match(k, file, key, &found)) {
		kernels_let_go(&found);
		return -EEXIST;
	}
	make_room(k, entry_len(&e));
	kernels_name(name, file);
	strcpy(temp, name);
	temp[0] = 't';

	/* If several processes store this kernel, the one that makes the file writes the entry. */
	AUTO_CLOSE int fd = openat(k->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	rc = write_entry(fd, &e, file, pages, stop);
	if (rc == 0 && renameat(k->dir, temp, k->dir, name) < 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(k->dir, temp, 0);
	else
		kernels_link(k, key, name, id);
	return rc;
}
