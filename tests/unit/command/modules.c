/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/modules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static const char dep[] =
	"kernel/fs/fuse/fuse.ko:\n"
	"kernel/fs/fuse/virtiofs.ko.xz: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko kernel/fs/fuse/fuse.ko\n"
	"kernel/drivers/virtio/virtio_ring.ko:\n"
	"kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n"
	"kernel/drivers/misc/pvpanic-mmio.ko.zst: kernel/drivers/misc/pvpanic.ko\n"
	"kernel/drivers/misc/pvpanic.ko:\n"
	"kernel/broken.ko: kernel/missing.ko\n"
	"kernel/lazy.ko: kernel/drivers/virtio/virtio.ko kernel/ext4.ko\n"
	"a/one.ko: a/two.ko\n"
	"a/two.ko: a/three.ko\n"
	"a/three.ko: a/one.ko\n"
	"../../etc/out.ko:\n"
	"/abs.ko:\n";
static const char builtin[] = "kernel/fs/overlayfs/overlay.ko\nkernel/fs/ext4/ext4.ko\n";
static const struct modules_index both = { dep, builtin, sizeof(dep) - 1, sizeof(builtin) - 1 };

static struct modules m;
static char about[64];

static int add_from(const struct modules_index *x, const char *name)
{
	const char *culprit;
	size_t len;
	int rc = modules_add(&m, x, name, &culprit, &len);

	snprintf(about, sizeof(about), "%.*s", (int)len, culprit);
	return rc;
}

static int add(const char *name)
{
	return add_from(&both, name);
}

static void assert_path(size_t i, const char *path)
{
	assert_true(i < m.nr);
	assert_int_equal(m.len[i], strlen(path));
	assert_memory_equal(m.path[i], path, m.len[i]);
}

static int begin(void **state __unused)
{
	m = (struct modules){ 0 };
	return 0;
}

static void what_is_needed_comes_first_and_once(void **state __unused)
{
	assert_int_equal(add("virtiofs"), 0);
	assert_int_equal(add("virtio"), 0);
	assert_int_equal(m.nr, 4);
	assert_path(0, "kernel/fs/fuse/fuse.ko");
	assert_path(1, "kernel/drivers/virtio/virtio_ring.ko");
	assert_path(2, "kernel/drivers/virtio/virtio.ko");
	assert_path(3, "kernel/fs/fuse/virtiofs.ko.xz");
}

static void a_line_may_name_only_its_own_needs(void **state __unused)
{
	assert_int_equal(add("lazy"), 0);
	assert_int_equal(m.nr, 3);
	assert_path(0, "kernel/drivers/virtio/virtio_ring.ko");
	assert_path(1, "kernel/drivers/virtio/virtio.ko");
	assert_path(2, "kernel/lazy.ko");
}

static void dashes_and_underscores_are_the_same(void **state __unused)
{
	assert_int_equal(add("pvpanic_mmio"), 0);
	assert_int_equal(m.nr, 2);
	assert_path(1, "kernel/drivers/misc/pvpanic-mmio.ko.zst");
}

static void what_is_built_in_needs_nothing(void **state __unused)
{
	assert_int_equal(add("overlay"), 0);
	assert_int_equal(m.nr, 0);
}

static void what_is_not_there_is_named(void **state __unused)
{
	assert_int_equal(add("nonsense"), -ENOENT);
	assert_string_equal(about, "nonsense");
	assert_int_equal(add("broken"), -ENOENT);
	assert_string_equal(about, "missing");
	assert_int_equal(add("virti"), -ENOENT);
	assert_int_equal(m.nr, 0);
}

static void loops_end(void **state __unused)
{
	assert_int_equal(add("one"), -ELOOP);
	assert_string_equal(about, "one");
}

static void nothing_leads_out_of_the_directory(void **state __unused)
{
	assert_int_equal(add("out"), -EINVAL);
	assert_string_equal(about, "../../etc/out.ko");
	assert_int_equal(add("abs"), -EINVAL);
}

/* m0 needs m1, which needs m2, and so on. */
static void depth_and_number_are_bounded(void **state __unused)
{
	static char text[4096];
	struct modules_index x = { .dep = text };
	size_t len = 0;

	for (unsigned i = 0; i <= MODULES_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "m%u.ko: m%u.ko\n", i,
					i + 1);
	x.dep_len = len;
	assert_int_equal(add_from(&x, "m0"), -E2BIG);
	m.nr = 0;
	for (unsigned i = 0, n = 0; i <= MODULES_MAX; i++, n = i)
		len = (size_t)snprintf(text + (n ? len : 0), sizeof(text) - len, "m%u.ko:\n", i) +
		      (n ? len : 0);
	x.dep_len = len;
	for (unsigned i = 0; i <= MODULES_MAX; i++) {
		char name[8];

		snprintf(name, sizeof(name), "m%u", i);
		assert_int_equal(add_from(&x, name), i < MODULES_MAX ? 0 : -E2BIG);
	}
}

static void malformed_files_are_survived(void **state __unused)
{
	static const char *const texts[] = {
		"",      "\n\n\n",          ":",
		"x",     "virtio.ko",       "virtio.ko: ",
		": ::",  "virtio.ko:   \n", "virtio: virtio.ko",
		"/:/\n", " virtio.ko: a",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		/* A copy that ends where the text ends, for ASan. */
		size_t len = strlen(texts[i]);
		char *copy = malloc(len ?: 1);
		struct modules_index x = { copy, NULL, len, 0 };

		memcpy(copy, texts[i], len);
		m.nr = 0;
		(void)add_from(&x, "virtio");
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_needed_comes_first_and_once, begin),
		cmocka_unit_test_setup(a_line_may_name_only_its_own_needs, begin),
		cmocka_unit_test_setup(dashes_and_underscores_are_the_same, begin),
		cmocka_unit_test_setup(what_is_built_in_needs_nothing, begin),
		cmocka_unit_test_setup(what_is_not_there_is_named, begin),
		cmocka_unit_test_setup(loops_end, begin),
		cmocka_unit_test_setup(nothing_leads_out_of_the_directory, begin),
		cmocka_unit_test_setup(depth_and_number_are_bounded, begin),
		cmocka_unit_test_setup(malformed_files_are_survived, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
