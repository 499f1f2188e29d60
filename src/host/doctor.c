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

#include "vmm/types.h"

enum verdict { GOOD, BAD, ABSENT }; /* ABSENT: a guest can run without it */

struct report {
	const struct doctor_host *host;
	FILE *out;
	unsigned bad;
	bool vmx, svm, nested;
	const char *backend; /* the module, or NULL: no known one is loaded */
};

static void say(struct report *r, enum verdict verdict, const char *what, const char *fmt, ...)
	__printf(4, 5);
static void say(struct report *r, enum verdict verdict, const char *what, const char *fmt, ...)
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

/* Says what to do about the item before. */
static void advise(struct report *r, const char *fmt, ...) __printf(2, 3);
static void advise(struct report *r, const char *fmt, ...)
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

static void host_path(const struct report *r, const char *path, char full[PATH_MAX])
{
	snprintf(full, PATH_MAX, "%s/%s", r->host->root, path);
}

static bool exists(const struct report *r, const char *path)
{
	char full[PATH_MAX];

	host_path(r, path, full);
	return access(full, F_OK) == 0;
}

static int host_open(const struct report *r, const char *path, int flags)
{
	char full[PATH_MAX];
	int fd;

	host_path(r, path, full);
	fd = open(full, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads the first size - 1 bytes of a file of /proc or /sys; "" if it can't be read. */
static const char *host_text(const struct report *r, const char *path, char *text, size_t size)
{
	AUTO_CLOSE int fd = host_open(r, path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[max(n, (ssize_t)0)] = '\0';
	return text;
}

static unsigned long host_number(const struct report *r, const char *path)
{
	char text[32];

	return strtoul(host_text(r, path, text, sizeof(text)), NULL, 10);
}

/* Is word one of the words of this line? */
static bool has_word(const char *line, const char *word)
{
	const size_t len = strlen(word);

	while (*line && *line != '\n') {
		size_t n = strcspn(line, " \t\n");

		if (n == len && !memcmp(line, word, len))
			return true;
		line += n;
		line += strspn(line, " \t");
	}
	return false;
}

/* Finds out what the processor is, and which module drives it. */
static void look_at_processor(struct report *r)
{
	static const char *const modules[][2] = {
		{ "sys/module/kvm_intel", "kvm_intel" },
		{ "sys/module/kvm_amd", "kvm_amd" },
		{ "sys/module/kvm_pvm", "kvm_pvm" },
	};
	char cpuinfo[8192];
	const char *flags =
		strstr(host_text(r, "proc/cpuinfo", cpuinfo, sizeof(cpuinfo)), "\nflags");

	if (flags) {
		r->vmx = has_word(flags + 1, "vmx");
		r->svm = has_word(flags + 1, "svm");
		r->nested = has_word(flags + 1, "hypervisor");
	}
	for (size_t i = 0; i < ARRAY_SIZE(modules) && !r->backend; i++) {
		if (exists(r, modules[i][0]))
			r->backend = modules[i][1];
	}
}

/* Only names it: check_guest() tries whether it can run a guest. */
static void check_backend(struct report *r)
{
	const char *kind = r->vmx ? "VT-x" : r->svm ? "AMD-V" : NULL;

	if (r->backend && !strcmp(r->backend, "kvm_pvm"))
		say(r, ABSENT, "backend", "PVM (kvm_pvm), which interprets kernel code");
	else if (kind)
		say(r, GOOD, "backend", "%s (%s)%s", kind, r->backend ?: "no module is loaded",
		    r->nested ? ", nested: this host is a virtual machine itself" : "");
	else
		say(r, ABSENT, "backend", "the processor shows neither VT-x nor AMD-V%s",
		    r->nested ? "; it is a virtual machine's" : "");
}

/* A parameter of the module decides whether a guest can have guests of its own. */
static void check_nested(struct report *r)
{
	char path[64], text[8];

	if (!r->backend || (!r->vmx && !r->svm)) {
		say(r, ABSENT, "nested guests", "--nested on needs VT-x or AMD-V");
		return;
	}
	snprintf(path, sizeof(path), "sys/module/%s/parameters/nested", r->backend);
	host_text(r, path, text, sizeof(text));
	if (*text == 'Y' || *text == '1') {
		say(r, GOOD, "nested guests", "for --nested on");
	} else {
		say(r, ABSENT, "nested guests", "switched off in %s: --nested on is refused",
		    r->backend);
		advise(r, "sudo modprobe -r %s && sudo modprobe %s nested=1 (while no guest runs)",
		       r->backend, r->backend);
	}
}

static void advise_elsewhere(struct report *r)
{
	advise(r, "run it in the test bed: tests/testbed/testbed -- minivmm ...");
	advise(r, "or on a host with VT-x or AMD-V");
}

/* /dev/kvm is not there, or no driver answers. */
static void advise_missing_kvm(struct report *r)
{
	if (r->backend) {
		advise(r, "in a container, pass it in: docker run --device /dev/kvm");
	} else if (r->vmx || r->svm) {
		advise(r, "sudo modprobe %s", r->vmx ? "kvm_intel" : "kvm_amd");
	} else {
		advise(r,
		       r->nested
			       ? "switch on nested virtualization in the host of this virtual machine"
			       : "switch on virtualization (VT-x, SVM) in the firmware's setup");
		advise_elsewhere(r);
	}
}

/* Distributions set up a group that may use it. Where there is none, the device's owner is
 * changed. */
static void advise_permission(struct report *r, const char *path)
{
	char full[PATH_MAX];
	struct group group, *g = NULL;
	char names[16 * 1024]; /* too many members to fit: as if it had no name */
	struct stat st;

	host_path(r, path, full);
	if (stat(full, &st) < 0 || (st.st_mode & 060) != 060) {
		advise(r, "sudo chown $USER /%s", path);
		return;
	}
	if (getgrgid_r(st.st_gid, &group, names, sizeof(names), &g) || !g || st.st_gid == 0)
		advise(r, "sudo chgrp kvm /%s && sudo usermod -aG kvm $USER, then log in again",
		       path);
	else
		advise(r, "sudo usermod -aG %s $USER, then log in again", g->gr_name);
}

/* Returns a descriptor of /dev/kvm, or < 0, explained. */
static int check_device(struct report *r)
{
	int fd = host_open(r, "dev/kvm", O_RDWR);
	int version;

	if (fd < 0) {
		say(r, BAD, "/dev/kvm", "%s", why(fd));
		if (fd == -EACCES)
			advise_permission(r, "dev/kvm");
		else
			advise_missing_kvm(r);
		return fd;
	}
	version = r->host->kvm(fd, KVM_GET_API_VERSION, 0);
	if (version < 0) {
		say(r, BAD, "/dev/kvm", "exists, but is not KVM's");
		advise(r,
		       "sudo rm /dev/kvm && sudo mknod -m 660 /dev/kvm c 10 232 && sudo chgrp kvm /dev/kvm");
		close(fd);
		return -ENOTTY;
	}
	say(r, GOOD, "/dev/kvm", "there, and you may use it");
	say(r, version == KVM_API_VERSION ? GOOD : BAD, "KVM API", "version %d", version);
	if (version != KVM_API_VERSION)
		advise(r, "minivmm is made for version %d, of Linux 2.6.22 and later",
		       KVM_API_VERSION);
	return fd;
}

struct capability {
	int number, least;
	const char *name, *use;
};

static void check_capabilities(struct report *r, int fd, enum verdict without,
			       const struct capability *cap, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		int value = r->host->kvm(fd, KVM_CHECK_EXTENSION, (unsigned long)cap[i].number);

		if (value >= cap[i].least && cap[i].least > 1)
			say(r, GOOD, cap[i].name, "%s: %d", cap[i].use, value);
		else if (value >= cap[i].least)
			say(r, GOOD, cap[i].name, "%s", cap[i].use);
		else if (value > 0)
			say(r, without, cap[i].name, "%s: %d, but %d are needed", cap[i].use, value,
			    cap[i].least);
		else
			say(r, without, cap[i].name, "missing: %s", cap[i].use);
		if (value < cap[i].least && without == BAD)
			advise(r, "use a newer Linux (6.1 has it)");
	}
}

static void check_guest(struct report *r, int fd)
{
	int rc = r->host->try_guest(fd);

	switch (rc) {
	case TRY_RAN:
		say(r, GOOD, "guest kernel", "tried: the processor runs it");
		return;
	case TRY_INTERPRETED:
		say(r, BAD, "guest kernel",
		    "tried: KVM interprets it, and lacks instructions that Linux needs");
		advise_elsewhere(r);
		return;
	case TRY_ODD:
		say(r, BAD, "guest kernel", "tried: it stopped for no reason that minivmm knows");
		advise(r, "look for KVM in the host's log: sudo dmesg | grep -i kvm");
		return;
	case -EBUSY:
		say(r, BAD, "guest kernel", "another hypervisor holds the processor");
		advise(r,
		       "stop its machines (VirtualBox: sudo modprobe -r vboxnetadp vboxnetflt vboxdrv)");
		return;
	}
	say(r, BAD, "guest kernel", "a virtual machine can't be made: %s", why(rc));
	advise(r, "look for KVM in the host's log: sudo dmesg | grep -i kvm");
}

static void check_needed(struct report *r)
{
	static const struct capability needed[] = {
		{ KVM_CAP_USER_MEMORY, 1, "USER_MEMORY", "guest memory is the monitor's" },
		{ KVM_CAP_NR_MEMSLOTS, 8, "NR_MEMSLOTS", "pieces of guest memory" },
		{ KVM_CAP_NR_VCPUS, 1, "NR_VCPUS", "virtual processors" },
		{ KVM_CAP_EXT_CPUID, 1, "EXT_CPUID", "the processor's features" },
		{ KVM_CAP_IRQCHIP, 1, "IRQCHIP", "interrupt controllers in the host's kernel" },
		{ KVM_CAP_PIT2, 1, "PIT2", "i8254 timer in the host's kernel" },
		{ KVM_CAP_IRQFD, 1, "IRQFD", "a device interrupts by one write" },
		{ KVM_CAP_IOEVENTFD, 1, "IOEVENTFD",
		  "a guest's kick reaches a device's thread directly" },
		{ KVM_CAP_IMMEDIATE_EXIT, 1, "IMMEDIATE_EXIT",
		  "a virtual processor stops without a race" },
	};
	static const struct capability useful[] = {
		{ KVM_CAP_MAX_VCPUS, 64, "MAX_VCPUS", "most virtual processors" },
		{ KVM_CAP_SET_TSS_ADDR, 1, "SET_TSS_ADDR", "real mode on older Intel processors" },
		{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1, "SET_IDENTITY_MAP",
		  "real mode on older Intel processors" },
		{ KVM_CAP_TSC_DEADLINE_TIMER, 1, "TSC_DEADLINE_TIMER",
		  "cheap timers in the guest" },
		{ KVM_CAP_GET_TSC_KHZ, 1, "GET_TSC_KHZ", "the guest need not measure its clock" },
	};
	int fd;

	fprintf(r->out, "What a guest needs:\n");
	look_at_processor(r);
	check_backend(r);
	fd = check_device(r);
	if (fd >= 0) {
		check_capabilities(r, fd, BAD, needed, ARRAY_SIZE(needed));
		check_guest(r, fd);
	}
	fprintf(r->out, "\nWhat it can use:\n");
	if (fd >= 0) {
		check_capabilities(r, fd, ABSENT, useful, ARRAY_SIZE(useful));
		check_nested(r);
		close(fd);
	}
}

/* Checks what only some options need. */
static void check_useful(struct report *r, const char *path, const char *use, const char *module)
{
	AUTO_CLOSE int fd = host_open(r, path, O_RDWR);
	char name[64];

	snprintf(name, sizeof(name), "/%s", path);
	if (fd >= 0) {
		say(r, GOOD, name, "%s", use);
		return;
	}
	say(r, ABSENT, name, "%s", why(fd));
	if (fd == -EACCES)
		advise_permission(r, path);
	else
		advise(r, "sudo modprobe %s", module);
}

static void check_io_uring(struct report *r)
{
	int rc = r->host->io_uring();

	if (rc == 0) {
		say(r, GOOD, "io_uring", "many disk requests at once");
		return;
	}
	say(r, ABSENT, "io_uring", "%s; disks are read and written without it", why(rc));
	if (host_number(r, "proc/sys/kernel/io_uring_disabled"))
		advise(r, "sudo sysctl kernel.io_uring_disabled=0");
	else if (rc == -EPERM)
		advise(r, "in a container: docker run --security-opt seccomp=unconfined");
	else if (rc == -ENOMEM)
		advise(r, "ulimit -l unlimited");
}

static void check_reserved_pages(struct report *r, const char *size, const char *directory,
				 const char *command)
{
	char path[128], what[32];
	unsigned long all;

	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%s/nr_hugepages", directory);
	snprintf(what, sizeof(what), "huge pages of %s", size);
	if (!exists(r, path)) {
		say(r, ABSENT, what, "the processor or the kernel has none of this size");
		return;
	}
	all = host_number(r, path);
	if (!all) {
		say(r, ABSENT, what, "none reserved for --memory ...,hugepages=%s", size);
		advise(r, "%s", command);
		return;
	}
	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%s/free_hugepages", directory);
	say(r, GOOD, what, "%lu of %lu free", host_number(r, path), all);
}

static void check_memory(struct report *r)
{
	char text[128];

	check_reserved_pages(r, "2M", "hugepages-2048kB",
			     "sudo sysctl vm.nr_hugepages=512 (1G of them)");
	check_reserved_pages(
		r, "1G", "hugepages-1048576kB",
		"echo 4 | sudo tee /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
	host_text(r, "sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
	if (strstr(text, "[always]") || strstr(text, "[madvise]")) {
		say(r, GOOD, "transparent pages", "for --memory ...,hugepages=on");
	} else {
		say(r, ABSENT, "transparent pages", "switched off: hugepages=on has no effect");
		advise(r, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
	}
	if (host_number(r, "sys/kernel/mm/ksm/run") == 1) {
		say(r, GOOD, "merging (KSM)", "for --memory ...,mergeable=on");
	} else {
		say(r, ABSENT, "merging (KSM)", "switched off: mergeable=on has no effect");
		advise(r, "echo 1 | sudo tee /sys/kernel/mm/ksm/run");
	}
}

int doctor_examine(const struct doctor_host *host, FILE *out)
{
	struct report r = { .host = host, .out = out };

	check_needed(&r);
	check_useful(&r, "dev/net/tun", "network interfaces", "tun");
	check_useful(&r, "dev/vhost-net", "vhost=on of --net", "vhost_net");
	check_useful(&r, "dev/vhost-vsock", "vhost=on of --vsock", "vhost_vsock");
	check_io_uring(&r);
	check_memory(&r);
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

int doctor(FILE *out)
{
	const struct doctor_host host = {
		.root = "", .kvm = host_ioctl, .try_guest = x86_try_guest, .io_uring = host_io_uring
	};

	return doctor_examine(&host, out);
}
