/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/kernel.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "arch/arch.h"
#include "command/initramfs.h"
#include "machine/cmdline.h"
#include "machine/command.h"
#include "machine/transport.h"
#include "vmm/log.h"
#include "vmm/thread.h"

/* -- the files ------------------------------------------------------------------------------- */

/* Only what can be mapped later is looked for and kept. A dry run looks at the kernel itself. */
static void open_cache(struct machine *m)
{
	if (m->ram.mappable && !m->config->kaslr && !m->owner.dry)
		kernels_open(&m->kernel.cache, m->config, MACHINE_KEPT(m, kernel));
}

static bool map_image(struct machine *m, const struct kernels_found *f)
{
	const struct boot_image *i = &f->e.image;
	const uint64_t len = i->end - i->start;

	return kernel_image_fits(i, &m->mem) &&
	       ram_map(&m->ram, gmem_slice(&m->mem, i->start, len), len, f->fd, f->e.image_at);
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A file that changes while it is read has no key, as nobody knows which bytes belong to it. */
static void check_unchanged(struct key *key, int fd, const struct stat *before)
{
	struct stat now;

	if (fstat(fd, &now) < 0 || now.st_size != before->st_size ||
	    !is_same_time(now.st_mtim, before->st_mtim) ||
	    !is_same_time(now.st_ctim, before->st_ctim))
		key->settled = false;
}

/* Reads the kernel's file, or maps its image: *f is that, or f->fd is -1. */
static int get_kernel(struct machine *m, const char *name, struct kernels_found *f)
{
	struct machine_kernel *k = &m->kernel;
	struct stat st;
	int rc;

	open_cache(m); /* before file_open(), which keeps the file: see kernels_open() */

	AUTO_CLOSE int fd = file_open("--kernel", name, MACHINE_KEPT(m, kernel), &st);

	if (fd < 0)
		return fd;
	k->key = key_of(fd, &st, &k->cache.st, k->cache.boot);
	if (kernels_find(&k->cache, &k->key, f) && map_image(m, f))
		return 0;
	kernels_let_go(f);
	rc = file_load(&k->file, fd, &st, "--kernel", name);
	if (rc < 0)
		return rc;
	check_unchanged(&k->key, fd, &st);
	if (!kernels_match(&k->cache, &k->file, &k->key, f) || !map_image(m, f))
		kernels_let_go(f);
	return 0;
}

/* -- placing --------------------------------------------------------------------------------- */

/* Only Linux gets Linux's own words. */
static int make_cmdline(struct machine *m, struct boot_request *r)
{
	const bool linux_kernel = m->config->command.argv || kernel_is_linux(r);

	m->cmdline = cmdline_make(m->config, linux_kernel);
	if (!m->cmdline)
		return -ENOMEM;
	m->marks_panics = linux_kernel && cmdline_marks_panics(m->cmdline);
	r->cmdline = m->cmdline;
	return 0;
}

static int place(struct machine *m, struct boot_request *r, const struct file *kernel)
{
	int rc = 0;

	r->kernel = kernel->data;
	r->kernel_len = kernel->len;
	if (getrandom(r->rng_seed, sizeof(r->rng_seed), 0) != sizeof(r->rng_seed))
		rc = log_errno("getrandom");
	if (rc == 0)
		rc = make_cmdline(m, r);
	transport_reserve(m, r);
	if (rc == 0)
		rc = board_load_kernel(&m->board, r, &m->placed);
	if (rc == 0 && m->config->command.argv)
		rc = command_check_kernel(r);
	return rc;
}

int machine_place_kernel(struct machine *m)
{
	const struct config *c = m->config;
	struct kernels_found found = { .fd = -1 };
	struct file initrd = { 0 };
	struct initramfs archive = { 0 };
	struct boot_request r = {
		.mem = &m->mem,
		.kaslr = c->kaslr,
		.kernel_name = c->command.argv ? command_kernel(&m->command) : c->kernel,
	};
	int rc = get_kernel(m, r.kernel_name, &found);

	if (rc == 0 && c->initrd)
		rc = file_read(&initrd, "--initrd", c->initrd, MACHINE_KEPT(m, initrd));
	if (rc == 0)
		rc = machine_command_initrd(m, &r, &initrd, &archive);
	m->times.files = monotonic_ns();
	r.image = found.fd < 0 ? NULL : &found.e.image;
	if (rc == 0)
		rc = place(m, &r, found.fd < 0 ? &m->kernel.file : &found.head);
	initramfs_free(&archive);
	file_free(&initrd);
	kernels_let_go(&found);
	if (m->placed.image.start == m->placed.image.end)
		kernels_close(&m->kernel.cache); /* nothing to keep */
	if (m->kernel.cache.dir < 0)
		file_free(&m->kernel.file);
	return rc;
}

/* -- keeping --------------------------------------------------------------------------------- */

/* What is wrong with a kernel has been said when it was placed. */
static void say_nothing(struct log_sink *s __unused, enum log_level level __unused,
			const char *text __unused)
{
}

/* Unpacks the kernel once more, as the guest changes what it has, and writes that. */
static int unpack_and_store(struct machine_kernel *k, const struct boot_image *i,
			    const struct gmem *mem)
{
	const struct boot_request r = {
		.mem = mem,
		.kernel = k->file.data,
		.kernel_len = k->file.len,
		.kernel_name = "",
		.cmdline = "",
	};
	struct log_sink silent = { .message = say_nothing }, *before = log_use(&silent);
	struct boot_image again;
	int rc = kernel_unpack(&r, &again);

	log_use(before);
	if (rc < 0)
		return rc;
	if (memcmp(&again, i, sizeof(again)))
		return -EINVAL;
	return kernels_store(&k->cache, &k->key, &k->file, i,
			     gmem_slice(mem, i->start, i->end - i->start), &k->stop);
}

static void *keep(void *arg)
{
	struct machine *m = arg;
	struct machine_kernel *k = &m->kernel;
	const struct boot_image *i = &m->placed.image;
	const uint64_t len = align_up(max(i->room_end, i->kernel_end), BOOT_PAGE);
	void *host = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct gmem mem = { 0 };
	int rc = host == MAP_FAILED ? -errno : gmem_add(&mem, 0, len, host);

	if (rc == 0)
		rc = unpack_and_store(k, i, &mem);
	if (host != MAP_FAILED)
		munmap(host, len);
	file_free(&k->file);
	if (rc == 0)
		log_info("kernel cache: the unpacked kernel is kept");
	else if (rc != -EEXIST && rc != -ECANCELED)
		log_info("kernel cache: the unpacked kernel can't be kept: %s",
			 strerrordesc_np(-rc));
	return NULL;
}

void machine_keep_kernel(struct machine *m)
{
	struct machine_kernel *k = &m->kernel;

	if (k->file.data && !k->storing)
		k->storing = thread_start(&k->thread, "kernel", keep, m) == 0;
}

void machine_leave_kernel(struct machine *m)
{
	struct machine_kernel *k = &m->kernel;

	__atomic_store_n(&k->stop, true, __ATOMIC_RELAXED);
	if (k->storing)
		pthread_join(k->thread, NULL);
	k->storing = false;
	file_free(&k->file);
	kernels_close(&k->cache);
}
