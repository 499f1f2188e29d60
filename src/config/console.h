/* SPDX-License-Identifier: BSD-2-Clause */
/* --serial, --console and --port. See config.c for the other options. */
#pragma once

#include "config/config.h"
#include "config/options.h"

/* stdio, none, pty, file=PATH or socket=PATH, into a struct host_end. */
opt_set config_set_host_end;

/* Adds a port to the config; field is &config.nr_ports. */
opt_set config_set_port;

/* Standard input has one reader. (Serial port and console get along: cmdline.h.) 0, or -EINVAL,
 * explained. */
int config_check_stdio(const struct config *c) __must_check;

/* Each socket that is listened at belongs to one thing, that of --vsock included. 0, or -EINVAL,
 * explained. */
int config_check_sockets(const struct config *c) __must_check;
