/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the files of the FUSE server (fuse.h), and by them alone. Each file calls only files to
 * the right of it, but make.c also calls file.c:
 *
 *   server --> attr, file, dir, make, xattr --> node --> sync --> handle --> lend --> stat
 *   server --> caller
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "backend/fuse/fuse.h"

#define FUSE_MAX_IO      MIB        /* of a read or write */
#define FUSE_MAX_BODY    (8 * KIB)  /* of a request with names in it */
#define FUSE_MAX_DATA    (64 * KIB) /* of an answer that isn't a file's content; XATTR_SIZE_MAX */
#define FUSE_MAX_FORGETS 4096       /* in one request */
#define FUSE_MAX_NODES   (512 * KIB)
#define FUSE_MAX_HANDLES (64 * KIB)

/*
 * The files that the guest knows (struct fuse_node), in a table that never moves them:
 *
 *   chunk[0] --> | slot 0: the root | slot 1 | ... | slot 1023 |      a file's node id, by which
 *   chunk[1] --> | slot 1024 | ...                             |      the guest names it: slot + 1
 *
 * Lists go through its slots:
 *
 *   bucket[hash of dev, ino, mnt] --next--> node --next--> node       all that are hashed
 *   free --next--> slot --next--> slot                                lookups is 0
 *   oldest <--older, newer--> node <--older, newer--> newest          by last use: all listed ones
 *   node.opened --next, before--> handle --next, before--> handle     the handles of a file
 *
 * Descriptors are few, and a guest's cache may be large. So when they run out, files that were not
 * used lately lose theirs: oldest first, and only if they can be found again, by a handle, or by
 * name in dir while dir has generation dir_generation (its slot may be another file's by then).
 *
 *   lookups   fd     hashed
 *   0         none   no       a free slot
 *   1 on      open   yes      no other file has these numbers while the descriptor is open
 *   1 on      none   yes      it has lost it: found again, and compared (fuse_is_file())
 *   1 on      none   no       it is gone, and another file has its numbers: only its id leads to it
 *
 * If the name leads to another file by then, the guest is told so (ESTALE); its kernel looks the
 * path up again.
 */
struct fuse_node {
	int fd;           /* O_PATH, or -1 */
	uint32_t next;    /* its neighbour in a hash chain or in the free list: slot + 1, or 0 */
	uint64_t lookups; /* how often the guest was told of it; 0: free */
	uint64_t generation;
	uint64_t dev, ino, mnt;      /* what identifies it */
	mode_t type;                 /* S_IFMT */
	struct statx_timestamp born; /* or zeroes: inode numbers are used again for new files */
	bool unsynced;               /* it is in the server's list of that name */
	bool closed; /* a mount point of the host's kernel: nothing below it is shown */
	bool hashed; /* it is found by dev, ino and mnt */

	/* Needed to take the descriptor back. */
	uint32_t opened;       /* slot + 1 of a handle of it, or 0 */
	unsigned pins;         /* how many need the descriptor just now */
	char *name;            /* owned; NULL (as the root's): keeps fd while there is no handle */
	struct fuse_node *dir; /* where the name is, while it has this generation */
	uint64_t dir_generation;
	bool listed; /* it may lose its descriptor; its neighbours by last use */
	struct fuse_node *older, *newer;

	/* When it was last opened, for FUSE_CACHE_AUTO. */
	struct fuse_stamp {
		struct statx_timestamp mtime, ctime;
		uint64_t size;
	} stamp;
};

#define FUSE_NODES_A_CHUNK 1024u

/* Nodes stay where they are while the table grows. */
struct fuse_nodes {
	struct fuse_node *chunk[FUSE_MAX_NODES / FUSE_NODES_A_CHUNK];
	uint32_t nr_slots;                 /* existing ones */
	uint32_t free;                     /* slot + 1, or 0 */
	uint32_t *bucket;                  /* slot + 1 of the first, or 0 */
	uint32_t nr_buckets;               /* a power of two */
	uint64_t generations;              /* the last one given out: none is given out twice */
	struct fuse_node *oldest, *newest; /* those that may lose their descriptor */
};

/* A file that the guest opened: its number is the slot's. */
struct fuse_handle {
	int fd; /* -1: this slot is free */
	bool dir;
	uint32_t next, before;  /* in the free list or its node's: slot + 1, or 0 */
	struct fuse_node *node; /* its node, while that has this generation */
	uint64_t generation;
	uint64_t cookie; /* for a directory: where fd stands, or FUSE_NOWHERE */
};
#define FUSE_NOWHERE UINT64_MAX

struct fuse_handles {
	struct fuse_handle *slot;
	uint32_t nr_slots, nr, free;
};

/* What the guest changed and was not told to be stable (sync.c). */
struct fuse_unsynced {
	bool tree; /* anything in the directory's file system */
	int error; /* of writes in between: 0 or -errno */
	unsigned nr;
	/* A file: its content; a directory: anything on that file system */
	struct fuse_node *node[16];
};

/* The caller's rights for the length of a request (caller.c). */
struct fuse_caller {
	bool ready;  /* this thread is prepared */
	bool masks;  /* it has a umask of its own */
	bool root;   /* we may take anybody's ids */
	bool fsetid; /* we keep the set-id bits of what we write to */
	mode_t mask; /* ours, when the thread has a umask of its own */
	gid_t gid;   /* ours */
};

struct fuse_server {
	const char *option; /* for messages */
	char *path;         /* for messages, too */
	bool readonly;
	char *only; /* the only file that the guest sees in the root; NULL: it sees all */
	enum fuse_cache cache;
	uint64_t valid_s; /* how long the guest may believe an answer */

	int root_fd, proc_fd; /* O_PATH: the directory; /proc/self/fd */
	uint64_t root_dev;
	struct fd_share fds; /* for nodes and handles */
	char *what;          /* what its messages are about: option and path */

	/* All that a snapshot can keep as it is. The rest are nodes and handles, whose slots are
	 * the ids that the guest knows. They have descriptors, which belong to this process; later
	 * or elsewhere only a path can open the same file, and one that was unlinked or replaced
	 * has none. */
	struct fuse_state {
		bool up; /* FUSE_INIT was seen */
	} state;

	struct fuse_caller caller;
	struct fuse_nodes nodes;
	struct fuse_handles handles;
	struct fuse_unsynced unsynced;
	const bool *stopping; /* or NULL; atomic; not owned */
	struct ratelimit log;
	const struct fuse_node *busy; /* the request being served is about this one */

	/* The body of the request that is being served. */
	_Alignas(8) char body[FUSE_MAX_BODY];
	_Alignas(8) char data[FUSE_MAX_DATA];
};

/* A request, copied, and its answer. */
struct fuse_request {
	const struct virtq_chain *chain;
	struct fuse_in_header head;
	uint32_t len;           /* of the whole answer, within chain->out_len */
	struct fuse_node *node; /* the one of head.nodeid */
	const char *name[2];    /* as many as the opcode has; components are checked */
	uint32_t names_end;     /* offset in the request of what follows the names */
	uint32_t room;          /* for the answer after its header, up to FUSE_MAX_IO */

	union {
		struct fuse_init_in init;
		struct fuse_forget_in forget;
		struct fuse_batch_forget_in batch_forget;
		struct fuse_getattr_in getattr;
		struct fuse_setattr_in setattr;
		struct fuse_mknod_in mknod;
		struct fuse_mkdir_in mkdir;
		struct fuse_rename2_in rename;
		struct fuse_link_in link;
		struct fuse_open_in open;
		struct fuse_create_in create;
		struct fuse_release_in release;
		struct fuse_read_in read;
		struct fuse_write_in write;
		struct fuse_fsync_in fsync;
		struct fuse_setxattr_in setxattr;
		struct fuse_getxattr_in getxattr;
		struct fuse_fallocate_in fallocate;
		struct fuse_lseek_in lseek;
		struct fuse_copy_file_range_in copy;
	} in;

	/* The answer is out, with the opcode's length; or data[0..data_len); or it is in the chain
	 * already. */
	union {
		struct fuse_init_out init;
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct {
			struct fuse_entry_out entry;
			struct fuse_open_out open;
		} create;
		struct fuse_write_out write;
		struct fuse_statfs_out statfs;
		struct fuse_getxattr_out getxattr;
		struct fuse_lseek_out lseek;
	} out;
	const void *data;
	uint32_t data_len;
	uint32_t written; /* bytes written to the chain after the place of the header */
};

/* Serves one opcode. Returns 0, or -errno for the guest. */
typedef int fuse_fn(struct fuse_server *f, struct fuse_request *r);

/* The root, which is the first node. */
static inline struct fuse_node *fuse_root(const struct fuse_server *f)
{
	return f->nodes.chunk[0];
}

/* Must what takes long be broken off? */
static inline bool fuse_is_stopping(const struct fuse_server *f)
{
	return f->stopping && __atomic_load_n(f->stopping, __ATOMIC_RELAXED);
}

/* -- what the host says of a file (stat.c) --------------------------------------------------- */

#define FUSE_STATX (STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME)
/* Returns 0 or -errno. */
int fuse_stat(int fd, struct statx *st);
uint64_t fuse_dev(const struct statx *st);
/* The name of fd in /proc/self/fd. */
#define FUSE_FD_NAME 16
const char *fuse_fd_name(char name[FUSE_FD_NAME], int fd);
/* Has the file changed since this was last asked? */
bool fuse_node_changed(struct fuse_node *n, int fd);
/* Returns the number that the guest sees for inode number ino of a device: unique also where other
 * file systems are mounted below. */
uint64_t fuse_ino(const struct fuse_server *f, uint64_t dev, uint64_t ino);
void fuse_fill_attr(const struct fuse_server *f, const struct statx *st, struct fuse_attr *a);

/* Is that on a file system whose files control or show the host's kernel, or this process's
 * memory? */
bool fuse_is_kernels(int fd);

/* -- nodes' descriptors (lend.c) ------------------------------------------------------------- */

/* Returns n's descriptor (O_PATH), or -errno. It stays open until the next call of any of these
 * functions; that of the busy node stays open until the request is served. */
int fuse_node_fd(struct fuse_server *f, struct fuse_node *n);
/* fuse_node_keep_fd() takes *fd for n, which has no descriptor; fuse_node_drop_fd() closes n's. */
void fuse_node_keep_fd(struct fuse_server *f, struct fuse_node *n, int *fd);
void fuse_node_drop_fd(struct fuse_server *f, struct fuse_node *n);
/* The last handle of n, fd, is about to be closed. n takes a descriptor of its own, as its name may
 * not lead to it any more. */
void fuse_node_last_handle(struct fuse_server *f, struct fuse_node *n, int fd);

/* n was used, or what decides whether it may lose its descriptor has changed. */
void fuse_node_touch(struct fuse_server *f, struct fuse_node *n);
/* openat2(2). If this process has no descriptor left, some files lose theirs. */
int fuse_openat(struct fuse_server *f, int dir_fd, const char *name, const struct open_how *how);
/* fuse_open_path() opens the file called name (a component) in the directory dir_fd (O_PATH);
 * fuse_open_fd() opens the file of fd anew. Both return a descriptor or -errno. */
int fuse_open_path(struct fuse_server *f, int dir_fd, const char *name);
int fuse_open_fd(struct fuse_server *f, int fd, int flags);
/* Is that n? */
bool fuse_is_file(const struct fuse_node *n, const struct statx *st);
/* Makes room for nr more descriptors if it can. Returns whether there is room. */
bool fuse_make_room(struct fuse_server *f, unsigned nr);

/* -- handles (handle.c) ---------------------------------------------------------------------- */

/* Called before anything is done that would need a handle in its answer: reserves a place for one
 * more handle, and descriptors for it and for finding its node again. Returns 0 or -errno. */
int fuse_handle_reserve(struct fuse_server *f) __must_check;
/* Keeps fd, which is n's, in the reserved place. Returns the handle's number. */
uint64_t fuse_handle_add(struct fuse_server *f, struct fuse_node *n, int fd);
/* Returns the handle with that number, which comes from the guest; NULL: there is none. */
struct fuse_handle *fuse_handle(struct fuse_server *f, uint64_t id, bool dir);
/* Closes the handle with that number, which comes from the guest. Returns 0, or -EBADF: there is
 * none. */
int fuse_handle_release(struct fuse_server *f, uint64_t id, bool dir);
void fuse_handles_drop(struct fuse_server *f);

/* Opens a regular file or directory anew, with these flags. Returns a descriptor, for which there
 * is a place among the handles, or -errno. */
int fuse_node_open(struct fuse_server *f, struct fuse_node *n, int flags);

/* -- what is on the host's disk (sync.c) ----------------------------------------------------- */

/* The guest changes n: the content or attributes of a file; or something in a directory. */
void fuse_changed(struct fuse_server *f, struct fuse_node *n);
/* n is about to be forgotten; or all nodes are. */
void fuse_unsynced_forget(struct fuse_server *f, struct fuse_node *n);
void fuse_unsynced_drop(struct fuse_server *f);

fuse_fn fuse_do_fsync, fuse_do_fsyncdir, fuse_do_syncfs;

/* -- nodes (node.c) -------------------------------------------------------------------------- */

/* Afterwards there is the root, as FUSE_ROOT_ID. Returns 0 or -errno. */
int fuse_nodes_init(struct fuse_server *f) __must_check;
void fuse_nodes_drop(struct fuse_server *f);

/* Returns the node with that id, which comes from the guest; NULL: there is none. */
struct fuse_node *fuse_node(struct fuse_server *f, uint64_t id);
void fuse_node_forget(struct fuse_server *f, uint64_t id, uint64_t lookups);
/* Makes the guest know the file called name (a component) in dir. known: it probably does already.
 * Returns 0 and fills *out, or -errno. */
int fuse_lookup(struct fuse_server *f, struct fuse_node *dir, const char *name, bool known,
		struct fuse_entry_out *out);
/* The same for the file of fd, which was made in dir as name (or NULL). */
int fuse_lookup_fd(struct fuse_server *f, struct fuse_node *dir, int fd, const char *name,
		   struct fuse_entry_out *out);
/* Does the guest know inode number ino of dir's file system? */
bool fuse_knows(struct fuse_server *f, const struct fuse_node *dir, uint64_t ino);

/* The file that is now called name in dir did not have that name before. */
void fuse_renamed(struct fuse_server *f, struct fuse_node *dir, const char *name);

fuse_fn fuse_do_lookup;

/* -- attributes (attr.c) --------------------------------------------------------------------- */

fuse_fn fuse_do_getattr, fuse_do_setattr, fuse_do_readlink, fuse_do_statfs;

/* -- files (file.c) -------------------------------------------------------------------------- */

/* Returns our flags for those of the guest's open(2); or -errno. */
int fuse_open_flags(const struct fuse_server *f, uint32_t flags);
/* Fills the answer about n's new descriptor, which is kept in the reserved place. fresh: the guest
 * can't have anything of the file in its cache. */
void fuse_opened(struct fuse_server *f, struct fuse_node *n, int fd, bool fresh,
		 struct fuse_open_out *out);

fuse_fn fuse_do_open, fuse_do_release, fuse_do_read, fuse_do_write, fuse_do_fallocate,
	fuse_do_lseek, fuse_do_copy_file_range;

/* -- directories (dir.c), making and removing files (make.c) --------------------------------- */

fuse_fn fuse_do_opendir, fuse_do_releasedir, fuse_do_readdir, fuse_do_readdirplus;
fuse_fn fuse_do_mknod, fuse_do_mkdir, fuse_do_symlink, fuse_do_link, fuse_do_unlink, fuse_do_rmdir,
	fuse_do_rename, fuse_do_rename2, fuse_do_create, fuse_do_tmpfile;

/* -- extended attributes (xattr.c) ----------------------------------------------------------- */

fuse_fn fuse_do_setxattr, fuse_do_getxattr, fuse_do_listxattr, fuse_do_removexattr;

/* -- the caller's rights (caller.c) ---------------------------------------------------------- */

/* Called once, on the thread that serves. Returns 0 or -errno. */
int fuse_caller_prepare(struct fuse_caller *c) __must_check;
/* Files that are made from now on belong to the caller, with its umask, which may clear more bits
 * of *mode. Returns 0; or -errno, with nothing changed. */
int fuse_caller_enter(const struct fuse_caller *c, const struct fuse_in_header *h, uint32_t mask,
		      mode_t *mode) __must_check;
void fuse_caller_leave(const struct fuse_caller *c, const struct fuse_in_header *h);
/* Makes the kernel clear the set-id bits of a file that is written or cut, as it does for others,
 * until fuse_caller_proud(). fd is of that file; -1: it isn't open yet. Returns false if
 * nothing was to be done, nor is to be undone: the kernel clears them anyway, or the file has
 * none. */
bool fuse_caller_humble(const struct fuse_caller *c, int fd);
void fuse_caller_proud(void);
