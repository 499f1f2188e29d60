/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the processor's features a guest gets: see cpuid_bits.c. */
#pragma once

#include <stdbool.h>

struct kvm_cpuid2;

/* Leaves in *c what the list allows, and the rest as if the processor had it not. nested: VMX or
 * SVM are allowed, too. */
void cpuid_allow(struct kvm_cpuid2 *c, bool nested);

/* VMX, or that or SVM, is in there: a guest with it can have guests. */
bool cpuid_has_vmx(const struct kvm_cpuid2 *c);
bool cpuid_can_nest(const struct kvm_cpuid2 *c);
