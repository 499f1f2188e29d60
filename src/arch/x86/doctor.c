/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of an x86 host that the doctor looks at: VT-x, AMD-V, and KVM's modules for them. */
#include <linux/kvm.h>

#include "arch/arch.h"

enum { VMX = 1, SVM = 2, NESTED = 4 }; /* doctor_report.seen; NESTED: the host is a guest itself */

const struct doctor_capability arch_needed[] = {
	{ KVM_CAP_EXT_CPUID, 1, "EXT_CPUID", "the processor's features" },
	{ KVM_CAP_IRQCHIP, 1, "IRQCHIP", "interrupt controllers in the host's kernel" },
	{ KVM_CAP_PIT2, 1, "PIT2", "i8254 timer in the host's kernel" },
	{ 0 },
};

const struct doctor_capability arch_useful[] = {
	{ KVM_CAP_SET_TSS_ADDR, 1, "SET_TSS_ADDR", "real mode on older Intel processors" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1, "SET_IDENTITY_MAP",
	  "real mode on older Intel processors" },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1, "TSC_DEADLINE_TIMER", "cheap timers in the guest" },
	{ KVM_CAP_GET_TSC_KHZ, 1, "GET_TSC_KHZ", "the guest need not measure its clock" },
	{ 0 },
};

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
static void look_at_processor(struct doctor_report *r)
{
	static const char *const modules[][2] = {
		{ "sys/module/kvm_intel", "kvm_intel" },
		{ "sys/module/kvm_amd", "kvm_amd" },
		{ "sys/module/kvm_pvm", "kvm_pvm" },
	};
	static const struct {
		const char *flag;
		unsigned seen;
	} words[] = { { "vmx", VMX }, { "svm", SVM }, { "hypervisor", NESTED } };
	char cpuinfo[8192];
	const char *flags =
		strstr(doctor_read(r, "proc/cpuinfo", cpuinfo, sizeof(cpuinfo)), "\nflags");

	for (size_t i = 0; i < ARRAY_SIZE(words) && flags; i++)
		r->seen |= has_word(flags + 1, words[i].flag) ? words[i].seen : 0;
	for (size_t i = 0; i < ARRAY_SIZE(modules) && !r->backend; i++) {
		if (doctor_exists(r, modules[i][0]))
			r->backend = modules[i][1];
	}
}

/* Only names it: check_guest() tries whether it can run a guest. */
void arch_check_backend(struct doctor_report *r)
{
	const char *kind;

	look_at_processor(r);
	kind = r->seen & VMX ? "VT-x" : r->seen & SVM ? "AMD-V" : NULL;
	if (r->backend && !strcmp(r->backend, "kvm_pvm"))
		doctor_say(r, ABSENT, "backend", "PVM (kvm_pvm), which interprets kernel code");
	else if (kind)
		doctor_say(
			r, GOOD, "backend", "%s (%s)%s", kind, r->backend ?: "no module is loaded",
			r->seen & NESTED ? ", nested: this host is a virtual machine itself" : "");
	else
		doctor_say(r, ABSENT, "backend", "the processor shows neither VT-x nor AMD-V%s",
			   r->seen & NESTED ? "; it is a virtual machine's" : "");
}

/* A parameter of the module decides whether a guest can have guests of its own. */
void arch_check_nested(struct doctor_report *r)
{
	char path[64], text[8];

	if (!r->backend || !(r->seen & (VMX | SVM))) {
		doctor_say(r, ABSENT, "nested guests", "--nested on needs VT-x or AMD-V");
		return;
	}
	snprintf(path, sizeof(path), "sys/module/%s/parameters/nested", r->backend);
	doctor_read(r, path, text, sizeof(text));
	if (*text == 'Y' || *text == '1') {
		doctor_say(r, GOOD, "nested guests", "for --nested on");
	} else {
		doctor_say(r, ABSENT, "nested guests", "switched off in %s: --nested on is refused",
			   r->backend);
		doctor_advise(
			r, "sudo modprobe -r %s && sudo modprobe %s nested=1 (while no guest runs)",
			r->backend, r->backend);
	}
}

void arch_advise_elsewhere(struct doctor_report *r)
{
	doctor_advise(r, "run it in the test bed: tests/testbed/testbed -- minivmm ...");
	doctor_advise(r, "or on a host with VT-x or AMD-V");
}

/* /dev/kvm is not there, or no driver answers. */
void arch_advise_kvm(struct doctor_report *r)
{
	if (r->backend) {
		doctor_advise(r, "in a container, pass it in: docker run --device /dev/kvm");
	} else if (r->seen & (VMX | SVM)) {
		doctor_advise(r, "sudo modprobe %s", r->seen & VMX ? "kvm_intel" : "kvm_amd");
	} else {
		doctor_advise(
			r,
			r->seen & NESTED
				? "switch on nested virtualization in the host of this virtual machine"
				: "switch on virtualization (VT-x, SVM) in the firmware's setup");
		arch_advise_elsewhere(r);
	}
}
