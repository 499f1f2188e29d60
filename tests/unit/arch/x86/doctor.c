/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/doctor_host.h"

/* Removes the module that setup() made. */
static void take_module(void)
{
	take("sys/module/kvm_intel/parameters/nested");
	take("sys/module/kvm_intel/parameters");
	take("sys/module/kvm_intel/refcnt");
	take("sys/module/kvm_intel");
}

static void the_backend_is_named(void **state __unused)
{
	CAN_RUN("\n  ok     backend              VT-x (kvm_intel)\n");
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
}

static void missing_capabilities_are_named(void **state __unused)
{
	static const int needed[] = { KVM_CAP_EXT_CPUID, KVM_CAP_IRQCHIP, KVM_CAP_PIT2 };
	static const int useful[] = { KVM_CAP_SET_TSS_ADDR, KVM_CAP_SET_IDENTITY_MAP_ADDR,
				      KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_GET_TSC_KHZ };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		host.missing_cap = needed[i];
		CANT_RUN("missing: ", "-> use a newer Linux");
	}
	check_says("  FAILS  PIT2                 missing: i8254 timer");
	for (size_t i = 0; i < ARRAY_SIZE(useful); i++) {
		host.missing_cap = useful[i];
		CAN_RUN("missing: ");
	}
	check_says("  -      GET_TSC_KHZ          missing: ");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(the_backend_is_named),
		CASE(a_host_that_nests_says_so),
		CASE(a_backend_that_interprets_is_no_good),
		CASE(a_missing_device_gets_its_command),
		CASE(missing_capabilities_are_named),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
