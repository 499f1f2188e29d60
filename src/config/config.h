/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the user asked for, as plain data. The command line and the library fill the same struct.
 */
#pragma once

#include <stdio.h>

#include "backend/disk/disk.h"
#include "backend/fuse/fuse.h"
#include "virtio/balloon.h"
#include "vmm/log.h"
#include "vmm/options.h"
#include "vmm/types.h"

#define CONFIG_MAX_CPUS       64
#define CONFIG_MAX_DISKS      16
#define CONFIG_MAX_IO_THREADS 16
#define CONFIG_MAX_FS         8
#define CONFIG_MAX_NETS       8
#define CONFIG_MAX_NET_QUEUES 16
#define CONFIG_MAX_FORWARDS   32
#define CONFIG_MAX_PORTS      15
#define CONFIG_MIN_MEMORY     (32 * MIB)
#define CONFIG_MAX_MEMORY     (1 * TIB)

enum config_action {
	ACTION_BOOT,
	ACTION_DRY_RUN,
	ACTION_HELP,
	ACTION_VERSION,
	ACTION_DOCTOR,
	ACTION_COMMAND
};
enum huge_pages { HUGE_OFF, HUGE_TRANSPARENT, HUGE_2M, HUGE_1G };
enum net_mode { NET_TAP, NET_FD, NET_USER, NET_SOCKET };
enum host_end_kind { HOST_NONE, HOST_STDIO, HOST_PTY, HOST_FILE, HOST_SOCKET, HOST_FD };
enum transport { TRANSPORT_AUTO, TRANSPORT_PCI, TRANSPORT_MMIO };
enum on_reset { ON_RESET_EXIT, ON_RESET_RESTART };

struct memory_config {
	uint64_t size; /* bytes */
	enum huge_pages huge;
	bool prefault, mergeable;
};

/* Where unpacked kernels are kept. */
struct kernel_cache_config {
	bool off;
	char *dir; /* NULL: among the user's caches */
};

struct disk_config {
	char *path;
	bool readonly;
	enum disk_format format;
	int sector;    /* bytes, 512 or 4096; 0: what the image or device has */
	bool temp;     /* what the guest writes goes to a temporary overlay */
	char *overlay; /* what it writes goes to this file; NULL: to the disk itself */
	char id[21];   /* the serial number that the guest reads; "": none was given */
};

/* Forwards a port of the host's to one of a guest's; IPv4 addresses are numbers. */
struct net_forward {
	bool udp;
	uint32_t host, guest; /* guest 0: the address that DHCP gives the guest */
	uint16_t host_port, guest_port;
};

struct net_config {
	char *option; /* "--net MODE", for messages */
	enum net_mode mode;
	char *name;  /* NET_TAP: the interface's; NULL: a new one, named by the kernel */
	unsigned fd; /* NET_FD */
	char *path;  /* NET_SOCKET */
	struct net_forward forward[CONFIG_MAX_FORWARDS]; /* NET_USER */
	size_t nr_forwards;
	bool restricted;
	char *bridge, *script;
	unsigned mtu, queues; /* mtu 0: that of the TAP */
	bool vhost;
	uint8_t mac[6];
	char id[33];
};

/* The host's end of a serial port, console or port of the guest. */
struct host_end {
	enum host_end_kind kind;
	char *path;  /* HOST_FILE, HOST_SOCKET */
	unsigned fd; /* HOST_FD */
};

struct port_config {
	char name[65];
	struct host_end end;
};

struct vsock_config {
	unsigned cid; /* 0: there is none */
	char *path;   /* NULL with vhost */
	bool vhost;
};

/* A shared directory, of --fs. */
struct fs_config {
	char tag[37]; /* the guest's name for it */
	char *path;   /* the directory; either this */
	char *socket; /* or the socket of the daemon that has it */
	bool readonly;
	enum fuse_cache cache;
	bool limited; /* readonly= or cache= was given */
};

#define CONFIG_MAX_SHARES 8
#define CONFIG_MAX_ENV    256

struct command_share {
	char *path, *guest; /* on the host; in the guest, or NULL: the same as on the host */
	bool writable;
};

/* How the command's standard output and standard error come out. */
enum command_outputs {
	OUTPUTS_UNSET, /* not given: two */
	OUTPUTS_TWO,
	OUTPUTS_ONE,  /* one stream, in order; standard error is at its end */
	OUTPUTS_AUTO, /* one, if this process's two are the same file */
};

/* The options of `minivmm run`. */
struct command_config {
	char **argv;   /* the command; NULL: there is none, and all else here is unused */
	char *root;    /* NULL: / */
	char *modules; /* the directory of the kernel's modules; NULL: it is searched for */
	struct command_share share[CONFIG_MAX_SHARES];
	size_t nr_shares;
	uint64_t overlay_size; /* 0: half the memory */
	char *env[CONFIG_MAX_ENV];
	size_t nr_env;
	bool clean_env;
	char *user, *directory; /* NULL: the caller's */
	unsigned timeout;       /* seconds; 0: none */
	bool terminal;
	enum command_outputs outputs;
	char *console_log, *json;
};

struct config {
	enum config_action action;
	char *kernel, *initrd; /* paths; NULL: not given */
	char *append;          /* added to the default command line; NULL: not given */
	bool no_default_cmdline;
	struct kernel_cache_config kernel_cache;
	struct memory_config memory;
	unsigned cpus;
	struct disk_config disk[CONFIG_MAX_DISKS];
	size_t nr_disks;
	struct balloon_options balloon;
	struct net_config net[CONFIG_MAX_NETS];
	size_t nr_nets;
	struct vsock_config vsock;
	struct fs_config fs[CONFIG_MAX_FS];
	size_t nr_fs;
	struct command_config command;
	struct host_end serial, console;
	struct port_config port[CONFIG_MAX_PORTS];
	size_t nr_ports;
	enum on_reset on_reset;
	unsigned io_threads;
	bool poll;                /* the I/O threads may poll */
	enum transport transport; /* what the virtio devices sit on; AUTO: the machine chooses */
	enum log_level log_level;
	bool nested;     /* the guest may have guests */
	bool kaslr;      /* enter by the kernel's own decompressor, which randomizes its address */
	bool debug_exit; /* the guest may end with a status of its own */
	bool stats;      /* print the table of exits at the end */
};

/* Sets the defaults. */
void config_init(struct config *c);

/* Sets one option, as --NAME VALUE would; value is NULL for a switch. *seen has a bit for each
 * option that was set before, and is 0 at first. Returns 0, or -EINVAL or -ENOMEM as config_parse()
 * does. */
int config_set(struct config *c, const char *name, const char *value, uint64_t *seen) __must_check;

/* Is the option of that name among those of seen? */
bool config_seen(uint64_t seen, const char *name);

/* Checks what can be checked only when all options are set. Returns 0, or -EINVAL as config_parse()
 * does. */
int config_check(const struct config *c) __must_check;

/* Fills *c from the command line. It opens nothing and logs nothing but the error. Returns 0:
 * everything is within its limits, and ACTION_BOOT and ACTION_DRY_RUN have a kernel; -EINVAL: one
 * line was logged that names the option, the value, the reason and the way out; or -ENOMEM, logged.
 * The caller calls config_destroy() in any case. */
int config_parse(struct config *c, int argc, char *const argv[]) __must_check;
void config_destroy(struct config *c);

/* Calls fn for each path of a file on the host that an option names, except those of --disk, --net,
 * --fs, --port, --serial and --console. Returns what opt_paths() returns. */
int config_paths(const struct config *c, opt_path_fn *fn, void *ctx) __must_check;

/* These print what --help and --version print. */
void config_help(FILE *out);
void config_version(FILE *out);
