/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "arch/x86/x86.h"

void disassemble(const struct kvm_sregs *s __unused, uint64_t rip __unused,
		 const uint8_t *code __unused, size_t n __unused, char text[DISASSEMBLY])
{
	snprintf(text, DISASSEMBLY, "(this build has no disassembler: it was made without Zydis)");
}
