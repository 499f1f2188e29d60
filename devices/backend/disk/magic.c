/* SPDX-License-Identifier: BSD-2-Clause */
/* Images of other formats that are given as raw ones. The format is what the user says, because a
 * guest decides what its disk looks like. But a user who forgot to say it gets an empty disk, and
 * is told why. LUKS, ISO images and file systems are ordinary contents of a disk. */
#include "backend/disk/disk_impl.h"
#include "backend/disk/quoted.h"
#include "vmm/log.h"

enum way_out { SAY_FORMAT, CONVERT, UNPACK };

struct kind {
	const char *name, *how; /* UNPACK: the command; CONVERT: qemu-img's name */
	enum way_out way_out;
	uint16_t off; /* where magic, which has len bytes, is in the first sector */
	bool at_end;  /* it is in the last sector instead */
	uint8_t len;
	const char *magic;
};

#define MAGIC(text) .len = sizeof(text) - 1, .magic = (text)

static const struct kind kinds[] = {
	{ "a qcow2 image", "qcow2", SAY_FORMAT, MAGIC("QFI\xfb\0\0\0\3") },
	{ "a qcow2 image", "qcow2", SAY_FORMAT, MAGIC("QFI\xfb\0\0\0\2") },
	{ "a qcow image", "qcow", CONVERT, MAGIC("QFI\xfb\0\0\0\1") },
	{ "a VMDK image", "vmdk", CONVERT, MAGIC("KDMV") },
	{ "a VMDK image", "vmdk", CONVERT, MAGIC("COWD") },
	{ "a VMDK descriptor", "vmdk", CONVERT, MAGIC("# Disk DescriptorFile") },
	{ "a VDI image", "vdi", CONVERT, .off = 64, MAGIC("\x7f\x10\xda\xbe") },
	{ "a VHDX image", "vhdx", CONVERT, MAGIC("vhdxfile") },
	{ "a VHD image", "vpc", CONVERT, MAGIC("conectix") },
	{ "a VHD image", "vpc", CONVERT, .at_end = true, MAGIC("conectix") },
	{ "a QED image", "qed", CONVERT, MAGIC("QED\0") },
	{ "a Parallels image", "parallels", CONVERT, MAGIC("WithoutFreeSpace") },
	{ "a Parallels image", "parallels", CONVERT, MAGIC("WithouFreSpacExt") },
	{ "a DMG image", "dmg", CONVERT, .at_end = true, MAGIC("koly\0\0\0\4") },
	{ "a gzip file", "gzip -dk", UNPACK, MAGIC("\x1f\x8b\x08") },
	{ "an xz file", "xz -dk", UNPACK,
	  MAGIC("\xfd"
		"7zXZ\0") },
	{ "a zstd file", "zstd -d", UNPACK, MAGIC("\x28\xb5\x2f\xfd") },
	{ "a bzip2 file", "bzip2 -dk", UNPACK, .off = 4, MAGIC("1AY&SY") },
	{ "an lz4 file", "lz4 -d", UNPACK, MAGIC("\x04\x22\x4d\x18") },
	{ "a ZIP archive", "unzip", UNPACK, MAGIC("PK\3\4") },
	{ "a 7-Zip archive", "7z x", UNPACK, MAGIC("7z\xbc\xaf\x27\x1c") },
};

/* Returns what a disk with these first and last sectors looks like, or NULL. */
static const struct kind *kind_of(const uint8_t *first, const uint8_t *last)
{
	for (const struct kind *k = kinds; k < kinds + ARRAY_SIZE(kinds); k++)
		if (!memcmp((k->at_end ? last : first) + k->off, k->magic, k->len))
			return k;
	return NULL;
}

static void warn(const struct disk *d, const struct kind *k)
{
	char file[1100];

	disk_quoted(file, sizeof(file), d->path);
	if (k->way_out == SAY_FORMAT)
		log_warn(
			"--disk %s: is %s, and the guest gets its bytes as they are (write format=%s)",
			d->path, k->name, k->how);
	else if (k->way_out == CONVERT)
		log_warn(
			"--disk %s: is %s, and the guest gets its bytes as they are (convert it with: qemu-img convert -f %s -O raw %s NEW.img)",
			d->path, k->name, k->how, file);
	else
		log_warn(
			"--disk %s: is %s, and the guest gets its bytes as they are (unpack it with: %s %s)",
			d->path, k->name, k->how, file);
}

bool disk_warn_of_format(const struct disk *d)
{
	/* A VMDK's descriptor and a small archive may be shorter than a sector. */
	uint8_t first[DISK_SECTOR] = { 0 }, last[DISK_SECTOR] = { 0 };
	const uint64_t end = max(d->size, (uint64_t)DISK_SECTOR);
	const struct kind *k;

	/* An error of reading the disk is reported elsewhere. */
	if (pread(d->fd, first, sizeof(first), 0) < 0 ||
	    pread(d->fd, last, sizeof(last), (off_t)(end - DISK_SECTOR)) < 0)
		return false;
	k = kind_of(first, last);
	if (k)
		warn(d, k);
	return k;
}
