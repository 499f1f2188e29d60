/* SPDX-License-Identifier: BSD-2-Clause */
/* --disk; config.c has the other options. */
#pragma once

#include "config/config.h"
#include "vmm/options.h"

#define CONFIG_DISK_METAVAR "PATH[,KEY=VALUE]..."
#define CONFIG_DISK_HELP                                                                           \
	"image or block device; the first is vda, and so on; keys:\n"                              \
	"readonly=on|off         refuse writes, share the image (off)\n"                           \
	"overlay=FILE|temp       share it and keep what is written in a qcow2\n"                   \
	"                        FILE, or throw it away\n"                                         \
	"format=raw|qcow2        the format of PATH, never guessed (raw)\n"                        \
	"sector=512|4096         the guest's sectors (512, or the device's)\n"                     \
	"id=STRING               serial number, 1 to 20 characters"

/* Fills the next struct disk_config of a struct config; field is its nr_disks. */
opt_set config_set_disk;
void config_disk_destroy(struct disk_config *d);
