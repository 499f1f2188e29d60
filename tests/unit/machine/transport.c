/* SPDX-License-Identifier: BSD-2-Clause */
/* Which transport a machine has, and whether a command's has the balloon that nobody asked for: what
 * a dry run says of its devices tells. */
#include "minivmm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "firmware/x86/bzimages.h"
#include "test.h"
#include "vmm/types.h"

static const char *const files[] = {
	"kernel",
	"modules.dep",
	"modules.builtin",
	"virtio_mmio.ko",
	"virtio_pci.ko",
	"virtiofs.ko",
	"overlay.ko",
	"vmw_vsock_virtio_transport.ko",
	"virtio_balloon.ko",
};

struct rig {
	char dir[40], kernel[48];
};

static void make(const struct rig *t, const char *name, const void *data, size_t len)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static struct rig rig_up(void)
{
	struct image vmlinux = vmlinux_new(), kernel = bzimage_new(&vmlinux);
	struct rig t = { .dir = "/tmp/transport-XXXXXX" };

	assert_non_null(mkdtemp(t.dir));
	snprintf(t.kernel, sizeof(t.kernel), "%s/kernel", t.dir);
	make(&t, "kernel", kernel.data, kernel.len);
	for (unsigned i = 3; i < ARRAY_SIZE(files); i++)
		make(&t, files[i], "module", 6);
	free(kernel.data);
	free(vmlinux.data);
	return t;
}

static void rig_down(struct rig *t)
{
	char path[96];

	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", t->dir, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(t->dir), 0);
}

/* The kernel has these modules, and those with a + are built in; blanks divide them. */
static void make_modules(const struct rig *t, const char *names)
{
	char dep[256] = "virtiofs.ko:\noverlay.ko:\nvmw_vsock_virtio_transport.ko:\n";
	char builtin[256] = "other.ko\n", copy[256], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", names);
	while ((name = strsep(&rest, " "))) {
		if (*name == '+')
			strcat(strcat(builtin, name + 1), ".ko\n");
		else
			strcat(strcat(dep, name), ".ko:\n");
	}
	make(t, "modules.dep", dep, strlen(dep));
	make(t, "modules.builtin", builtin, strlen(builtin));
}

/* Returns what a dry run with these options says, which the caller frees; NULL: it was refused. An
 * option without a value is left out. */
static char *dry_run(bool command, const char *const options[][2], size_t nr)
{
	struct minivmm_config *c = minivmm_config_new();
	char *text = NULL;

	if (command)
		assert_int_equal(minivmm_config_command(c, (char *[]){ "true", NULL }), 0);
	for (size_t i = 0; i < nr; i++)
		if (options[i][1] && minivmm_config_set(c, options[i][0], options[i][1]) < 0)
			fail_msg("%s", minivmm_error());
	(void)!minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text);
	minivmm_config_free(c);
	return text;
}

static void assert_transport(bool pci, bool command, const char *const options[][2], size_t nr)
{
	char *text = dry_run(command, options, nr);

	if (!text)
		fail_msg("%s", minivmm_error());
	if (!strstr(text, pci ? "00:01.0  virtio-" : "irq  5  virtio-"))
		fail_msg("it should be %s: %s", pci ? "pci" : "mmio", text);
	free(text);
}

static void a_command_gets_one_that_its_kernel_has(void **state __unused)
{
	static const struct {
		const char *modules, *asked;
		bool pci; /* otherwise mmio */
	} trials[] = {
		{ NULL, NULL, false },
		{ "virtio_mmio virtio_pci", NULL, false },
		{ "virtio_mmio virtio_pci", "pci", true },
		{ "virtio_mmio virtio_pci", "mmio", false },
		{ "virtio_mmio", NULL, false },
		{ "virtio_pci", NULL, true },
		{ "+virtio_mmio virtio_pci", NULL, false },
		{ "virtio_mmio +virtio_pci", NULL, false },
		{ "+virtio_pci", NULL, true },
	};
	struct rig t = rig_up();

	for (unsigned i = 0; i < ARRAY_SIZE(trials); i++) {
		const char *const options[][2] = {
			{ "kernel", t.kernel },
			{ "modules", trials[i].modules ? t.dir : NULL },
			{ "transport", trials[i].asked },
		};

		if (trials[i].modules)
			make_modules(&t, trials[i].modules);
		assert_transport(trials[i].pci, true, options, ARRAY_SIZE(options));
	}
	rig_down(&t);
}

static void one_that_the_kernel_lacks_is_refused_with_the_other(void **state __unused)
{
	static const char *const words[][3] = {
		{ "virtio_pci", "mmio", "virtio_mmio needs; --transport pci does without it" },
		{ "virtio_mmio", "pci", "virtio_pci needs; --transport mmio does without it" },
	};
	struct rig t = rig_up();

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		const char *const options[][2] = {
			{ "kernel", t.kernel },
			{ "modules", t.dir },
			{ "transport", words[i][1] },
		};

		make_modules(&t, words[i][0]);
		assert_null(dry_run(true, options, ARRAY_SIZE(options)));
		assert_non_null(strstr(minivmm_error(), words[i][2]));
	}
	rig_down(&t);
}

static void without_a_command_it_is_pci(void **state __unused)
{
	struct rig t = rig_up();
	const char *const options[][2] = { { "kernel", t.kernel }, { "transport", NULL } };
	const char *const mmio[][2] = { { "kernel", t.kernel }, { "transport", "mmio" } };

	assert_transport(true, false, options, ARRAY_SIZE(options));
	assert_transport(false, false, mmio, ARRAY_SIZE(mmio));
	rig_down(&t);
}

static void many_devices_need_the_room_of_pci(void **state __unused)
{
	struct rig t = rig_up();
	const char *options[15][2] = { { "kernel", t.kernel } };
	char disk[96];

	snprintf(disk, sizeof(disk), "%s,readonly=on", t.kernel);
	assert_int_equal(truncate(t.kernel, 4 * MIB), 0);
	for (unsigned i = 1; i < ARRAY_SIZE(options); i++) {
		options[i][0] = "disk";
		options[i][1] = disk;
	}
	assert_transport(true, true, options, ARRAY_SIZE(options));
	assert_transport(false, true, options, 13);
	rig_down(&t);
}

static void a_command_has_a_balloon_where_that_helps(void **state __unused)
{
	static const struct {
		const char *modules, *balloon, *memory;
		bool there;
	} trials[] = {
		{ NULL, NULL, NULL, true },
		{ NULL, "off", NULL, false },
		{ "virtio_mmio", NULL, NULL, false },
		{ "virtio_mmio virtio_balloon", NULL, NULL, true },
		{ "virtio_mmio +virtio_balloon", NULL, NULL, true },
		{ NULL, NULL, "256M,prefault=on", false },
		{ NULL, "size=8M", "256M,prefault=on", true },
	};
	struct rig t = rig_up();

	for (unsigned i = 0; i < ARRAY_SIZE(trials); i++) {
		const char *const options[][2] = {
			{ "kernel", t.kernel },
			{ "modules", trials[i].modules ? t.dir : NULL },
			{ "balloon", trials[i].balloon },
			{ "memory", trials[i].memory },
		};
		char *text;

		if (trials[i].modules)
			make_modules(&t, trials[i].modules);
		text = dry_run(true, options, ARRAY_SIZE(options));
		if (!text)
			fail_msg("trial %u: %s", i, minivmm_error());
		if (!strstr(text, "virtio-balloon") == trials[i].there)
			fail_msg("trial %u: %s", i, text);
		free(text);
	}
	rig_down(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_gets_one_that_its_kernel_has),
		cmocka_unit_test(one_that_the_kernel_lacks_is_refused_with_the_other),
		cmocka_unit_test(without_a_command_it_is_pci),
		cmocka_unit_test(many_devices_need_the_room_of_pci),
		cmocka_unit_test(a_command_has_a_balloon_where_that_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
