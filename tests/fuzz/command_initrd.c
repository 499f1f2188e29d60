/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of others that `minivmm run` reads to make its guest's initrd: a kernel, a directory of
 * modules, the root's passwd and group. The first byte says which of them the rest is; a line of
 * "=" divides two files. make-command-initrd-seeds makes corpus/command_initrd.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/command.h"
#include "fuzz.h"
#include "command/command.h"
#include "command/initramfs.h"

enum { KERNEL, MODULES, ROOT, NR_KINDS };

static char dir[] = "/dev/shm/fuzz-run-XXXXXX";

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	if (system(command) != 0)
		perror(command);
}

static const char *in_dir(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* The directory is the same for all inputs; its files are written anew. */
static void make_dir(void)
{
	static bool made;

	if (made)
		return;
	made = true;
	assert(mkdtemp(dir));
	assert(mkdir(in_dir("etc"), 0700) == 0);
	atexit(remove_dir);
}

static void make(const char *name, const uint8_t *data, size_t len)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert(fd >= 0);
	assert(write(fd, data, len) == (ssize_t)len);
	close(fd);
}

/* Makes two files of what comes before and after the line. */
static void make_two(const char *first, const char *second, const struct fuzz_in *in)
{
	const uint8_t *split = in->len ? memmem(in->data, in->len, "\n=\n", 3) : NULL;
	const size_t len = split ? (size_t)(split - in->data) : in->len;

	make(first, in->data, len);
	make(second, split ? split + 3 : in->data, split ? in->len - len - 3 : 0);
}

static void try(const struct config *c, const struct file *kernel)
{
	struct command r = { .config = c };
	static const char *const modules[] = { "virtio_pci", "virtiofs",
					       "vmw_vsock_virtio_transport", NULL };
	const struct file user = { 0 };
	struct initramfs a = { 0 };

	if (drivers_find(&r.drivers, c->command.modules, c->kernel, kernel) == 0 &&
	    command_initrd(&r, &user, modules, &a) == 0)
		assert(a.len > 0 && a.len % 4 == 0);
	drivers_free(&r.drivers);
	initramfs_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char *argv[] = { "x", NULL };
	struct fuzz_in in = { data, len };
	const unsigned kind = (unsigned)fuzz_number(&in, 1) % NR_KINDS;
	struct config c = { .cpus = 1, .kernel = "/nowhere/boot/vmlinuz" };
	struct file kernel = { 0 };

	make_dir();
	c.command.argv = argv;
	c.command.clean_env = true;
	if (kind == KERNEL) {
		kernel.len = in.len;
		kernel.data = malloc(in.len ?: 1); /* so that ASan sees one byte too many */
		if (in.len)
			memcpy(kernel.data, in.data, in.len);
	} else if (kind == MODULES) {
		c.command.modules = dir;
		make_two("modules.dep", "m.ko", &in);
	} else {
		c.command.root = dir;
		c.command.user = "jo";
		make_two("etc/passwd", "etc/group", &in);
	}
	try(&c, &kernel);
	free(kernel.data);
	return 0;
}
