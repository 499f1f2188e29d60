/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of console.c that talks to the driver about its ports. */
#pragma once

#include "virtio/console.h"

enum { CONSOLE_CONTROL_RX = 2, CONSOLE_CONTROL_TX = 3 }; /* queues */

static inline unsigned console_port_id(const struct console_port *p)
{
	return (unsigned)(p - p->console->port);
}

/* Tells the driver all that there is to say about p, as far as there are buffers. Returns 0, or < 0
 * like virtq_pop(). */
int console_port_say(struct console_port *p) __must_check;

/* Reads what the driver has to say; q is CONSOLE_CONTROL_TX. Returns 0, or < 0 like virtq_pop(). */
int console_hear(struct virtio_console *c, struct virtq *q) __must_check;
