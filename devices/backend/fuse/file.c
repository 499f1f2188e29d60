/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that the guest has opened, and their contents. */
#include <sys/vfs.h>

#include "backend/fuse/fuse_impl.h"

/* A longer copy is cut, so that the rest of the loop has its turn; callers of copy_file_range(2)
 * expect that. */
#define MAX_COPY (16 * MIB)

/* The modes of fallocate(2) that are passed on, a slice at a time. */
#define FALLOCATE_SLICE (64 * MIB) /* after each it is asked whether the machine is to stop */
#define FALLOCATE_MODES (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)

/* -- opening --------------------------------------------------------------------------------- */

/* O_APPEND and O_SYNC come with each write: what the guest's kernel writes back from mapped memory
 * goes to its own place, by any descriptor of the file. O_DIRECT is about the guest's cache; the
 * host's own stays in use. */
int fuse_open_flags(const struct fuse_server *f, uint32_t flags)
{
	const int mode = (int)flags & O_ACCMODE;

	if (mode == O_ACCMODE)
		return -EINVAL;
	if (f->readonly && (mode != O_RDONLY || flags & O_TRUNC))
		return -EROFS;
	return mode | ((int)flags & O_TRUNC);
}

void fuse_opened(struct fuse_server *f, struct fuse_node *n, int fd, bool fresh,
		 struct fuse_open_out *out)
{
	*out = (struct fuse_open_out){ 0 };
	switch (f->cache) {
	case FUSE_CACHE_NONE:
		out->open_flags = FOPEN_DIRECT_IO;
		break;
	case FUSE_CACHE_ALWAYS:
		out->open_flags = FOPEN_KEEP_CACHE;
		break;
	case FUSE_CACHE_AUTO:
		out->open_flags = fresh || fuse_node_changed(n, fd) ? 0 : FOPEN_KEEP_CACHE;
		break;
	}
	out->fh = fuse_handle_add(f, n, fd);
}

int fuse_do_open(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_open_in *in = &r->in.open;
	int flags = fuse_open_flags(f, in->flags), fd;
	bool humble;

	if (flags < 0)
		return flags;
	if (r->node->type == S_IFDIR)
		return -EISDIR;
	humble = in->open_flags & FUSE_OPEN_KILL_SUIDGID && fuse_caller_humble(&f->caller, -1);
	fd = fuse_node_open(f, r->node, flags);
	if (humble)
		fuse_caller_proud();
	if (fd < 0)
		return fd;
	fuse_opened(f, r->node, fd, false, &r->out.open);
	return 0;
}

int fuse_do_release(struct fuse_server *f, struct fuse_request *r)
{
	return fuse_handle_release(f, r->in.release.fh, false);
}

/* -- content --------------------------------------------------------------------------------- */

/* Reads straight into guest memory, after the answer's header. */
int fuse_do_read(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_read_in *in = &r->in.read;
	const struct fuse_handle *h = fuse_handle(f, in->fh, false);
	const uint32_t len = min(in->size, r->room);
	struct iovec iov[VIRTQ_MAX_SIZE];
	unsigned nr;
	ssize_t n;

	if (!h)
		return -EBADF;
	if (!len)
		return 0;
	nr = iov_cut(iov, r->chain->iov + r->chain->nr_out, sizeof(struct fuse_out_header), len);
	n = preadv(h->fd, iov, (int)nr, (off_t)in->offset);
	if (n < 0)
		return -errno;
	r->written = (uint32_t)n;
	return 0;
}

/* Writes straight from guest memory. */
int fuse_do_write(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_write_in *in = &r->in.write;
	const struct fuse_handle *h = fuse_handle(f, in->fh, false);
	const uint32_t begin = sizeof(r->head) + sizeof(*in);
	const bool cache = in->write_flags & FUSE_WRITE_CACHE;
	struct iovec iov[VIRTQ_MAX_SIZE];
	int flags = 0;
	unsigned nr;
	bool humble;
	ssize_t n;

	if (!h)
		return -EBADF;
	/* -1 would be the descriptor's own position. */
	if (in->size > FUSE_MAX_IO || in->size > r->len - begin || in->offset > INT64_MAX)
		return -EINVAL;
	if (!cache && in->flags & O_APPEND)
		flags |= RWF_APPEND;
	if (in->flags & O_DSYNC)
		flags |= (in->flags & O_SYNC) == O_SYNC ? RWF_SYNC : RWF_DSYNC;
	nr = iov_cut(iov, r->chain->iov, begin, in->size);
	humble = in->write_flags & FUSE_WRITE_KILL_SUIDGID && fuse_caller_humble(&f->caller, h->fd);
	n = pwritev2(h->fd, iov, (int)nr, (off_t)in->offset, flags);
	if (n < 0)
		n = -errno;
	if (humble)
		fuse_caller_proud();
	if (n < 0)
		return (int)n;
	r->out.write = (struct fuse_write_out){ .size = (uint32_t)n };
	return 0;
}

/* Returns the end of the slice that begins at offset at. A slice is done at once, and ends where a
 * block does. If there are no data to remove, it is longer: the range may be longer than any
 * file. */
static uint64_t slice_end(int fd, uint32_t mode, uint64_t at, uint64_t end)
{
	uint64_t next = at / FALLOCATE_SLICE + 1;
	off_t data = 0;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		data = lseek(fd, (off_t)at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return end; /* there is none */
	if (data > 0)
		next = max(next, (uint64_t)data / FALLOCATE_SLICE);
	return min(end, next * FALLOCATE_SLICE);
}

/* Is there room for that many more bytes, including those that the file already has? A request that
 * can't be done as a whole must not fill the host's disk slice by slice. */
static bool has_room(int fd, uint64_t len)
{
	struct statfs fs;
	struct stat st;
	uint64_t free;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 || !fs.f_blocks)
		return true; /* it isn't known */
	if (__builtin_mul_overflow(fs.f_bfree, (uint64_t)fs.f_bsize, &free) ||
	    __builtin_add_overflow(free, (uint64_t)max(st.st_size, st.st_blocks * 512), &free))
		return true;
	return len <= free;
}

/* The host's file system may have to write the whole range, so it is done in slices. */
static int allocate(const struct fuse_server *f, int fd, const struct fuse_fallocate_in *in)
{
	uint64_t at = in->offset, end;

	if (__builtin_add_overflow(at, in->length, &end) || end > INT64_MAX || !in->length)
		return in->length ? -EFBIG : -EINVAL;
	if (!(in->mode & FALLOC_FL_PUNCH_HOLE) && !has_room(fd, in->length))
		return -ENOSPC;
	while (at < end) {
		const uint64_t next = slice_end(fd, in->mode, at, end);

		if (fuse_is_stopping(f))
			return -EINTR;
		if (fallocate(fd, (int)in->mode, (off_t)at, (off_t)(next - at)) < 0)
			return -errno;
		at = next;
	}
	return 0;
}

int fuse_do_fallocate(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_fallocate_in *in = &r->in.fallocate;
	const struct fuse_handle *h = fuse_handle(f, in->fh, false);
	bool humble;
	int rc;

	if (!h)
		return -EBADF;
	if (in->mode & ~(uint32_t)FALLOCATE_MODES)
		return -EOPNOTSUPP;
	humble = r->head.uid != 0 && fuse_caller_humble(&f->caller, h->fd);
	rc = allocate(f, h->fd, in);
	if (humble)
		fuse_caller_proud();
	return rc;
}

/* Reads and writes carry their offset, so nobody uses the descriptor's own position. */
int fuse_do_lseek(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_lseek_in *in = &r->in.lseek;
	const struct fuse_handle *h = fuse_handle(f, in->fh, false);
	off_t at;

	if (!h)
		return -EBADF;
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	at = lseek(h->fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return -errno;
	r->out.lseek = (struct fuse_lseek_out){ .offset = (uint64_t)at };
	return 0;
}

int fuse_do_copy_file_range(struct fuse_server *f, struct fuse_request *r)
{
	const struct fuse_copy_file_range_in *in = &r->in.copy;
	const struct fuse_handle *from = fuse_handle(f, in->fh_in, false);
	const struct fuse_handle *to = fuse_handle(f, in->fh_out, false);
	off_t off_in = (off_t)in->off_in, off_out = (off_t)in->off_out;
	bool humble;
	ssize_t n;

	if (!from || !to)
		return -EBADF;
	if (in->flags)
		return -EINVAL;
	humble = r->head.uid != 0 && fuse_caller_humble(&f->caller, to->fd);
	n = copy_file_range(from->fd, &off_in, to->fd, &off_out, min(in->len, MAX_COPY), 0);
	if (n < 0)
		n = -errno;
	if (humble)
		fuse_caller_proud();
	if (n < 0)
		return (int)n;
	r->out.write = (struct fuse_write_out){ .size = (uint32_t)n };
	return 0;
}
