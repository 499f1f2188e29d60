/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-console: a console, or named ports. See console.c. */
#pragma once

#include "vmm/stream.h"
#include "vmm/virtio.h"

struct virtio_console;

/* The host's end of the console or of a port. What it points to outlives the device. */
struct console_end {
	const char *name;         /* the port's; NULL: the console */
	struct stream *stream;    /* NULL: it says nothing and nobody listens */
	const char *where, *path; /* for people: "file ", "/x"; either may be NULL */
};

struct console_port {
	struct virtio_console *console;
	struct console_end end;

	/* The state that the guest and we share; a reset clears it. It is all that a snapshot needs,
	 * once virtio_quiesce() has given in and out back, beside what is left of rest. */
	struct console_port_state {
		bool added;     /* the driver has made the port */
		bool open;      /* a program of the guest has it open */
		uint8_t to_say; /* control messages to send: bits by their numbers */
		unsigned told;  /* value of stream_connections() that the guest was told */
		uint64_t taken; /* bytes of the first chain that is not pushed: out, if has_out */
	} state;

	bool has_in;  /* in waits for input */
	bool has_out; /* a part of out is not taken yet */
	struct virtq_chain in, out;

	/* Output from before the last resets; the guest has its memory back. */
	uint8_t *rest;
	size_t rest_len, rest_taken;
};

struct virtio_console {
	struct virtio_dev vd;
	struct loop *loop;
	struct loop_source more;   /* an eventfd: there is more to do than fits one callback */
	struct console_port *port; /* the console, then the named ones */
	unsigned nr_ports;
	uint16_t cols, rows; /* of the terminal */
};

struct console_options {
	struct console_end console;
	bool has_size; /* it is a terminal, of this size */
	uint16_t cols, rows;

	const struct console_end *port;
	unsigned nr_ports; /* 0: only a console; otherwise the device has only ports */
};

/* The streams, which the caller owns, work on loop. Returns 0 or -errno, logged;
 * virtio_console_destroy() is safe after either, and on zeroes. */
int virtio_console_init(struct virtio_console *c, const struct console_options *o,
			struct loop *loop) __must_check;
void virtio_console_destroy(struct virtio_console *c);

/* The terminal's size changed. Called on any thread that holds no device's lock. */
void virtio_console_resize(struct virtio_console *c, uint16_t cols, uint16_t rows);

/* Hands all that the guest wrote to the streams (which may flush: stream.h). Afterwards the streams
 * may be destroyed before the device. Called when no vCPU and no loop runs. */
void virtio_console_detach(struct virtio_console *c);
