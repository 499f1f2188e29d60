/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>

#include "backend/unix/vsock.h"
#include "config/console.h"
#include "config/disk.h"
#include "config/fs.h"
#include "config/net.h"
#include "config/command.h"
#include "words.h"
#include "vmm/options.h"

static const struct config defaults = {
	.memory.size = 512 * MIB,
	.cpus = 1,
	.io_threads = 1,
	.poll = true,
	.serial.kind = HOST_STDIO,
	.log_level = LOG_WARN,
};

/* --memory */

static const struct opt_choice huge_pages[] = {
	{ "off", HUGE_OFF }, { "on", HUGE_TRANSPARENT }, { "2M", HUGE_2M }, { "1G", HUGE_1G },
	{ NULL, 0 },
};

static const struct opt_range memory_range = { CONFIG_MIN_MEMORY, CONFIG_MAX_MEMORY };

static const struct opt memory_rows[] = {
	LIST_KEY(NULL, "SIZE", opt_size, memory_config, size, .kind = &memory_range),
	LIST_KEY("hugepages", "off|on|2M|1G", opt_choice, memory_config, huge, .kind = huge_pages),
	LIST_KEY("prefault", "on|off", opt_bool, memory_config, prefault),
	LIST_KEY("mergeable", "on|off", opt_bool, memory_config, mergeable),
};
static int check_memory(const struct opt_value *v, const void *target)
{
	const struct memory_config *m = target;
	const uint64_t page = m->huge == HUGE_1G ? GIB : m->huge == HUGE_2M ? 2 * MIB : 4 * KIB;
	char of[OPT_SIZE_LEN], next[OPT_SIZE_LEN];

	if (m->size % page)
		return opt_fail(v, "the size is not a multiple of its %s pages; make it %s",
				opt_size_text(page, of),
				opt_size_text(m->size - m->size % page + page, next));
	if (m->mergeable && page > 4 * KIB)
		return opt_fail(
			v,
			"the host never merges huge pages of this kind; leave out mergeable=on or use hugepages=on");
	return 0;
}

static const struct opt_table memory_table = {
	.row = memory_rows,
	.nr = ARRAY_SIZE(memory_rows),
	.check = check_memory,
};

/* --balloon */

static int set_balloon(const struct opt_value *v, void *field)
{
	struct balloon_options *o = field;

	if (!strncmp(v->text, "off,", 4))
		return opt_fail(v, "off takes no keys; leave one of them out");
	if (strcmp(v->text, "off"))
		return opt_keys(v, field);
	*o = (struct balloon_options){ 0 };
	return 0;
}

/* Checked at the end, because --memory may come after --balloon. */
static int check_balloon(const struct config *c)
{
	const uint64_t most = BALLOON_MOST(c->memory.size);
	char size[OPT_SIZE_LEN], memory[OPT_SIZE_LEN], max[OPT_SIZE_LEN];

	if (c->balloon.size <= most)
		return 0;
	return log_ret(
		-EINVAL,
		"--balloon size=%s: the guest has %s, of which the balloon can take %s; make it smaller, or --memory larger",
		opt_size_text(c->balloon.size, size), opt_size_text(c->memory.size, memory),
		opt_size_text(most, max));
}

/* --vsock */

/* CIDs that are not for guests: 0 to 2 (the hypervisor, a machine's own, the host), and "any". */
static const struct opt_range cid_range = { 3, UINT32_MAX - 1 };

static const struct opt vsock_rows[] = {
	LIST_KEY("cid", "N", opt_number, vsock_config, cid, .kind = &cid_range),
	LIST_KEY("socket", "PATH", opt_path, vsock_config, path),
	LIST_KEY("vhost", "on|off", opt_bool, vsock_config, vhost),
};
static int check_vsock(const struct opt_value *v, const void *target)
{
	const struct vsock_config *s = target;

	if (!s->cid)
		return opt_fail(
			v,
			"the guest's CID is missing; add cid=N, a number from 3 on that no other guest of yours has");
	if (s->vhost && s->path)
		return opt_fail(
			v,
			"with vhost=on the host's end is its own AF_VSOCK; leave out socket= or vhost=on");
	if (s->vhost)
		return 0;
	if (!s->path)
		return opt_fail(v, "the host's end is missing; add socket=PATH, or vhost=on");
	if (strlen(s->path) > VSOCK_UNIX_MAX_PATH)
		return opt_fail(
			v, "the path has %zu bytes, and a socket's may have %d; use a shorter one",
			strlen(s->path), VSOCK_UNIX_MAX_PATH);
	return 0;
}

static const struct opt_table vsock_table = {
	.row = vsock_rows,
	.nr = ARRAY_SIZE(vsock_rows),
	.check = check_vsock,
};

/* --kernel-cache */

/* A directory has a slash in its name, so that a mistyped word isn't one. */
static int set_kernel_cache(const struct opt_value *v, void *field)
{
	struct kernel_cache_config *k = field;

	if (strchr(v->text, '/') || !*v->text)
		return opt_path(v, &k->dir); /* it says that an empty one is none */
	k->off = !strcmp(v->text, "off");
	if (!k->off && strcmp(v->text, "on"))
		return opt_fail(v,
				"write on, off, or a directory, whose name has a slash in it: ./%s",
				v->text);
	return 0;
}

/* -- the command line ------------------------------------------------------------------------ */

static int set_help(const struct opt_value *v __unused, void *field)
{
	*(enum config_action *)field = ACTION_HELP;
	return OPT_STOP;
}

static int set_version(const struct opt_value *v __unused, void *field)
{
	*(enum config_action *)field = ACTION_VERSION;
	return OPT_STOP;
}

static int set_dry_run(const struct opt_value *v __unused, void *field)
{
	*(enum config_action *)field = ACTION_DRY_RUN;
	return 0;
}

static const struct opt_choice reset_choices[] = {
	{ "exit", ON_RESET_EXIT },
	{ "restart", ON_RESET_RESTART },
	{ NULL, 0 },
};
static const struct opt_choice transports[] = {
	{ "pci", TRANSPORT_PCI },
	{ "mmio", TRANSPORT_MMIO },
	{ NULL, 0 },
};
static const struct opt_choice outputs_choices[] = {
	{ "two", OUTPUTS_TWO },
	{ "one", OUTPUTS_ONE },
	{ "auto", OUTPUTS_AUTO },
	{ NULL, 0 },
};
static const struct opt_choice log_levels[] = {
	{ "error", LOG_ERROR },
	{ "warn", LOG_WARN },
	{ "info", LOG_INFO },
	{ NULL, 0 },
};

static const struct opt_range cpus_range = { 1, CONFIG_MAX_CPUS };
static const struct opt_range io_threads_range = { 1, CONFIG_MAX_IO_THREADS };

static const struct opt_range overlay_range = { MIB, CONFIG_MAX_MEMORY };
static const struct opt_range timeout_range = { 1, 100000000 };

/* One row for each option: its name, the name of its value, the function that parses that, the
 * member that it fills, its help. */
#define OPTION(name_, metavar_, set_, member, help_, ...)                                          \
	{                                                                                          \
		.name = name_, .metavar = metavar_, .set = set_, .help = help_,                    \
		.field = offsetof(struct config, member), __VA_ARGS__                              \
	}

static const struct opt rows[] = {
	OPTION("kernel", "FILE", opt_path, kernel, WORDS_HELP_KERNEL),
	OPTION("initrd", "FILE", opt_path, initrd, WORDS_HELP_INITRD),
	OPTION("append", "STRING", opt_string, append,
	       "text after the default kernel command line"),
	OPTION("no-default-cmdline", NULL, opt_switch, no_default_cmdline,
	       "leave out the words that Linux gets by default"),
	OPTION("memory", "SIZE[,KEY=VALUE]...", opt_keys, memory,
	       "guest memory, 32M to 1T (512M); keys:\n"
	       "hugepages=off|on|2M|1G  back it with huge pages (off)\n"
	       "prefault=on|off         take it from the host at once (off)\n"
	       "mergeable=on|off        let the host merge equal pages (off)",
	       .kind = &memory_table),
	OPTION("cpus", "N", opt_number, cpus, "virtual processors, 1 to 64 (1)",
	       .kind = &cpus_range),
	OPTION("nested", "on|off", opt_bool, nested, WORDS_HELP_NESTED),
	OPTION("disk", CONFIG_DISK_METAVAR, config_set_disk, nr_disks, CONFIG_DISK_HELP,
	       .repeats = true),
	OPTION("balloon", "off|[KEY=VALUE]...", set_balloon, balloon,
	       "memory that the guest gives back to the host (off; run: on); keys:\n"
	       "size=SIZE               how much of it at the start (0K)\n"
	       "reporting=on|off        take back what the guest frees, too (on)\n"
	       "stats=SECONDS           log the guest's memory figures every SECONDS",
	       .optional = true, .kind = &virtio_balloon_options),
	OPTION("net", CONFIG_NET_METAVAR, config_set_net, nr_nets, CONFIG_NET_HELP,
	       .repeats = true),
	OPTION("vsock", "KEY=VALUE...", opt_keys, vsock,
	       "the guest's AF_VSOCK, over UNIX sockets of the host; keys:\n"
	       "cid=N                   the guest's address, from 3 on\n"
	       "socket=PATH             CONNECT PORT there reaches the guest's port;\n"
	       "                        the guest's connections go to PATH_PORT\n"
	       "vhost=on|off            use the host's own AF_VSOCK instead (off)",
	       .kind = &vsock_table),
	OPTION("fs", CONFIG_FS_METAVAR, config_set_fs, nr_fs, CONFIG_FS_HELP, .repeats = true),
	OPTION("serial", "WHERE", config_set_host_end, serial,
	       "the serial port: stdio, none, file=PATH (output only), socket=PATH\n"
	       "(clients connect to it), fd=N (an open descriptor), or pty, whose path\n"
	       "is printed (stdio)"),
	OPTION("console", "WHERE", config_set_host_end, console,
	       "a virtio console, hvc0, which becomes the guest's console (none);\n"
	       "when both are on stdio, the serial port has the early messages"),
	OPTION("port", "name=NAME,WHERE", config_set_port, nr_ports,
	       "a virtio port with that name; WHERE as above, except none", .repeats = true),
	OPTION("on-reset", "exit|restart", opt_choice, on_reset,
	       "what to do when the guest resets (exit)", .kind = reset_choices),
	OPTION("io-threads", "N", opt_number, io_threads,
	       "threads that serve disks and networks, 1 to 16 (1)", .kind = &io_threads_range),
	OPTION("poll", "on|off", opt_bool, poll,
	       "let these threads look for work for a moment before they sleep, while\n"
	       "the host has processors to spare (on)"),
	OPTION("transport", "pci|mmio", opt_choice, transport,
	       "what the virtio devices sit on (pci; run: mmio if the kernel can)",
	       .kind = transports),
	OPTION("kernel-cache", "on|off|DIR", set_kernel_cache, kernel_cache,
	       "keep unpacked kernels, in DIR or ~/.cache/minivmm/kernels, so that\n"
	       "the next start maps them (on)"),
	OPTION("kaslr", NULL, opt_switch, kaslr,
	       "let the kernel unpack itself and choose its address (slower)"),
	OPTION("debug-exit", NULL, opt_switch, debug_exit, WORDS_HELP_DEBUG_EXIT),
	OPTION("stats", NULL, opt_switch, stats, "print the table of exits at the end"),
	OPTION("log-level", "LEVEL", opt_choice, log_level, "error, warn or info (warn)",
	       .kind = log_levels),
	OPTION("root", "DIR", opt_name, command.root,
	       "run: the directory that is the guest's root, read-only with a layer in\n"
	       "memory on top (/)"),
	OPTION("overlay-size", "SIZE", opt_size, command.overlay_size,
	       "run: the most that this layer takes (half of the memory)", .kind = &overlay_range),
	OPTION("share", CONFIG_SHARE_METAVAR, config_set_share, command.nr_shares,
	       "run: a directory or file for the guest, at GUESTDIR; :rw lets it write",
	       .repeats = true),
	OPTION("modules", "DIR", opt_path, command.modules,
	       "run: the kernel's modules (lib/modules/RELEASE near it, or in /)"),
	OPTION("env", "NAME[=VALUE]", config_set_env, command.nr_env,
	       "run: a variable of the command's environment", .repeats = true),
	OPTION("clean-env", NULL, opt_switch, command.clean_env,
	       "run: an environment without the caller's variables"),
	OPTION("user", "NAME|UID[:GID]", opt_name, command.user,
	       "run: the user who runs the command (you)"),
	OPTION("chdir", "DIR", opt_name, command.directory,
	       "run: the command's working directory (yours)"),
	OPTION("timeout", "SECONDS", opt_number, command.timeout,
	       "run: end the command after that time, with exit status 124",
	       .kind = &timeout_range),
	OPTION("terminal", NULL, opt_switch, command.terminal,
	       "run: the command gets a terminal; -t for short"),
	OPTION("outputs", "one|two|auto", opt_choice, command.outputs,
	       "run: standard output and error as one stream that keeps their order,\n"
	       "or as two (auto: as they are here)",
	       .kind = outputs_choices),
	OPTION("console-log", "FILE", opt_output, command.console_log,
	       "run: write what the guest's kernel prints to FILE"),
	OPTION("json", "FILE", opt_output, command.json,
	       "run: write status, times and sizes to FILE, for programs"),
	OPTION("dry-run", NULL, set_dry_run, action,
	       "check options and files, print the machine, start nothing"),
	OPTION("version", NULL, set_version, action,
	       "print the version and what it was built with"),
	OPTION("help", NULL, set_help, action, "print this"),
};
static const struct opt_table table = {
	.row = rows,
	.nr = ARRAY_SIZE(rows),
	.bare = "write --kernel FILE to boot a file, --disk FILE to attach one, or minivmm run -- COMMAND to run a command",
};

static const struct opt_table run_table = {
	.row = rows,
	.nr = ARRAY_SIZE(rows),
	.bare = "a command comes after --, as in minivmm run -- COMMAND",
};

/* Parses minivmm WORD …, if WORD is doctor, or resembles a subcommand. Returns 0; OPT_STOP if it is
 * no such word; or -EINVAL. */
static int parse_subcommand(struct config *c, int argc, char *const argv[])
{
	struct opt_nearest near = { .word = argv[1] };

	if (strcmp(argv[1], "doctor")) {
		opt_offer(&near, "doctor");
		opt_offer(&near, "run");
		if (argv[1][0] == '-' || !near.best)
			return OPT_STOP;
		return log_ret(-EINVAL, "%s: there is no such command; did you mean %s?", argv[1],
			       near.best);
	}
	if (argc > 2)
		return log_ret(
			-EINVAL,
			"doctor %.160s: doctor takes no arguments; write minivmm doctor alone",
			argv[2]);
	c->action = ACTION_DOCTOR;
	return 0;
}

void config_init(struct config *c)
{
	*c = defaults;
}

int config_set(struct config *c, const char *name, const char *value, uint64_t *seen)
{
	int rc = opt_set_one(table, c, name, value, seen);

	if (rc >= 0 && c->action != ACTION_BOOT) {
		c->action = ACTION_BOOT;
		return log_ret(-EINVAL, "--%s is for the command line only", name);
	}
	return rc;
}

bool config_seen(uint64_t seen, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return seen >> i & 1;
	return false;
}

/* A daemon has it, too. */
static int check_shared_memory(const struct memory_config *m)
{
	if (m->mergeable)
		return log_ret(
			-EINVAL,
			"--memory mergeable=on: the host merges no memory that a daemon shares (--fs socket=); leave out one of them");
	if (m->huge == HUGE_2M || m->huge == HUGE_1G)
		return log_ret(
			-EINVAL,
			"--memory hugepages=%s: a daemon that shares such pages (--fs socket=) could take them away, which would kill minivmm; use hugepages=on",
			m->huge == HUGE_2M ? "2M" : "1G");
	return 0;
}

int config_check(const struct config *c)
{
	int rc = config_check_command(c);

	if (rc < 0)
		return rc;
	if (!c->kernel && !c->command.argv)
		return log_ret(
			-EINVAL,
			"--kernel is missing: name a file to boot, as in minivmm --kernel bzImage; minivmm --help lists the options");
	if (config_shares_memory(c))
		rc = check_shared_memory(&c->memory);
	if (rc == 0)
		rc = config_check_stdio(c);
	if (rc == 0)
		rc = config_check_places(c);
	return rc == 0 ? check_balloon(c) : rc;
}

/* minivmm run [OPTION]... -- COMMAND [ARGUMENT]... */
static int parse_run(struct config *c, int argc, char *const argv[])
{
	char **options = calloc((size_t)argc + 1, sizeof(*options));
	int nr = 0, end = 1, rc;

	if (!options)
		return log_ret(-ENOMEM, "out of memory");
	while (end < argc && strcmp(argv[end], "--"))
		end++;
	for (; nr < end; nr++)
		options[nr] = strcmp(argv[nr], "-t") ? argv[nr] : "--terminal";
	c->serial.kind = HOST_NONE;
	c->command.outputs = OUTPUTS_AUTO;
	rc = end < argc ? config_command(c, argv + end + 1, 0) : 0;
	if (rc == 0)
		rc = opt_argv(run_table, c, end, options);
	free(options);
	if (rc < 0)
		return rc;
	if (rc == OPT_STOP)
		return 0;
	if (end == argc)
		return log_ret(
			-EINVAL,
			"run: the command is missing; write minivmm run [OPTION]... -- COMMAND [ARGUMENT]...");
	if (c->action == ACTION_BOOT)
		c->action = ACTION_COMMAND;
	return config_check(c);
}

int config_parse(struct config *c, int argc, char *const argv[])
{
	int rc;

	config_init(c);
	if (argc > 1 && !strcmp(argv[1], "run"))
		return parse_run(c, argc - 1, argv + 1);
	if (argc > 1) {
		rc = parse_subcommand(c, argc, argv);
		if (rc != OPT_STOP)
			return rc;
	}
	rc = opt_argv(table, c, argc, argv);
	if (rc < 0)
		return rc;
	return rc == OPT_STOP ? 0 : config_check(c);
}

void config_destroy(struct config *c)
{
	opt_free(table, c);
	for (size_t i = 0; i < c->nr_fs; i++)
		config_fs_destroy(&c->fs[i]);
	config_command_destroy(&c->command);
	free(c->kernel_cache.dir);
	free(c->serial.path);
	free(c->console.path);
	for (size_t i = 0; i < c->nr_ports; i++)
		free(c->port[i].end.path);
	for (size_t i = 0; i < c->nr_disks; i++)
		config_disk_destroy(&c->disk[i]);
	for (size_t i = 0; i < c->nr_nets; i++)
		config_net_destroy(&c->net[i]);
	*c = (struct config){ 0 };
}

int config_paths(const struct config *c, opt_path_fn *fn, void *ctx)
{
	return opt_paths(table, c, fn, ctx);
}

void config_help(FILE *out)
{
	fputs("Usage: minivmm --kernel FILE [OPTION]...\n"
	      "       minivmm run [OPTION]... -- COMMAND [ARGUMENT]...\n"
	      "       minivmm doctor\n"
	      "\n"
	      "Boots a kernel in a virtual machine. In the guest's terminal, Ctrl-A x ends it and\n"
	      "Ctrl-A h helps. \"minivmm run\" boots a Linux kernel for a command, which sees this\n"
	      "host's files in its guest; \"minivmm doctor\" says what this host can do.\n"
	      "\n"
	      "Options (defaults in brackets; --OPTION=VALUE works, too):\n",
	      out);
	opt_help(table, out);
	fputs("\n"
	      "Sizes are whole numbers with K, M, G or T. A comma in a path is written ,,\n"
	      "\n"
	      "Exit status: 0 the guest powered off or reset, 1 minivmm failed, 2 bad usage,\n"
	      "3 the guest crashed. With run: the command's, 128 + N when signal N killed it,\n"
	      "124 --timeout, 125 minivmm or the guest failed, or bad usage, 126 the command\n"
	      "can't be run, 127 it doesn't exist.\n"
	      "Defaults of run: --memory a quarter of what is free, 256M to 2G; --cpus as many\n"
	      "as you may use; --serial none; --kernel the host's. More: man minivmm\n",
	      out);
}

void config_version(FILE *out)
{
	fprintf(out, "minivmm %s\nwith: %s\n", MINIVMM_VERSION, *MINIVMM_WITH ? MINIVMM_WITH : "-");
	if (*MINIVMM_WITHOUT)
		fprintf(out, "without: %s\n", MINIVMM_WITHOUT);
}
