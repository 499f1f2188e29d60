/* SPDX-License-Identifier: BSD-2-Clause */
/* --serial, --console and --port; config.c has the other options. */
#pragma once

#include "config/config.h"
#include "vmm/options.h"

/* Takes stdio, none, pty, file=PATH, socket=PATH or fd=N; field is a struct host_end. */
opt_set config_set_host_end;

/* Adds a port to the config; field is &config.nr_ports. */
opt_set config_set_port;

/* Checks that standard input has one reader. (The serial port and the console may share it:
 * cmdline.h.) Returns 0, or -EINVAL, explained. */
int config_check_stdio(const struct config *c) __must_check;

/* Each socket that clients connect to, that of --vsock included, and each file that an option has
 * written, belongs to one thing; files of the same name, that is, for nothing is looked at. Returns
 * 0, or -EINVAL, explained. */
int config_check_places(const struct config *c) __must_check;
