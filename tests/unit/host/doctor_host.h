/* SPDX-License-Identifier: BSD-2-Clause */
/* An invented host, for the doctor's tests. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "arch/arch.h"
#include "host/doctor.h"
#include "test.h"
#include "vmm/types.h"

/* The host that the doctor sees: files in a directory, and the answers of the fakes below. */
static struct {
	char root[64];
	int api_version, missing_cap, try_guest, io_uring;
	const char *cache; /* why there is none */
	char *report;
	int rc;
} host;

static inline int fake_kvm(int fd, unsigned long request, unsigned long arg)
{
	assert_true(fd >= 0);
	if (request == KVM_GET_API_VERSION)
		return host.api_version;
	assert_int_equal(request, KVM_CHECK_EXTENSION);
	if ((int)arg == host.missing_cap)
		return 0;
	return arg == KVM_CAP_NR_MEMSLOTS || arg == KVM_CAP_MAX_VCPUS ? 509 : 1;
}

static inline int fake_try_guest(int kvm_fd)
{
	assert_true(kvm_fd >= 0);
	return host.try_guest;
}

static inline int fake_io_uring(void)
{
	return host.io_uring;
}

static inline const char *fake_cache(char path[PATH_MAX])
{
	strcpy(path, "/home/you/kernels");
	return host.cache;
}

static inline void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", host.root, path);
	for (char *slash = full + strlen(host.root); (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static inline void take(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", host.root, path);
	assert_int_equal(remove(full), 0);
}

#define CPUINFO(flags)                                                                             \
	"processor\t: 0\nvmx flags\t: vnmi svm\nflags\t\t: fpu vme " flags "\nbugs\t\t:\n\n"

/* Makes a machine where all is well. */
static inline int setup(void **state __unused)
{
	strcpy(host.root, "/tmp/minivmm-doctor-XXXXXX");
	assert_non_null(mkdtemp(host.root));
	assert_int_equal(chmod(host.root, 0755), 0);
	host.api_version = KVM_API_VERSION;
	host.missing_cap = -1;
	host.try_guest = TRY_RAN;
	host.io_uring = 0;
	host.cache = NULL;
	put("proc/cpuinfo", CPUINFO("vmx sse"));
	put("sys/module/kvm_intel/refcnt", "0\n");
	put("sys/module/kvm_intel/parameters/nested", "Y\n");
	put("dev/kvm", "");
	put("dev/net/tun", "");
	put("dev/vhost-net", "");
	put("dev/vhost-vsock", "");
	put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
	put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "511\n");
	put("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "4\n");
	put("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "0\n");
	put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	put("sys/kernel/mm/ksm/run", "1\n");
	return 0;
}

static inline int unlink_one(const char *path, const struct stat *st __unused, int type __unused,
			     struct FTW *ftw __unused)
{
	return remove(path);
}

static inline int teardown(void **state __unused)
{
	free(host.report);
	host.report = NULL;
	return nftw(host.root, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void examine(void)
{
	const struct doctor_host h = { .root = host.root,
				       .kvm = fake_kvm,
				       .try_guest = fake_try_guest,
				       .io_uring = fake_io_uring,
				       .cache = fake_cache };
	size_t len;
	FILE *out;

	free(host.report);
	out = open_memstream(&host.report, &len);
	host.rc = doctor_examine(&h, out);
	fclose(out);
}

static inline void check_says(const char *text)
{
	if (!strstr(host.report, text))
		fail_msg("no \"%s\" in:\n%s", text, host.report);
}

/* The guest can('t) run, and the report has these lines. */
#define CAN_RUN(...)  examined(true, (const char *[]){ __VA_ARGS__, NULL })
#define CANT_RUN(...) examined(false, (const char *[]){ __VA_ARGS__, NULL })
static inline void examined(bool can_run, const char **lines)
{
	examine();
	assert_int_equal(host.rc, can_run ? 0 : -ENOTSUP);
	check_says(
		can_run ? "\nA stock kernel can run here.\n"
			: "\nNo stock kernel can run here: 1 of the things that it needs fails.\n");
	assert_true(can_run == !strstr(host.report, "\n  FAILS  "));
	for (; *lines; lines++)
		check_says(*lines);
}
