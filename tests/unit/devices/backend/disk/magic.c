/* SPDX-License-Identifier: BSD-2-Clause */
/* An image of another format that is given as a raw one is reported, and used as it is. */
#include "qcow2_image.h"

#include "capture.h"

struct rig {
	char dir[32], path[48], log[48];
};

static void rig_up(struct rig *t)
{
	*t = (struct rig){ .dir = "/tmp/magic-XXXXXX" };
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/it's", t->dir);
	snprintf(t->log, sizeof(t->log), "%s/log", t->dir);
}

static void rig_down(struct rig *t)
{
	unlink(t->path);
	unlink(t->log);
	assert_int_equal(rmdir(t->dir), 0);
}

/* Opens the disk. text: what is said; NULL: nothing. */
static void assert_said(struct rig *t, const struct disk_options *how, const char *text)
{
	struct disk_options o = *how;
	struct capture c;
	struct disk d;

	o.path = t->path;
	for (int dry = 0; dry < 2; dry++) {
		o.dry = dry;
		capture_begin(&c);
		(void)!disk_open(&d, &o, disk_done);
		disk_close(&d);
		capture_end(&c);
		if (text ? !strstr(c.text, text) : *c.text)
			fail_msg("\"%s\" is not in \"%s\"", text ?: "", c.text);
	}
}

/* Makes a file of 64 KiB of zeroes, with len bytes of what at off. */
static void make(struct rig *t, const void *what, size_t len, off_t off)
{
	int fd = open(t->path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(fd, 64 * KIB), 0);
	assert_int_equal(pwrite(fd, what, len, off), len);
	close(fd);
}

static void images_of_qemus_are_told_of(void **state __unused)
{
	static const struct {
		char *format, *how, *text;
	} cases[] = {
		{ "qcow2", "compat=1.1",
		  "is a qcow2 image, and the guest gets its bytes as they are (write format=qcow2)" },
		{ "qcow2", "compat=0.10", "is a qcow2 image" },
		{ "qcow", NULL, "is a qcow image" },
		{ "vmdk", "subformat=monolithicSparse",
		  "is a VMDK image, and the guest gets its bytes as they are (convert it with: qemu-img convert -f vmdk -O raw '/tmp/" },
		{ "vmdk", "subformat=streamOptimized", "is a VMDK image" },
		{ "vdi", NULL, "is a VDI image" },
		{ "vhdx", NULL, "is a VHDX image" },
		{ "vpc", "subformat=dynamic", "is a VHD image" },
		{ "vpc", "subformat=fixed", "is a VHD image" },
		{ "qed", NULL, "is a QED image" },
		{ "parallels", NULL, "is a Parallels image" },
		{ "raw", NULL, NULL },
	};
	struct rig t;

	if (!have_qemu_img())
		skip();
	rig_up(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[] = { "qemu-img", "create",

				 "-f",       cases[i].format, t.path, "1M", NULL, NULL, NULL };

		if (cases[i].how) {
			argv[6] = "-o";
			argv[7] = cases[i].how;
		}
		unlink(t.path);
		if (run_tool(t.log, argv) != 0)
			print_message("# SKIP: qemu-img makes no %s here\n", cases[i].format);
		else
			assert_said(&t, &(struct disk_options){ 0 }, cases[i].text);
	}
	rig_down(&t);
}

static void packed_files_are_told_of(void **state __unused)
{
	static const struct {
		const char *begin, *text;
		unsigned len;
		off_t off;
	} cases[] = {
		{ "\x1f\x8b\x08",
		  "is a gzip file, and the guest gets its bytes as they are (unpack it with: gzip -dk '/tmp/",
		  3, 0 },
		{ "\xfd"
		  "7zXZ\0",
		  "xz -dk", 6, 0 },
		{ "\x28\xb5\x2f\xfd", "zstd -d", 4, 0 },
		{ "BZh91AY&SY", "bzip2 -dk", 10, 0 },
		{ "\x04\x22\x4d\x18", "lz4 -d", 4, 0 },
		{ "PK\3\4", "unzip", 4, 0 },
		{ "7z\xbc\xaf\x27\x1c", "7z x", 6, 0 },
		{ "# Disk DescriptorFile\nversion=1\n", "is a VMDK descriptor", 32, 0 },
		{ "koly\0\0\0\4", "is a DMG image", 8, 64 * KIB - DISK_SECTOR },
		/* These are ordinary contents of a disk. */
		{ "\1CD001", NULL, 6, 32768 },
		{ "\x53\xef", NULL, 2, 1080 },
		{ "\x55\xaa", NULL, 2, 510 },
		{ "EFI PART", NULL, 8, 512 },
		{ "hsqs", NULL, 4, 0 },
		{ "LUKS\xba\xbe\0\2", NULL, 8, 0 },
		{ "QFI\xfb", NULL, 4, 512 },
		{ "KDM", NULL, 3, 0 },
	};
	struct rig t;

	rig_up(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		make(&t, cases[i].begin, cases[i].len, cases[i].off);
		assert_said(&t, &(struct disk_options){ 0 }, cases[i].text);
		assert_said(&t, &(struct disk_options){ .readonly = true }, cases[i].text);
		assert_said(&t, &(struct disk_options){ .format = DISK_QCOW2 },
			    "is not a qcow2 image");
	}
	rig_down(&t);
}

/* A packed file seldom has whole sectors, and a descriptor may be shorter than one: its format is
 * reported first, and nobody is told to make it longer. */
static void an_odd_size_is_told_after_it(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	make(&t, "\x1f\x8b\x08", 3, 0);
	assert_int_equal(truncate(t.path, 1000), 0);
	assert_said(&t, &(struct disk_options){ 0 }, "gzip -dk");
	assert_said(&t, &(struct disk_options){ 0 }, "raw image has whole sectors\n");
	assert_int_equal(truncate(t.path, 100), 0);
	assert_said(&t, &(struct disk_options){ 0 }, "gzip -dk");
	assert_int_equal(truncate(t.path, 2), 0);
	assert_said(&t, &(struct disk_options){ 0 }, "round it up with: truncate -s %512 '/tmp/");
	make(&t, "# Disk DescriptorFile\n", 22, 0);
	assert_int_equal(truncate(t.path, 338), 0);
	assert_said(&t, &(struct disk_options){ 0 }, "is a VMDK descriptor");
	rig_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_of_qemus_are_told_of),
		cmocka_unit_test(packed_files_are_told_of),
		cmocka_unit_test(an_odd_size_is_told_after_it),
	};

	return cmocka_run_group_tests_name("disk_magic", tests, NULL, NULL);
}
