/* SPDX-License-Identifier: BSD-2-Clause */
/* --net; config.c has the other options. */
#pragma once

#include "config/config.h"
#include "vmm/options.h"

#define CONFIG_NET_METAVAR "MODE[,KEY=VALUE]..."
#define CONFIG_NET_HELP                                                                            \
	"a network card; MODE and keys:\n"                                                         \
	"tap=NAME|auto           a TAP of the host's, made if it isn't there\n"                    \
	"fd=N                    an open TAP\n"                                                    \
	"user                    a network in this process, without privileges\n"                  \
	"socket=PATH             a UNIX socket where passt listens\n"                              \
	"mac=ADDRESS             the card's address (random)\n"                                    \
	"mtu=BYTES               largest packet (the TAP's)\n"                                     \
	"queues=N                pairs of queues of a TAP, 1 to 16 (1)\n"                          \
	"bridge=NAME             put the TAP into this bridge\n"                                   \
	"script=PATH             run this with the TAP's name\n"                                   \
	"vhost=on|off            let the host's kernel move the frames (off)\n"                    \
	"hostfwd=RULE            user: let in PROTOCOL:HOST:PORT-GUEST:PORT\n"                     \
	"restrict=on|off         user: let nothing out (off)\n"                                    \
	"id=STRING               the card's name"

/* Adds a card to the config; field is &config.nr_nets. */
opt_set config_set_net;
void config_net_destroy(struct net_config *n);
