/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"
#include "config/command.h"
#include "config/fs.h"

#include <errno.h>
#include <stdlib.h>

#include "capture.h"

/* Parses "minivmm" and the arguments up to NULL. */
#define PARSE(c, ...)         parse(c, (char *[]){ "minivmm", __VA_ARGS__, NULL })
#define REFUSES(message, ...) refuses(message, (char *[]){ "minivmm", __VA_ARGS__, NULL })

static int parse(struct config *c, char *const argv[])
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return config_parse(c, argc, argv);
}

/* The command line is refused with exactly this line. */
static void refuses(const char *message, char *const argv[])
{
	struct capture text;
	struct config c;
	char expected[1024];
	int rc;

	snprintf(expected, sizeof(expected), "minivmm: %s\n", message);
	capture_begin(&text);
	rc = parse(&c, argv);
	config_destroy(&c);
	assert_string_equal(capture_end(&text), expected);
	assert_int_equal(rc, -EINVAL);
}

static void defaults_are_as_documented(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel", "k"), 0);
	assert_int_equal(c.action, ACTION_BOOT);
	assert_string_equal(c.kernel, "k");
	assert_null(c.initrd);
	assert_null(c.append);
	assert_int_equal(c.memory.size, 512 * MIB);
	assert_int_equal(c.memory.huge, HUGE_OFF);
	assert_false(c.memory.prefault || c.memory.mergeable);
	assert_int_equal(c.cpus, 1);
	assert_int_equal(c.nr_disks, 0);
	assert_false(c.balloon.on);
	assert_int_equal(c.vsock.cid, 0);
	assert_int_equal(c.serial.kind, HOST_STDIO);
	assert_int_equal(c.console.kind, HOST_NONE);
	assert_int_equal(c.nr_ports, 0);
	assert_int_equal(c.on_reset, ON_RESET_EXIT);
	assert_int_equal(c.transport, TRANSPORT_AUTO);
	assert_int_equal(c.io_threads, 1);
	assert_int_equal(c.log_level, LOG_WARN);
	assert_false(c.kaslr || c.debug_exit || c.stats || c.nested || c.kernel_cache.off);
	assert_null(c.kernel_cache.dir);
	config_destroy(&c);
}

/* Checks every setting; none has its default. */
static void check_all(struct config *c)
{
	assert_int_equal(c->action, ACTION_DRY_RUN);
	assert_string_equal(c->kernel, "k");
	assert_string_equal(c->initrd, "i");
	assert_string_equal(c->append, "a=b --c");
	assert_int_equal(c->memory.size, 2 * GIB);
	assert_int_equal(c->memory.huge, HUGE_TRANSPARENT);
	assert_true(c->memory.prefault && c->memory.mergeable);
	assert_int_equal(c->cpus, 64);
	assert_int_equal(c->nr_disks, 2);
	assert_string_equal(c->disk[0].path, "d0");
	assert_true(c->disk[0].readonly);
	assert_string_equal(c->disk[0].id, "01234567890123456789");
	assert_string_equal(c->disk[1].path, "d,1");
	assert_false(c->disk[1].readonly);
	assert_string_equal(c->disk[1].id, "");
	assert_int_equal(c->serial.kind, HOST_FILE);
	assert_string_equal(c->serial.path, "s,=");
	assert_int_equal(c->on_reset, ON_RESET_RESTART);
	assert_int_equal(c->io_threads, 16);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_true(c->kaslr && c->debug_exit && c->stats && c->nested);
	config_destroy(c);
}

static void every_option_is_understood_in_both_forms(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel", "k", "--initrd", "i", "--append", "a=b --c",
			       "--memory", "2G,hugepages=on,prefault=on,mergeable=on", "--cpus",
			       "64", "--disk", "d0,readonly=on,id=01234567890123456789", "--disk",
			       "d,,1", "--serial", "file=s,=", "--on-reset", "restart",
			       "--io-threads", "16", "--log-level", "info", "--kaslr", "--nested",
			       "on", "--no-default-cmdline", "--debug-exit", "--stats",
			       "--dry-run"),
			 0);
	check_all(&c);
	assert_int_equal(PARSE(&c, "--dry-run", "--stats", "--debug-exit", "--kaslr", "--nested=on",
			       "--log-level=info", "--io-threads=16", "--on-reset=restart",
			       "--serial=file=s,=", "--disk=d0,id=01234567890123456789,readonly=on",
			       "--disk=d,,1,readonly=off", "--cpus=64",
			       "--memory=2048M,mergeable=on,prefault=on,hugepages=on",
			       "--append=a=b --c", "--initrd=i", "--kernel=k"),
			 0);
	check_all(&c);
}

static void the_kernel_cache_is_on_off_or_somewhere(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--kernel-cache=off"), 0);
	assert_true(c.kernel_cache.off && !c.kernel_cache.dir);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--kernel-cache=on"), 0);
	assert_false(c.kernel_cache.off || c.kernel_cache.dir);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--kernel-cache=./off"), 0);
	assert_false(c.kernel_cache.off);
	assert_string_equal(c.kernel_cache.dir, "./off");
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "run", "--kernel-cache", "/a,b", "--", "true"), 0);
	assert_string_equal(c.kernel_cache.dir, "/a,b");
	config_destroy(&c);
	REFUSES("--kernel-cache of: write on, off, or a directory, whose name has a slash in it: ./of",
		"--kernel=k", "--kernel-cache=of");
	REFUSES("--kernel-cache '': the path is empty; name a file", "--kernel=k",
		"--kernel-cache=");
	REFUSES("--balloon off,size=1M: off takes no keys; leave one of them out", "--kernel=k",
		"--balloon=off,size=1M");
	REFUSES("--kernel-cache /a: kernel-cache was given before; leave one of them out",
		"--kernel=k", "--kernel-cache=on", "--kernel-cache=/a");
}

static void overlays_and_formats_are_understood(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--disk=b,overlay=o,,1,format=qcow2",
			       "--disk=b,format=raw,overlay=temp", "--disk=b,overlay=./temp",
			       "--disk=b"),
			 0);
	assert_string_equal(c.disk[0].overlay, "o,1");
	assert_int_equal(c.disk[0].format, DISK_QCOW2);
	assert_false(c.disk[0].temp);
	assert_true(c.disk[1].temp);
	assert_null(c.disk[1].overlay);
	assert_int_equal(c.disk[1].format, DISK_RAW);
	assert_false(c.disk[2].temp);
	assert_string_equal(c.disk[2].overlay, "./temp");
	assert_false(c.disk[3].temp || c.disk[3].overlay);
	assert_int_equal(c.disk[3].format, DISK_RAW);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--disk=a", "--disk=b,sector=512",
			       "--disk=c,sector=4096"),
			 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(c.disk[i].sector, i == 0 ? 0 : i == 1 ? 512 : 4096);
	config_destroy(&c);
	REFUSES("--disk a,sector=4k: sector is 512 or 4096, not '4k'", "--disk=a,sector=4k");
	REFUSES("--disk a,overlay=: the path is empty; name a file", "--disk=a,overlay=");
	REFUSES("--disk a,format=vmdk: format is raw or qcow2, not 'vmdk'", "--disk=a,format=vmdk");
	REFUSES("--disk a,overlay=temp,readonly=on: with an overlay the disk itself is never written; leave out readonly=on, or leave out overlay= if the guest must not write",
		"--disk=a,overlay=temp,readonly=on");
}

static void a_balloon_may_have_defaults(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--balloon"), 0);
	assert_true(c.balloon.on && c.balloon.reporting);
	assert_int_equal(c.balloon.size, 0);
	assert_int_equal(c.balloon.stats, 0);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--balloon", "stats=3600,size=896M,reporting=off", "--kernel=k",
			       "--memory=1G"),
			 0);
	assert_true(c.balloon.on && !c.balloon.reporting);
	assert_int_equal(c.balloon.size, 896 * MIB);
	assert_int_equal(c.balloon.stats, 3600);
	config_destroy(&c);
}

static void a_command_has_a_balloon_unless_it_is_off(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "run", "--", "x"), 0);
	assert_true(c.balloon.on && c.balloon.reporting && c.balloon.by_default);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "run", "--balloon", "stats=5", "--", "x"), 0);
	assert_true(c.balloon.on && c.balloon.reporting && !c.balloon.by_default);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "run", "--balloon", "off", "--", "x"), 0);
	assert_false(c.balloon.on);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--balloon=off"), 0);
	assert_false(c.balloon.on);
	config_destroy(&c);
}

static void a_vsock_has_a_cid_and_a_socket(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--vsock", "cid=3,socket=/run/v,,s"), 0);
	assert_int_equal(c.vsock.cid, 3);
	assert_string_equal(c.vsock.path, "/run/v,s");
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--vsock=socket=v,cid=4294967294"), 0);
	assert_int_equal(c.vsock.cid, 4294967294);
	assert_false(c.vsock.vhost);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--vsock=cid=5,vhost=on"), 0);
	assert_true(c.vsock.vhost && !c.vsock.path);
	config_destroy(&c);
}

static void a_directory_has_a_tag_and_a_path(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--fs", "tag=root,path=/srv", "--fs",
			       "path=a,,b,tag=t 2,readonly=off,cache=always"),
			 0);
	assert_int_equal(c.nr_fs, 2);
	assert_string_equal(c.fs[0].tag, "root");
	assert_string_equal(c.fs[0].path, "/srv");
	assert_true(c.fs[0].readonly);
	assert_int_equal(c.fs[0].cache, FUSE_CACHE_AUTO);
	assert_string_equal(c.fs[1].tag, "t 2");
	assert_string_equal(c.fs[1].path, "a,b");
	assert_false(c.fs[1].readonly);
	assert_int_equal(c.fs[1].cache, FUSE_CACHE_ALWAYS);
	assert_false(config_shares_memory(&c));
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--fs=tag=a,socket=/run/s", "--memory=1G"), 0);
	assert_string_equal(c.fs[0].socket, "/run/s");
	assert_null(c.fs[0].path);
	assert_true(config_shares_memory(&c));
	config_destroy(&c);
}

static void bad_directories_are_explained(void **state __unused)
{
	REFUSES("--fs path=/srv: the tag is missing; add tag=TAG, by which the guest mounts it: mount -t virtiofs TAG DIR",
		"--fs=path=/srv");
	REFUSES("--fs tag=a: the directory is missing; add path=DIR, or the socket=PATH of a daemon that has it",
		"--fs=tag=a");
	REFUSES("--fs tag=a,socket=s,path=p: with socket= the daemon has the directory; leave out path= or socket=",
		"--fs=tag=a,socket=s,path=p");
	REFUSES("--fs tag=a,socket=s,readonly=on: with socket= the daemon decides this; leave out readonly= and cache=",
		"--fs=tag=a,socket=s,readonly=on");
	REFUSES("--memory mergeable=on: the host merges no memory that a daemon shares (--fs socket=); leave out one of them",
		"--kernel=k", "--fs=tag=a,socket=s", "--memory=1G,mergeable=on");
	REFUSES("--memory hugepages=2M: a daemon that shares such pages (--fs socket=) could take them away, which would kill minivmm; use hugepages=on",
		"--kernel=k", "--fs=tag=a,socket=s", "--memory=1G,hugepages=2M");
	REFUSES("--memory hugepages=1G: a daemon that shares such pages (--fs socket=) could take them away, which would kill minivmm; use hugepages=on",
		"--kernel=k", "--memory=1G,hugepages=1G", "--fs=tag=a,socket=s");
	REFUSES("--fs tag=,path=p: tag must have 1 to 36 bytes; this one has 0",
		"--fs=tag=,path=p");
	REFUSES("--fs tag=0123456789012345678901234567890123456,path=p: tag must have 1 to 36 bytes; this one has 37",
		"--fs=tag=0123456789012345678901234567890123456,path=p");
	REFUSES("--fs tag=a,path=q: directory p has this tag already; give each its own",
		"--fs=tag=a,path=p", "--fs=tag=a,path=q");
	REFUSES("--fs tag=a,path=p,cache=no: cache is auto, always or none, not 'no'; did you mean none?",
		"--fs=tag=a,path=p,cache=no");
	REFUSES("--fs tag=i,path=p: there are 8 --fs already, which is the most; leave one out",
		"--fs=tag=a,path=p", "--fs=tag=b,path=p", "--fs=tag=c,path=p", "--fs=tag=d,path=p",
		"--fs=tag=e,path=p", "--fs=tag=f,path=p", "--fs=tag=g,path=p", "--fs=tag=h,path=p",
		"--fs=tag=i,path=p");
}

static void bad_vsocks_are_explained(void **state __unused)
{
	char longest[160];
	struct config c;

	REFUSES("--vsock cid=3: the host's end is missing; add socket=PATH, or vhost=on",
		"--vsock=cid=3");
	REFUSES("--vsock socket=v: the guest's CID is missing; add cid=N, a number from 3 on that no other guest of yours has",
		"--vsock=socket=v");
	REFUSES("--vsock cid=2,socket=v: cid must be a whole number from 3 to 4294967294",
		"--vsock=cid=2,socket=v");
	REFUSES("--vsock cid=4294967295,socket=v: cid must be a whole number from 3 to 4294967294",
		"--vsock=cid=4294967295,socket=v");
	REFUSES("--vsock cid=3,socket=: the path is empty; name a file", "--vsock=cid=3,socket=");
	REFUSES("--vsock cid=3,socket=v,vhost=on: with vhost=on the host's end is its own AF_VSOCK; leave out socket= or vhost=on",
		"--vsock=cid=3,socket=v,vhost=on");
	snprintf(longest, sizeof(longest), "--vsock=cid=3,socket=%096d", 0);
	assert_int_equal(PARSE(&c, "--kernel=k", longest), 0);
	config_destroy(&c);
	snprintf(longest, sizeof(longest), "--vsock=cid=3,socket=%097d", 0);
	assert_int_equal(PARSE(&c, "--kernel=k", longest), -EINVAL);
	config_destroy(&c);
}

static void each_choice_has_its_value(void **state __unused)
{
	static const struct {
		char *option;
		size_t field;
		int value;
	} rows[] = {
		{ "--memory=1G,hugepages=off", offsetof(struct config, memory.huge), HUGE_OFF },
		{ "--memory=1G,hugepages=on", offsetof(struct config, memory.huge),
		  HUGE_TRANSPARENT },
		{ "--memory=1G,hugepages=2M", offsetof(struct config, memory.huge), HUGE_2M },
		{ "--memory=1G,hugepages=1G", offsetof(struct config, memory.huge), HUGE_1G },
		{ "--serial=stdio", offsetof(struct config, serial.kind), HOST_STDIO },
		{ "--serial=none", offsetof(struct config, serial.kind), HOST_NONE },
		{ "--serial=pty", offsetof(struct config, serial.kind), HOST_PTY },
		{ "--serial=socket=s", offsetof(struct config, serial.kind), HOST_SOCKET },
		{ "--console=stdio", offsetof(struct config, console.kind), HOST_STDIO },
		{ "--console=none", offsetof(struct config, console.kind), HOST_NONE },
		{ "--serial=fd=3", offsetof(struct config, serial.fd), 3 },
		{ "--console=pty", offsetof(struct config, console.kind), HOST_PTY },
		{ "--console=fd=3", offsetof(struct config, console.kind), HOST_FD },
		{ "--console=file=f", offsetof(struct config, console.kind), HOST_FILE },
		{ "--console=socket=s", offsetof(struct config, console.kind), HOST_SOCKET },
		{ "--port=name=a,pty", offsetof(struct config, port[0].end.kind), HOST_PTY },
		{ "--port=fd=4,name=a", offsetof(struct config, port[0].end.fd), 4 },
		{ "--port=file=f,name=a", offsetof(struct config, port[0].end.kind), HOST_FILE },
		{ "--on-reset=exit", offsetof(struct config, on_reset), ON_RESET_EXIT },
		{ "--transport=mmio", offsetof(struct config, transport), TRANSPORT_MMIO },
		{ "--transport=pci", offsetof(struct config, transport), TRANSPORT_PCI },
		{ "--log-level=error", offsetof(struct config, log_level), LOG_ERROR },
		{ "--log-level=warn", offsetof(struct config, log_level), LOG_WARN },
		{ "--log-level=info", offsetof(struct config, log_level), LOG_INFO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;

		assert_int_equal(PARSE(&c, "--kernel=k", rows[i].option), 0);
		assert_int_equal(*(int *)((char *)&c + rows[i].field), rows[i].value);
		config_destroy(&c);
	}
}

static void the_limits_of_memory_are_allowed(void **state __unused)
{
	static char *const sizes[] = { "--memory=32M", "--memory=1T", "--memory=32772K" };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct config c;

		assert_int_equal(PARSE(&c, "--kernel=k", sizes[i]), 0);
		config_destroy(&c);
	}
}

static void odd_values_are_taken_as_they_are(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel", "--odd", "--append", "", "--initrd=--kernel"), 0);
	assert_string_equal(c.kernel, "--odd");
	assert_string_equal(c.append, "");
	assert_string_equal(c.initrd, "--kernel");
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel", "-", "--append", "-- single"), 0);
	assert_string_equal(c.kernel, "-");
	assert_string_equal(c.append, "-- single");
	config_destroy(&c);
}

static void help_and_version_need_no_kernel(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--help", "--nonsense"), 0);
	assert_int_equal(c.action, ACTION_HELP);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--dry-run", "--version"), 0);
	assert_int_equal(c.action, ACTION_VERSION);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "doctor"), 0);
	assert_int_equal(c.action, ACTION_DOCTOR);
	config_destroy(&c);
}

static void commands_are_checked(void **state __unused)
{
	REFUSES("doctor --cpus: doctor takes no arguments; write minivmm doctor alone", "doctor",
		"--cpus");
	REFUSES("docter: there is no such command; did you mean doctor?", "docter");
	REFUSES("'doctor' belongs to no option; write --kernel FILE to boot a file, --disk FILE to attach one, or minivmm run -- COMMAND to run a command",
		"--stats", "doctor");
}

static void a_kernel_is_asked_for(void **state __unused)
{
	REFUSES("--kernel is missing: name a file to boot, as in minivmm --kernel bzImage; minivmm --help lists the options",
		"--stats");
	refuses("--kernel is missing: name a file to boot, as in minivmm --kernel bzImage; minivmm --help lists the options",
		(char *[]){ "minivmm", NULL });
	refuses("--kernel is missing: name a file to boot, as in minivmm --kernel bzImage; minivmm --help lists the options",
		(char *[]){ NULL });
}

static void unknown_options_get_the_nearest(void **state __unused)
{
	REFUSES("--kernal=x: there is no such option; did you mean --kernel?", "--kernal=x");
	REFUSES("--hugepage: there is no such option; minivmm --help lists them", "--hugepage");
	REFUSES("-kernel: options begin with two dashes; did you mean --kernel?", "-kernel", "x");
	REFUSES("-m: options begin with two dashes; did you mean --memory?", "-m", "1G");
	REFUSES("-h: options begin with two dashes; did you mean --help?", "-h");
	REFUSES("-: there is no such option; minivmm --help lists them", "-");
	REFUSES("--\\x1b[2J\\xff: there is no such option; minivmm --help lists them",
		"--\x1b[2J\xff");
}

static void stray_arguments_are_refused(void **state __unused)
{
	REFUSES("help: options begin with two dashes: --help", "help");
	REFUSES("'bzImage' belongs to no option; write --kernel FILE to boot a file, --disk FILE to attach one, or minivmm run -- COMMAND to run a command",
		"bzImage");
	REFUSES("'' belongs to no option; write --kernel FILE to boot a file, --disk FILE to attach one, or minivmm run -- COMMAND to run a command",
		"--kernel=x", "");
}

static void forgotten_values_are_noticed(void **state __unused)
{
	REFUSES("--kernel: the value is missing; write --kernel FILE", "--kernel");
	REFUSES("--kernel: the value before --disk is missing; write --kernel FILE (or --kernel=--disk if that is the value)",
		"--kernel", "--disk", "x");
	REFUSES("--kernel: the value before --cpus=2 is missing; write --kernel FILE (or --kernel=--cpus=2 if that is the value)",
		"--kernel", "--cpus=2");
	REFUSES("--kernel '': the path is empty; name a file", "--kernel", "");
	REFUSES("--initrd '': the path is empty; name a file", "--initrd=");
	REFUSES("--kaslr on: this is a switch; write --kaslr alone, or leave it out", "--kaslr=on");
}

static void options_are_given_once(void **state __unused)
{
	REFUSES("--cpus 2: cpus was given before; leave one of them out", "--cpus=2", "--cpus",
		"2");
	REFUSES("--kernel b: kernel was given before; leave one of them out", "--kernel=a",
		"--kernel=b");
	REFUSES("--stats: stats was given before; leave one of them out", "--stats", "--stats");
}

static void bad_memory_is_explained(void **state __unused)
{
	REFUSES("--memory 512: the size has no unit; write 512M for MiB, or use K, G or T",
		"--memory=512");
	REFUSES("--memory lots: 'lots' is not a size; write a whole number and K, M, G or T, as in 512M or 2G",
		"--memory", "lots");
	REFUSES("--memory 31M: the size must be from 32M to 1T", "--memory=31M");
	REFUSES("--memory 2T: the size must be from 32M to 1T", "--memory=2T");
	REFUSES("--memory 32769K: the size is not a multiple of its 4K pages; make it 32772K",
		"--memory=32769K");
	REFUSES("--memory 33M,hugepages=2M: the size is not a multiple of its 2M pages; make it 34M",
		"--memory=33M,hugepages=2M");
	REFUSES("--memory 1536M,hugepages=1G: the size is not a multiple of its 1G pages; make it 2G",
		"--memory=1536M,hugepages=1G");
	REFUSES("--memory 1G,hugepages=2m: hugepages is off, on, 2M or 1G, not '2m'; did you mean 2M?",
		"--memory=1G,hugepages=2m");
	REFUSES("--memory 1G,prefault=maybe: prefault is on or off, not 'maybe'",
		"--memory=1G,prefault=maybe");
	REFUSES("--memory 1G,hugepage=on: there is no key 'hugepage'; did you mean hugepages?",
		"--memory=1G,hugepage=on");
	REFUSES("--memory 1G,mergeable=on,hugepages=2M: the host never merges huge pages of this kind; leave out mergeable=on or use hugepages=on",
		"--memory=1G,mergeable=on,hugepages=2M");
	REFUSES("--memory 1G,hugepages=1G,mergeable=on: the host never merges huge pages of this kind; leave out mergeable=on or use hugepages=on",
		"--memory=1G,hugepages=1G,mergeable=on");
	REFUSES("--memory hugepages=on: SIZE must come first: --memory SIZE,hugepages=on",
		"--memory=hugepages=on");
}

static void bad_numbers_are_explained(void **state __unused)
{
	REFUSES("--cpus 0: cpus must be a whole number from 1 to 64", "--cpus=0");
	REFUSES("--cpus 65: cpus must be a whole number from 1 to 64", "--cpus", "65");
	REFUSES("--cpus two: cpus must be a whole number from 1 to 64", "--cpus", "two");
	REFUSES("--io-threads 17: io-threads must be a whole number from 1 to 16",
		"--io-threads=17");
	REFUSES("--io-threads 0: io-threads must be a whole number from 1 to 16", "--io-threads=0");
}

static void bad_disks_are_explained(void **state __unused)
{
	REFUSES("--disk '': the path is empty; name a file", "--disk", "");
	REFUSES("--disk a,read-only=on: there is no key 'read-only'; did you mean readonly?",
		"--disk=a,read-only=on");
	REFUSES("--disk a,readonly=true: readonly is on or off, not 'true'",
		"--disk=a,readonly=true");
	REFUSES("--disk a,b.img: there is no key 'b.img', only readonly, overlay, format, sector, id; a comma that belongs to the text is written ,,",
		"--disk=a,b.img");
	REFUSES("--disk a,id=: id must have 1 to 20 characters; this one has 0", "--disk=a,id=");
	REFUSES("--disk a,id=012345678901234567890: id must have 1 to 20 characters; this one has 21",
		"--disk=a,id=012345678901234567890");
	REFUSES("--disk a,id=a b: id may have ASCII letters, digits and signs, but no blank and no slash",
		"--disk=a,id=a b");
	REFUSES("--disk a,id=a/b: id may have ASCII letters, digits and signs, but no blank and no slash",
		"--disk=a,id=a/b");
	REFUSES("--disk b,id=x: disk a has this id already; give each disk its own",
		"--disk=a,id=x", "--disk=c,id=y", "--disk=b,id=x");
	REFUSES("--disk j\\xfc\\x0a.img,id=\\xff: id may have ASCII letters, digits and signs, but no blank and no slash",
		"--disk=j\xfc\n.img,id=\xff");
}

static void bad_balloons_are_explained(void **state __unused)
{
	REFUSES("--balloon size=450M: the guest has 512M, of which the balloon can take 448M; make it smaller, or --memory larger",
		"--balloon=size=450M", "--kernel=k");
	REFUSES("--balloon 256M: there is no key '256M', only size, reporting, stats, each followed by = and its value",
		"--balloon", "256M");
	REFUSES("--balloon: balloon was given before; leave one of them out", "--balloon",
		"--balloon");
	REFUSES("--balloon stats=0: stats must be a whole number from 1 to 3600",
		"--balloon=stats=0");
	REFUSES("--balloon size=5: the size has no unit; write 5M for MiB, or use K, G or T",
		"--balloon=size=5");
	REFUSES("--balloon reporting=1: reporting is on or off, not '1'", "--balloon=reporting=1");
}

static void networks_are_understood(void **state __unused)
{
	struct config c;

	assert_int_equal(
		PARSE(&c, "--kernel=k", "--net=tap=auto",
		      "--net=tap=t0,mac=52:54:00:aB:34:56,mtu=9000,queues=4,bridge=br0,script=./s,vhost=on,id=lan",
		      "--net", "fd=7,vhost=off"),
		0);
	assert_int_equal(c.nr_nets, 3);
	assert_int_equal(c.net[0].mode, NET_TAP);
	assert_null(c.net[0].name);
	assert_string_equal(c.net[0].option, "--net tap=auto");
	assert_int_equal(c.net[0].mac[0] & 3, 2); /* random, local, of one card */
	assert_int_equal(c.net[0].queues, 1);
	assert_string_equal(c.net[1].name, "t0");
	assert_memory_equal(c.net[1].mac, "\x52\x54\x00\xab\x34\x56", 6);
	assert_int_equal(c.net[1].mtu, 9000);
	assert_int_equal(c.net[1].queues, 4);
	assert_string_equal(c.net[1].bridge, "br0");
	assert_string_equal(c.net[1].script, "./s");
	assert_true(c.net[1].vhost);
	assert_string_equal(c.net[1].id, "lan");
	assert_int_equal(c.net[2].mode, NET_FD);
	assert_int_equal(c.net[2].fd, 7);
	config_destroy(&c);
}

static void user_networks_are_understood(void **state __unused)
{
	struct config c;

	assert_int_equal(
		PARSE(&c, "--kernel=k",
		      "--net=user,hostfwd=tcp:127.0.0.2:2222-10.0.2.20:22,hostfwd=udp::53-:5353,mtu=65521",
		      "--net=user,restrict=on,hostfwd=tcp:0.0.0.0:1-:65535", "--net",
		      "socket=/tmp/a,,b"),
		0);
	assert_int_equal(c.nr_nets, 3);
	assert_int_equal(c.net[0].mode, NET_USER);
	assert_string_equal(c.net[0].option, "--net user");
	assert_int_equal(c.net[0].nr_forwards, 2);
	assert_false(c.net[0].forward[0].udp);
	assert_int_equal(c.net[0].forward[0].host, 0x7f000002);
	assert_int_equal(c.net[0].forward[0].host_port, 2222);
	assert_int_equal(c.net[0].forward[0].guest, 0x0a000214);
	assert_int_equal(c.net[0].forward[0].guest_port, 22);
	assert_true(c.net[0].forward[1].udp);
	assert_int_equal(c.net[0].forward[1].host, 0x7f000001); /* the host alone */
	assert_int_equal(c.net[0].forward[1].guest, 0);
	assert_int_equal(c.net[0].forward[1].guest_port, 5353);
	assert_false(c.net[0].restricted);
	assert_true(c.net[1].restricted);
	assert_int_equal(c.net[1].forward[0].host, 0);
	assert_int_equal(c.net[2].mode, NET_SOCKET);
	assert_string_equal(c.net[2].path, "/tmp/a,b");
	config_destroy(&c);
}

static void bad_user_networks_are_explained(void **state __unused)
{
	static const char *const shapes[] = { "",        "tcp",        "tcp:",    "tcp:1-:2",
					      "tcp::22", "tcp::22-22", "tcp:a:22" };
	char value[64], why[256];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		snprintf(value, sizeof(value), "--net=user,hostfwd=%s", shapes[i]);
		snprintf(
			why, sizeof(why),
			"--net user,hostfwd=%s: hostfwd is PROTOCOL:HOST:PORT-GUEST:PORT, where HOST and GUEST may be empty, as in hostfwd=tcp:127.0.0.1:2222-:22",
			shapes[i]);
		REFUSES(why, value);
	}
	REFUSES("--net user,hostfwd=sctp::1-:2: hostfwd begins with tcp: or udp:, not 'sctp:'",
		"--net=user,hostfwd=sctp::1-:2");
	REFUSES("--net user,hostfwd=tcp:localhost:1-:2: 'localhost' in hostfwd is not an IPv4 address such as 127.0.0.1",
		"--net=user,hostfwd=tcp:localhost:1-:2");
	REFUSES("--net user,hostfwd=tcp::65536-:2: '65536' in hostfwd is not a port number, 1 to 65535",
		"--net=user,hostfwd=tcp::65536-:2");
	REFUSES("--net user,hostfwd=tcp::1-:: '' in hostfwd is not a port number, 1 to 65535",
		"--net=user,hostfwd=tcp::1-:");
	REFUSES("--net user,hostfwd=tcp::1-10.0.3.1:2: the guest's address in hostfwd is one of 10.0.2.0/24; leave it out for the one that it gets by DHCP",
		"--net=user,hostfwd=tcp::1-10.0.3.1:2");
	REFUSES("--net user,restrict=on,hostfwd=udp::1-:2: with restrict=on no datagram leaves the guest, so a hostfwd of udp has no answer; leave one of them out",
		"--net=user,restrict=on,hostfwd=udp::1-:2");
	REFUSES("--net user,mtu=65535: the mtu of user must be from 1280 to 65521",
		"--net=user,mtu=65535");
	REFUSES("--net user,vhost=on: vhost is for tap= and fd= only; leave it out",
		"--net=user,vhost=on");
	REFUSES("--net socket=s,restrict=on: restrict is for user only; leave it out",
		"--net=socket=s,restrict=on");
	REFUSES("--net socket=: the path is empty; name a file", "--net=socket=");
	REFUSES("--net usr: a network is tap=NAME, tap=auto, fd=N, user or socket=PATH; did you mean user?",
		"--net=usr");
}

static void bad_networks_are_explained(void **state __unused)
{
	REFUSES("--net tap=: an interface's name has 1 to 15 characters, and no blank, slash, colon or percent sign",
		"--net=tap=");
	REFUSES("--net tap=a%d: an interface's name has 1 to 15 characters, and no blank, slash, colon or percent sign",
		"--net=tap=a%d");
	REFUSES("--net tap=t,mac=52:54:00:12:34: mac is six bytes in hexadecimal, as in 52:54:00:12:34:56",
		"--net=tap=t,mac=52:54:00:12:34");
	REFUSES("--net tap=t,mac=53:54:00:12:34:56: mac must be the address of one card: its first byte even, and not all zero; 52:54:00:12:34:56 is one",
		"--net=tap=t,mac=53:54:00:12:34:56");
	REFUSES("--net fd=5,queues=2: queues is for tap= only; leave it out",
		"--net=fd=5,queues=2");
	REFUSES("--net fd=2: fd must be a whole number from 3 to 1048576", "--net=fd=2");
	REFUSES("--net tap=u,id=x: --net tap=t has this id already; give each card its own",
		"--net=tap=t,id=x", "--net=tap=u,id=x");
	REFUSES("--net tap=u,mac=02:00:00:00:00:01: --net tap=t has this mac already; give each card its own",
		"--net=tap=t,mac=02:00:00:00:00:01", "--net=tap=u,mac=02:00:00:00:00:01");
}

static void disks_are_limited(void **state __unused)
{
	char *argv[CONFIG_MAX_DISKS + 4] = { "minivmm", "--kernel=k" };
	struct config c;

	for (size_t i = 0; i < CONFIG_MAX_DISKS; i++)
		argv[2 + i] = "--disk=d";
	assert_int_equal(parse(&c, argv), 0);
	assert_int_equal(c.nr_disks, CONFIG_MAX_DISKS);
	config_destroy(&c);
	argv[2 + CONFIG_MAX_DISKS] = "--disk=e";
	refuses("--disk e: there are 16 disks already, which is the most; leave one out", argv);
}

#define SOCKET_36  "0123456789abcdefghijklmnopqrstuvwxyz"
#define SOCKET_108 SOCKET_36 SOCKET_36 SOCKET_36

static void ports_have_names_and_places(void **state __unused)
{
	char *argv[CONFIG_MAX_PORTS + 4] = { "minivmm", "--kernel=k" };
	char text[CONFIG_MAX_PORTS][32];
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--port", "name=org.example.agent,socket=a,,b",
			       "--port=pty,name=b"),
			 0);
	assert_int_equal(c.nr_ports, 2);
	assert_string_equal(c.port[0].name, "org.example.agent");
	assert_string_equal(c.port[0].end.path, "a,b");
	assert_int_equal(c.port[1].end.kind, HOST_PTY);
	config_destroy(&c);
	for (size_t i = 0; i < CONFIG_MAX_PORTS; i++) {
		snprintf(text[i], sizeof(text[i]), "--port=name=p%zu,pty", i);
		argv[2 + i] = text[i];
	}
	assert_int_equal(parse(&c, argv), 0);
	config_destroy(&c);
	argv[2 + CONFIG_MAX_PORTS] = "--port=name=p,pty";
	refuses("--port name=p,pty: there are 15 ports already, which is the most; leave one out",
		argv);

	REFUSES("--port socket=s: the port has no name; add name=NAME", "--port=socket=s");
	REFUSES("--port name=a: the port is connected to nothing; add socket=PATH, file=PATH, fd=N, pty or stdio",
		"--port=name=a");
	REFUSES("--port name=a,pty,file=f: a port is connected to one thing; leave out file",
		"--port=name=a,pty,file=f");
	REFUSES("--port name=a,pty=1: pty takes no value; write pty alone", "--port=name=a,pty=1");
	REFUSES("--port name=a,socket: socket needs a value: socket=PATH", "--port=name=a,socket");
	REFUSES("--port name=a b,pty: name may have ASCII letters, digits and signs, but no blank and no slash",
		"--port=name=a b,pty");
	REFUSES("--port name=,pty: name must have 1 to 64 characters; this one has 0",
		"--port=name=,pty");
	REFUSES("--port name=a,pty: another port has this name already; give each its own",
		"--port=name=a,socket=s", "--port=name=a,pty");
}

static void standard_input_has_one_reader(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--serial=stdio", "--console=stdio"), 0);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k", "--serial=none", "--port=name=a,stdio"), 0);
	config_destroy(&c);
	REFUSES("--port name=a,stdio: standard input and output belong to the serial port; add --serial none",
		"--kernel=k", "--port=name=a,stdio");
	REFUSES("--port name=a,stdio: standard input and output belong to the console; use pty or socket=PATH for one of them",
		"--kernel=k", "--port=name=a,stdio", "--console=stdio", "--serial=none");
	REFUSES("--port name=b,stdio: standard input and output belong to another port; use pty or socket=PATH here",
		"--kernel=k", "--port=name=a,stdio", "--port=name=b,stdio", "--serial=none");
}

static void a_socket_has_one_listener(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--serial=socket=a", "--console=socket=b",
			       "--port=name=a,socket=c", "--port=name=b,socket=d",
			       "--vsock=cid=3,socket=e", "--port=name=f,file=a"),
			 0);
	config_destroy(&c);
	REFUSES("--console socket=s: --serial has this socket already; give each its own",
		"--kernel=k", "--console=socket=s", "--serial=socket=s");
	REFUSES("--port name=b,socket=s: --port name=a has this socket already; give each its own",
		"--kernel=k", "--port=name=a,socket=s", "--port=name=b,socket=s");
	REFUSES("--vsock socket=s: --port name=a has this socket already; give each its own",
		"--kernel=k", "--vsock=cid=3,socket=s", "--port=name=a,socket=s");
}

static void a_file_has_one_writer(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "run", "--serial=file=a", "--console=file=b",
			       "--port=name=a,file=c", "--port=name=b,file=d", "--json=e",
			       "--port=name=c,socket=a", "--", "true"),
			 0);
	config_destroy(&c);
	/* These keep what each of them is given. */
	assert_int_equal(PARSE(&c, "run", "--console=file=/dev/null",
			       "--port=name=a,file=/dev/null", "--json=/proc/self/fd/1",
			       "--console-log=/proc/self/fd/1", "--", "true"),
			 0);
	config_destroy(&c);
	REFUSES("--console file=x: --serial has this file already; give each its own", "--kernel=k",
		"--console=file=x", "--serial=file=x");
	REFUSES("--port name=b,file=x: --port name=a has this file already; give each its own",
		"--kernel=k", "--port=name=a,file=x", "--port=name=b,file=x");
	REFUSES("--console-log x: --console has this file already; give each its own", "run",
		"--console=file=x", "--console-log=x", "--", "true");
	REFUSES("--json /dev/shm/x: --console-log has this file already; give each its own", "run",
		"--json=/dev/shm/x", "--console-log=/dev/shm/x", "--", "true");
}

static void cards_do_not_share_what_they_are_connected_to(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--net=tap=a", "--net=tap=b", "--net=socket=a",
			       "--net=tap=auto", "--net=tap=auto",
			       "--net=user,hostfwd=tcp::1-:2,hostfwd=udp::1-:2,hostfwd=tcp::2-:2",
			       "--net=user,hostfwd=tcp:127.0.0.2:1-:2"),
			 0);
	config_destroy(&c);
	REFUSES("--net tap=a: another card is connected there already; give each its own",
		"--net=tap=a", "--net=tap=a");
	REFUSES("--net fd=5: another card is connected there already; give each its own",
		"--net=fd=5", "--net=fd=6", "--net=fd=5");
	REFUSES("--net socket=a: another card is connected there already; give each its own",
		"--net=socket=a", "--net=socket=a");
	REFUSES("--net user,hostfwd=tcp::1-:2,hostfwd=tcp::1-:3: two hostfwd listen at port 1 of the host by tcp; give each its own",
		"--net=user,hostfwd=tcp::1-:2,hostfwd=tcp::1-:3");
	REFUSES("--net user,hostfwd=udp:0.0.0.0:7-:3: two hostfwd listen at port 7 of the host by udp; give each its own",
		"--net=user,hostfwd=udp::7-:2", "--net=user,hostfwd=udp:0.0.0.0:7-:3");
}

static void bad_choices_are_explained(void **state __unused)
{
	REFUSES("--serial stdin: serial is stdio, none, pty, file=PATH, socket=PATH or fd=N; did you mean stdio?",
		"--serial=stdin");
	REFUSES("--serial file: serial is stdio, none, pty, file=PATH, socket=PATH or fd=N; did you mean file=PATH?",
		"--serial=file");
	REFUSES("--serial fd: serial is stdio, none, pty, file=PATH, socket=PATH or fd=N; did you mean fd=N?",
		"--serial", "fd");
	REFUSES("--serial fd=2: fd must be a whole number from 3 to 1048576", "--serial", "fd=2");
	REFUSES("--serial com1: serial is stdio, none, pty, file=PATH, socket=PATH or fd=N",
		"--serial", "com1");
	REFUSES("--serial file=: the path is empty; name a file", "--serial", "file=");
	REFUSES("--console stdin: console is stdio, none, pty, file=PATH, socket=PATH or fd=N; did you mean stdio?",
		"--console=stdin");
	REFUSES("--console socket=" SOCKET_108
		": the path of a socket has at most 107 bytes; choose another",
		"--console=socket=" SOCKET_108);
	REFUSES("--transport isa: transport is pci or mmio, not 'isa'", "--transport=isa");
	REFUSES("--on-reset reboot: on-reset is exit or restart, not 'reboot'",
		"--on-reset=reboot");
	REFUSES("--log-level warning: log-level is error, warn or info, not 'warning'",
		"--log-level=warning");
}

static void destroy_is_safe_twice(void **state __unused)
{
	struct config c;

	assert_int_equal(PARSE(&c, "--kernel=k", "--disk=d", "--serial=file=f"), 0);
	config_destroy(&c);
	config_destroy(&c);
	assert_null(c.kernel);
	assert_int_equal(c.nr_disks, 0);
}

static char *printed(void (*print)(FILE *))
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	print(f);
	fclose(f);
	return text;
}

static void help_fits_a_terminal(void **state __unused)
{
	char *help = printed(config_help);
	size_t lines = 0;

	for (char *line = help, *end; (end = strchr(line, '\n')); line = end + 1) {
		assert_in_range(end - line, 0, 96);
		lines++;
	}
	assert_true(lines > 20);
	assert_non_null(strstr(help, "\n  --kernel FILE           the kernel"));
	assert_non_null(
		strstr(help, "\n  --disk PATH[,KEY=VALUE]...\n                          image"));
	free(help);
}

static void version_and_libraries_are_listed(void **state __unused)
{
	char *text = printed(config_version);
	static const char begin[] = "minivmm " MINIVMM_VERSION "\nwith: ";

	assert_ptr_equal(strstr(text, begin), text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_null(strchr(text, '\\')); /* the build system's quoting did not get in */
	free(text);
}

static void run_has_defaults_of_its_own(void **state __unused)
{
	struct shared_dir dir[CONFIG_MAX_SHARED_DIRS];
	struct config c;

	assert_int_equal(PARSE(&c, "run", "--", "make", "-j2", "--", "x"), 0);
	assert_int_equal(c.action, ACTION_COMMAND);
	assert_string_equal(c.command.argv[0], "make");
	assert_string_equal(c.command.argv[1], "-j2");
	assert_string_equal(c.command.argv[2], "--");
	assert_string_equal(c.command.argv[3], "x");
	assert_null(c.command.argv[4]);
	assert_int_equal(c.serial.kind, HOST_NONE);
	assert_in_range(c.memory.size, 256 * MIB, 2 * GIB);
	assert_in_range(c.cpus, 1, CONFIG_MAX_CPUS);
	assert_int_equal(config_shared_dirs(&c, dir), 1);
	assert_string_equal(dir[0].option, "--root");
	assert_string_equal(dir[0].tag, "root");
	assert_string_equal(dir[0].path, "/");
	assert_true(dir[0].readonly && !dir[0].files);
	assert_int_equal(config_cid(&c), 3);
	config_destroy(&c);
}

static void run_takes_its_options_and_all_others(void **state __unused)
{
	struct config c;

	setenv("COLOUR", "blue", 1);
	assert_int_equal(PARSE(&c, "run", "--root", "/srv", "--share", "/a:/b:rw", "--share", "c",
			       "--share=/d:ro", "--env", "A=B=C", "--env", "COLOUR", "--clean-env",
			       "-t", "--timeout", "9", "--memory", "1G", "--cpus=3", "--vsock",
			       "cid=7,socket=/s", "--overlay-size", "64M", "--", "true"),
			 0);
	assert_string_equal(c.command.root, "/srv");
	assert_int_equal(c.command.nr_shares, 3);
	assert_string_equal(c.command.share[0].path, "/a");
	assert_string_equal(c.command.share[0].guest, "/b");
	assert_true(c.command.share[0].writable && !c.command.share[1].writable);
	assert_string_equal(c.command.share[1].path, "c");
	assert_null(c.command.share[1].guest);
	assert_string_equal(c.command.share[2].path, "/d");
	assert_int_equal(c.command.nr_env, 2);
	assert_string_equal(c.command.env[0], "A=B=C");
	assert_string_equal(c.command.env[1], "COLOUR=blue");
	assert_true(c.command.clean_env && c.command.terminal);
	assert_int_equal(c.command.timeout, 9);
	assert_int_equal(c.memory.size, GIB);
	assert_int_equal(c.cpus, 3);
	assert_int_equal(c.command.overlay_size, 64 * MIB);
	assert_int_equal(config_cid(&c), 7);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "run", "--dry-run", "--", "true"), 0);
	assert_int_equal(c.action, ACTION_DRY_RUN);
	config_destroy(&c);
}

/* The configuration stays what the user asked for: the list is made from it. */
static void the_guests_directories_are_those_of_all_options(void **state __unused)
{
	struct shared_dir dir[CONFIG_MAX_SHARED_DIRS];
	struct config c;

	assert_int_equal(PARSE(&c, "run", "--root", "/srv", "--share", "/a:/b:rw", "--share", "c",
			       "--fs=tag=x,path=/x,readonly=off,cache=none", "--fs=tag=y,socket=/y",
			       "--", "true"),
			 0);
	assert_int_equal(config_shared_dirs(&c, dir), 5);
	assert_int_equal(c.nr_fs, 2);
	assert_string_equal(dir[0].option, "--fs");
	assert_string_equal(dir[0].tag, "x");
	assert_string_equal(dir[0].path, "/x");
	assert_int_equal(dir[0].cache, FUSE_CACHE_NONE);
	assert_false(dir[0].readonly || dir[0].files);
	assert_string_equal(dir[1].socket, "/y");
	assert_null(dir[1].path);
	assert_string_equal(dir[2].option, "--root");
	assert_string_equal(dir[2].path, "/srv");
	assert_true(dir[2].readonly && !dir[2].files);
	assert_string_equal(dir[3].option, "--share");
	assert_string_equal(dir[3].tag, "share0");
	assert_string_equal(dir[3].path, "/a");
	assert_true(!dir[3].readonly && dir[3].files);
	assert_string_equal(dir[4].tag, "share1");
	assert_string_equal(dir[4].path, "c");
	assert_true(dir[4].readonly && dir[4].files);
	config_destroy(&c);
	assert_int_equal(PARSE(&c, "--kernel=k"), 0);
	assert_int_equal(config_shared_dirs(&c, dir), 0);
	assert_int_equal(config_cid(&c), 0);
	config_destroy(&c);
}

static void run_without_sense_is_refused(void **state __unused)
{
	REFUSES("run: the command is missing; write minivmm run [OPTION]... -- COMMAND [ARGUMENT]...",
		"run");
	REFUSES("run: the command is missing; write minivmm run -- COMMAND", "run", "--");
	REFUSES("'true' belongs to no option; a command comes after --, as in minivmm run -- COMMAND",
		"run", "true", "--", "x");
	REFUSES("--share :/x: the directory to share is missing", "run", "--share", ":/x", "--",
		"x");
	REFUSES("--share a:/b/..: the directory in the guest may not have \"..\" in it", "run",
		"--share", "a:/b/..", "--", "x");
	REFUSES("--share a:/b:rx: only :rw or :ro may follow the directory in the guest, which may not have a colon in it",
		"run", "--share", "a:/b:rx", "--", "x");
	REFUSES("--share a:b: the directory in the guest must begin with a slash", "run", "--share",
		"a:b", "--", "x");
	REFUSES("--env =x: the name is missing; write NAME=VALUE", "run", "--env", "=x", "--", "x");
	REFUSES("run: the command's streams need minivmm's own vsock; use --vsock with socket= instead of vhost=on",
		"run", "--vsock", "cid=3,vhost=on", "--", "x");
	REFUSES("run: the guest's kernel needs run's own words; leave out --no-default-cmdline",
		"run", "--no-default-cmdline", "--", "true");
	REFUSES("run: a command runs once; leave out --on-reset", "run", "--on-reset", "restart",
		"--", "x");
	REFUSES("--root is for a command: write minivmm run [OPTION]... -- COMMAND", "--kernel",
		"x", "--root", "/");
	REFUSES("--timeout is for a command: write minivmm run [OPTION]... -- COMMAND", "--kernel",
		"x", "--timeout", "5");
	REFUSES("run: the exit status is the command's; leave out --debug-exit", "run",
		"--debug-exit", "--", "x");
	REFUSES("run: standard input and output are the command's; give --serial, --console and --port another end, such as pty or socket=PATH",
		"run", "--serial", "stdio", "--", "x");
	REFUSES("run: standard input and output are the command's; give --serial, --console and --port another end, such as pty or socket=PATH",
		"run", "--port", "name=a,stdio", "--", "x");
	REFUSES("--outputs is for a command: write minivmm run [OPTION]... -- COMMAND", "--kernel",
		"k", "--outputs", "two");
	REFUSES("run: what the kernel says goes to --serial or to --console-log; leave out one of them",
		"run", "--serial", "pty", "--console-log", "x", "--", "x");
	REFUSES("--fs tag=root: root and share... are run's own tags; choose another", "run",
		"--fs", "tag=root,path=/", "--", "x");
	REFUSES("--fs tag=share1: root and share... are run's own tags; choose another", "run",
		"--fs", "tag=share1,path=/", "--", "x");
	REFUSES("'--' belongs to no option; write --kernel FILE to boot a file, --disk FILE to attach one, or minivmm run -- COMMAND to run a command",
		"--kernel", "x", "--", "true");
	REFUSES("rum: there is no such command; did you mean run?", "rum");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_documented),
		cmocka_unit_test(every_option_is_understood_in_both_forms),
		cmocka_unit_test(a_balloon_may_have_defaults),
		cmocka_unit_test(a_command_has_a_balloon_unless_it_is_off),
		cmocka_unit_test(each_choice_has_its_value),
		cmocka_unit_test(the_limits_of_memory_are_allowed),
		cmocka_unit_test(odd_values_are_taken_as_they_are),
		cmocka_unit_test(help_and_version_need_no_kernel),
		cmocka_unit_test(commands_are_checked),
		cmocka_unit_test(a_kernel_is_asked_for),
		cmocka_unit_test(unknown_options_get_the_nearest),
		cmocka_unit_test(stray_arguments_are_refused),
		cmocka_unit_test(forgotten_values_are_noticed),
		cmocka_unit_test(options_are_given_once),
		cmocka_unit_test(bad_memory_is_explained),
		cmocka_unit_test(bad_numbers_are_explained),
		cmocka_unit_test(bad_disks_are_explained),
		cmocka_unit_test(the_kernel_cache_is_on_off_or_somewhere),
		cmocka_unit_test(overlays_and_formats_are_understood),
		cmocka_unit_test(bad_balloons_are_explained),
		cmocka_unit_test(a_vsock_has_a_cid_and_a_socket),
		cmocka_unit_test(bad_vsocks_are_explained),
		cmocka_unit_test(a_directory_has_a_tag_and_a_path),
		cmocka_unit_test(bad_directories_are_explained),
		cmocka_unit_test(disks_are_limited),
		cmocka_unit_test(networks_are_understood),
		cmocka_unit_test(bad_networks_are_explained),
		cmocka_unit_test(user_networks_are_understood),
		cmocka_unit_test(bad_user_networks_are_explained),
		cmocka_unit_test(ports_have_names_and_places),
		cmocka_unit_test(standard_input_has_one_reader),
		cmocka_unit_test(a_socket_has_one_listener),
		cmocka_unit_test(a_file_has_one_writer),
		cmocka_unit_test(cards_do_not_share_what_they_are_connected_to),
		cmocka_unit_test(bad_choices_are_explained),
		cmocka_unit_test(destroy_is_safe_twice),
		cmocka_unit_test(help_fits_a_terminal),
		cmocka_unit_test(version_and_libraries_are_listed),
		cmocka_unit_test(run_has_defaults_of_its_own),
		cmocka_unit_test(run_takes_its_options_and_all_others),
		cmocka_unit_test(the_guests_directories_are_those_of_all_options),
		cmocka_unit_test(run_without_sense_is_refused),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
