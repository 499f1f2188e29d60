/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor's features that a guest gets (see cpuid_bits.c). */
#pragma once

#include <stdbool.h>

struct kvm_cpuid2;

/* Leaves in *c what the list allows; all else is as on a processor without it. nested: VMX or SVM
 * are allowed, too. */
void cpuid_allow(struct kvm_cpuid2 *c, bool nested);

/* These say whether VMX, or either of VMX and SVM, is in there: a guest with it can have guests. */
bool cpuid_has_vmx(const struct kvm_cpuid2 *c);
bool cpuid_can_nest(const struct kvm_cpuid2 *c);
