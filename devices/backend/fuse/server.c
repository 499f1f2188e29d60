/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The session: the form of each opcode, and how a request is served. A request is copied, and its
 * lengths and names are checked once, here; the functions of the other files rely on that.
 *
 * Opcodes that aren't in the table are answered by ENOSYS; then the guest's kernel does without
 * them and never asks again. It keeps locks itself, needs no FLUSH for a close (local file systems
 * report errors of writes at the write or fsync(2)), and decides ACCESS by mode and owner; ioctl,
 * poll and bmap have no answer here. INTERRUPT never finds a request to interrupt.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "backend/fuse/fuse_impl.h"

#define FUSE_MIN_MINOR 31 /* Linux 5.4, the first with virtio-fs */

_Static_assert(FUSE_MAX_IO / 4096 <= UINT16_MAX, "max_pages");

/* -- opcodes --------------------------------------------------------------------------------- */

static fuse_fn do_init, do_destroy, do_forget, do_batch_forget, do_nothing;

enum {
	MODIFIES = 1, /* EROFS on a read-only share */
	SILENT = 2,   /* is never answered */
	FREE = 4,     /* belongs to no node */
};

struct opcode {
	fuse_fn *fn;
	uint16_t in, out;          /* in: at least so many bytes; out: bytes */
	uint8_t components, texts; /* names after it: components, then any other texts */
	uint8_t flags;
};

#define IN(type)  .in = sizeof(struct type)
#define OUT(type) .out = sizeof(struct type)

static const struct opcode opcodes[] = {
	[FUSE_LOOKUP] = { fuse_do_lookup, OUT(fuse_entry_out), .components = 1 },
	[FUSE_FORGET] = { do_forget, IN(fuse_forget_in), .flags = SILENT | FREE },
	[FUSE_GETATTR] = { fuse_do_getattr, IN(fuse_getattr_in), OUT(fuse_attr_out) },
	[FUSE_SETATTR] = { fuse_do_setattr, IN(fuse_setattr_in), OUT(fuse_attr_out),
			   .flags = MODIFIES },
	[FUSE_READLINK] = { .fn = fuse_do_readlink },
	[FUSE_SYMLINK] = { fuse_do_symlink, OUT(fuse_entry_out), .components = 1, .texts = 1,
			   .flags = MODIFIES },
	[FUSE_MKNOD] = { fuse_do_mknod, IN(fuse_mknod_in), OUT(fuse_entry_out), .components = 1,
			 .flags = MODIFIES },
	[FUSE_MKDIR] = { fuse_do_mkdir, IN(fuse_mkdir_in), OUT(fuse_entry_out), .components = 1,
			 .flags = MODIFIES },
	[FUSE_UNLINK] = { fuse_do_unlink, .components = 1, .flags = MODIFIES },
	[FUSE_RMDIR] = { fuse_do_rmdir, .components = 1, .flags = MODIFIES },
	[FUSE_RENAME] = { fuse_do_rename, IN(fuse_rename_in), .components = 2, .flags = MODIFIES },
	[FUSE_LINK] = { fuse_do_link, IN(fuse_link_in), OUT(fuse_entry_out), .components = 1,
			.flags = MODIFIES },
	[FUSE_OPEN] = { fuse_do_open, IN(fuse_open_in), OUT(fuse_open_out) },
	[FUSE_READ] = { fuse_do_read, IN(fuse_read_in) },
	[FUSE_WRITE] = { fuse_do_write, IN(fuse_write_in), OUT(fuse_write_out), .flags = MODIFIES },
	[FUSE_STATFS] = { fuse_do_statfs, OUT(fuse_statfs_out) },
	[FUSE_RELEASE] = { fuse_do_release, IN(fuse_release_in), .flags = FREE },
	[FUSE_FSYNC] = { fuse_do_fsync, IN(fuse_fsync_in) },
	[FUSE_SETXATTR] = { fuse_do_setxattr, .in = FUSE_COMPAT_SETXATTR_IN_SIZE, .texts = 1,
			    .flags = MODIFIES },
	[FUSE_GETXATTR] = { fuse_do_getxattr, IN(fuse_getxattr_in), .texts = 1 },
	[FUSE_LISTXATTR] = { fuse_do_listxattr, IN(fuse_getxattr_in) },
	[FUSE_REMOVEXATTR] = { fuse_do_removexattr, .texts = 1, .flags = MODIFIES },
	[FUSE_INIT] = { do_init, .in = offsetof(struct fuse_init_in, flags2), OUT(fuse_init_out),
			.flags = FREE },
	[FUSE_OPENDIR] = { fuse_do_opendir, IN(fuse_open_in), OUT(fuse_open_out) },
	[FUSE_READDIR] = { fuse_do_readdir, IN(fuse_read_in) },
	[FUSE_RELEASEDIR] = { fuse_do_releasedir, IN(fuse_release_in), .flags = FREE },
	[FUSE_FSYNCDIR] = { fuse_do_fsyncdir, IN(fuse_fsync_in) },
	[FUSE_CREATE] = { fuse_do_create, IN(fuse_create_in),
			  .out = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
			  .components = 1, .flags = MODIFIES },
	[FUSE_INTERRUPT] = { do_nothing, .flags = SILENT | FREE },
	[FUSE_DESTROY] = { do_destroy, .flags = FREE },
	[FUSE_BATCH_FORGET] = { do_batch_forget, IN(fuse_batch_forget_in), .flags = SILENT | FREE },
	[FUSE_FALLOCATE] = { fuse_do_fallocate, IN(fuse_fallocate_in), .flags = MODIFIES },
	[FUSE_READDIRPLUS] = { fuse_do_readdirplus, IN(fuse_read_in) },
	[FUSE_RENAME2] = { fuse_do_rename2, IN(fuse_rename2_in), .components = 2,
			   .flags = MODIFIES },
	[FUSE_LSEEK] = { fuse_do_lseek, IN(fuse_lseek_in), OUT(fuse_lseek_out) },
	[FUSE_COPY_FILE_RANGE] = { fuse_do_copy_file_range, IN(fuse_copy_file_range_in),
				   OUT(fuse_write_out), .flags = MODIFIES },
	[FUSE_SYNCFS] = { fuse_do_syncfs, IN(fuse_syncfs_in) },
	[FUSE_TMPFILE] = { fuse_do_tmpfile, IN(fuse_create_in),
			   .out = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
			   .texts = 1, .flags = MODIFIES },
};

/* -- the session's own ----------------------------------------------------------------------- */

#define WANTED                                                                                     \
	(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK |                \
	 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |     \
	 FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2)

static void drop(struct fuse_server *f)
{
	fuse_unsynced_drop(f);
	fuse_handles_drop(f);
	fuse_nodes_drop(f);
	f->state.up = false;
}

static int do_init(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_init_in *in = &r->in.init;
	uint32_t wanted = WANTED | (f->cache == FUSE_CACHE_AUTO ? FUSE_AUTO_INVAL_DATA : 0);
	int rc;

	drop(f); /* a guest that begins anew has forgotten everything */
	r->out.init = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
	};
	if (in->major > FUSE_KERNEL_VERSION)
		return 0; /* it asks again, with our version */
	if (in->major < FUSE_KERNEL_VERSION || in->minor < FUSE_MIN_MINOR)
		return -EPROTO;
	rc = fuse_caller_prepare(&f->caller);
	if (rc == 0)
		rc = fuse_nodes_init(f);
	if (rc < 0) {
		drop(f);
		errno = -rc;
		return guest_errno(&f->log, "%s %s: the guest can't be served", f->option, f->path);
	}
	if (!f->readonly && !f->caller.masks)
		guest_err(
			&f->log,
			"%s %s: this thread can't have a umask of its own (Docker's seccomp filter forbids unshare): new files get minivmm's as well as the guest's",
			f->option, f->path);
	r->out.init.flags = in->flags & wanted;
	r->out.init.max_readahead = min(in->max_readahead, (uint32_t)FUSE_MAX_IO);
	r->out.init.max_write = FUSE_MAX_IO;
	r->out.init.max_pages = FUSE_MAX_IO / 4096;
	/* Half of the queue is left to requests that a process of the guest waits for. */
	r->out.init.max_background = VIRTQ_MAX_SIZE / 2;
	r->out.init.congestion_threshold = VIRTQ_MAX_SIZE / 8 * 3;
	r->out.init.time_gran = 1;
	f->state.up = true;
	return 0;
}

static int do_destroy(struct fuse_server *f, struct fuse_request *r __unused)
{
	drop(f);
	return 0;
}

static int do_forget(struct fuse_server *f, struct fuse_request *r)
{
	fuse_node_forget(f, r->head.nodeid, r->in.forget.nlookup);
	return 0;
}

static int do_batch_forget(struct fuse_server *f, struct fuse_request *r)
{
	const uint32_t begin = sizeof(r->head) + sizeof(r->in.batch_forget);
	uint32_t nr = min(r->in.batch_forget.count, (uint32_t)FUSE_MAX_FORGETS);
	struct fuse_forget_one *one = (void *)f->data;

	_Static_assert(FUSE_MAX_FORGETS * sizeof(*one) <= sizeof(f->data), "all at once");
	nr = min(nr, (r->len - begin) / (uint32_t)sizeof(*one));
	chain_read(r->chain, begin, one, nr * sizeof(*one));
	for (uint32_t i = 0; i < nr; i++)
		fuse_node_forget(f, one[i].nodeid, one[i].nlookup);
	return 0;
}

static int do_nothing(struct fuse_server *f __unused, struct fuse_request *r __unused)
{
	return 0;
}

/* -- serving --------------------------------------------------------------------------------- */

/* A name must be one component, which stays in its directory. */
static int check_component(const char *name)
{
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -EINVAL
											: 0;
}

/* Copies what follows the header, and finds the names in it. */
static int take_body(struct fuse_server *f, struct fuse_request *r, const struct opcode *op)
{
	const uint32_t begin = sizeof(r->head), len = r->len - begin;
	const unsigned names = op->components + op->texts;
	const uint32_t copied = names ? min(len, (uint32_t)sizeof(f->body)) : 0;
	uint32_t at = op->in;

	if (len < op->in)
		return -EINVAL;
	memset(&r->in, 0, sizeof(r->in));
	chain_read(r->chain, begin, &r->in, names ? op->in : min(len, sizeof(r->in)));
	chain_read(r->chain, begin, f->body, copied);
	for (unsigned i = 0; i < names; i++) {
		const char *end = memchr(f->body + at, '\0', copied - at);

		if (!end)
			return copied < len ? -ENAMETOOLONG : -EINVAL;
		r->name[i] = f->body + at;
		at = (uint32_t)(end + 1 - f->body);
		if (i < op->components) {
			int rc = check_component(r->name[i]);

			if (rc < 0)
				return rc;
		}
	}
	r->names_end = begin + at;
	return 0;
}

/* The root of a share of one file is the file's directory, of which the guest may know nothing
 * else. So only a few requests have an answer there. */
static int check_only(const struct fuse_server *f, struct fuse_request *r, const struct opcode *op)
{
	if (!f->only || r->head.nodeid != FUSE_ROOT_ID || op->flags & FREE)
		return 0;
	if (op->fn == fuse_do_getattr || op->fn == fuse_do_statfs || op->fn == fuse_do_syncfs)
		return 0;
	if (op->fn != fuse_do_lookup)
		return -EPERM;
	if (strcmp(r->name[0], FUSE_ONLY_NAME))
		return -ENOENT;
	r->name[0] = f->only;
	return 0;
}

/* The host may have put another file in its place. */
static int check_found(struct fuse_server *f, const struct fuse_request *r, const struct opcode *op)
{
	if (!f->only || op->fn != fuse_do_lookup || S_ISREG(r->out.entry.attr.mode))
		return 0;
	fuse_node_forget(f, r->out.entry.nodeid, 1);
	return -ENOENT;
}

/* Returns the node that the request changes if it succeeds; or NULL. Two directories of one request
 * are on one file system. */
static struct fuse_node *what_changes(struct fuse_server *f, const struct fuse_request *r,
				      const struct opcode *op)
{
	if (r->head.opcode == FUSE_OPEN)
		return r->in.open.flags & O_TRUNC ? r->node : NULL;
	if (r->head.opcode == FUSE_COPY_FILE_RANGE)
		return fuse_node(f, r->in.copy.nodeid_out);
	return op->flags & MODIFIES ? r->node : NULL;
}

static int dispatch(struct fuse_server *f, struct fuse_request *r, const struct opcode *op)
{
	struct fuse_node *changed;
	int rc;

	if (!op->fn)
		return -ENOSYS;
	if (!f->state.up && op->fn != do_init)
		return -ENOTCONN;
	if (op->flags & MODIFIES && f->readonly)
		return -EROFS;
	if (!(op->flags & SILENT) && r->room < op->out)
		return -EINVAL; /* before anything is done that couldn't be reported */
	f->busy = r->node = fuse_node(f, r->head.nodeid);
	if (!r->node && !(op->flags & FREE))
		return -ESTALE;
	rc = take_body(f, r, op);
	if (rc == 0)
		rc = check_only(f, r, op);
	if (rc < 0)
		return rc;
	changed = what_changes(f, r, op);
	if (changed)
		fuse_changed(f, changed);
	rc = op->fn(f, r);
	return rc == 0 ? check_found(f, r, op) : rc;
}

/* Writes the answer. Returns its length. */
static int answer(struct fuse_request *r, const struct opcode *op, int rc)
{
	struct fuse_out_header head = {
		.len = sizeof(head),
		.error = rc,
		.unique = r->head.unique,
	};

	if (rc == 0 && r->data_len > r->room)
		head.error = -ERANGE;
	if (head.error == 0 && r->data)
		head.len += (uint32_t)chain_write(r->chain, sizeof(head), r->data, r->data_len);
	else if (head.error == 0 && op->out)
		head.len += (uint32_t)chain_write(r->chain, sizeof(head), &r->out, op->out);
	else if (head.error == 0)
		head.len += r->written;
	chain_write(r->chain, 0, &head, sizeof(head));
	return (int)head.len;
}

int fuse_serve(struct fuse_server *f, const struct virtq_chain *c)
{
	static const struct opcode unknown = { 0 };
	const struct opcode *op = &unknown;
	struct fuse_request r;
	int rc;

	if (c->out_len < sizeof(r.head))
		return -EPROTO;
	r.chain = c;
	r.data = NULL;
	r.data_len = r.written = 0;
	chain_read(c, 0, &r.head, sizeof(r.head));
	r.len = r.head.len;
	if (r.head.opcode < ARRAY_SIZE(opcodes))
		op = &opcodes[r.head.opcode];
	if (!(op->flags & SILENT) && c->in_len < sizeof(struct fuse_out_header))
		return -EPROTO;
	r.room = c->in_len < sizeof(struct fuse_out_header)
			 ? 0
			 : (uint32_t)min(c->in_len - sizeof(struct fuse_out_header), FUSE_MAX_IO);
	if (r.len < sizeof(r.head) || r.len > c->out_len)
		rc = -EINVAL;
	else
		rc = dispatch(f, &r, op);
	return op->flags & SILENT ? 0 : answer(&r, op, rc);
}

/* -- life ------------------------------------------------------------------------------------ */

/* Replaces *fd, an open file, by its directory, and keeps the file's name. */
static int open_parent(struct fuse_server *f, int *fd, const struct statx *file)
{
	char link[FUSE_FD_NAME + sizeof("/proc/self/fd/")], path[PATH_MAX];
	struct statx st;
	ssize_t len;
	char *name;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", *fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len > 0 ? len : 0] = '\0';
	name = strrchr(path, '/');
	if (!name)
		return log_ret(-ENOENT, "%s %s: the file has no name any more", f->option, f->path);
	*name++ = '\0';
	f->only = strdup(name);
	if (!f->only)
		return log_ret(-ENOMEM, "shared directories: out of memory");
	close_fd(fd);
	*fd = open(*path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return log_errno("%s %s: the directory that it is in", f->option, f->path);
	if (statx(*fd, name, AT_SYMLINK_NOFOLLOW, FUSE_STATX, &st) < 0 ||
	    st.stx_ino != file->stx_ino || fuse_dev(&st) != fuse_dev(file))
		return log_ret(-ENOENT, "%s %s: the file is no longer at %s/%s", f->option, f->path,
			       path, name);
	return 0;
}

/* Returns 0 or -errno, logged. */
static int open_dir(struct fuse_server *f, bool files, struct statx *st)
{
	const char *kind = files ? "a directory or a regular file" : "a directory";
	int rc = 0;

	f->root_fd = open(f->path, O_PATH | (files ? 0 : O_DIRECTORY) | O_CLOEXEC);
	if (f->root_fd < 0)
		return log_errno("%s %s", f->option, f->path);
	if (fuse_stat(f->root_fd, st) < 0)
		return log_errno("%s %s: statx", f->option, f->path);
	if (S_ISDIR(st->stx_mode))
		return 0;
	if (!S_ISREG(st->stx_mode))
		return log_ret(-EINVAL, "%s %s: this is not %s; nothing else can be shared",
			       f->option, f->path, kind);
	rc = open_parent(f, &f->root_fd, st);
	if (rc == 0 && fuse_stat(f->root_fd, st) < 0)
		return log_errno("%s %s: statx", f->option, f->path);
	return rc;
}

/* What a server keeps: descriptors of struct kept. A shared file is not kept: only the command
 * shares files, and its guest lives once. */
enum { KEPT_ROOT, KEPT_PROC };

static int open_by_name(struct fuse_server *f, const struct fuse_options *o, struct statx *st)
{
	int rc = open_dir(f, o->files, st);

	if (rc < 0)
		return rc;
	f->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->proc_fd < 0)
		return log_errno("%s needs /proc: open /proc/self/fd", f->option);
	if (f->only)
		return 0;
	rc = kept_keep(o->kept, KEPT_ROOT, f->root_fd, f->path);
	return rc == 0 ? kept_keep(o->kept, KEPT_PROC, f->proc_fd, f->path) : rc;
}

static int open_kept(struct fuse_server *f, const struct kept *kept, struct statx *st)
{
	f->root_fd = kept_open(kept, KEPT_ROOT);
	f->proc_fd = kept_open(kept, KEPT_PROC);
	if (f->root_fd < 0 || f->proc_fd < 0 || fuse_stat(f->root_fd, st) < 0)
		return log_errno("%s %s", f->option, f->path);
	return 0;
}

static int open_root(struct fuse_server *f, const struct fuse_options *o)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH };
	struct statx st;
	int fd =
		kept_has(o->kept, KEPT_ROOT) ? open_kept(f, o->kept, &st) : open_by_name(f, o, &st);

	if (fd < 0)
		return fd;
	if (fuse_is_kernels(f->root_fd))
		return log_ret(-EINVAL,
			       "%s %s: this directory is the kernel's, as /proc is; share another",
			       f->option, f->path);
	f->root_dev = fuse_dev(&st);
	fd = (int)syscall(SYS_openat2, f->root_fd, ".", &how, sizeof(how));
	if (fd < 0)
		return log_errno("%s %s: openat2 (Linux 5.6 has it, if no filter forbids it)",
				 f->option, f->path);
	close(fd);
	return 0;
}

int fuse_server_new(struct fuse_server **f, const struct fuse_options *o)
{
	struct fuse_server *s = *f = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return log_ret(-ENOMEM, "shared directories: out of memory");
	s->option = o->option ?: "--fs";
	s->root_fd = s->proc_fd = -1;
	s->readonly = o->readonly;
	s->cache = o->cache;
	s->stopping = o->stopping;
	s->unsynced.tree = true; /* the guest's life before this one may have left something */
	s->valid_s = o->cache == FUSE_CACHE_NONE ? 0 : o->cache == FUSE_CACHE_AUTO ? 1 : 86400;
	s->path = strdup(o->path);
	if (asprintf(&s->what, "%s %s", s->option, o->path) < 0)
		s->what = NULL;
	fd_share_init(&s->fds, o->fds, s->what, UINT32_MAX);
	rc = s->path && s->what ? open_root(s, o)
				: log_ret(-ENOMEM, "shared directories: out of memory");
	if (rc < 0) {
		fuse_server_free(s);
		*f = NULL;
	}
	return rc;
}

void fuse_server_free(struct fuse_server *f)
{
	if (!f)
		return;
	f->unsynced.nr = 0; /* nobody will ask for a sync any more */
	drop(f);
	close_fd(&f->root_fd);
	close_fd(&f->proc_fd);
	free(f->path);
	free(f->only);
	free(f->what);
	free(f);
}

void fuse_server_reset(struct fuse_server *f)
{
	drop(f);
}
