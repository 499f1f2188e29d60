/* SPDX-License-Identifier: BSD-2-Clause */
/* A qcow2 image's header: opening an image, and making a new one. */
#include "backend/disk/qcow2_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/disk/quoted.h"
#include "vmm/log.h"

#define MAGIC      0x514649fbu /* "QFI\xfb" */
#define FORMAT_EXT 0xe2792acau
#define HEADER_LEN 104u
#define FIRST_LEN  (64 * KIB) /* header, extensions and names are in the first cluster */

/* Big-endian, as in the file. */
struct header {
	uint32_t magic, version;
	uint64_t backing_off;
	uint32_t backing_len, cluster_bits;
	uint64_t size;
	uint32_t crypt_method, l1_entries;
	uint64_t l1_off, reftable_off;
	uint32_t reftable_clusters, nr_snapshots;
	uint64_t snapshots_off, incompatible, compatible, autoclear;
	uint32_t refcount_order, header_len;
};
_Static_assert(sizeof(struct header) == HEADER_LEN, "version 3");

/* -- opening --------------------------------------------------------------------------------- */

/* Returns what is not supported, and what to do about it; NULL: it is supported. */
static const char *unsupported(const struct qcow2 *q, const struct header *h, bool readonly)
{
	enum { LAST_DAMAGE = 1 }; /* it can be read nevertheless */
	static const char *const incompatible[] = {
		"was not closed properly; repair it with qemu-img check -r all",
		[LAST_DAMAGE] = "is marked as corrupt; repair it with qemu-img check -r all",
		"keeps its data in another file, which minivmm does not support",
		"is compressed; convert it with qemu-img convert -O qcow2",
		"has extended L2 entries; convert it with qemu-img convert -O qcow2",
	};
	const uint64_t features = be64toh(h->incompatible);
	const uint32_t bits = be32toh(h->cluster_bits);

	if (be32toh(h->crypt_method))
		return "is encrypted, which minivmm does not support";
	for (unsigned i = 0; i < ARRAY_SIZE(incompatible); i++) {
		if (!(features >> i & 1))
			continue;
		if (!readonly || i > LAST_DAMAGE)
			return incompatible[i];
		log_warn("--disk %s: %s", q->name, incompatible[i]);
	}
	if (features >> ARRAY_SIZE(incompatible))
		return "has features that minivmm does not know; convert it with qemu-img convert -O qcow2";
	if (bits < QCOW2_MIN_CLUSTER_BITS || bits > QCOW2_MAX_CLUSTER_BITS)
		return "has clusters smaller than 64K or larger than 2M; convert it with qemu-img convert -O qcow2";
	if (be32toh(h->refcount_order) != 4)
		return "has refcounts that are not 16 bits wide; convert it with qemu-img convert -O qcow2";
	if (be32toh(h->nr_snapshots) && !readonly)
		return "has snapshots inside; convert it with qemu-img convert -O qcow2, or use readonly=on";
	return NULL;
}

static int check_magic(const struct qcow2 *q, const struct header *h)
{
	const uint32_t version = be32toh(h->version);

	if (be32toh(h->magic) != MAGIC)
		return log_ret(
			-EINVAL,
			"--disk %s: is not a qcow2 image (leave out format=qcow2 for a raw one; for overlay=, name a file that does not exist yet)",
			q->name);
	if (version == 2)
		return log_ret(
			-EINVAL,
			"--disk %s: is a qcow2 image of version 2; upgrade it with qemu-img amend -o compat=v3",
			q->name);
	if (version != 3)
		return log_ret(-EINVAL, "--disk %s: is a qcow2 image of unknown version %u",
			       q->name, version);
	return 0;
}

static int corrupt(const struct qcow2 *q, const char *what)
{
	return log_ret(-EUCLEAN, "--disk %s: the qcow2 image is damaged: %s (see qemu-img check)",
		       q->name, what);
}

/* Copies len bytes at off of the first cluster, and a NUL, to the string to, which has room for
 * most bytes and the NUL. */
static bool copy_name(char *to, uint32_t most, const uint8_t *first, uint64_t off, uint32_t len)
{
	if (len > most || off > FIRST_LEN || len > FIRST_LEN - off)
		return false;
	memcpy(to, first + off, len);
	to[len] = '\0';
	return strlen(to) == len;
}

/* Reads the extensions. They follow the header: type and length, both 32 bits, then as many bytes,
 * and up to 7 for alignment. Unknown ones may be ignored. */
static int read_extensions(const struct qcow2 *q, const struct header *h, const uint8_t *first,
			   struct qcow2_info *info)
{
	const uint64_t backing = be64toh(h->backing_off);
	uint64_t off = be32toh(h->header_len), end = min(backing ?: FIRST_LEN, FIRST_LEN);

	if (off < HEADER_LEN || off % 8)
		return corrupt(q, "the length of its header");
	while (off + 8 <= end) {
		uint32_t word[2], type, len;

		memcpy(word, first + off, sizeof(word));
		type = be32toh(word[0]);
		len = be32toh(word[1]);
		off += sizeof(word);
		if (!type)
			break;
		if (len > end - off)
			return corrupt(q, "an extension of its header");
		if (type == FORMAT_EXT &&
		    !copy_name(info->backing_format, QCOW2_MAX_FORMAT, first, off, len))
			return corrupt(q, "the format of its backing file");
		off += align_up(len, 8);
	}
	if (backing &&
	    !copy_name(info->backing, QCOW2_MAX_NAME, first, backing, be32toh(h->backing_len)))
		return corrupt(q, "the name of its backing file");
	return 0;
}

static int read_table(struct qcow2 *q, struct qcow2_table *t, uint64_t off, uint64_t len,
		      const char *what)
{
	const uint64_t end = q->file_end << q->cluster_bits;
	int rc;

	if (!off || off % q->cluster || off > end || len > end - off)
		return corrupt(q, what);
	t->off = off;
	t->len = len;
	t->data = malloc(len);
	if (!t->data)
		return log_ret(-ENOMEM, "--disk %s: out of memory", q->name);
	rc = qcow2_pread(q, t->data, len, off);
	return rc < 0 ? log_ret(rc, "--disk %s: %s", q->name, strerrordesc_np(-rc)) : 0;
}

/* An image that is only read needs no more of its L1 table than its size requires, and no
 * counts. */
static int read_tables(struct qcow2 *q, const struct header *h, enum qcow2_use use)
{
	const uint64_t per_l2 = q->cluster << q->l2_bits, entries = be32toh(h->l1_entries);
	const uint64_t needed = (q->size + per_l2 - 1) / per_l2;
	const uint64_t reftable = (uint64_t)be32toh(h->reftable_clusters) << q->cluster_bits;
	const bool writes = use != QCOW2_READ;
	int rc;

	if (entries < needed)
		return corrupt(q, "an L1 table that is too short");
	if (writes && entries > QCOW2_MAX_L1 / sizeof(uint64_t))
		return corrupt(q, "an L1 table that is too long");
	if (writes && (!reftable || reftable > QCOW2_MAX_REFTABLE))
		return corrupt(q, "the size of its refcount table");
	rc = read_table(q, &q->l1, be64toh(h->l1_off),
			(writes ? entries : needed) * sizeof(uint64_t),
			"the place of its L1 table");
	if (rc == 0 && writes)
		rc = read_table(q, &q->reftable, be64toh(h->reftable_off), reftable,
				"the place of its refcount table");
	return rc;
}

static int check_header(struct qcow2 *q, const struct header *h, enum qcow2_use use)
{
	const char *why;
	int rc = check_magic(q, h);

	if (rc < 0)
		return rc;
	why = unsupported(q, h, use == QCOW2_READ);
	if (why)
		return log_ret(-EINVAL, "--disk %s: %s", q->name, why);
	q->cluster_bits = be32toh(h->cluster_bits);
	q->cluster = 1ull << q->cluster_bits;
	q->l2_bits = q->cluster_bits - 3;
	q->block_bits = q->cluster_bits - 1;
	q->size = be64toh(h->size);
	if (!q->size || q->size % DISK_SECTOR || q->size > QCOW2_MAX_SIZE)
		return log_ret(
			-EINVAL,
			"--disk %s: its size, %llu bytes, is not possible for a disk (whole sectors of %d bytes, up to 64T)",
			q->name, (unsigned long long)q->size, DISK_SECTOR);
	return 0;
}

/* Returns the path of the file that q is in, quoted for a shell. q->name is for messages,
 * and may be more than a path: BASE,overlay=FILE. */
static const char *file_of(const struct qcow2 *q, char *to, size_t size)
{
	char self[32], path[1024];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", q->fd);
	n = readlink(self, path, sizeof(path) - 1);
	if (n <= 0)
		return "FILE";
	path[n] = '\0';
	return disk_quoted(to, size, path);
}

/* qemu-img repairs counts, and leaves tables that refer to nonsense as they are. */
static int refuse_damage(const struct qcow2 *q, const struct qcow2_damage *damage)
{
	char name[1100];
	const char *file = file_of(q, name, sizeof(name));

	if (damage->counts)
		return log_ret(
			-EUCLEAN,
			"--disk %s: the qcow2 image is damaged: %s (repair it with: qemu-img check -r all %s)",
			q->name, damage->what, file);
	return log_ret(
		-EUCLEAN,
		"--disk %s: the qcow2 image is damaged: %s (copy it again, or save what is left of it with: qemu-img convert --salvage -O qcow2 %s NEW.qcow2)",
		q->name, damage->what, file);
}

static int check_tables(struct qcow2 *q, enum qcow2_use use)
{
	struct qcow2_damage damage;
	int rc = qcow2_check(q, use != QCOW2_READ, &damage);

	q->next = 1;
	if (rc == -ENOTSUP)
		return log_ret(
			-EINVAL,
			"--disk %s: is compressed; convert it with qemu-img convert -O qcow2",
			q->name);
	if (rc < 0)
		return log_ret(rc, "--disk %s: %s", q->name, strerrordesc_np(-rc));
	if (!damage.what)
		return 0;
	if (use != QCOW2_READ)
		return refuse_damage(q, &damage);
	log_warn("--disk %s: the qcow2 image is damaged: %s; what is missing fails when it is read",
		 q->name, damage.what);
	return 0;
}

static int read_image(struct qcow2 *q, enum qcow2_use use, struct qcow2_info *info)
{
	uint8_t *first = malloc(FIRST_LEN);
	struct header h;
	off_t len;
	int rc = first ? qcow2_pread(q, first, FIRST_LEN, 0) : -ENOMEM;

	len = lseek(q->fd, 0, SEEK_END); /* a block device has an end, too */
	if (rc == 0 && len < 0)
		rc = -errno;
	if (rc < 0) {
		free(first);
		return log_ret(rc, "--disk %s: %s", q->name, strerrordesc_np(-rc));
	}
	memcpy(&h, first, sizeof(h));
	rc = check_header(q, &h, use);
	if (rc == 0) {
		q->autoclear = h.autoclear;
		q->len = (uint64_t)len;
		q->file_end = (q->len + q->cluster - 1) >> q->cluster_bits;
		info->size = q->size;
		rc = read_extensions(q, &h, first, info);
	}
	if (rc == 0)
		rc = read_tables(q, &h, use);
	if (rc == 0)
		rc = check_tables(q, use);
	free(first);
	return rc;
}

static void destroy(struct qcow2 *q)
{
	for (size_t i = 0; i < QCOW2_NR_L2; i++)
		free(q->l2[i].data);
	for (size_t i = 0; i < QCOW2_NR_BLOCKS; i++)
		free(q->block[i].data);
	free(q->l1.data);
	free(q->reftable.data);
	free(q->freed);
	free(q->bounce);
	free(q->name);
	free(q);
}

int qcow2_open(struct qcow2 **out, int fd, const char *name, enum qcow2_use use,
	       struct qcow2_info *info)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	int rc;

	*info = (struct qcow2_info){ 0 };
	if (q)
		q->name = strdup(name);
	if (!q || !q->name) {
		free(q);
		return log_ret(-ENOMEM, "--disk %s: out of memory", name);
	}
	q->fd = fd;
	q->readonly = use == QCOW2_READ || use == QCOW2_TRY;
	q->scratch = use == QCOW2_SCRATCH;
	rc = read_image(q, use, info);
	if (rc < 0) {
		destroy(q);
		return rc;
	}
	*out = q;
	return 0;
}

int qcow2_clear_autoclear(struct qcow2 *q)
{
	const uint64_t none = 0;
	int rc = qcow2_pwrite(q->fd, &none, sizeof(none), offsetof(struct header, autoclear));

	if (rc == 0)
		rc = qcow2_barrier(q);
	q->autoclear = rc < 0;
	return rc;
}

void qcow2_set_base(struct qcow2 *q, const struct qcow2_base *base)
{
	q->base = *base;
}

int qcow2_close(struct qcow2 *q)
{
	int rc = q->readonly ? 0 : qcow2_flush(q);

	destroy(q);
	return rc;
}

/* -- making one ------------------------------------------------------------------------------ */

/* The places of the parts of a new image, in clusters: the header, the refcount table, one refcount
 * block, the L1 table. */
struct layout {
	uint64_t reftable, block, l1, end;
	uint64_t l1_entries;
};

#define CLUSTER      (64 * KIB)
#define CLUSTER_BITS 16
#define PER_TABLE    (CLUSTER / 8) /* entries of an L1, L2 or refcount table in a cluster */
#define PER_BLOCK    (CLUSTER / 2)

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

/* The refcount table is made for a full disk, as it never grows. Twice the disk's clusters are more
 * than enough for the metadata and for what a crash or a discard leaves unused. */
static struct layout lay_out(uint64_t size)
{
	const uint64_t clusters = div_up(size, CLUSTER);
	struct layout l = { .reftable = 1 };

	l.l1_entries = div_up(clusters, PER_TABLE);
	l.block = l.reftable + div_up(div_up(2 * clusters + 1024, PER_BLOCK), PER_TABLE);
	l.l1 = l.block + 1;
	l.end = l.l1 + div_up(l.l1_entries, PER_TABLE);
	return l;
}

static size_t put_header(uint8_t *first, const struct qcow2_info *info, const struct layout *l)
{
	const size_t format_len = strlen(info->backing_format), name_len = strlen(info->backing);
	const uint32_t ext[2] = { htobe32(FORMAT_EXT), htobe32((uint32_t)format_len) };
	size_t end = HEADER_LEN;
	struct header h = {
		.magic = htobe32(MAGIC),
		.version = htobe32(3),
		.cluster_bits = htobe32(CLUSTER_BITS),
		.size = htobe64(info->size),
		.l1_entries = htobe32((uint32_t)l->l1_entries),
		.l1_off = htobe64(l->l1 * CLUSTER),
		.reftable_off = htobe64(l->reftable * CLUSTER),
		.reftable_clusters = htobe32((uint32_t)(l->block - l->reftable)),
		.refcount_order = htobe32(4),
		.header_len = htobe32(HEADER_LEN),
	};

	if (format_len) {
		memcpy(first + end, ext, sizeof(ext));
		memcpy(first + end + sizeof(ext), info->backing_format, format_len);
		end += sizeof(ext) + align_up(format_len, 8);
	}
	end += sizeof(ext); /* zeroes: the last one */
	if (name_len) {
		h.backing_off = htobe64(end);
		h.backing_len = htobe32((uint32_t)name_len);
		memcpy(first + end, info->backing, name_len);
		end += name_len;
	}
	memcpy(first, &h, sizeof(h));
	return end;
}

int qcow2_create(int fd, const struct qcow2_info *info)
{
	const struct layout l = lay_out(info->size);
	const uint64_t block = htobe64(l.block * CLUSTER);
	uint16_t counts[512];
	uint8_t *first;
	size_t len;
	int rc;

	_Static_assert(QCOW2_MAX_SIZE / CLUSTER / PER_TABLE / PER_TABLE + 32 < ARRAY_SIZE(counts),
		       "all that is counted at first");
	if (!info->size || info->size > QCOW2_MAX_SIZE)
		return -EFBIG;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		counts[i] = htobe16(i < l.end);
	if (ftruncate(fd, (off_t)(l.end * CLUSTER)) < 0)
		return -errno;
	rc = qcow2_pwrite(fd, counts, sizeof(counts), l.block * CLUSTER);
	if (rc == 0)
		rc = qcow2_pwrite(fd, &block, sizeof(block), l.reftable * CLUSTER);
	first = rc == 0 ? calloc(1, CLUSTER) : NULL;
	if (rc == 0 && !first)
		rc = -ENOMEM;
	if (rc == 0) {
		len = put_header(first, info, &l);
		rc = qcow2_pwrite(fd, first, len, 0);
	}
	free(first);
	return rc;
}
