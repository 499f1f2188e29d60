/* SPDX-License-Identifier: BSD-2-Clause */
/* The files that the guest knows, each once, found by id and by what it is; and looking them up. */
#include <stdlib.h>

#include "backend/fuse/fuse_impl.h"

/* -- the table ------------------------------------------------------------------------------- */

static struct fuse_node *node_at(const struct fuse_nodes *t, uint32_t slot)
{
	return &t->chunk[slot / FUSE_NODES_A_CHUNK][slot % FUSE_NODES_A_CHUNK];
}

static uint32_t *bucket_of(const struct fuse_nodes *t, uint64_t dev, uint64_t ino, uint64_t mnt)
{
	uint64_t h = ino * 0x9e3779b97f4a7c15 ^ dev * 0xc2b2ae3d27d4eb4f ^ mnt * 0x165667b19e3779f9;

	return &t->bucket[(h ^ h >> 32) & (t->nr_buckets - 1)];
}

static bool is_same(const struct fuse_node *n, uint64_t dev, uint64_t ino, uint64_t mnt)
{
	return n->ino == ino && n->dev == dev && n->mnt == mnt;
}

/* Returns slot + 1, or 0. */
static uint32_t find(const struct fuse_nodes *t, uint64_t dev, uint64_t ino, uint64_t mnt)
{
	uint32_t i = t->nr_buckets ? *bucket_of(t, dev, ino, mnt) : 0;

	while (i && !is_same(node_at(t, i - 1), dev, ino, mnt))
		i = node_at(t, i - 1)->next;
	return i;
}

static void chain(struct fuse_nodes *t, uint32_t slot)
{
	struct fuse_node *n = node_at(t, slot);
	uint32_t *b = bucket_of(t, n->dev, n->ino, n->mnt);

	n->next = *b;
	n->hashed = true;
	*b = slot + 1;
}

/* Makes as many buckets as slots, so that a look-up takes a step or two. */
static int grow_buckets(struct fuse_nodes *t, uint32_t nr)
{
	uint32_t *fresh = calloc(nr, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	free(t->bucket);
	t->bucket = fresh;
	t->nr_buckets = nr;
	for (uint32_t i = 0; i < t->nr_slots; i++)
		if (node_at(t, i)->hashed)
			chain(t, i);
	return 0;
}

/* Adds one more chunk of free slots. */
static int grow(struct fuse_nodes *t)
{
	const uint32_t c = t->nr_slots / FUSE_NODES_A_CHUNK;

	if (c == ARRAY_SIZE(t->chunk))
		return -ENFILE;
	if (t->nr_slots == t->nr_buckets &&
	    grow_buckets(t, t->nr_buckets ? 2 * t->nr_buckets : FUSE_NODES_A_CHUNK) < 0)
		return -ENOMEM;
	t->chunk[c] = calloc(FUSE_NODES_A_CHUNK, sizeof(struct fuse_node));
	if (!t->chunk[c])
		return -ENOMEM;
	t->nr_slots += FUSE_NODES_A_CHUNK;
	for (uint32_t i = t->nr_slots; i-- > t->nr_slots - FUSE_NODES_A_CHUNK;) {
		*node_at(t, i) = (struct fuse_node){ .fd = -1, .next = t->free };
		t->free = i + 1;
	}
	return 0;
}

static void unchain(struct fuse_nodes *t, uint32_t slot)
{
	struct fuse_node *n = node_at(t, slot);
	uint32_t *at = bucket_of(t, n->dev, n->ino, n->mnt);

	while (*at != slot + 1)
		at = &node_at(t, *at - 1)->next;
	*at = n->next;
	n->hashed = false;
}

static void release(struct fuse_server *f, uint32_t slot)
{
	struct fuse_nodes *t = &f->nodes;
	struct fuse_node *n = node_at(t, slot);

	fuse_unsynced_forget(f, n);
	if (n->hashed)
		unchain(t, slot);
	fuse_node_drop_fd(f, n);
	free(n->name);
	*n = (struct fuse_node){ .fd = -1, .next = t->free };
	t->free = slot + 1;
}

struct fuse_node *fuse_node(struct fuse_server *f, uint64_t id)
{
	struct fuse_node *n;

	if (id - 1 >= f->nodes.nr_slots)
		return NULL;
	n = node_at(&f->nodes, (uint32_t)(id - 1));
	return n->lookups ? n : NULL;
}

void fuse_node_forget(struct fuse_server *f, uint64_t id, uint64_t lookups)
{
	struct fuse_node *n = fuse_node(f, id);

	if (!n || id == FUSE_ROOT_ID)
		return;
	n->lookups -= min(n->lookups, lookups);
	if (!n->lookups)
		release(f, (uint32_t)(id - 1));
}

void fuse_nodes_drop(struct fuse_server *f)
{
	struct fuse_nodes *t = &f->nodes;
	const uint64_t generations = t->generations;

	for (uint32_t i = 0; i < t->nr_slots; i++) {
		fuse_node_drop_fd(f, node_at(t, i));
		free(node_at(t, i)->name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(t->chunk); i++)
		free(t->chunk[i]);
	free(t->bucket);
	*t = (struct fuse_nodes){ .generations = generations };
}

/* -- looking up ------------------------------------------------------------------------------ */

/* Tells the guest of slot i once more. */
static void fill_entry(struct fuse_server *f, uint32_t i, const struct statx *st,
		       struct fuse_entry_out *out)
{
	struct fuse_node *n = node_at(&f->nodes, i);

	n->lookups++;
	*out = (struct fuse_entry_out){
		.nodeid = i + 1ull,
		.generation = n->generation,
		.entry_valid = f->valid_s,
		.attr_valid = f->valid_s,
	};
	fuse_fill_attr(f, st, &out->attr);
}

/* Notes where n is found again. Without memory or without a name it keeps its descriptor. */
static void set_place(struct fuse_node *n, struct fuse_node *dir, const char *name)
{
	free(n->name);
	n->name = name ? strdup(name) : NULL;
	n->dir = dir;
	n->dir_generation = dir->generation;
}

void fuse_renamed(struct fuse_server *f, struct fuse_node *dir, const char *name)
{
	int dir_fd = fuse_node_fd(f, dir);
	struct statx st;
	uint32_t i;

	if (dir_fd < 0 ||
	    statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FUSE_STATX, &st) < 0)
		return;
	i = find(&f->nodes, fuse_dev(&st), st.stx_ino, st.stx_mnt_id);
	if (i > FUSE_ROOT_ID) {
		set_place(node_at(&f->nodes, i - 1), dir, name);
		fuse_node_touch(f, node_at(&f->nodes, i - 1));
	}
}

/* Returns slot + 1 of the node that is called name in dir, or 0. */
static uint32_t find_named(struct fuse_nodes *t, const struct statx *st, struct fuse_node *dir,
			   const char *name)
{
	uint32_t i = find(t, fuse_dev(st), st->stx_ino, st->stx_mnt_id);
	struct fuse_node *n = i ? node_at(t, i - 1) : NULL;

	if (!n || n->fd >= 0)
		return i; /* while a descriptor holds the file, no other has its number */
	if (!fuse_is_file(n, st)) {
		unchain(t, i - 1); /* it is gone, and another file has its number */
		return 0;
	}
	set_place(n, dir, name);
	return i;
}

/* Adds a node for the file of fd (O_PATH, kept), which has none. parent_dev is its directory's
 * device. */
static int add(struct fuse_server *f, int *fd, const struct statx *st, uint64_t parent_dev)
{
	struct fuse_nodes *t = &f->nodes;
	const uint64_t dev = fuse_dev(st);
	struct fuse_node *n;
	uint32_t slot;

	if (!t->free) {
		int rc = grow(t);

		if (rc < 0)
			return rc;
	}
	slot = t->free - 1;
	n = node_at(t, slot);
	t->free = n->next;
	*n = (struct fuse_node){
		.dev = dev,
		.ino = st->stx_ino,
		.mnt = st->stx_mnt_id,
		.born = st->stx_btime,
		.type = st->stx_mode & S_IFMT,
		.generation = ++t->generations,
		.closed = dev != parent_dev && fuse_is_kernels(*fd),
	};
	n->fd = take_fd(fd);
	fd_share_take(&f->fds, n->fd);
	chain(t, slot);
	return (int)slot;
}

static int enter(struct fuse_server *f, struct fuse_node *dir, int *fd, const char *name,
		 struct fuse_entry_out *out)
{
	struct statx st;
	int rc = fuse_stat(*fd, &st);
	uint32_t i;

	if (rc < 0)
		return rc;
	rc = fuse_make_room(f, 1) ? 0 : -ENFILE;
	i = find_named(&f->nodes, &st, dir, name);
	if (i && rc == 0 && node_at(&f->nodes, i - 1)->fd < 0) {
		fuse_node_keep_fd(f, node_at(&f->nodes, i - 1), fd);
	} else if (!i) {
		if (rc == 0)
			rc = add(f, fd, &st, dir->dev);
		if (rc < 0)
			return rc;
		i = (uint32_t)rc + 1;
		set_place(node_at(&f->nodes, i - 1), dir, name);
		fuse_node_touch(f, node_at(&f->nodes, i - 1));
	}
	fill_entry(f, i - 1, &st, out);
	return 0;
}

int fuse_lookup(struct fuse_server *f, struct fuse_node *dir, const char *name, bool known,
		struct fuse_entry_out *out)
{
	int dir_fd = fuse_node_fd(f, dir);
	AUTO_CLOSE int fd = -1;
	struct statx st;
	uint32_t i;

	if (dir_fd < 0)
		return dir_fd;
	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	if (dir->closed)
		return -ENOENT;
	if (known) {
		if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FUSE_STATX, &st) < 0)
			return -errno;
		i = find_named(&f->nodes, &st, dir, name);
		if (i) {
			fill_entry(f, i - 1, &st, out);
			return 0;
		}
	}
	fd = fuse_open_path(f, dir_fd, name);
	return fd < 0 ? fd : enter(f, dir, &fd, name, out);
}

int fuse_lookup_fd(struct fuse_server *f, struct fuse_node *dir, int fd, const char *name,
		   struct fuse_entry_out *out)
{
	AUTO_CLOSE int path_fd = fuse_open_fd(f, fd, O_PATH);

	return path_fd < 0 ? path_fd : enter(f, dir, &path_fd, name, out);
}

bool fuse_knows(struct fuse_server *f, const struct fuse_node *dir, uint64_t ino)
{
	return find(&f->nodes, dir->dev, ino, dir->mnt);
}

int fuse_nodes_init(struct fuse_server *f)
{
	AUTO_CLOSE int fd = fcntl(f->root_fd, F_DUPFD_CLOEXEC, 0);
	struct statx st;
	int rc = fd < 0 ? -errno : fuse_stat(fd, &st);

	if (rc == 0)
		rc = add(f, &fd, &st, f->root_dev);
	if (rc < 0)
		return rc;
	node_at(&f->nodes, (uint32_t)rc)->lookups = 1; /* slot 0 has the root's id */
	return 0;
}

/* -- opcodes --------------------------------------------------------------------------------- */

int fuse_do_lookup(struct fuse_server *f, struct fuse_request *r)
{
	int rc = fuse_lookup(f, r->node, r->name[0], true, &r->out.entry);

	/* Node 0: the guest may believe that there is no such file, for as long as any other
	 * answer. */
	if (rc == -ENOENT && f->valid_s) {
		r->out.entry = (struct fuse_entry_out){ .entry_valid = f->valid_s };
		return 0;
	}
	return rc;
}
