/* SPDX-License-Identifier: BSD-2-Clause */
/* `minivmm run` and its options, apart from the others of config.c. */
#pragma once

#include "config/config.h"
#include "config/options.h"

#define CONFIG_SHARE_METAVAR "DIR[:GUESTDIR][:rw|:ro]"

/* The virtio-fs tags of the root and, with a number behind it, of the shares. */
#define COMMAND_TAG_ROOT  "root"
#define COMMAND_TAG_SHARE "share"

opt_set config_set_share; /* struct config, its command.nr_shares */
opt_set config_set_env;   /* struct config, its command.nr_env */

/* Makes *c one that runs argv, which ends with NULL: copies it, and sets what is another default
 * then. seen: the options that were set, as config_set() has it. 0 or -errno, logged. */
int config_command(struct config *c, char *const argv[], bool memory_seen,
		   bool cpus_seen) __must_check;

/* Whether the options of run are there with a command only, and fit the others. 0 or -EINVAL,
 * logged. */
int config_check_command(const struct config *c) __must_check;

/* Adds what a machine that runs a command has: for a copy of a configuration that was checked,
 * which is used as long as the original is there. */
void config_complete_command(struct config *c);

void config_command_destroy(struct command_config *r);
