/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-console (virtio 1.2 §5.3): either a console, with the size of its terminal, or (MULTIPORT)
 * up to 15 named ports. Each has a stream on the host.
 *
 * A machine with a console and ports has two of these devices. One could be both; but then the
 * terminal's size is told by the control message RESIZE, in which §5.3.6.2.1 wants columns first,
 * while most Linux kernels read rows first, and some stable ones don't. A console alone tells its
 * size in configuration space, where everybody has the same order. Linux reads it only after a
 * configuration change interrupt, so one is sent when the driver is ready.
 *
 * Nothing is lost: a chain of output is held until its stream has taken all of it, and input is
 * read only into buffers of the guest, and only while it has the port open (Linux drops earlier
 * input). Each port waits only for its own stream. Linux's console driver waits in a loop for its
 * output to be taken, as it does for a serial port; writers to other ports sleep.
 *
 * Linux (Debian's 6.1, too) resets the device on its way to power-off, whatever is still in its
 * queues. That output was written before the reset, so it is copied and still goes out
 * (port_keep()).
 *
 * PORT_OPEN tells the guest of each client that came and of each that left, in the right order with
 * the client's bytes. What the guest writes to a port that has no client is dropped.
 *
 * If this device has ports, port 0 is the console of a driver without MULTIPORT: it takes all
 * output and gives no input.
 *
 * Deliberately missing: EMERG_WRITE; ports that come and go; a break, for which this device has no
 * message.
 */
#include "virtio/console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "virtio/console_control.h"
#include "vmm/event.h"

#define BUDGET       (ROUND_BYTES / (2 * 16)) /* bytes of a port each way: 15 ports and a console */
#define REST_MAX     (8 * MIB)  /* of a port, over resets: a queue of Linux holds 2 to 4 MiB */
#define DETACH_BYTES (16 * MIB) /* of a port at the end */

struct console_config {
	le16_t cols, rows;
	le32_t max_nr_ports;
};
_Static_assert(sizeof(struct console_config) == offsetof(struct virtio_console_config, emerg_wr),
	       "virtio 1.2 §5.3.4");

static struct virtio_console *console_of(struct virtio_dev *vd)
{
	return container_of(vd, struct virtio_console, vd);
}

/* §5.3.2 puts the control queues between those of the first port and the second. */
static struct virtq *port_rx(const struct console_port *p)
{
	unsigned id = console_port_id(p);

	return &p->console->vd.q[id ? 2 * id + 2 : 0];
}

static struct virtq *port_tx(const struct console_port *p)
{
	return port_rx(p) + 1;
}

/* Goes on in a callback of its own, after the loop's other sources have had their turn. */
static void console_want_more(struct virtio_console *c)
{
	event_signal(c->more.fd);
}

/* -- output: from the guest to the stream ---------------------------------------------------- */

/* Writes what is left of p->out. True when all of it has been taken. */
static bool port_write(struct console_port *p, uint64_t *budget)
{
	uint64_t skip = p->state.taken;

	for (unsigned i = 0; i < p->out.nr_out; i++) {
		const struct iovec *v = &p->out.iov[i];
		size_t len, n;

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		len = min((size_t)(v->iov_len - skip), (size_t)*budget);
		n = stream_write(p->end.stream, (uint8_t *)v->iov_base + skip, len);
		p->state.taken += n;
		*budget -= n;
		if (n < len)
			return false;
		if (len < v->iov_len - skip) {
			console_want_more(p->console);
			return false;
		}
		skip = 0;
	}
	return true;
}

/* Writes what is left of p->rest. True when all of it has been taken. */
static bool port_write_rest(struct console_port *p, uint64_t *budget)
{
	size_t left = p->rest_len - p->rest_taken, len = min(left, (size_t)*budget), n;

	if (left == 0)
		return true;
	n = stream_write(p->end.stream, p->rest + p->rest_taken, len);
	p->rest_taken += n;
	*budget -= n;
	if (n < left) {
		if (n == len)
			console_want_more(p->console);
		return false;
	}
	free(p->rest);
	p->rest = NULL;
	p->rest_len = p->rest_taken = 0;
	return true;
}

/* Nothing of the next chain is taken. */
static void forget_out(struct console_port *p)
{
	p->has_out = false;
	p->state.taken = 0;
}

/* Writes all that the stream takes. Returns 0, or < 0 like virtq_pop(). */
static int port_push(struct console_port *p, uint64_t *budget)
{
	if (!port_write_rest(p, budget))
		return 0;
	for (;;) {
		if (!p->has_out) {
			int rc = virtq_pop(port_tx(p), &p->out);

			if (rc <= 0)
				return rc;
			p->has_out = true;
		}
		if (!port_write(p, budget))
			return 0;
		virtq_push(port_tx(p), p->out.head, 0);
		forget_out(p);
	}
}

/* Adds what is left of p->out to p->rest. False: there is no room. */
static bool port_keep_chain(struct console_port *p)
{
	const uint64_t left = p->out.out_len - min(p->out.out_len, p->state.taken);
	uint8_t *rest;

	if (left > REST_MAX - min(p->rest_len, (size_t)REST_MAX))
		return false;
	rest = realloc(p->rest, p->rest_len + left + 1);
	if (!rest)
		return false;
	p->rest = rest;
	p->rest_len += chain_read(&p->out, p->state.taken, rest + p->rest_len, left);
	return true;
}

/* The driver takes its buffers back: keeps what it had written to them. */
static void port_keep(struct console_port *p)
{
	uint64_t budget = BUDGET;

	if (!p->end.stream || !virtio_live(&p->console->vd) || !port_tx(p)->state.ready ||
	    virtq_begin(port_tx(p)) < 0 || port_push(p, &budget) < 0)
		return;
	while (p->has_out || virtq_pop(port_tx(p), &p->out) > 0) {
		if (!port_keep_chain(p)) {
			guest_err(
				&p->console->vd.log,
				"virtio-console: the driver resets it while too much output waits for %s: some of it is lost",
				p->end.name ?: "its console");
			return;
		}
		forget_out(p);
	}
}

/* -- input: from the stream to the guest ----------------------------------------------------- */

/* Fills p->in with the input that there is, at most budget bytes. Returns how many. */
static uint32_t port_read(struct console_port *p, uint64_t budget)
{
	uint32_t total = 0;

	for (unsigned i = 0; i < p->in.nr_in; i++) {
		const struct iovec *v = &p->in.iov[p->in.nr_out + i];
		size_t len = min(v->iov_len, (size_t)(budget - total)), done = 0;
		ssize_t n = 1;

		while (done < len && n != 0) {
			n = stream_read(p->end.stream, (uint8_t *)v->iov_base + done, len - done);
			done += n > 0 ? (size_t)n : 0; /* a break is dropped */
		}
		total += (uint32_t)done;
		if (done < v->iov_len)
			break;
	}
	return total;
}

static bool port_listens(const struct console_port *p)
{
	if (!p->end.name)
		return true;
	return p->state.open && p->state.told == stream_connections(p->end.stream);
}

static int port_pull(struct console_port *p, uint64_t budget)
{
	while (port_listens(p)) {
		uint32_t n;

		if (!p->has_in) {
			int rc = virtq_pop(port_rx(p), &p->in);

			if (rc <= 0)
				return rc;
			p->has_in = true;
		}
		if (budget == 0) {
			console_want_more(p->console);
			break;
		}
		n = port_read(p, budget);
		if (n == 0 && p->in.in_len)
			break;
		virtq_push(port_rx(p), p->in.head, n);
		p->has_in = false;
		budget -= n;
	}
	return 0;
}

/* -- the device ------------------------------------------------------------------------------ */

/* Does all that can be done for p now. Returns 0, or < 0: the driver made a malformed ring. */
static int port_serve(struct console_port *p)
{
	struct virtio_dev *vd = &p->console->vd;
	uint64_t budget = BUDGET;
	int rc = port_push(p, &budget);

	/* Once before input, which waits for it, and once after it: the client's last bytes may
	 * have been taken by now. */
	if (rc == 0)
		rc = console_port_say(p);
	if (rc == 0)
		rc = port_pull(p, BUDGET);
	if (rc == 0)
		rc = console_port_say(p);
	if (rc < 0)
		return rc;
	virtio_notify(vd, port_tx(p));
	virtio_notify(vd, port_rx(p));
	if (p->end.name)
		virtio_notify(vd, &vd->q[CONSOLE_CONTROL_RX]);
	return 0;
}

static int console_serve(struct virtio_console *c)
{
	int rc = 0;

	for (unsigned i = 0; i < c->nr_ports && rc == 0; i++)
		rc = port_serve(&c->port[i]);
	return rc;
}

static int console_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_console *c = console_of(vd);
	const unsigned i = (unsigned)(q - vd->q);
	int rc = 0;

	if (i < CONSOLE_CONTROL_RX)
		return port_serve(&c->port[0]);
	if (!virtio_has(vd, VIRTIO_CONSOLE_F_MULTIPORT))
		return 0;
	if (i > CONSOLE_CONTROL_TX)
		return port_serve(&c->port[i / 2 - 1]);
	if (i == CONSOLE_CONTROL_TX)
		rc = console_hear(c, q);
	return rc < 0 ? rc : console_serve(c);
}

static void port_ready(void *ctx)
{
	struct console_port *p = ctx;

	uint64_t budget = BUDGET;

	if (!virtio_live(&p->console->vd))
		port_write_rest(p, &budget);
	else if (port_serve(p) < 0)
		virtio_broken(&p->console->vd, "the driver made a malformed queue");
}

static void console_more(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_console *c = container_of(src, struct virtio_console, more);

	if (!event_take(src->fd))
		return;
	for (unsigned i = 0; i < c->nr_ports; i++)
		port_ready(&c->port[i]);
}

static int console_activate(struct virtio_dev *vd)
{
	if (virtio_has(vd, VIRTIO_CONSOLE_F_SIZE))
		virtio_config_changed(vd);
	return 0;
}

static void console_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_console *c = console_of(vd);

	for (unsigned i = 0; i < c->nr_ports; i++) {
		struct console_port *p = &c->port[i];

		if (!q || q == port_tx(p)) {
			port_keep(p);
			forget_out(p);
		}
		if (!q || q == port_rx(p))
			p->has_in = false;
		if (!q)
			p->state = (struct console_port_state){ 0 };
	}
}

/* Of a chain of output, what the stream has taken is not written again: taken stays. */
static void console_quiesce(struct virtio_dev *vd)
{
	struct virtio_console *c = console_of(vd);

	for (unsigned i = 0; i < c->nr_ports; i++) {
		struct console_port *p = &c->port[i];

		virtq_unpop(port_rx(p), p->has_in);
		virtq_unpop(port_tx(p), p->has_out);
		p->has_in = p->has_out = false;
	}
}

static uint64_t console_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	const struct virtio_console *c = console_of(vd);
	const struct console_config config = {
		.cols = to_le16(c->cols),
		.rows = to_le16(c->rows),
		.max_nr_ports = to_le32(c->nr_ports),
	};

	/* The core has checked the range against config_size. */
	return load_le((const uint8_t *)&config + off, size);
}

static int console_start(struct virtio_dev *vd, struct loop *loop)
{
	struct virtio_console *c = console_of(vd);
	int rc;

	c->more.lock = vd->lock;
	rc = loop_add(loop, &c->more, EPOLLIN);
	if (rc < 0)
		return log_ret(rc, "virtio-console: epoll_ctl");
	for (unsigned i = 0; i < c->nr_ports; i++)
		stream_attach(c->port[i].end.stream, port_ready, &c->port[i], vd->lock);
	return 0;
}

static void print_end(FILE *out, const struct console_end *e)
{
	fprintf(out, "%s, %s%s", e->name ?: "hvc0", e->where ?: "none", e->path ?: "");
}

static void console_describe(const struct virtio_dev *vd, unsigned nth __unused, FILE *out)
{
	const struct virtio_console *c = container_of(vd, struct virtio_console, vd);

	if (c->nr_ports == 1)
		print_end(out, &c->port[0].end);
	for (unsigned i = 1; i < c->nr_ports; i++) {
		fprintf(out, "%s", i > 1 ? "; " : "");
		print_end(out, &c->port[i].end);
	}
}

static const struct virtio_ops console_ops = {
	.name = "console",
	.module = "virtio_console",
	.device_id = VIRTIO_ID_CONSOLE,
	.nr_queues = 2,
	.queue_size = 64,
	.config_size = sizeof(struct console_config),
	.start = console_start,
	.describe = console_describe,
	.kick = console_kick,
	.activate = console_activate,
	.reset = console_reset,
	.quiesce = console_quiesce,
	.config_read = console_config_read,
};

int virtio_console_init(struct virtio_console *c, const struct console_options *o,
			struct loop *loop)
{
	*c = (struct virtio_console){
		.loop = loop,
		.more = { .fd = -1, .fn = console_more },
		.cols = o->cols,
		.rows = o->rows,
	};
	virtio_init(&c->vd, &console_ops,
		    (o->has_size ? VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE) : 0) |
			    (o->nr_ports ? VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT) : 0));
	c->port = calloc(1 + o->nr_ports, sizeof(*c->port));
	if (!c->port)
		return log_ret(-ENOMEM, "virtio-console: out of memory");
	c->nr_ports = 1 + o->nr_ports;
	if (o->nr_ports)
		virtio_set_nr_queues(&c->vd, 2 * c->nr_ports + 2);
	for (unsigned i = 0; i < c->nr_ports; i++) {
		c->port[i].console = c;
		c->port[i].end = i ? o->port[i - 1] : o->console;
	}
	c->more.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->more.fd < 0)
		return log_errno("virtio-console: eventfd");
	return 0;
}

void virtio_console_resize(struct virtio_console *c, uint16_t cols, uint16_t rows)
{
	pthread_mutex_lock(c->vd.lock);
	if (c->vd.features & VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE) &&
	    (cols != c->cols || rows != c->rows)) {
		c->cols = cols;
		c->rows = rows;
		virtio_config_changed(&c->vd);
	}
	pthread_mutex_unlock(c->vd.lock);
}

/* Kicks that nobody has looked at count, too: the loop has ended. */
static void port_detach(struct console_port *p)
{
	const bool live = virtio_live(&p->console->vd) && port_tx(p)->state.ready &&
			  virtq_begin(port_tx(p)) >= 0;
	uint64_t budget = DETACH_BYTES;
	bool whole;

	do {
		whole = port_write_rest(p, &budget);
		if (whole && live && port_push(p, &budget) == 0)
			whole = !p->has_out;
	} while (!whole && budget && !patience_over(p->console->loop->patience) &&
		 stream_flush(p->end.stream));
	if (!whole)
		log_warn("virtio-console: what the guest wrote last to %s is lost",
			 p->end.name ?: "its console");
}

void virtio_console_detach(struct virtio_console *c)
{
	for (unsigned i = 0; i < c->nr_ports; i++) {
		if (c->port[i].end.stream)
			port_detach(&c->port[i]);
		c->port[i].end.stream = NULL;
	}
}

void virtio_console_destroy(struct virtio_console *c)
{
	if (c->more.fd > 0) { /* zeroes: it was never made */
		loop_remove(c->loop, &c->more);
		close_fd(&c->more.fd);
	}
	for (unsigned i = 0; i < c->nr_ports; i++)
		free(c->port[i].rest);
	free(c->port);
	c->port = NULL;
	c->nr_ports = 0;
}
