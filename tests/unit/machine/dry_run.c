/* SPDX-License-Identifier: BSD-2-Clause */
/* A dry run is refused what a run would be refused; and it changes nothing. */
#include "minivmm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "firmware/x86/bzimages.h"
#include "capture.h"
#include "vmm/types.h"

/* There is no such kernel: a dry run that gets so far has found nothing else. */
#define KERNEL "/nowhere/kernel"
#define PASSES "--kernel " KERNEL

struct rig {
	char dir[32], file[48], directory[48], live[48], stale[48], none[48];
	int listener, port_fd;
	unsigned port;
};

static int unix_listener(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static void rig_up(struct rig *t)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd;

	*t = (struct rig){ .dir = "/tmp/dry-XXXXXX" };
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->file, sizeof(t->file), "%s/file", t->dir);
	snprintf(t->directory, sizeof(t->directory), "%s/directory", t->dir);
	snprintf(t->live, sizeof(t->live), "%s/live", t->dir);
	snprintf(t->stale, sizeof(t->stale), "%s/stale", t->dir);
	snprintf(t->none, sizeof(t->none), "%s/none", t->dir);
	fd = open(t->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 65536), 0);
	close(fd);
	assert_int_equal(mkdir(t->directory, 0700), 0);
	t->listener = unix_listener(t->live);
	close(unix_listener(t->stale));
	t->port_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(t->port_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(t->port_fd, 5), 0);
	assert_int_equal(getsockname(t->port_fd, (struct sockaddr *)&a, &len), 0);
	t->port = ntohs(a.sin_port);
}

/* Checks that nothing has happened. */
static void rig_down(struct rig *t)
{
	struct stat st;

	assert_int_equal(accept(t->listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(t->listener);
	close(t->port_fd);
	assert_int_equal(stat(t->file, &st), 0);
	assert_int_equal(st.st_size, 65536);
	assert_int_equal(access(t->none, F_OK), -1);
	unlink(t->file);
	unlink(t->live);
	unlink(t->stale);
	rmdir(t->directory);
	assert_int_equal(rmdir(t->dir), 0); /* there is nothing else in it */
}

/* Returns the first error of a dry run with this option; "" if it has none. */
static const char *dry_with(const char *kernel, const char *name, const char *value, bool command)
{
	struct minivmm_config *c = minivmm_config_new();
	char *text;
	int rc;

	assert_int_equal(minivmm_config_set(c, "kernel", kernel), 0);
	assert_int_equal(minivmm_config_set(c, "memory", "64M"), 0);
	if (command)
		assert_int_equal(minivmm_config_command(c, (char *[]){ "true", NULL }), 0);
	if (minivmm_config_set(c, name, value) < 0)
		fail_msg("%s", minivmm_error());
	rc = minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text);
	assert_int_equal(rc < 0, !text);
	free(text);
	minivmm_config_free(c);
	return rc < 0 ? minivmm_error() : "";
}

static const char *dry(const char *name, const char *value, bool command)
{
	return dry_with(KERNEL, name, value, command);
}

static void assert_dry(const char *name, const char *value, const char *text)
{
	const bool command = !strcmp(name, "json") || !strcmp(name, "console-log");
	const char *said = dry(name, value, command);

	if (!strstr(said, text))
		fail_msg("--%s %s: \"%s\" is not in \"%s\"", name, value, text, said);
}

static void assert_path(const char *name, const char *before, const char *path, const char *text)
{
	char value[256];

	snprintf(value, sizeof(value), "%s%s", before, path);
	assert_dry(name, value, text);
}

/* It can still be debugged, as LeakSanitizer does. */
static void become(uid_t uid)
{
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}

static void outputs_can_be_written(void **state __unused)
{
	static const char *const way[][2] = {
		{ "serial", "file=" }, { "console", "file=" }, { "port", "name=p,file=" },
		{ "json", "" },        { "console-log", "" },
	};
	struct rig t;

	rig_up(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
		assert_path(way[i][0], way[i][1], "/nowhere/x", "/nowhere/x: No such file");
		assert_path(way[i][0], way[i][1], t.directory, "Is a directory");
		assert_path(way[i][0], way[i][1], t.none, PASSES);
		assert_path(way[i][0], way[i][1], t.file, PASSES);
		if (geteuid() == 0) {
			assert_int_equal(chmod(t.dir, 0711), 0);
			become(65534);
			assert_path(way[i][0], way[i][1], t.none, "Permission denied");
			assert_path(way[i][0], way[i][1], t.file, "Permission denied");
			become(0);
		}
	}
	rig_down(&t);
}

static void sockets_can_be_made(void **state __unused)
{
	static const char *const way[][2] = {
		{ "serial", "socket=" },
		{ "console", "socket=" },
		{ "port", "name=p,socket=" },
		{ "vsock", "cid=7,socket=" },
	};
	struct rig t;

	rig_up(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
		assert_path(way[i][0], way[i][1], "/nowhere/x", "/nowhere/x: No such file");
		assert_path(way[i][0], way[i][1], t.file, "there is another file");
		assert_path(way[i][0], way[i][1], t.live, "somebody listens there");
		assert_path(way[i][0], way[i][1], t.stale, PASSES);
		assert_path(way[i][0], way[i][1], t.none, PASSES);
	}
	rig_down(&t);
}

static void what_is_connected_to_is_there(void **state __unused)
{
	static const char *const way[][2] = {
		{ "net", "socket=" },
		{ "fs", "tag=t,socket=" },
	};
	struct rig t;

	rig_up(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
		assert_path(way[i][0], way[i][1], t.none, "nobody listens there; start that first");
		assert_path(way[i][0], way[i][1], t.file, "is not a socket");
		assert_path(way[i][0], way[i][1], t.live, PASSES);
	}
	rig_down(&t);
}

static void descriptors_are_open(void **state __unused)
{
	char value[32];
	struct rig t;

	rig_up(&t);
	assert_dry("serial", "fd=999", "serial port: descriptor 999 is not open");
	snprintf(value, sizeof(value), "fd=%d", t.listener);
	assert_dry("serial", value, PASSES);
	assert_dry("net", "fd=999", "--net fd=999: descriptor 999 is not open");
	assert_dry("net", value, "is not a TAP");
	assert_dry("console", "file=/dev/fd/999", "console: descriptor 999 is not open");
	rig_down(&t);
}

static void interfaces_fit(void **state __unused)
{
	struct stat st;

	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		print_message("# SKIP: no /dev/net/tun for you here\n");
		skip();
	}
	assert_dry("net", "tap=lo", "is not a TAP");
	if (geteuid() != 0)
		return;
	assert_dry("net", "tap=auto,bridge=nobr0", "there is no bridge nobr0");
	assert_dry("net", "tap=auto,script=/nowhere/x", "script /nowhere/x: No such file");
	assert_dry("net", "tap=auto", PASSES);
	if (stat("/dev/net/tun", &st) < 0 || (st.st_mode & 6) != 6)
		return;
	become(65534); /* it has no capabilities */
	assert_dry("net", "tap=auto", "needs CAP_NET_ADMIN");
	become(0);
}

static void ports_are_free(void **state __unused)
{
	char value[64];
	struct rig t;

	if (!strstr(dry("net", "user", false), PASSES)) {
		print_message("# SKIP: %s\n", minivmm_error());
		skip();
	}
	rig_up(&t);
	snprintf(value, sizeof(value), "user,hostfwd=tcp:127.0.0.1:%u-:80", t.port);
	assert_dry("net", value, "Address already in use");
	snprintf(value, sizeof(value), "user,hostfwd=udp:127.0.0.1:%u-:80", t.port);
	assert_dry("net", value, PASSES);
	assert_dry("net", "user,hostfwd=tcp:203.0.113.9:8080-:80",
		   "Cannot assign requested address");
	rig_down(&t);
}

static void vhost_is_there(void **state __unused)
{
	if (access("/dev/vhost-vsock", F_OK) < 0)
		assert_dry("vsock", "cid=9,vhost=on", "this host has no /dev/vhost-vsock");
}

static bool processor_has(const char *flag)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[8192];
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "flags", 5) && strstr(line, flag);
	fclose(f);
	return found;
}

static void guests_of_guests_are_possible(void **state __unused)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0 || processor_has(" vmx ") || processor_has(" svm "))
		skip();
	assert_dry("nested", "on", "--nested on: this host's KVM lets no guest have guests");
	assert_dry("nested", "off", PASSES);
}

static void overlays_can_be_made(void **state __unused)
{
	char value[256];
	struct rig t;

	rig_up(&t);
	snprintf(value, sizeof(value), "%s,overlay=/nowhere/x", t.file);
	assert_dry("disk", value, "the overlay's directory: No such file");
	snprintf(value, sizeof(value), "%s,overlay=%s/x", t.file, t.file);
	assert_dry("disk", value, "Not a directory");
	snprintf(value, sizeof(value), "%s,overlay=%s", t.file, t.none);
	assert_dry("disk", value, PASSES);
	snprintf(value, sizeof(value), "%s,overlay=temp", t.file);
	assert_dry("disk", value, PASSES);
	setenv("TMPDIR", "/nowhere", 1);
	assert_dry("disk", value, "no temporary file in /nowhere: No such file");
	unsetenv("TMPDIR");
	rig_down(&t);
}

/* Makes the rig's file a kernel. */
static void put(const struct rig *t, const struct image *kernel)
{
	int fd = open(t->file, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, kernel->data, kernel->len), kernel->len);
	close(fd);
}

/* A run and a dry run read the same files: the words are the same. */
static void files_are_read(void **state __unused)
{
	static const struct {
		const char *name, *value, *text;
		bool command;
	} cases[] = {
		{ "initrd", "/nowhere/x", "--initrd /nowhere/x: No such file", false },
		{ "initrd", "/", "--initrd /: is a directory", false },
		{ "disk", "/nowhere/x", "--disk /nowhere/x: No such file", false },
		{ "fs", "tag=t,path=/nowhere", "/nowhere: No such file", false },
		{ "modules", "/nowhere", "--modules /nowhere", true },
		{ "user", "no-such-user", "--user no-such-user: ", true },
		{ "root", "/nowhere", "--root /nowhere: No such file", true },
		{ "share", "/nowhere:/mnt", "--share /nowhere: No such file", true },
		{ "initrd", "/nowhere/x", "--initrd /nowhere/x: No such file", true },
		{ "cpus", "2", NULL, false },
		{ "cpus", "2", NULL, true },
	};
	struct image vmlinux = vmlinux_new(), kernel = bzimage_new(&vmlinux);
	struct rig t;
	int fd;

	rig_up(&t);
	put(&t, &kernel);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *said =
			dry_with(t.file, cases[i].name, cases[i].value, cases[i].command);

		if (cases[i].text ? !strstr(said, cases[i].text) : *said)
			fail_msg("--%s %s: \"%s\" is not in \"%s\"", cases[i].name, cases[i].value,
				 cases[i].text ?: "", said);
	}
	/* memtest86+ says its name where Linux has its version. */
	fd = open(t.file, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\x80\1", 2, VERSION_TEXT), 2);
	assert_int_equal(pwrite(fd, "Memtest86+ v6.10", 17, 0x380), 17);
	close(fd);
	assert_string_equal(dry_with(t.file, "cpus", "2", false), "");
	assert_non_null(strstr(dry_with(t.file, "cpus", "2", true), "is not Linux"));
	assert_int_equal(truncate(t.file, 65536), 0); /* cut short */
	assert_string_not_equal(dry_with(t.file, "cpus", "2", false), "");
	free(vmlinux.data);
	free(kernel.data);
	rig_down(&t);
}

/* A dry run of a command with one device of each kind and these modules: what it printed, for
 * free(), or NULL. */
static char *dry_with_all(const struct rig *t, const char *modules)
{
	struct minivmm_config *c = minivmm_config_new();
	char value[64], *text = NULL;
	const struct {
		const char *name, *value;
	} options[] = {
		{ "kernel", t->file },  { "memory", "64M" }, { "disk", t->file },
		{ "net", value },       { "balloon", NULL }, { "port", "name=p,pty" },
		{ "modules", modules },
	};

	snprintf(value, sizeof(value), "socket=%s", t->live);
	assert_int_equal(minivmm_config_command(c, (char *[]){ "true", NULL }), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		if (minivmm_config_set(c, options[i].name, options[i].value) < 0)
			fail_msg("%s", minivmm_error());
	(void)!minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text);
	minivmm_config_free(c);
	return text;
}

static void a_command_needs_a_module_for_each_of_its_devices(void **state __unused)
{
	static const char *const modules[] = {
		"virtio_mmio", "virtio_blk",     "virtio_net", "virtio_balloon",
		"virtiofs",    "virtio_console", "overlay",    "vmw_vsock_virtio_transport",
	};
	char dep[64], expected[128];
	struct rig t;

	rig_up(&t);
	snprintf(dep, sizeof(dep), "%s/modules.dep", t.directory);
	for (unsigned missing = 0; missing < ARRAY_SIZE(modules); missing++) {
		FILE *f = fopen(dep, "we");

		assert_non_null(f);
		for (unsigned i = 0; i < ARRAY_SIZE(modules); i++)
			if (i != missing)
				fprintf(f, "%s.ko:\n", modules[i]);
		fclose(f);
		assert_null(dry_with_all(&t, t.directory));
		snprintf(expected, sizeof(expected), "has no module %s, which %s needs",
			 modules[missing], modules[missing]);
		if (!strstr(minivmm_error(), expected))
			fail_msg("\"%s\" is not in \"%s\"", expected, minivmm_error());
	}
	unlink(dep);
	rig_down(&t);
}

/* What each device says of itself comes after its place, which is cut off. */
static void devices_say_what_was_asked_of_them(void **state __unused)
{
	struct image vmlinux = vmlinux_new(), kernel = bzimage_new(&vmlinux);
	struct minivmm_config *c = minivmm_config_new();
	char vda[96], vdb[96], net[96], dir[96], daemon[96], vsock[96], port[96], expected[1024];
	char *text, said[1024] = "", *line;
	struct rig t;
	const char *const options[][2] = {
		{ "kernel", t.file },
		{ "disk", vda },
		{ "disk", vdb },
		{ "net", net },
		{ "fs", dir },
		{ "fs", daemon },
		{ "vsock", vsock },
		{ "port", port },
		{ "port", "name=b,pty" },
		{ "console", "pty" },
		{ "balloon", "size=8M,reporting=off" },
	};

	rig_up(&t);
	put(&t, &kernel);
	assert_int_equal(truncate(t.file, 4 * MIB), 0);
	snprintf(vda, sizeof(vda), "%s,readonly=on,sector=512", t.file);
	snprintf(vdb, sizeof(vdb), "%s,readonly=on", t.file);
	snprintf(net, sizeof(net), "socket=%s,mac=52:54:00:12:34:56", t.live);
	snprintf(dir, sizeof(dir), "tag=t,path=%s,readonly=off", t.directory);
	snprintf(daemon, sizeof(daemon), "tag=u,socket=%s", t.live);
	snprintf(vsock, sizeof(vsock), "cid=7,socket=%s", t.none);
	snprintf(port, sizeof(port), "name=a,file=%s", t.none);
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		if (minivmm_config_set(c, options[i][0], options[i][1]) < 0)
			fail_msg("%s", minivmm_error());
	if (minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text) < 0)
		fail_msg("%s", minivmm_error());
	for (char *rest = text; (line = strsep(&rest, "\n"));)
		if ((line = strstr(line, " virtio-")))
			strcat(strcat(said, line + strlen(" virtio-")), "\n");
	snprintf(expected, sizeof(expected),
		 "blk: vda, %s, 4 MiB, read-only, sectors of 512\n"
		 "blk: vdb, %s, 4 MiB, read-only\n"
		 "net: socket=%s, 52:54:00:12:34:56\n"
		 "rng\n"
		 "balloon: 8M at the start\n"
		 "vsock: CID 7, %s\n"
		 "fs: t, %s, read-write\n"
		 "fs: u, by the daemon at %s\n"
		 "console: hvc0, a new pseudo-terminal\n"
		 "console: a, file %s; b, a new pseudo-terminal\n",
		 t.file, t.file, t.live, t.none, t.directory, t.live, t.none);
	assert_string_equal(said, expected);
	free(text);
	minivmm_config_free(c);
	free(vmlinux.data);
	free(kernel.data);
	assert_int_equal(truncate(t.file, 65536), 0);
	rig_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_can_be_written),
		cmocka_unit_test(sockets_can_be_made),
		cmocka_unit_test(what_is_connected_to_is_there),
		cmocka_unit_test(descriptors_are_open),
		cmocka_unit_test(interfaces_fit),
		cmocka_unit_test(ports_are_free),
		cmocka_unit_test(vhost_is_there),
		cmocka_unit_test(guests_of_guests_are_possible),
		cmocka_unit_test(overlays_can_be_made),
		cmocka_unit_test(files_are_read),
		cmocka_unit_test(a_command_needs_a_module_for_each_of_its_devices),
		cmocka_unit_test(devices_say_what_was_asked_of_them),
	};

	return cmocka_run_group_tests_name("dry_run", tests, NULL, NULL);
}
