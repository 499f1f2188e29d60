/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest's init gets: its own program, its orders (guest/wire.h), and the modules of its
 * kernel that this machine needs.
 */
#include "command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "config/command.h"
#include "config/config.h"
#include "decompress.h"
#include "guest/blob.h"
#include "command/initramfs.h"
#include "command/modules.h"
#include "host/outputs.h"
#include "host/resolv.h"
#include "vmm/text.h"

_Static_assert(MODULES_MAX <= GUEST_MAX_MODULES, "the guest's init takes all of them");

#define MODULE_MAX (64 * MIB) /* unpacked */

/* -- modules --------------------------------------------------------------------------------- */

static int refuse(int rc, const char *dir, const char *name, const char *culprit, size_t len)
{
	static const char advice[] = "--modules names another directory of modules";
	const char *other = !strcmp(name, "virtio_mmio")  ? "--transport pci does without it, "
			    : !strcmp(name, "virtio_pci") ? "--transport mmio does without it, "
							  : "";

	switch (rc) {
	case -ENOENT:
		return log_ret(rc, "run: %s: the kernel has no module %.*s, which %s needs; %s%s",
			       dir, (int)len, culprit, name, other, advice);
	case -ELOOP:
		return log_ret(rc, "run: %s/modules.dep: %.*s needs itself; %s", dir, (int)len,
			       culprit, advice);
	case -EINVAL:
		return log_ret(rc, "run: %s/modules.dep: %.*s is not in the directory; %s", dir,
			       (int)len, culprit, advice);
	default:
		return log_ret(rc, "run: %s: too many modules for %s; %s", dir, name, advice);
	}
}

/* Reads the file, and unpacks it if it is packed. */
static int read_module(struct file *f, const struct drivers *d, const char *path, int path_len)
{
	const char *dir = d->dir;
	struct file packed;
	int rc = drivers_read(d, f, path, (size_t)path_len);
	const struct codec *codec;
	uint64_t len;

	if (rc < 0)
		return rc;
	codec = codec_find(f->data, f->len);
	if (!codec)
		return 0;
	packed = *f;
	*f = (struct file){ 0 };
	if (!codec->unpack || !codec->length)
		rc = log_ret(-ENOTSUP,
			     "--modules %s: %.*s is packed by %s, which minivmm was built without",
			     dir, path_len, path, codec->name);
	else if (codec->length(packed.data, packed.len, &len) < 0 || !len || len > MODULE_MAX)
		rc = log_ret(-EINVAL, "--modules %s: %.*s is damaged", dir, path_len, path);
	else if ((rc = file_alloc(f, len)) < 0)
		rc = log_ret(rc, "out of memory");
	else if (codec->unpack(packed.data, packed.len, f->data, f->len) < 0)
		rc = log_ret(-EINVAL, "--modules %s: %.*s is damaged", dir, path_len, path);
	file_free(&packed);
	return rc;
}

static int put_modules(const struct modules *m, const struct drivers *d, struct initramfs *a,
		       FILE *orders)
{
	int rc = 0;

	for (size_t i = 0; i < m->nr && rc == 0; i++) {
		char name[64];
		struct file f = { 0 };

		snprintf(name, sizeof(name), GUEST_DIRECTORY "/%zu.ko", i);
		rc = read_module(&f, d, m->path[i], (int)m->len[i]);
		if (rc == 0) {
			initramfs_file(a, name + 1, 0600, f.data, f.len);
			fprintf(orders, "module=%s%c", name, 0);
		}
		file_free(&f);
	}
	return rc;
}

/* Adds these modules, with all that each needs. */
static int find_all(struct modules *m, const struct modules_index *x, const char *dir,
		    const char *const name[])
{
	int rc = 0;

	for (size_t i = 0; name[i] && rc == 0; i++) {
		const char *culprit;
		size_t len;

		rc = modules_add(m, x, name[i], &culprit, &len);
		if (rc < 0)
			refuse(rc, dir, name[i], culprit, len);
	}
	return rc;
}

static int add_modules(const struct drivers *d, const char *const devices[], struct initramfs *a,
		       FILE *orders)
{
	static const char *const own[] = { "overlay", NULL }; /* for the guest's root */
	const struct modules_index x = drivers_index(d);
	struct modules m = { 0 };
	int rc = find_all(&m, &x, d->dir, devices);

	if (rc == 0)
		rc = find_all(&m, &x, d->dir, own);
	return rc == 0 ? put_modules(&m, d, a, orders) : rc;
}

/* -- orders ---------------------------------------------------------------------------------- */

/* Does one of the nr variables of the list have the same name? */
static bool is_set(char *const list[], size_t nr, const char *text)
{
	const size_t len = strcspn(text, "=") + 1;

	for (size_t i = 0; i < nr; i++)
		if (!strncmp(list[i], text, len))
			return true;
	return false;
}

static void put_env(const struct command_config *c, FILE *out)
{
	static const char path[] =
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

	for (size_t i = 0; environ && environ[i] && !c->clean_env; i++)
		if (!is_set(c->env, c->nr_env, environ[i]))
			fprintf(out, "env=%s%c", environ[i], 0);
	if (c->clean_env && !is_set(c->env, c->nr_env, path))
		fprintf(out, "env=%s%c", path, 0);
	for (size_t i = 0; i < c->nr_env; i++)
		if (!is_set(c->env + i + 1, c->nr_env - i - 1, c->env[i]))
			fprintf(out, "env=%s%c", c->env[i], 0);
}

/* The command gets the caller's limits; "unlimited" is one, too, where the guest's kernel would set
 * a limit. */
static void put_limits(uint64_t descriptors, FILE *out)
{
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit l;

		if (getrlimit((__rlimit_resource_t)i, &l) < 0)
			continue;
		if (i == RLIMIT_NOFILE && descriptors)
			l.rlim_cur = min(l.rlim_cur, descriptors);
		fprintf(out, "limit=%u %lu %lu%c", i, l.rlim_cur, l.rlim_max, 0);
	}
}

static unsigned callers_umask(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned mask = 022;
	char line[256];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "Umask: %o", &mask) != 1)
		;
	if (f)
		fclose(f);
	return mask;
}

/* Where the command begins: in --chdir; otherwise where the caller is, or in / if there is another
 * root. A relative --chdir begins there, too. Returns 0 or -errno, logged. */
static int put_directory(const struct command_config *c, FILE *out)
{
	char here[4096] = "";
	const bool from_here = c->root ? false : !c->directory || c->directory[0] != '/';

	if (from_here && !getcwd(here, sizeof(here)) && errno == ENOENT)
		return log_ret(
			-ENOENT,
			"run: the directory where you are was removed; go to another, or write --chdir and an absolute path");
	if (from_here && !*here)
		return log_errno("run: the name of the directory where you are");
	if (!c->directory)
		fprintf(out, "directory=%s%c", *here ? here : "/", 0);
	else
		fprintf(out, "directory=%s%s%s%c", here, c->directory[0] == '/' ? "" : "/",
			c->directory, 0);
	return 0;
}

/* In a user network, libslirp is the name server; it passes questions on to the host's first server
 * of the same IP version. */
static void put_net(const struct config *c, const struct resolv *resolv, FILE *out)
{
	bool user = false;

	if (c->nr_nets)
		fprintf(out, "net=%c", 0);
	for (size_t i = 0; i < c->nr_nets; i++)
		user |= c->net[i].mode == NET_USER && !c->net[i].restricted;
	if (!user)
		return;
	fprintf(out, "dns6=%s%c", resolv->first6 || !resolv->has4 ? "first" : "last", 0);
	if (resolv->options[0])
		fprintf(out, "resolv-options=%s%c", resolv->options, 0);
}

static int put_orders(const struct command *cmd, FILE *out)
{
	const struct config *config = cmd->config;
	const struct command_config *c = &config->command;
	const uint64_t layer = c->overlay_size ?: config->memory.size / 2;
	char name[256] = "";
	int rc;

	fprintf(out, "root=" COMMAND_TAG_ROOT "%coverlay=%llu%cumask=%u%c", 0,
		(unsigned long long)layer, 0, callers_umask(), 0);
	if (gethostname(name, sizeof(name) - 1) == 0)
		fprintf(out, "hostname=%s%c", name, 0);
	put_net(config, cmd->host.resolv, out);
	if (c->terminal)
		fprintf(out, "terminal=24 80%c", 0);
	if (c->outputs == OUTPUTS_ONE ||
	    (c->outputs == OUTPUTS_AUTO && outputs_are_one(STDOUT_FILENO, STDERR_FILENO)))
		fprintf(out, "one-output=%c", 0);
	rc = put_directory(c, out);
	if (rc == 0)
		rc = command_put_shares(c, out);
	if (rc < 0)
		return rc;
	put_limits(cmd->host.descriptors, out);
	put_env(c, out);
	for (char **arg = c->argv; *arg; arg++)
		fprintf(out, "arg=%s%c", *arg, 0);
	return command_put_user(config, out);
}

int command_initrd(const struct command *cmd, const struct file *user, const char *const modules[],
		   struct initramfs *a)
{
	char *orders = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&orders, &len);
	int rc;

	if (!out)
		return log_ret(-ENOMEM, "out of memory");
	initramfs_begin(a, user->data, user->len);
	initramfs_directory(a, "dev", 0755);
	/* Until init mounts /dev it is a file, because otherwise the kernel prints, letter by
	 * letter, that it can open no console for init. */
	initramfs_file(a, "dev/console", 0600, NULL, 0);
	initramfs_directory(a, &GUEST_DIRECTORY[1], 0700);
	initramfs_file(a, &GUEST_INIT[1], 0700, guest_init, (size_t)(guest_init_end - guest_init));
	rc = put_orders(cmd, out);
	if (rc == 0 && cmd->drivers.dir)
		rc = add_modules(&cmd->drivers, modules, a, out);
	if (!text_end(out, &orders) && rc == 0)
		rc = log_ret(-ENOMEM, "out of memory");
	if (rc == 0)
		initramfs_file(a, &GUEST_ORDERS[1], 0600, orders, len);
	free(orders);
	if (initramfs_end(a) < 0 && rc == 0)
		rc = log_ret(-ENOMEM, "out of memory");
	return rc;
}
