/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Says what a kernel's file is, by its bytes: whether it is Linux, whose command line gets Linux's
 * own words; and, if it is refused, which of the formats that people take for a kernel it is.
 */
#include <ctype.h>
#include <elf.h>

#include "decompress.h"
#include "x86/boot_impl.h"

#define XEN_ELFNOTE_GUEST_OS 6

/* -- the processor --------------------------------------------------------------------------- */

static const char *refuse_machine(const struct elf *elf)
{
	if (elf->big_endian)
		return "is for a big-endian processor; minivmm runs x86-64 kernels";
	switch (elf->machine) {
	case EM_X86_64:
		return elf->is64 ? NULL : "is an x32 file; minivmm runs x86-64 kernels";
	case EM_386:
		return elf->is64 ? "is damaged: a 64-bit ELF file for a 32-bit processor" : NULL;
	case EM_AARCH64:
		return "is for ARM64; minivmm runs x86-64 kernels";
	case EM_RISCV:
		return "is for RISC-V; minivmm runs x86-64 kernels";
	default:
		return "is for another processor; minivmm runs x86-64 kernels";
	}
}

const char *boot_parse_elf(struct elf *elf, const uint8_t *file, size_t len)
{
	return elf_parse(elf, file, len, refuse_machine);
}

/* -- Linux ----------------------------------------------------------------------------------- */

/* len includes the owner's 0. */
static bool owned_by(const struct elf_note *n, const char *owner, size_t len)
{
	return n->owner_len == len && !memcmp(n->owner, owner, len);
}

/* Is the banner of every Linux, "Linux version 6.1.0-…", in the parts of the file that are
 * loaded? */
static bool has_banner(const struct elf *elf, const uint8_t *file)
{
	static const char banner[] = "Linux version ";
	const size_t len = sizeof(banner) - 1;

	for (unsigned i = 0; i < elf->nr; i++) {
		const uint8_t *at = file + elf->seg[i].offset, *end = at + elf->seg[i].filesz;

		while ((at = memmem(at, (size_t)(end - at), banner, len))) {
			at += len;
			if (at < end && isdigit(*at))
				return true;
		}
	}
	return false;
}

/* Linux has had notes of its own since 4.19. A kernel with Xen's entry points has a note that says
 * what it is. The file is searched only if it has neither. */
static bool elf_is_linux(const struct elf *elf, const uint8_t *file)
{
	struct elf_note_walk walk = { 0 };
	struct elf_note n;

	while (elf_next_note(elf, file, &walk, &n)) {
		if (owned_by(&n, "Linux", sizeof("Linux")))
			return true;
		if (owned_by(&n, "Xen", sizeof("Xen")) && n.type == XEN_ELFNOTE_GUEST_OS)
			return n.desc_len >= 5 && !memcmp(n.desc, "linux", 5);
	}
	return has_banner(elf, file);
}

bool boot_is_linux(const struct boot_request *r)
{
	struct elf elf;
	uint64_t entry;

	if (bzimage_is(r))
		return bzimage_is_linux(r);
	if (!elf_is(r->kernel, r->kernel_len) || boot_parse_elf(&elf, r->kernel, r->kernel_len))
		return false;
	if (!pvh_find_entry(&elf, r->kernel, &entry) && multiboot_is(r))
		return false;
	return elf_is_linux(&elf, r->kernel);
}

/* -- what is not a kernel for us ------------------------------------------------------------- */

#define BOOTS "minivmm boots bzImage, ELF and Multiboot 1 kernels for x86-64"

#define EFI   "which needs UEFI firmware; minivmm has none"
#define OTHER "minivmm runs x86-64 kernels"

/* Each is known by the bytes at an offset. */
/* clang-format off */
static const struct {
	size_t at;
	const char *bytes;
	size_t len;
	const char *what;
} not_kernels[] = {
	{ 0x38, "ARM\x64", 4, "is a kernel for ARM64; " OTHER },
	{ 0x24, "\x18\x28\x6f\x01", 4, "is a kernel for 32-bit ARM; " OTHER },
	{ 0x38, "RSC\x05", 4, "is a kernel for RISC-V; " OTHER },
	{ 0x30, "RISCV\0\0\0", 8, "is a kernel for RISC-V; " OTHER },
	{ 0, "MZ\0\0zimg", 8, "is a compressed EFI boot image (zboot), " EFI "; give the kernel that is inside" },
	{ 0, "\x27\x05\x19\x56", 4, "is a U-Boot image; give the kernel that is inside" },
	{ 0, "\xd0\x0d\xfe\xed", 4, "is a device tree or FIT image; give the kernel that is inside" },
	{ 0, "ANDROID!", 8, "is an Android boot image; give the kernel that is inside" },
	{ 0, "\xcf\xfa\xed\xfe", 4, "is a Mach-O file, as on macOS; " BOOTS },
	{ 0, "\xce\xfa\xed\xfe", 4, "is a Mach-O file, as on macOS; " BOOTS },
	{ 0, "\xca\xfe\xba\xbe", 4, "is a Mach-O file, as on macOS; " BOOTS },
	{ 0, "!<arch>\n", 8, "is an archive or a package; unpack it (dpkg -x) and give the kernel in its boot/" },
	{ 0, "\xed\xab\xee\xdb", 4, "is an RPM package; unpack it (rpm2cpio) and give the kernel in it" },
	{ 0, "PK\3\4", 4, "is a zip archive; unpack it first" },
	{ 257, "ustar", 5, "is a tar archive; unpack it first" },
	{ 0, "0707", 4, "is a cpio archive, as an initrd is; give an initrd as --initrd" },
	{ 0, "hsqs", 4, "is a squashfs image; give it as --disk, with a kernel" },
	{ 0, "QFI\xfb", 4, "is a qcow2 disk image; give it as --disk FILE,format=qcow2, with a kernel" },
	{ 0x8001, "CD001", 5, "is an ISO image; give it as --disk, with a kernel" },
	{ 0, "#!", 2, "is a script, not a kernel" },
	{ 0, "MZ", 2, "is an EFI program (or one of DOS), " EFI ", and boots bzImage, ELF and Multiboot 1 kernels" },
	{ 0x1fe, "\x55\xaa", 2, "is a boot sector or a disk image; give it as --disk, with a kernel" },
};
/* clang-format on */

int boot_refuse_unknown(const struct boot_request *r)
{
	const struct codec *codec = codec_find(r->kernel, r->kernel_len);

	if (!r->kernel_len)
		return boot_refuse(r, "is empty");
	if (codec)
		return boot_refuse(r, "is a %s file; unpack it first", codec->name);
	for (size_t i = 0; i < ARRAY_SIZE(not_kernels); i++)
		if (r->kernel_len >= not_kernels[i].at + not_kernels[i].len &&
		    !memcmp(r->kernel + not_kernels[i].at, not_kernels[i].bytes,
			    not_kernels[i].len))
			return boot_refuse(r, "%s", not_kernels[i].what);
	if (multiboot_is(r))
		return boot_refuse(
			r,
			"has a Multiboot header without address fields (flag 16), and is not an ELF file either");
	if (multiboot2_is(r))
		return boot_refuse(r, "is a Multiboot 2 kernel; minivmm knows Multiboot 1");
	return boot_refuse(r, "is neither a bzImage nor an ELF or Multiboot 1 kernel");
}
