/* SPDX-License-Identifier: BSD-2-Clause */
/* Zydis is loaded for a guest that has crashed, and not before: it would take every start longer, and
 * every machine's memory. It then stays. */
#include <Zydis/Zydis.h>
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdio.h>

#include "arch/x86/x86.h"

#define CR0_PE   1u
#define EFER_LMA (1u << 10)

static ZydisMachineMode machine_mode(const struct kvm_sregs *s)
{
	if (!(s->cr0 & CR0_PE))
		return ZYDIS_MACHINE_MODE_REAL_16;
	if (s->efer & EFER_LMA && s->cs.l)
		return ZYDIS_MACHINE_MODE_LONG_64;
	return s->cs.db ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16;
}

void disassemble(const struct kvm_sregs *s, uint64_t rip, const uint8_t *code, size_t n,
		 char text[DISASSEMBLY])
{
	void *so = dlopen(ZYDIS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	__typeof__(ZydisDisassembleIntel) *intel = NULL;
	ZydisDisassembledInstruction insn;

	if (so)
		*(void **)&intel = dlsym(so, "ZydisDisassembleIntel");
	if (!intel)
		snprintf(text, DISASSEMBLY, "(no disassembler: %s)", dlerror());
	else if (ZYAN_SUCCESS(intel(machine_mode(s), rip, code, n, &insn)))
		snprintf(text, DISASSEMBLY, "%s", insn.text);
	else
		snprintf(text, DISASSEMBLY, "not a valid one");
}
