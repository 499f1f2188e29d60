/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/doctor.h"

#include <grp.h>

#include "host/doctor_host.h"

static void a_good_host_is_good(void **state __unused)
{
	CAN_RUN("\n  ok     /dev/kvm             there",
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

static void a_missing_device_is_explained(void **state __unused)
{
	take("dev/kvm");
	CANT_RUN("  FAILS  /dev/kvm             No such file or directory\n");
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
		KVM_CAP_IRQFD,       KVM_CAP_IOEVENTFD,   KVM_CAP_IMMEDIATE_EXIT,
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		host.missing_cap = needed[i];
		CANT_RUN("missing: ", "-> use a newer Linux");
	}
	check_says("  FAILS  IMMEDIATE_EXIT       missing: a virtual processor stops");
	host.missing_cap = KVM_CAP_MAX_VCPUS;
	CAN_RUN("  -      MAX_VCPUS            missing: ");
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
	CAN_RUN("  ok     kernel cache         /home/you/kernels: the second start of a kernel is faster\n");
	host.cache = "is not yours";
	CAN_RUN("  -      kernel cache         /home/you/kernels: is not yours: each start unpacks its kernel\n");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_good_host_is_good),
		CASE(a_guest_that_does_not_run_is_explained),
		CASE(a_missing_device_is_explained),
		CASE(a_forbidden_device_gets_its_command),
		CASE(what_is_not_kvm_is_noticed),
		CASE(missing_capabilities_are_named),
		CASE(what_is_merely_useful_gets_its_command),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
