/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel that a command gets if the user names none: the host's running one; otherwise the
 * host's newest; otherwise the one that examples/quickstart has downloaded. */
#include "command/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "arch/arch.h"
#include "common/boot.h"

#define PREFIX      "vmlinuz-"
#define KERNEL_HEAD (64 * KIB) /* its release is in there */

static bool readable(const char *path)
{
	return access(path, R_OK) == 0;
}

/* Returns the newest DIR/vmlinuz-* that can be read and isn't a rescue image, or NULL. */
static char *newest_in(const char *dir)
{
	char best[256] = "", *path = NULL;
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char *candidate;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) || strstr(e->d_name, "rescue") ||
		    strverscmp(e->d_name, best) <= 0 ||
		    asprintf(&candidate, "%s/%s", dir, e->d_name) < 0)
			continue;
		if (readable(candidate)) {
			snprintf(best, sizeof(best), "%s", e->d_name);
			free(path);
			path = candidate;
		} else {
			free(candidate);
		}
	}
	if (d)
		closedir(d);
	return path;
}

static char *running(void)
{
	struct utsname u;
	char *path;

	if (uname(&u) < 0 || asprintf(&path, "/boot/" PREFIX "%s", u.release) < 0)
		return NULL;
	if (readable(path))
		return path;
	free(path);
	return NULL;
}

/* Returns the one in the cache, where tests/guest/debian-kernel keeps Debian's: a directory for
 * each version, and a file, current, that names one. */
static char *cached(void)
{
	const char *own = getenv("MINIVMM_CACHE"), *user = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");
	char dir[1024], path[1400], version[128] = "";
	FILE *f;

	if (own)
		snprintf(dir, sizeof(dir), "%s/debian-kernel", own);
	else if (user)
		snprintf(dir, sizeof(dir), "%s/minivmm/debian-kernel", user);
	else
		snprintf(dir, sizeof(dir), "%s/.cache/minivmm/debian-kernel", home ?: "");
	snprintf(path, sizeof(path), "%s/current", dir);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	if (fscanf(f, "%100[^/\n]", version) != 1)
		version[0] = '\0';
	fclose(f);
	snprintf(path, sizeof(path), "%s/%s/boot", dir, version);
	return version[0] ? newest_in(path) : NULL;
}

/* Reads the kernel's beginning into *head, whose data has room for head->len bytes. */
static void read_head(const char *path, struct file *head)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const ssize_t n = fd < 0 ? 0 : pread(fd, head->data, head->len, 0);

	head->len = n > 0 ? (size_t)n : 0;
}

static int find_drivers(struct command *cmd)
{
	struct file head = { .data = malloc(KERNEL_HEAD), .len = KERNEL_HEAD };
	int rc;

	if (!head.data)
		return log_ret(-ENOMEM, "out of memory");
	read_head(command_kernel(cmd), &head);
	rc = drivers_find(&cmd->drivers, cmd->config->command.modules, command_kernel(cmd), &head);
	free(head.data);
	return rc;
}

int command_find_kernel(struct command *cmd)
{
	if (!cmd->config->kernel)
		cmd->kernel = running();
	if (!cmd->config->kernel && !cmd->kernel)
		cmd->kernel = newest_in("/boot");
	if (!cmd->config->kernel && !cmd->kernel)
		cmd->kernel = cached();
	if (!command_kernel(cmd))
		return log_ret(
			-ENOENT,
			"run: there is no kernel to boot: none in /boot that you may read, and none in the cache; write --kernel FILE, or let examples/quickstart download one");
	return find_drivers(cmd);
}

const char *command_kernel(const struct command *cmd)
{
	return cmd->config->kernel ?: cmd->kernel;
}

int command_check_kernel(const struct boot_request *r)
{
	if (kernel_is_linux(r))
		return 0;
	return log_ret(
		-EINVAL,
		"kernel %s: is not Linux, and only Linux can run commands; minivmm --kernel %s, without \"run\", boots it",
		r->kernel_name, r->kernel_name);
}
