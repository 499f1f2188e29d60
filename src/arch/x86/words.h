/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of x86; arch.h says what each is for. */
#pragma once

#define WORDS_CONSOLE    "console=ttyS0"
#define WORDS_EARLY      "earlyprintk=ttyS0"
#define WORDS_EARLY_ONLY "earlyprintk=ttyS0,115200,keep", "8250.nr_uarts=0"
/* Otherwise Linux's early quirks look into 32 slots of a PCI bus for chipsets with mistakes. */
#define WORDS_NO_SEARCH "pci=noearly"
/* Linux before 5.3 reads panic_warm as "pci", and acpi, which is the default, sets that right. */
#define WORDS_PANIC "reboot=panic_warm,acpi"

#define WORDS_NO_KVM                                                                               \
	"the kernel's kvm_intel or kvm_amd module isn't loaded, or virtualization is off in the firmware"

#define WORDS_HELP_KERNEL     "the kernel: bzImage, vmlinux (ELF), PVH or multiboot image"
#define WORDS_HELP_INITRD     "initial RAM disk, or a multiboot kernel's module"
#define WORDS_HELP_DEBUG_EXIT "port 0xf4: a write of v ends with status (v << 1) | 1"
#define WORDS_HELP_NESTED                                                                          \
	"VT-x or AMD-V for guests of the guest's own, if the host's KVM\n"                         \
	"can do that (off)"
