/* SPDX-License-Identifier: BSD-2-Clause */
/* --fs; config.c has the other options. */
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
