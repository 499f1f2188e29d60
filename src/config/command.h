/* SPDX-License-Identifier: BSD-2-Clause */
/* `minivmm run` and its options; config.c has the others. */
#pragma once

#include "config/config.h"
#include "vmm/options.h"

#define CONFIG_SHARE_METAVAR "DIR[:GUESTDIR][:rw|:ro]"

/* The virtio-fs tags of the root and, followed by a number, of the shares. */
#define COMMAND_TAG_ROOT  "root"
#define COMMAND_TAG_SHARE "share"

opt_set config_set_share; /* field is command.nr_shares of a struct config */
opt_set config_set_env;   /* field is command.nr_env of a struct config */

/* Makes *c one that runs argv, which ends with NULL and is copied, and changes the defaults that
 * are different then, unless seen (see config_set()) says that the user set them. Returns 0 or
 * -errno, logged. */
int config_command(struct config *c, char *const argv[], uint64_t seen) __must_check;

/* Checks that options of run were given only with a command, and that they fit the other options.
 * Returns 0 or -EINVAL, logged. */
int config_check_command(const struct config *c) __must_check;

/* Returns the CID of the guest's vsock device, which a command needs in any case; 0: there is none. */
unsigned config_cid(const struct config *c);

void config_command_destroy(struct command_config *r);
