/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/hostmem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/log.h"

#define UNLIMITED UINT64_MAX

/* The whole text of a small file. */
struct text {
	char s[16 * 1024];
};

/* Reads the file of that name below root. Returns false, with t empty, if there is none. */
static bool __printf(3, 4) read_text(struct text *t, const char *root, const char *fmt, ...)
{
	char name[PATH_MAX], path[PATH_MAX];
	va_list ap;
	ssize_t n;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	t->s[0] = '\0';
	if (snprintf(path, sizeof(path), "%s%s", root, name) >= (int)sizeof(path))
		return false;

	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n = read(fd, t->s, sizeof(t->s) - 1);
	t->s[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Returns the number after key, which begins a line; if there is no such line, the argument
 * otherwise. */
static uint64_t field(const struct text *t, const char *key, uint64_t otherwise)
{
	const char *line = t->s;

	while (line && strncmp(line, key, strlen(key)) != 0) {
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return line ? strtoull(line + strlen(key), NULL, 10) : otherwise;
}

/* -- ordinary memory ------------------------------------------------------------------------- */

static uint64_t mem_available(const char *root)
{
	struct text t;

	if (!read_text(&t, root, "/proc/meminfo"))
		return UNLIMITED;
	/* UNLIMITED / KIB: an old kernel says nothing here, and that is not a limit. */
	return field(&t, "MemAvailable:", UNLIMITED / KIB) * KIB;
}

/* Returns what this one control group may still take. Its cached files count as free, because they
 * can be dropped. */
static uint64_t cgroup_available(const char *root, const char *group)
{
	struct text t;
	uint64_t limit, used, files;

	if (!read_text(&t, root, "/sys/fs/cgroup%s/memory.max", group) ||
	    strncmp(t.s, "max", 3) == 0)
		return UNLIMITED;
	limit = strtoull(t.s, NULL, 10);
	if (!read_text(&t, root, "/sys/fs/cgroup%s/memory.current", group))
		return UNLIMITED;
	used = strtoull(t.s, NULL, 10);
	read_text(&t, root, "/sys/fs/cgroup%s/memory.stat", group);
	files = field(&t, "inactive_file ", 0) + field(&t, "active_file ", 0);
	used -= min(used, files);
	return limit - min(limit, used);
}

/* Returns what the tightest of this process's control groups may still take, from its own one up to
 * the root; its name goes to group. */
static uint64_t tightest_cgroup(const char *root, char group[PATH_MAX])
{
	char path[PATH_MAX] = "", *slash;
	uint64_t least = UNLIMITED;
	struct text t;

	read_text(&t, root, "/proc/self/cgroup");
	for (const char *line = t.s; line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (sscanf(line, "0::%4095[^\n]", path) == 1)
			break;
	do { /* "/a/b", "/a", "" */
		uint64_t available = cgroup_available(root, path);

		if (available < least) {
			least = available;
			strcpy(group, path);
		}
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
	return least;
}

int hostmem_check(uint64_t size, const char *root)
{
	const uint64_t host = mem_available(root);
	char group[PATH_MAX];
	const uint64_t cgroup = tightest_cgroup(root, group);

	if (cgroup < size && cgroup < host)
		return log_ret(
			-ENOMEM,
			"memory: prefault=on takes %llu MiB at once, and memory.max of the control group %s leaves %llu MiB; raise it, use a smaller --memory, or leave prefault out",
			(unsigned long long)(size / MIB), *group ? group : "/",
			(unsigned long long)(cgroup / MIB));
	if (host < size)
		return log_ret(
			-ENOMEM,
			"memory: prefault=on takes %llu MiB at once, and the host has %llu MiB available; use a smaller --memory, or leave prefault out",
			(unsigned long long)(size / MIB), (unsigned long long)(host / MIB));
	return 0;
}

/* -- huge pages ------------------------------------------------------------------------------ */

/* Reads a number of huge pages. Returns false if this host has none of that size. */
static bool huge_pages(const char *root, uint64_t page, const char *what, uint64_t *value)
{
	struct text t;
	bool there = read_text(&t, root, "/sys/kernel/mm/hugepages/hugepages-%llukB/%s",
			       (unsigned long long)(page / KIB), what);

	*value = strtoull(t.s, NULL, 10);
	return there;
}

int hostmem_no_huge_pages(int err, uint64_t size, uint64_t page, const char *root)
{
	const uint64_t want = size / page;
	const char *name = page == 1 * GIB ? "1G" : "2M";
	uint64_t all, unused, promised;

	if (!huge_pages(root, page, "nr_hugepages", &all))
		return log_ret(-err, "memory: this host has no huge pages of %s; use hugepages=on",
			       name);
	huge_pages(root, page, "free_hugepages", &unused);
	huge_pages(root, page, "resv_hugepages", &promised);
	unused -= min(promised, unused);
	if (unused >= want) {
		errno = err;
		return log_errno(
			"memory: hugepages=%s: the host refuses %llu of its %llu free huge pages",
			name, (unsigned long long)want, (unsigned long long)unused);
	}
	return log_ret(
		-err,
		"memory: hugepages=%s needs %llu huge pages, and %llu are free; provide them by: echo %llu | sudo tee /sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages",
		name, (unsigned long long)want, (unsigned long long)unused,
		(unsigned long long)(all + want - unused), (unsigned long long)(page / KIB));
}

/* -- settings -------------------------------------------------------------------------------- */

/* Shared memory has a setting of its own. */
void hostmem_warn_if_never(const char *root, bool shared)
{
	const char *file = shared ? "shmem_enabled" : "enabled";
	struct text t;

	read_text(&t, root, "/sys/kernel/mm/transparent_hugepage/%s", file);
	if (strstr(t.s, "[never]"))
		log_warn(
			"memory: hugepages=on does nothing until: echo %s | sudo tee /sys/kernel/mm/transparent_hugepage/%s",
			shared ? "advise" : "madvise", file);
}

void hostmem_warn_if_not_merging(const char *root)
{
	struct text t;

	if (read_text(&t, root, "/sys/kernel/mm/ksm/run") && t.s[0] != '1')
		log_warn(
			"memory: mergeable=on does nothing until: echo 1 | sudo tee /sys/kernel/mm/ksm/run");
}
