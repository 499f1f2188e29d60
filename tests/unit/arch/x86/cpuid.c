/* SPDX-License-Identifier: BSD-2-Clause */
/* Which features of a processor that has all, and more than there are, get to a guest. */
#include "arch/x86/cpuid_bits.h"

#include <linux/kvm.h>
#include <stdlib.h>

#include "test.h"
#include "vmm/types.h"

#define LEAVES    0x40 /* in each range: more than there are */
#define SUBLEAVES 32

enum reg { EAX, EBX, ECX, EDX };

/* Every bit of every leaf is set. */
static struct kvm_cpuid2 *everything(void)
{
	static const uint32_t range[] = { 0, 0x40000000, 0x80000000, 0xc0000000 };
	const size_t nr = ARRAY_SIZE(range) * LEAVES * SUBLEAVES;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + nr * sizeof(c->entries[0]));

	assert_non_null(c);
	for (size_t i = 0; i < ARRAY_SIZE(range); i++)
		for (uint32_t leaf = 0; leaf < LEAVES; leaf++)
			for (uint32_t sub = 0; sub < SUBLEAVES; sub++)
				c->entries[c->nent++] = (struct kvm_cpuid_entry2){
					.function = range[i] + leaf,
					.index = sub,
					.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
					.eax = UINT32_MAX,
					.ebx = UINT32_MAX,
					.ecx = UINT32_MAX,
					.edx = UINT32_MAX,
				};
	return c;
}

static struct kvm_cpuid2 *allowed(bool nested)
{
	struct kvm_cpuid2 *c = everything();

	cpuid_allow(c, nested);
	return c;
}

/* A leaf that isn't there reads as zero. */
static uint32_t reg_of(const struct kvm_cpuid2 *c, uint32_t leaf, uint32_t sub, enum reg reg)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];
		const uint32_t regs[] = { e->eax, e->ebx, e->ecx, e->edx };

		if (e->function == leaf && e->index == sub)
			return regs[reg];
	}
	return 0;
}

struct feature {
	const char *name;
	uint32_t leaf, sub;
	enum reg reg;
	unsigned bit;
};

static bool has(const struct kvm_cpuid2 *c, const struct feature *f)
{
	return reg_of(c, f->leaf, f->sub, f->reg) >> f->bit & 1;
}

static const struct feature never[] = {
	{ "dtes64", 0x1, 0, ECX, 2 },
	{ "monitor", 0x1, 0, ECX, 3 },
	{ "smx", 0x1, 0, ECX, 6 },
	{ "pdcm", 0x1, 0, ECX, 15 },
	{ "dca", 0x1, 0, ECX, 18 },
	{ "ds", 0x1, 0, EDX, 21 },
	{ "acpi", 0x1, 0, EDX, 22 },
	{ "mwait leaf", 0x5, 0, ECX, 0 },
	{ "dtherm", 0x6, 0, EAX, 0 },
	{ "hwp", 0x6, 0, EAX, 7 },
	{ "aperfmperf", 0x6, 0, ECX, 0 },
	{ "sgx", 0x7, 0, EBX, 2 },
	{ "cqm", 0x7, 0, EBX, 12 },
	{ "mpx", 0x7, 0, EBX, 14 },
	{ "rdt_a", 0x7, 0, EBX, 15 },
	{ "intel_pt", 0x7, 0, EBX, 25 },
	{ "tme", 0x7, 0, ECX, 13 },
	{ "key locker", 0x7, 0, ECX, 23 },
	{ "enqcmd", 0x7, 0, ECX, 29 },
	{ "sgx_lc", 0x7, 0, ECX, 30 },
	{ "pks", 0x7, 0, ECX, 31 },
	{ "sgx keys", 0x7, 0, EDX, 1 },
	{ "uintr", 0x7, 0, EDX, 5 },
	{ "hybrid", 0x7, 0, EDX, 15 },
	{ "pconfig", 0x7, 0, EDX, 18 },
	{ "arch_lbr", 0x7, 0, EDX, 19 },
	{ "hreset", 0x7, 1, EAX, 22 },
	{ "subleaf 3", 0x7, 3, EAX, 0 },
	{ "bndregs", 0xd, 0, EAX, 3 },
	{ "bndcsr", 0xd, 0, EAX, 4 },
	{ "pt state", 0xd, 1, ECX, 8 },
	{ "pasid state", 0xd, 1, ECX, 10 },
	{ "uintr state", 0xd, 1, ECX, 14 },
	{ "lbr state", 0xd, 1, ECX, 15 },
	{ "pt's place", 0xd, 8, EAX, 0 },
	{ "lbr's place", 0xd, 15, EAX, 0 },
	{ "cqm leaf", 0xf, 0, EDX, 1 },
	{ "rdt leaf", 0x10, 0, EBX, 1 },
	{ "sgx leaf", 0x12, 0, EAX, 0 },
	{ "pt leaf", 0x14, 0, EBX, 0 },
	{ "key locker leaf", 0x19, 0, EBX, 0 },
	{ "hybrid leaf", 0x1a, 0, EAX, 30 },
	{ "lbr leaf", 0x1c, 0, EAX, 0 },
	{ "hreset leaf", 0x20, 0, EBX, 0 },
	{ "tdx leaf", 0x21, 0, EBX, 0 },
	{ "perfmon ext leaf", 0x23, 0, EAX, 0 },
	{ "a leaf of tomorrow", 0x30, 0, EAX, 0 },
	{ "migration control", 0x40000001, 0, EAX, 17 },
	{ "realtime hint", 0x40000001, 0, EDX, 0 },
	{ "hyper-v's or others", 0x40000003, 0, EAX, 0 },
	{ "extapic", 0x80000001, 0, ECX, 3 },
	{ "ibs", 0x80000001, 0, ECX, 10 },
	{ "skinit", 0x80000001, 0, ECX, 12 },
	{ "wdt", 0x80000001, 0, ECX, 13 },
	{ "lwp", 0x80000001, 0, ECX, 15 },
	{ "mwaitx", 0x80000001, 0, ECX, 29 },
	{ "hw_pstate", 0x80000007, 0, EDX, 7 },
	{ "rdpru", 0x80000008, 0, EBX, 4 },
	{ "mcommit", 0x80000008, 0, EBX, 8 },
	{ "ppin", 0x80000008, 0, EBX, 23 },
	{ "cppc", 0x80000008, 0, EBX, 27 },
	{ "ibs leaf", 0x8000001b, 0, EAX, 0 },
	{ "sev", 0x8000001f, 0, EAX, 1 },
	{ "sme", 0x8000001f, 0, EAX, 0 },
	{ "rdt leaf of AMD", 0x80000020, 0, EBX, 1 },
	{ "lbr v2", 0x80000022, 0, EAX, 1 },
	{ "an AMD leaf of tomorrow", 0x80000030, 0, EAX, 0 },
};

static const struct feature nested_only[] = {
	{ "vmx", 0x1, 0, ECX, 5 },
	{ "svm", 0x80000001, 0, ECX, 2 },
	{ "svm's revision", 0x8000000a, 0, EAX, 0 },
	{ "npt", 0x8000000a, 0, EDX, 0 },
};

/* Some of each kind that programs, or a kernel's speed, depend on. */
static const struct feature always[] = {
	{ "sse3", 0x1, 0, ECX, 0 },
	{ "fma", 0x1, 0, ECX, 12 },
	{ "cx16", 0x1, 0, ECX, 13 },
	{ "pcid", 0x1, 0, ECX, 17 },
	{ "x2apic", 0x1, 0, ECX, 21 },
	{ "popcnt", 0x1, 0, ECX, 23 },
	{ "tsc_deadline", 0x1, 0, ECX, 24 },
	{ "aes", 0x1, 0, ECX, 25 },
	{ "xsave", 0x1, 0, ECX, 26 },
	{ "avx", 0x1, 0, ECX, 28 },
	{ "rdrand", 0x1, 0, ECX, 30 },
	{ "sse2", 0x1, 0, EDX, 26 },
	{ "arat", 0x6, 0, EAX, 2 },
	{ "avx2", 0x7, 0, EBX, 5 },
	{ "erms", 0x7, 0, EBX, 9 },
	{ "invpcid", 0x7, 0, EBX, 10 },
	{ "avx512f", 0x7, 0, EBX, 16 },
	{ "rdseed", 0x7, 0, EBX, 18 },
	{ "clwb", 0x7, 0, EBX, 24 },
	{ "sha", 0x7, 0, EBX, 29 },
	{ "avx512vl", 0x7, 0, EBX, 31 },
	{ "pku", 0x7, 0, ECX, 3 },
	{ "gfni", 0x7, 0, ECX, 8 },
	{ "vaes", 0x7, 0, ECX, 9 },
	{ "la57", 0x7, 0, ECX, 16 },
	{ "fsrm", 0x7, 0, EDX, 4 },
	{ "md_clear", 0x7, 0, EDX, 10 },
	{ "amx_tile", 0x7, 0, EDX, 24 },
	{ "spec_ctrl", 0x7, 0, EDX, 26 },
	{ "arch_capabilities", 0x7, 0, EDX, 29 },
	{ "avx_vnni", 0x7, 1, EAX, 4 },
	{ "avx_vnni_int8", 0x7, 1, EDX, 4 },
	{ "bhi_ctrl", 0x7, 2, EDX, 4 },
	{ "counters", 0xa, 0, EAX, 0 },
	{ "avx512 state", 0xd, 0, EAX, 6 },
	{ "xsaves", 0xd, 1, EAX, 3 },
	{ "avx's place", 0xd, 2, EBX, 9 },
	{ "tiles' place", 0xd, 18, EAX, 13 },
	{ "tiles", 0x1d, 1, EAX, 0 },
	{ "kvmclock", 0x40000001, 0, EAX, 3 },
	{ "pv_eoi", 0x40000001, 0, EAX, 6 },
	{ "stable clock", 0x40000001, 0, EAX, 24 },
	{ "abm", 0x80000001, 0, ECX, 5 },
	{ "topoext", 0x80000001, 0, ECX, 22 },
	{ "perfctr_core", 0x80000001, 0, ECX, 23 },
	{ "nx", 0x80000001, 0, EDX, 20 },
	{ "pdpe1gb", 0x80000001, 0, EDX, 26 },
	{ "lm", 0x80000001, 0, EDX, 29 },
	{ "constant_tsc", 0x80000007, 0, EDX, 8 },
	{ "clzero", 0x80000008, 0, EBX, 0 },
	{ "ibpb", 0x80000008, 0, EBX, 12 },
	{ "lfence_rdtsc", 0x80000021, 0, EAX, 2 },
	{ "autoibrs", 0x80000021, 0, EAX, 8 },
};

#define CHECK(c, table, expected)                                                                  \
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)                                             \
		if (has(c, &(table)[i]) != (expected))                                             \
	fail_msg("%s: %d", (table)[i].name, !(expected))

static void a_guest_gets_what_is_listed(void **state __unused)
{
	struct kvm_cpuid2 *c = allowed(false);

	CHECK(c, never, false);
	CHECK(c, nested_only, false);
	CHECK(c, always, true);
	assert_false(cpuid_can_nest(c));
	free(c);
}

static void nested_is_asked_for(void **state __unused)
{
	struct kvm_cpuid2 *c = allowed(true);

	CHECK(c, never, false);
	CHECK(c, nested_only, true);
	CHECK(c, always, true);
	assert_true(cpuid_can_nest(c));
	free(c);
}

static void numbers_stay_as_they_are(void **state __unused)
{
	static const uint32_t leaves[] = { 0,          2,          4,
					   0x80000000, 0x80000002, 0x80000004,
					   0x80000005, 0x80000006, 0x8000001d };
	struct kvm_cpuid2 *c = allowed(false);

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		for (enum reg r = EAX; r <= EDX; r++)
			assert_int_equal(reg_of(c, leaves[i], 0, r), UINT32_MAX);
	assert_int_equal(reg_of(c, 1, 0, EAX), UINT32_MAX);
	free(c);
}

/* Features that the host lacks are not made up. */
static void nothing_comes_of_nothing(void **state __unused)
{
	struct kvm_cpuid2 *c = everything();
	uint32_t nr = c->nent;

	for (uint32_t i = 0; i < nr; i++)
		c->entries[i].eax = c->entries[i].ebx = c->entries[i].ecx = c->entries[i].edx = 0;
	cpuid_allow(c, true);
	assert_true(c->nent > 0 && c->nent < nr);
	for (uint32_t i = 0; i < c->nent; i++)
		assert_int_equal(c->entries[i].eax | c->entries[i].ebx | c->entries[i].ecx |
					 c->entries[i].edx,
				 0);
	assert_false(cpuid_can_nest(c));
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_gets_what_is_listed),
		cmocka_unit_test(nested_is_asked_for),
		cmocka_unit_test(numbers_stay_as_they_are),
		cmocka_unit_test(nothing_comes_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
