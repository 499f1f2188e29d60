/* SPDX-License-Identifier: BSD-2-Clause */
/* Which drivers the guest's kernel has: by the directory of its modules, which lists those that are
 * built in, too. */
#include "command/drivers.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "command/modules.h"
#include "vmm/log.h"

/* Returns dir/name, which the caller frees; NULL: out of memory. */
static char *path_in(const char *dir, const char *name, size_t len)
{
	char *path;

	return asprintf(&path, "%s/%.*s", dir, (int)len, name) < 0 ? NULL : path;
}

static bool has_file(const char *dir, const char *name)
{
	char *path = path_in(dir, name, strlen(name));
	bool there = path && access(path, R_OK) == 0;

	free(path);
	return there;
}

/* Returns the directory of the kernel's modules, which the caller frees; NULL: it has none. */
static char *find_directory(const char *given, const char *kernel_path, const struct file *kernel)
{
	char release[KERNEL_RELEASE_MAX], *near, *dir = NULL;

	if (given)
		return strdup(given);
	if (!kernel_release(kernel->data, kernel->len, release))
		return NULL;
	near = strdup(kernel_path);
	if (near && asprintf(&dir, "%s/../lib/modules/%s", dirname(near), release) < 0)
		dir = NULL;
	free(near);
	if (dir && has_file(dir, "modules.dep"))
		return dir;
	free(dir);
	dir = path_in("/lib/modules", release, strlen(release));
	if (dir && has_file(dir, "modules.dep"))
		return dir;
	free(dir);
	return NULL;
}

int drivers_read(const struct drivers *d, struct file *f, const char *name, size_t len)
{
	char *path = path_in(d->dir, name, len);
	int rc = path ? file_read(f, "--modules", path, NULL) : log_ret(-ENOMEM, "out of memory");

	free(path);
	return rc;
}

int drivers_find(struct drivers *d, const char *given, const char *kernel_path,
		 const struct file *kernel)
{
	int rc = 0;

	*d = (struct drivers){ .dir = find_directory(given, kernel_path, kernel) };
	if (d->dir)
		rc = drivers_read(d, &d->dep, "modules.dep", strlen("modules.dep"));
	if (d->dir && rc == 0 && has_file(d->dir, "modules.builtin"))
		rc = drivers_read(d, &d->builtin, "modules.builtin", strlen("modules.builtin"));
	return rc;
}

struct modules_index drivers_index(const struct drivers *d)
{
	return (struct modules_index){
		.dep = (const char *)d->dep.data,
		.builtin = (const char *)d->builtin.data,
		.dep_len = d->dep.len,
		.builtin_len = d->builtin.len,
	};
}

bool drivers_lack(const struct drivers *d, const char *module)
{
	const struct modules_index x = drivers_index(d);
	struct modules m = { 0 };
	const char *culprit;
	size_t len;

	return d->dir && modules_add(&m, &x, module, &culprit, &len) == -ENOENT;
}

void drivers_free(struct drivers *d)
{
	free(d->dir);
	file_free(&d->dep);
	file_free(&d->builtin);
	*d = (struct drivers){ 0 };
}
