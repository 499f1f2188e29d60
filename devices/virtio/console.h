/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-console: a console, or named ports. See console.c. */
#pragma once

#include "vmm/stream.h"
#include "vmm/virtio.h"

struct virtio_console;

struct console_port {
	struct virtio_console *console;
	struct stream *stream; /* NULL: none; not owned */
	const char *name;      /* NULL: the console; not owned */

	/* What the guest and we are about; a reset clears it. */
	struct console_port_state {
		bool added;     /* the driver has made the port */
		bool open;      /* a program of the guest has it open */
		bool has_in;    /* in waits for input */
		bool has_out;   /* out is not all taken yet */
		uint8_t to_say; /* control messages, by the bits of their numbers */
		unsigned told;  /* of stream_connections() */
		uint64_t taken; /* bytes of out */
	} state;
	struct virtq_chain in, out;

	/* Output of before the last resets, of which the guest has the memory back. */
	uint8_t *rest;
	size_t rest_len, rest_taken;
};

struct virtio_console {
	struct virtio_dev vd;
	struct loop *loop;
	struct loop_source more;   /* an eventfd: there is more to do than one callback may */
	struct console_port *port; /* the console, then the named ones */
	unsigned nr_ports;
	uint16_t cols, rows; /* of the terminal */
};

struct console_options {
	struct stream *stream; /* the console's; NULL: it says nothing and nobody listens */
	bool has_size;         /* it is a terminal, of this size */
	uint16_t cols, rows;

	const char *const *port; /* names of ports, which outlive the device */
	struct stream *const *port_stream;
	unsigned nr_ports; /* 0: just a console; else the device has no console that shows */
};

/* The streams, which the caller owns, live on loop. 0 or -errno, logged; virtio_console_destroy()
 * is safe after either, and on zeroes. */
int virtio_console_init(struct virtio_console *c, const struct console_options *o,
			struct loop *loop) __must_check;
void virtio_console_destroy(struct virtio_console *c);

/* Connects the streams: once, when the device has its transport, before the loop runs. 0 or -errno,
 * logged. */
int virtio_console_start(struct virtio_console *c) __must_check;

/* The terminal's size changed. Any thread, with no device's lock held. */
void virtio_console_resize(struct virtio_console *c, uint16_t cols, uint16_t rows);

/* Hands all that the guest wrote to the streams (it may flush: stream.h), which may then be
 * destroyed before the device. No vCPU and no loop runs. */
void virtio_console_detach(struct virtio_console *c);
