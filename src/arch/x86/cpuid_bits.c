/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID by an allow-list: of what the host's KVM offers, a guest gets the leaves and bits below.
 * All others read as zero, as on a processor without them, so that a newer host's KVM gives guests
 * nothing that nobody here has looked at. A new row or bit needs its specification and a word.
 *
 * The list has all that user space computes with, memory management, mitigations and the bits that
 * say that a processor needs none, caches, KVM's paravirtual interface, and the counters of
 * perf(1).
 *
 * It leaves out what gives a guest a part of the host's, or much of KVM for what few want: VMX and
 * SVM (unless asked for), SGX, processor trace, last branch records, PEBS and its debug store, IBS,
 * resource control, SEV and TDX, key locker, hybrid types, thermal and power control,
 * MONITOR/MWAIT, MPX (no kernel has it any more), PASIDs, user interrupts.
 *
 * SDM 2A CPUID (table 3-17, edition of 2023 or later) and Intel's ISA Extensions Programming
 * Reference 319433; APM 3 app. E; Documentation/virt/kvm/x86/cpuid.rst for the hypervisor's leaves.
 * Names are those of /proc/cpuinfo where Linux has one.
 */
#include "arch/x86/cpuid_bits.h"

#include <linux/kvm.h>

#include "vmm/types.h"

#define ALL   UINT32_MAX /* not features, but numbers or names */
#define ANY   UINT32_MAX /* every subleaf */
#define B(nr) (1u << (nr))

/* State components of leaf 0Dh: those of XCR0, and those of IA32_XSS. */
#define XCR0                                                                                       \
	(B(0) /* x87 */ | B(1) /* SSE */ | B(2) /* AVX */ | B(5) | B(6) | B(7) /* AVX-512 */ |     \
	 B(9) /* PKRU */ | B(17) | B(18) /* AMX tiles */ | B(19) /* APX */)
#define XSS (B(11) | B(12) /* CET of user and supervisor */)

struct row {
	uint32_t leaf, sub, eax, ebx, ecx, edx;
};

/* clang-format off */
static const struct row list[] = {
	{ 0x0, ANY, ALL, ALL, ALL, ALL }, /* last leaf, vendor */
	{ 0x1, ANY, ALL /* model */, ALL /* CLFLUSH, APIC id */,
	  .ecx = B(0) /* pni (SSE3) */ | B(1) /* pclmulqdq */ | B(9) /* ssse3 */ | B(12) /* fma */ | B(13) /* cx16 */ |
		 B(17) /* pcid */ | B(19) /* sse4_1 */ | B(20) /* sse4_2 */ | B(21) /* x2apic */ | B(22) /* movbe */ |
		 B(23) /* popcnt */ | B(24) /* tsc_deadline_timer */ | B(25) /* aes */ | B(26) /* xsave */ |
		 B(27) /* osxsave */ | B(28) /* avx */ | B(29) /* f16c */ | B(30) /* rdrand */ | B(31) /* hypervisor */,
	  .edx = B(0) /* fpu */ | B(1) /* vme */ | B(2) /* de */ | B(3) /* pse */ | B(4) /* tsc */ | B(5) /* msr */ |
		 B(6) /* pae */ | B(7) /* mce */ | B(8) /* cx8 */ | B(9) /* apic */ | B(11) /* sep */ | B(12) /* mtrr */ |
		 B(13) /* pge */ | B(14) /* mca */ | B(15) /* cmov */ | B(16) /* pat */ | B(17) /* pse36 */ |
		 B(19) /* clflush */ | B(23) /* mmx */ | B(24) /* fxsr */ | B(25) /* sse */ | B(26) /* sse2 */ |
		 B(27) /* ss */ | B(28) /* ht */ },
	{ 0x2, ANY, ALL, ALL, ALL, ALL }, /* caches and TLBs, by codes */
	{ 0x4, ANY, ALL, ALL, ALL, ALL }, /* caches */
	{ 0x6, ANY, .eax = B(2) /* arat */ },
	{ 0x7, 0, .eax = ALL /* last subleaf */,
	  .ebx = B(0) /* fsgsbase */ | B(1) /* tsc_adjust */ | B(3) /* bmi1 */ | B(4) /* hle */ | B(5) /* avx2 */ |
		 B(6) /* FDP_EXCPTN_ONLY */ | B(7) /* smep */ | B(8) /* bmi2 */ | B(9) /* erms */ | B(10) /* invpcid */ |
		 B(11) /* rtm */ | B(13) /* ZERO_FCS_FDS */ | B(16) /* avx512f */ | B(17) /* avx512dq */ |
		 B(18) /* rdseed */ | B(19) /* adx */ | B(20) /* smap */ | B(21) /* avx512ifma */ | B(23) /* clflushopt */ |
		 B(24) /* clwb */ | B(26) /* avx512pf */ | B(27) /* avx512er */ | B(28) /* avx512cd */ | B(29) /* sha_ni */ |
		 B(30) /* avx512bw */ | B(31) /* avx512vl */,
	  .ecx = B(0) /* PREFETCHWT1 */ | B(1) /* avx512vbmi */ | B(2) /* umip */ | B(3) /* pku */ | B(4) /* ospke */ |
		 B(5) /* waitpkg */ | B(6) /* avx512_vbmi2 */ | B(7) /* shstk */ | B(8) /* gfni */ | B(9) /* vaes */ |
		 B(10) /* vpclmulqdq */ | B(11) /* avx512_vnni */ | B(12) /* avx512_bitalg */ | B(14) /* avx512_vpopcntdq */ |
		 B(16) /* la57 */ | B(22) /* rdpid */ | B(24) /* bus_lock_detect */ | B(25) /* cldemote */ |
		 B(27) /* movdiri */ | B(28) /* movdir64b */,
	  .edx = B(2) /* avx512_4vnniw */ | B(3) /* avx512_4fmaps */ | B(4) /* fsrm */ | B(8) /* avx512_vp2intersect */ |
		 B(10) /* md_clear */ | B(11) /* RTM_ALWAYS_ABORT */ | B(14) /* serialize */ | B(16) /* tsxldtrk */ |
		 B(20) /* ibt */ | B(22) /* amx_bf16 */ | B(23) /* avx512_fp16 */ | B(24) /* amx_tile */ |
		 B(25) /* amx_int8 */ | B(26) /* spec_ctrl */ | B(27) /* intel_stibp */ | B(28) /* flush_l1d */ |
		 B(29) /* arch_capabilities */ | B(31) /* ssbd */ },
	{ 0x7, 1,
	  .eax = B(0) /* sha512 */ | B(1) /* sm3 */ | B(2) /* sm4 */ | B(3) /* RAO-INT */ | B(4) /* avx_vnni */ |
		 B(5) /* avx512_bf16 */ | B(6) /* lass */ | B(7) /* cmpccxadd */ | B(10) /* fzrm */ | B(11) /* fsrs */ |
		 B(12) /* fsrc */ | B(17) /* fred */ | B(18) /* lkgs */ | B(19) /* wrmsrns */ | B(21) /* amx_fp16 */ |
		 B(23) /* avx_ifma */ | B(26) /* lam */ | B(31) /* movrs */,
	  .ecx = B(5) /* msr_imm */,
	  .edx = B(4) /* avx_vnni_int8 */ | B(5) /* avx_ne_convert */ | B(8) /* amx_complex */ | B(10) /* avx_vnni_int16 */ |
		 B(14) /* prefetchiti */ | B(18) /* CET_SSS */ | B(19) /* avx10 */ | B(21) /* apx */ },
	{ 0x7, 2, .edx = B(0) /* psfd */ | B(1) /* ipred_ctrl */ | B(2) /* rrsba_ctrl */ | B(3) /* ddpd_u */ |
		 B(4) /* bhi_ctrl */ | B(5) /* mcdt_no */ | B(7) /* MONITOR_MITG_NO */ },
	{ 0xa, ANY, ALL, ALL, ALL, ALL }, /* counters of perf(1): how many of which kind */
	{ 0xb, ANY, ALL, ALL, ALL, ALL }, /* topology: cpuid.c writes it */
	{ 0xd, 0, .eax = XCR0, .ebx = ALL, .ecx = ALL }, /* sizes of the state */
	{ 0xd, 1, .eax = B(0) /* xsaveopt */ | B(1) /* xsavec */ | B(2) /* xgetbv1 */ | B(3) /* xsaves */ | B(4) /* xfd */,
	  .ebx = ALL, .ecx = XSS }, /* is_state() has the other subleaves */
	{ 0x1d, ANY, ALL, ALL, ALL, ALL }, /* AMX: tiles */
	{ 0x1e, ANY, ALL, ALL, ALL, ALL }, /* AMX: TMUL */
	{ 0x24, ANY, ALL, ALL, ALL, ALL }, /* AVX10: version, widths of vectors */

	{ 0x40000000, ANY, ALL, ALL, ALL, ALL }, /* last leaf, "KVMKVMKVM" */
	{ 0x40000001, ANY,
	  .eax = B(0) /* clocksource */ | B(1) /* nop_io_delay */ | B(3) /* clocksource2 */ | B(4) /* async_pf */ |
		 B(5) /* steal_time */ | B(6) /* pv_eoi */ | B(7) /* pv_unhalt */ | B(9) /* pv_tlb_flush */ |
		 B(10) /* async_pf_vmexit */ | B(11) /* pv_send_ipi */ | B(12) /* poll_control */ | B(13) /* pv_sched_yield */ |
		 B(14) /* async_pf_int */ | B(24) /* clocksource_stable */ },

	{ 0x80000000, ANY, ALL, ALL, ALL, ALL }, /* last leaf, vendor */
	{ 0x80000001, ANY, ALL /* model */, ALL /* brand */,
	  .ecx = B(0) /* lahf_lm */ | B(1) /* cmp_legacy */ | B(4) /* cr8_legacy */ | B(5) /* abm */ | B(6) /* sse4a */ |
		 B(7) /* misalignsse */ | B(8) /* 3dnowprefetch */ | B(9) /* osvw */ | B(11) /* xop */ | B(16) /* fma4 */ |
		 B(17) /* tce */ | B(21) /* tbm */ | B(22) /* topoext */ | B(23) /* perfctr_core */,
	  .edx = B(0) /* fpu */ | B(1) /* vme */ | B(2) /* de */ | B(3) /* pse */ | B(4) /* tsc */ | B(5) /* msr */ |
		 B(6) /* pae */ | B(7) /* mce */ | B(8) /* cx8 */ | B(9) /* apic */ | B(11) /* syscall */ | B(12) /* mtrr */ |
		 B(13) /* pge */ | B(14) /* mca */ | B(15) /* cmov */ | B(16) /* pat */ | B(17) /* pse36 */ | B(20) /* nx */ |
		 B(22) /* mmxext */ | B(23) /* mmx */ | B(24) /* fxsr */ | B(25) /* fxsr_opt */ | B(26) /* pdpe1gb */ |
		 B(27) /* rdtscp */ | B(29) /* lm */ | B(30) /* 3dnowext */ | B(31) /* 3dnow */ },
	{ 0x80000002, ANY, ALL, ALL, ALL, ALL }, /* the model's name, of three parts */
	{ 0x80000003, ANY, ALL, ALL, ALL, ALL },
	{ 0x80000004, ANY, ALL, ALL, ALL, ALL },
	{ 0x80000005, ANY, ALL, ALL, ALL, ALL }, /* caches and TLBs */
	{ 0x80000006, ANY, ALL, ALL, ALL, ALL },
	{ 0x80000007, ANY, .ebx = B(0) /* overflow_recov */ | B(1) /* succor */ | B(3) /* smca */,
	  .edx = B(8) /* constant_tsc, nonstop_tsc */ },
	{ 0x80000008, ANY, .eax = ALL /* widths of addresses */, .ecx = ALL /* processors: cpuid.c */,
	  .ebx = B(0) /* clzero */ | B(2) /* xsaveerptr */ | B(9) /* wbnoinvd */ | B(12) /* ibpb */ | B(14) /* ibrs */ |
		 B(15) /* stibp */ | B(16) /* IBRS always on */ | B(17) /* STIBP always on */ | B(18) /* IBRS preferred */ |
		 B(19) /* IBRS same mode */ | B(20) /* no EFER.LMSLE */ | B(24) /* AMD's ssbd */ | B(25) /* virt_ssbd */ |
		 B(26) /* ssb_no */ | B(28) /* psfd */ | B(29) /* btc_no */ | B(30) /* ibpb_ret */ },
	{ 0x80000019, ANY, ALL, ALL, ALL, ALL }, /* TLBs for pages of 1 GiB */
	{ 0x8000001a, ANY, .eax = ALL }, /* widths of the vector units */
	{ 0x8000001d, ANY, ALL, ALL, ALL, ALL }, /* caches */
	{ 0x8000001e, ANY, ALL, ALL, ALL, ALL }, /* topology: cpuid.c */
	{ 0x80000021, ANY,
	  .eax = B(0) /* no nested data breakpoints */ | B(1) /* FS, GS: not serializing */ | B(2) /* lfence_rdtsc */ |
		 B(5) /* verw_clear */ | B(6) /* null_seg */ | B(8) /* autoibrs */ | B(9) /* no_smm_ctl_msr */ | B(10) /* FSRS */ |
		 B(11) /* FSRC */ | B(20) /* prefetchi */ | B(27) /* sbpb */ | B(28) /* ibpb_brtype */ | B(29) /* srso_no */ |
		 B(30) /* srso_user_kernel_no */ | B(31) /* srso_bp_spec_reduce */,
	  .ecx = B(1) /* tsa_sq_no */ | B(2) /* tsa_l1_no */ },
	{ 0x80000022, ANY, .eax = B(0) /* perfmon_v2 */, .ebx = 0xf /* its core counters */ },

	{ 0xc0000000, ANY, ALL, ALL, ALL, ALL }, /* Zhaoxin: last leaf */
	{ 0xc0000001, ANY, .eax = ALL, /* model; each feature has a bit for "there" and one for "on" */
	  .edx = B(2) | B(3) /* rng */ | B(6) | B(7) /* ace */ | B(8) | B(9) /* ace2 */ | B(10) | B(11) /* phe */ |
		 B(12) | B(13) /* pmm */ },
};

/* With --nested on: SDM 3C §23.6, APM 2 §15.4. KVM answers the MSRs of VMX or SVM by the same
 * bits. */
static const struct row nested_list[] = {
	{ 0x1, ANY, .ecx = B(5) /* vmx */ },
	{ 0x80000001, ANY, .ecx = B(2) /* svm */ },
	{ 0x8000000a, ANY, ALL, ALL, ALL, ALL }, /* SVM: revision, ASIDs, features */
};
/* clang-format on */

/* Adds to *sum what n rows allow of e. Returns false if they allow nothing. */
static bool allow(const struct row *row, size_t n, const struct kvm_cpuid_entry2 *e,
		  struct row *sum)
{
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		if (row[i].leaf != e->function || (row[i].sub != ANY && row[i].sub != e->index))
			continue;
		found = true;
		sum->eax |= row[i].eax;
		sum->ebx |= row[i].ebx;
		sum->ecx |= row[i].ecx;
		sum->edx |= row[i].edx;
	}
	return found;
}

/* Leaf 0Dh from subleaf 2 on says where a component of the state lies, in numbers. */
static bool is_state(const struct kvm_cpuid_entry2 *e)
{
	return e->function == 0xd && e->index >= 2 && e->index < 32 && (XCR0 | XSS) >> e->index & 1;
}

static bool allow_entry(struct kvm_cpuid_entry2 *e, bool nested)
{
	struct row sum = { 0 };
	bool found = is_state(e);

	if (found)
		return true;
	found = allow(list, ARRAY_SIZE(list), e, &sum);
	if (nested)
		found |= allow(nested_list, ARRAY_SIZE(nested_list), e, &sum);
	e->eax &= sum.eax;
	e->ebx &= sum.ebx;
	e->ecx &= sum.ecx;
	e->edx &= sum.edx;
	return found;
}

void cpuid_allow(struct kvm_cpuid2 *c, bool nested)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++)
		if (allow_entry(&c->entries[i], nested))
			c->entries[kept++] = c->entries[i];
	c->nent = kept;
}

static bool has_ecx(const struct kvm_cpuid2 *c, uint32_t leaf, uint32_t bits)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == leaf && c->entries[i].ecx & bits)
			return true;
	return false;
}

bool cpuid_has_vmx(const struct kvm_cpuid2 *c)
{
	return has_ecx(c, 0x1, B(5));
}

bool cpuid_can_nest(const struct kvm_cpuid2 *c)
{
	return cpuid_has_vmx(c) || has_ecx(c, 0x80000001, B(2));
}
