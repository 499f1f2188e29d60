/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "test.h"
#include "vmm/types.h"

/* The host that the doctor sees: files in a directory, and the answers of the fakes below. */
static struct {
	char root[64];
	int api_version, missing_cap, try_guest, io_uring;
	char *report;
	int rc;
} host;

static int fake_kvm(int fd, unsigned long request, unsigned long arg)
{
	assert_true(fd >= 0);
	if (request == KVM_GET_API_VERSION)
		return host.api_version;
	assert_int_equal(request, KVM_CHECK_EXTENSION);
	if ((int)arg == host.missing_cap)
		return 0;
	return arg == KVM_CAP_NR_MEMSLOTS || arg == KVM_CAP_MAX_VCPUS ? 509 : 1;
}

static int fake_try_guest(int kvm_fd)
{
	assert_true(kvm_fd >= 0);
	return host.try_guest;
}

static int fake_io_uring(void)
{
	return host.io_uring;
}

static void put(const char *path, const char *text)
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

static void take(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", host.root, path);
	assert_int_equal(remove(full), 0);
}

/* Removes the module that setup() made. */
static void take_module(void)
{
	take("sys/module/kvm_intel/parameters/nested");
	take("sys/module/kvm_intel/parameters");
	take("sys/module/kvm_intel/refcnt");
	take("sys/module/kvm_intel");
}

#define CPUINFO(flags)                                                                             \
	"processor\t: 0\nvmx flags\t: vnmi svm\nflags\t\t: fpu vme " flags "\nbugs\t\t:\n\n"

/* Makes a machine where all is well. */
static int setup(void **state __unused)
{
	strcpy(host.root, "/tmp/minivmm-doctor-XXXXXX");
	assert_non_null(mkdtemp(host.root));
	assert_int_equal(chmod(host.root, 0755), 0);
	host.api_version = KVM_API_VERSION;
	host.missing_cap = -1;
	host.try_guest = TRY_RAN;
	host.io_uring = 0;
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

static int unlink_one(const char *path, const struct stat *st __unused, int type __unused,
		      struct FTW *ftw __unused)
{
	return remove(path);
}

static int teardown(void **state __unused)
{
	free(host.report);
	host.report = NULL;
	return nftw(host.root, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void examine(void)
{
	const struct doctor_host h = { .root = host.root,
				       .kvm = fake_kvm,
				       .try_guest = fake_try_guest,
				       .io_uring = fake_io_uring };
	size_t len;
	FILE *out;

	free(host.report);
	out = open_memstream(&host.report, &len);
	host.rc = doctor_examine(&h, out);
	fclose(out);
}

static void check_says(const char *text)
{
	if (!strstr(host.report, text))
		fail_msg("no \"%s\" in:\n%s", text, host.report);
}

/* The guest can('t) run, and the report has these lines. */
#define CAN_RUN(...)  examined(true, (const char *[]){ __VA_ARGS__, NULL })
#define CANT_RUN(...) examined(false, (const char *[]){ __VA_ARGS__, NULL })
static void examined(bool can_run, const char **lines)
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

static void a_good_host_is_good(void **state __unused)
{
	CAN_RUN("\n  ok     backend              VT-x (kvm_intel)\n",
		"\n  ok     /dev/kvm             there",
		"\n  ok     KVM API              version 12\n",
		"\n  ok     NR_MEMSLOTS          pieces of guest memory: 509\n",
		"\n  ok     guest kernel         tried: the processor runs it\n",
		"\n  ok     /dev/net/tun         ", "\n  ok     io_uring             ",
		"\n  ok     huge pages of 2M     511 of 512 free\n",
		"\n  ok     huge pages of 1G     0 of 4 free\n", "\n  ok     transparent pages    ",
		"\n  ok     merging (KSM)        ");
	assert_null(strstr(host.report, "\n  -"));
	assert_null(strstr(host.report, "->"));
}

static void the_backend_is_named(void **state __unused)
{
	put("proc/cpuinfo", CPUINFO("svm hypervisor"));
	put("sys/module/kvm_amd/refcnt", "0\n");
	take_module();
	CAN_RUN("  ok     backend              AMD-V (kvm_amd), nested: this host is a virtual machine itself\n");
	take("sys/module/kvm_amd/refcnt");
	take("sys/module/kvm_amd");
	put("proc/cpuinfo", CPUINFO("nosvm vmxx"));
	CAN_RUN("  -      backend              the processor shows neither VT-x nor AMD-V\n");
	put("proc/cpuinfo", "");
	CAN_RUN("  -      backend              the processor shows neither VT-x nor AMD-V\n");
}

static void a_host_that_nests_says_so(void **state __unused)
{
	CAN_RUN("  ok     nested guests        for --nested on\n");
	put("sys/module/kvm_intel/parameters/nested", "N\n");
	CAN_RUN("  -      nested guests        switched off in kvm_intel: --nested on is refused\n",
		"-> sudo modprobe -r kvm_intel && sudo modprobe kvm_intel nested=1 (while no guest runs)");
	take_module();
	put("proc/cpuinfo", CPUINFO("svm"));
	put("sys/module/kvm_amd/parameters/nested", "1\n");
	CAN_RUN("  ok     nested guests        for --nested on\n");
	put("proc/cpuinfo", CPUINFO("sse"));
	CAN_RUN("  -      nested guests        --nested on needs VT-x or AMD-V\n");
}

static void a_backend_that_interprets_is_no_good(void **state __unused)
{
	put("proc/cpuinfo", CPUINFO("hypervisor"));
	take_module();
	put("sys/module/kvm_pvm/refcnt", "0\n");
	host.try_guest = TRY_INTERPRETED;
	CANT_RUN("  -      backend              PVM (kvm_pvm), which interprets kernel code\n",
		 "  FAILS  guest kernel         tried: KVM interprets it",
		 "-> run it in the test bed: tests/testbed/testbed -- minivmm ...\n");
}

static void a_guest_that_does_not_run_is_explained(void **state __unused)
{
	host.try_guest = -EBUSY;
	CANT_RUN("  FAILS  guest kernel         another hypervisor holds the processor\n",
		 "-> stop its machines");
	host.try_guest = TRY_ODD;
	CANT_RUN("  FAILS  guest kernel         tried: it stopped", "dmesg");
	host.try_guest = -ENOMEM;
	CANT_RUN(
		"  FAILS  guest kernel         a virtual machine can't be made: Cannot allocate memory\n",
		"dmesg");
}

static void a_missing_device_gets_its_command(void **state __unused)
{
	take("dev/kvm");
	CANT_RUN("  FAILS  /dev/kvm             No such file or directory\n",
		 "-> in a container, pass it in");
	take_module();
	CANT_RUN("  ok     backend              VT-x (no module is loaded)\n",
		 "-> sudo modprobe kvm_intel\n");
	put("proc/cpuinfo", CPUINFO("svm"));
	CANT_RUN("-> sudo modprobe kvm_amd\n");
	put("proc/cpuinfo", CPUINFO("hypervisor"));
	CANT_RUN("neither VT-x nor AMD-V; it is a virtual machine's\n",
		 "-> switch on nested virtualization in the host of this virtual machine\n",
		 "test bed");
	put("proc/cpuinfo", CPUINFO("sse"));
	CANT_RUN("-> switch on virtualization (VT-x, SVM) in the firmware's setup\n", "test bed");
	assert_null(strstr(host.report, "guest kernel"));
}

/* Examines as a user to whom the mode of a file matters, in no group but its own. */
static void examine_as_nobody(const char *path, gid_t gid, mode_t mode)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", host.root, path);
	if (geteuid() != 0 || setgroups(0, NULL) < 0)
		skip(); /* only root can become nobody */
	assert_int_equal(chown(full, 0, gid), 0);
	assert_int_equal(chmod(full, mode), 0);
	assert_int_equal(setegid(65534), 0);
	assert_int_equal(seteuid(65534), 0);
	examine();
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
}

static void a_forbidden_device_gets_its_command(void **state __unused)
{
	/* Group 6 is called disk on every Debian. */
	examine_as_nobody("dev/kvm", 6, 0660);
	check_says("  FAILS  /dev/kvm             Permission denied\n");
	check_says("-> sudo usermod -aG disk $USER, then log in again\n");
	assert_int_equal(host.rc, -ENOTSUP);
	examine_as_nobody("dev/kvm", 6, 0600);
	check_says("-> sudo chown $USER /dev/kvm\n");
	examine_as_nobody("dev/kvm", 54321, 0660);
	check_says("-> sudo chgrp kvm /dev/kvm && sudo usermod -aG kvm $USER, then log in again\n");
	examine_as_nobody("dev/kvm", 0, 0660);
	check_says("-> sudo chgrp kvm /dev/kvm && sudo usermod -aG kvm $USER, then log in again\n");
	examine_as_nobody("dev/kvm", 0, 0666);
	assert_int_equal(host.rc, 0);
	examine_as_nobody("dev/net/tun", 0, 0600);
	check_says("  -      /dev/net/tun         Permission denied\n");
	check_says("-> sudo chown $USER /dev/net/tun\n");
	assert_int_equal(host.rc, 0);
}

static void what_is_not_kvm_is_noticed(void **state __unused)
{
	host.api_version = -1;
	CANT_RUN("  FAILS  /dev/kvm             exists, but is not KVM's\n", "mknod");
	host.api_version = 11;
	CANT_RUN("  FAILS  KVM API              version 11\n", "-> minivmm is made for version 12");
}

static void missing_capabilities_are_named(void **state __unused)
{
	static const int needed[] = {
		KVM_CAP_USER_MEMORY, KVM_CAP_NR_MEMSLOTS, KVM_CAP_NR_VCPUS,
		KVM_CAP_EXT_CPUID,   KVM_CAP_IRQCHIP,     KVM_CAP_PIT2,
		KVM_CAP_IRQFD,       KVM_CAP_IOEVENTFD,   KVM_CAP_IMMEDIATE_EXIT,
	};
	static const int useful[] = { KVM_CAP_MAX_VCPUS, KVM_CAP_SET_TSS_ADDR,
				      KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_TSC_DEADLINE_TIMER,
				      KVM_CAP_GET_TSC_KHZ };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		host.missing_cap = needed[i];
		CANT_RUN("missing: ", "-> use a newer Linux");
	}
	check_says("  FAILS  IMMEDIATE_EXIT       missing: a virtual processor stops");
	for (size_t i = 0; i < ARRAY_SIZE(useful); i++) {
		host.missing_cap = useful[i];
		CAN_RUN("missing: ");
	}
	check_says("  -      GET_TSC_KHZ          missing: ");
}

static void what_is_merely_useful_gets_its_command(void **state __unused)
{
	take("dev/net/tun");
	CAN_RUN("  -      /dev/net/tun         No such file or directory\n",
		"-> sudo modprobe tun\n");
	take("dev/vhost-net");
	CAN_RUN("  -      /dev/vhost-net       No such file or directory\n",
		"-> sudo modprobe vhost_net\n");
	take("dev/vhost-vsock");
	CAN_RUN("  -      /dev/vhost-vsock     No such file or directory\n",
		"-> sudo modprobe vhost_vsock\n");
	host.io_uring = -ENOSYS;
	CAN_RUN("  -      io_uring             Function not implemented; disks are read and written without it\n");
	host.io_uring = -EPERM;
	CAN_RUN("-> in a container: docker run --security-opt seccomp=unconfined\n");
	put("proc/sys/kernel/io_uring_disabled", "2\n");
	CAN_RUN("-> sudo sysctl kernel.io_uring_disabled=0\n");
	put("proc/sys/kernel/io_uring_disabled", "0\n");
	host.io_uring = -ENOMEM;
	CAN_RUN("-> ulimit -l unlimited\n");
	put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
	put("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n");
	CAN_RUN("  -      huge pages of 2M     none reserved", "-> sudo sysctl vm.nr_hugepages=512",
		"  -      huge pages of 1G     none reserved",
		"-> echo 4 | sudo tee /sys/kernel/mm/hugepages/");
	take("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
	CAN_RUN("  -      huge pages of 1G     the processor or the kernel has none of this size\n");
	put("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
	CAN_RUN("  -      transparent pages    switched off",
		"-> echo madvise | sudo tee /sys/kernel/mm/trans");
	put("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
	CAN_RUN("  ok     transparent pages    ");
	put("sys/kernel/mm/ksm/run", "2\n"); /* stopped, and pages are separate again */
	CAN_RUN("  -      merging (KSM)        switched off",
		"-> echo 1 | sudo tee /sys/kernel/mm/ksm/run\n");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_good_host_is_good),
		CASE(the_backend_is_named),
		CASE(a_host_that_nests_says_so),
		CASE(a_backend_that_interprets_is_no_good),
		CASE(a_guest_that_does_not_run_is_explained),
		CASE(a_missing_device_gets_its_command),
		CASE(a_forbidden_device_gets_its_command),
		CASE(what_is_not_kvm_is_noticed),
		CASE(missing_capabilities_are_named),
		CASE(what_is_merely_useful_gets_its_command),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
