/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "arch/arch.h"
#include "host/doctor_report.h"

void doctor_say(struct doctor_report *r, enum verdict verdict, const char *what, const char *fmt,
		...)
{
	static const char *const words[] = { [GOOD] = "ok", [BAD] = "FAILS", [ABSENT] = "-" };
	va_list ap;

	fprintf(r->out, "  %-6s %-20s ", words[verdict], what);
	va_start(ap, fmt);
	vfprintf(r->out, fmt, ap);
	va_end(ap);
	fputc('\n', r->out);
	r->bad += verdict == BAD;
}

void doctor_advise(struct doctor_report *r, const char *fmt, ...)
{
	va_list ap;

	fprintf(r->out, "%30s-> ", "");
	va_start(ap, fmt);
	vfprintf(r->out, fmt, ap);
	va_end(ap);
	fputc('\n', r->out);
}

static const char *why(int rc)
{
	return strerrordesc_np(-rc) ?: "unknown error";
}

static void host_path(const struct doctor_report *r, const char *path, char full[PATH_MAX])
{
	snprintf(full, PATH_MAX, "%s/%s", r->host->root, path);
}

bool doctor_exists(const struct doctor_report *r, const char *path)
{
	char full[PATH_MAX];

	host_path(r, path, full);
	return access(full, F_OK) == 0;
}

static int host_open(const struct doctor_report *r, const char *path, int flags)
{
	char full[PATH_MAX];
	int fd;

	host_path(r, path, full);
	fd = open(full, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

const char *doctor_read(const struct doctor_report *r, const char *path, char *text, size_t size)
{
	AUTO_CLOSE int fd = host_open(r, path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[max(n, (ssize_t)0)] = '\0';
	return text;
}

static unsigned long host_number(const struct doctor_report *r, const char *path)
{
	char text[32];

	return strtoul(doctor_read(r, path, text, sizeof(text)), NULL, 10);
}

/* Distributions set up a group that may use it. Where there is none, the device's owner is
 * changed. */
static void advise_permission(struct doctor_report *r, const char *path)
{
	char full[PATH_MAX];
	struct group group, *g = NULL;
	char names[16 * 1024]; /* too many members to fit: as if it had no name */
	struct stat st;

	host_path(r, path, full);
	if (stat(full, &st) < 0 || (st.st_mode & 060) != 060) {
		doctor_advise(r, "sudo chown $USER /%s", path);
		return;
	}
	if (getgrgid_r(st.st_gid, &group, names, sizeof(names), &g) || !g || st.st_gid == 0)
		doctor_advise(r,
			      "sudo chgrp kvm /%s && sudo usermod -aG kvm $USER, then log in again",
			      path);
	else
		doctor_advise(r, "sudo usermod -aG %s $USER, then log in again", g->gr_name);
}

/* Returns a descriptor of /dev/kvm, or < 0, explained. */
static int check_device(struct doctor_report *r)
{
	int fd = host_open(r, "dev/kvm", O_RDWR);
	int version;

	if (fd < 0) {
		doctor_say(r, BAD, "/dev/kvm", "%s", why(fd));
		if (fd == -EACCES)
			advise_permission(r, "dev/kvm");
		else
			arch_advise_kvm(r);
		return fd;
	}
	version = r->host->kvm(fd, KVM_GET_API_VERSION, 0);
	if (version < 0) {
		doctor_say(r, BAD, "/dev/kvm", "exists, but is not KVM's");
		doctor_advise(
			r,
			"sudo rm /dev/kvm && sudo mknod -m 660 /dev/kvm c 10 232 && sudo chgrp kvm /dev/kvm");
		close(fd);
		return -ENOTTY;
	}
	doctor_say(r, GOOD, "/dev/kvm", "there, and you may use it");
	doctor_say(r, version == KVM_API_VERSION ? GOOD : BAD, "KVM API", "version %d", version);
	if (version != KVM_API_VERSION)
		doctor_advise(r, "minivmm is made for version %d, of Linux 2.6.22 and later",
			      KVM_API_VERSION);
	return fd;
}

static void check_capabilities(struct doctor_report *r, int fd, enum verdict without,
			       const struct doctor_capability *cap)
{
	for (; cap->name; cap++) {
		int value = r->host->kvm(fd, KVM_CHECK_EXTENSION, (unsigned long)cap->number);

		if (value >= cap->least && cap->least > 1)
			doctor_say(r, GOOD, cap->name, "%s: %d", cap->use, value);
		else if (value >= cap->least)
			doctor_say(r, GOOD, cap->name, "%s", cap->use);
		else if (value > 0)
			doctor_say(r, without, cap->name, "%s: %d, but %d are needed", cap->use,
				   value, cap->least);
		else
			doctor_say(r, without, cap->name, "missing: %s", cap->use);
		if (value < cap->least && without == BAD)
			doctor_advise(r, "use a newer Linux (6.1 has it)");
	}
}

static void check_guest(struct doctor_report *r, int fd)
{
	int rc = r->host->try_guest(fd);

	switch (rc) {
	case TRY_RAN:
		doctor_say(r, GOOD, "guest kernel", "tried: the processor runs it");
		return;
	case TRY_INTERPRETED:
		doctor_say(r, BAD, "guest kernel",
			   "tried: KVM interprets it, and lacks instructions that Linux needs");
		arch_advise_elsewhere(r);
		return;
	case TRY_ODD:
		doctor_say(r, BAD, "guest kernel",
			   "tried: it stopped for no reason that minivmm knows");
		doctor_advise(r, "look for KVM in the host's log: sudo dmesg | grep -i kvm");
		return;
	case -EBUSY:
		doctor_say(r, BAD, "guest kernel", "another hypervisor holds the processor");
		doctor_advise(
			r,
			"stop its machines (VirtualBox: sudo modprobe -r vboxnetadp vboxnetflt vboxdrv)");
		return;
	}
	doctor_say(r, BAD, "guest kernel", "a virtual machine can't be made: %s", why(rc));
	doctor_advise(r, "look for KVM in the host's log: sudo dmesg | grep -i kvm");
}

static void check_needed(struct doctor_report *r)
{
	static const struct doctor_capability memory[] = {
		{ KVM_CAP_USER_MEMORY, 1, "USER_MEMORY", "the monitor provides guest memory" },
		{ KVM_CAP_NR_MEMSLOTS, 8, "NR_MEMSLOTS", "pieces of guest memory" },
		{ KVM_CAP_NR_VCPUS, 1, "NR_VCPUS", "virtual processors" },
		{ 0 },
	};
	static const struct doctor_capability events[] = {
		{ KVM_CAP_IRQFD, 1, "IRQFD", "a device interrupts by one write" },
		{ KVM_CAP_IOEVENTFD, 1, "IOEVENTFD",
		  "a guest's kick reaches a device's thread directly" },
		{ KVM_CAP_IMMEDIATE_EXIT, 1, "IMMEDIATE_EXIT",
		  "a virtual processor stops without a race" },
		{ 0 },
	};
	static const struct doctor_capability useful[] = {
		{ KVM_CAP_MAX_VCPUS, 64, "MAX_VCPUS", "most virtual processors" },
		{ 0 },
	};
	int fd;

	fprintf(r->out, "What a guest needs:\n");
	arch_check_backend(r);
	fd = check_device(r);
	if (fd >= 0) {
		check_capabilities(r, fd, BAD, memory);
		check_capabilities(r, fd, BAD, arch_needed);
		check_capabilities(r, fd, BAD, events);
		check_guest(r, fd);
	}
	fprintf(r->out, "\nWhat it can use:\n");
	if (fd >= 0) {
		check_capabilities(r, fd, ABSENT, useful);
		check_capabilities(r, fd, ABSENT, arch_useful);
		arch_check_nested(r);
		close(fd);
	}
}

/* Checks what only some options need. */
static void check_useful(struct doctor_report *r, const char *path, const char *use,
			 const char *module)
{
	AUTO_CLOSE int fd = host_open(r, path, O_RDWR);
	char name[64];

	snprintf(name, sizeof(name), "/%s", path);
	if (fd >= 0) {
		doctor_say(r, GOOD, name, "%s", use);
		return;
	}
	doctor_say(r, ABSENT, name, "%s", why(fd));
	if (fd == -EACCES)
		advise_permission(r, path);
	else
		doctor_advise(r, "sudo modprobe %s", module);
}

static void check_io_uring(struct doctor_report *r)
{
	int rc = r->host->io_uring();

	if (rc == 0) {
		doctor_say(r, GOOD, "io_uring", "many disk requests at once");
		return;
	}
	doctor_say(r, ABSENT, "io_uring", "%s; disks are read and written without it", why(rc));
	if (host_number(r, "proc/sys/kernel/io_uring_disabled"))
		doctor_advise(r, "sudo sysctl kernel.io_uring_disabled=0");
	else if (rc == -EPERM)
		doctor_advise(r, "in a container: docker run --security-opt seccomp=unconfined");
	else if (rc == -ENOMEM)
		doctor_advise(r, "ulimit -l unlimited");
}

static void check_reserved_pages(struct doctor_report *r, const char *size, const char *directory,
				 const char *command)
{
	char path[128], what[32];
	unsigned long all;

	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%s/nr_hugepages", directory);
	snprintf(what, sizeof(what), "huge pages of %s", size);
	if (!doctor_exists(r, path)) {
		doctor_say(r, ABSENT, what, "the processor or the kernel has none of this size");
		return;
	}
	all = host_number(r, path);
	if (!all) {
		doctor_say(r, ABSENT, what, "none reserved for --memory ...,hugepages=%s", size);
		doctor_advise(r, "%s", command);
		return;
	}
	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%s/free_hugepages", directory);
	doctor_say(r, GOOD, what, "%lu of %lu free", host_number(r, path), all);
}

static void check_memory(struct doctor_report *r)
{
	char text[128];

	check_reserved_pages(r, "2M", "hugepages-2048kB",
			     "sudo sysctl vm.nr_hugepages=512 (1G of them)");
	check_reserved_pages(
		r, "1G", "hugepages-1048576kB",
		"echo 4 | sudo tee /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
	doctor_read(r, "sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
	if (strstr(text, "[always]") || strstr(text, "[madvise]")) {
		doctor_say(r, GOOD, "transparent pages", "for --memory ...,hugepages=on");
	} else {
		doctor_say(r, ABSENT, "transparent pages",
			   "switched off: hugepages=on has no effect");
		doctor_advise(
			r, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
	}
	if (host_number(r, "sys/kernel/mm/ksm/run") == 1) {
		doctor_say(r, GOOD, "merging (KSM)", "for --memory ...,mergeable=on");
	} else {
		doctor_say(r, ABSENT, "merging (KSM)", "switched off: mergeable=on has no effect");
		doctor_advise(r, "echo 1 | sudo tee /sys/kernel/mm/ksm/run");
	}
}

static void check_cache(struct doctor_report *r)
{
	char path[PATH_MAX];
	const char *reason = r->host->cache(path);

	if (!reason)
		doctor_say(r, GOOD, "kernel cache", "%s: the second start of a kernel is faster",
			   path);
	else
		doctor_say(r, ABSENT, "kernel cache", "%s: %s: each start unpacks its kernel", path,
			   reason);
}

int doctor_examine(const struct doctor_host *host, FILE *out)
{
	struct doctor_report r = { .host = host, .out = out };

	check_needed(&r);
	check_useful(&r, "dev/net/tun", "network interfaces", "tun");
	check_useful(&r, "dev/vhost-net", "vhost=on of --net", "vhost_net");
	check_useful(&r, "dev/vhost-vsock", "vhost=on of --vsock", "vhost_vsock");
	check_io_uring(&r);
	check_memory(&r);
	check_cache(&r);
	if (r.bad)
		fprintf(out,
			"\nNo stock kernel can run here: %u of the things that it needs fail%s.\n",
			r.bad, r.bad == 1 ? "s" : "");
	else
		fprintf(out, "\nA stock kernel can run here.\n");
	return r.bad ? -ENOTSUP : 0;
}

static int host_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return ioctl(fd, request, arg);
}

static int host_io_uring(void)
{
	struct io_uring_params p = { 0 };
	AUTO_CLOSE int fd = (int)syscall(SYS_io_uring_setup, 1, &p);

	return fd < 0 ? -errno : 0;
}

int doctor(FILE *out, doctor_cache_fn *cache)
{
	const struct doctor_host host = { .root = "",
					  .kvm = host_ioctl,
					  .try_guest = arch_try_guest,
					  .io_uring = host_io_uring,
					  .cache = cache };

	return doctor_examine(&host, out);
}
