/* SPDX-License-Identifier: BSD-2-Clause */
/* --fs, and all the directories that a guest gets; config.c has the other options. */
#pragma once

#include "config/config.h"
#include "vmm/options.h"

#define CONFIG_FS_METAVAR "KEY=VALUE..."
#define CONFIG_FS_HELP                                                                             \
	"a directory of the host that the guest mounts as virtiofs; keys:\n"                       \
	"tag=TAG                 the guest's name for it\n"                                        \
	"path=DIR                the directory\n"                                                  \
	"socket=PATH             instead of path=, virtiofsd's socket\n"                           \
	"readonly=on|off         refuse changes (on)\n"                                            \
	"cache=auto|always|none  what the guest may remember (auto)"

/* Fills the next struct fs_config of a struct config; field is its nr_fs. */
opt_set config_set_fs;
void config_fs_destroy(struct fs_config *f);

#define CONFIG_MAX_SHARED_DIRS (CONFIG_MAX_FS + 1 + CONFIG_MAX_SHARES)

/* A directory of the host's that the guest gets: of --fs, or a command's root and shares. What this
 * points to belongs to the configuration. */
struct shared_dir {
	const char *option; /* the one that names it, for messages: --fs, --root or --share */
	char tag[37];       /* the guest's name for it */
	const char *path;   /* the directory; either this */
	const char *socket; /* or the socket of the daemon that has it */
	bool readonly;
	bool files; /* path may be a file, which is shared alone */
	enum fuse_cache cache;
};

/* Lists them. Returns how many there are. */
size_t config_shared_dirs(const struct config *c, struct shared_dir dir[CONFIG_MAX_SHARED_DIRS]);

/* Is the guest's memory shared with another process, the daemon of a directory? */
bool config_shares_memory(const struct config *c);
