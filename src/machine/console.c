/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/console.h"

#include <stdio.h>

#include "backend/stream/socket.h"
#include "backend/stream/tty.h"

static int open_end(struct machine *m, struct stream **s, const char *what,
		    const struct host_end *e, const struct power *power, struct kept *kept)
{
	if (m->owner.dry)
		return 0; /* a dry run leaves the terminal and files alone */
	switch (e->kind) {
	case HOST_STDIO:
		return tty_stdio(s, &m->loop, what, power, kept);
	case HOST_PTY:
		return tty_pty(s, &m->loop, what, kept);
	case HOST_FILE:
		return tty_file(s, &m->loop, what, "file", e->path, kept);
	case HOST_SOCKET:
		return socket_listen(s, &m->loop, what, e->path, kept);
	case HOST_FD:
		return tty_fd(s, &m->loop, what, (int)e->fd, kept);
	case HOST_NONE:
		break;
	}
	return 0;
}

int machine_console_open(struct machine *m, const struct power *power)
{
	const struct config *c = m->config;
	const bool shared = c->serial.kind == HOST_STDIO && c->console.kind == HOST_STDIO;
	char what[80];
	int rc;

	/* This is the early console of a command's kernel (cmdline.c). */
	if (c->command.argv && c->serial.kind == HOST_NONE) {
		m->serial = &m->command.console.stream;
		rc = 0;
	} else if (shared && !m->owner.dry) {
		/* When both have the same terminal, its input goes to the console. */
		rc = tty_stdout(&m->serial, &m->loop, "serial port", MACHINE_KEPT(m, serial));
	} else {
		rc = open_end(m, &m->serial, "serial port", &c->serial, power,
			      MACHINE_KEPT(m, serial));
	}
	if (rc == 0)
		rc = open_end(m, &m->console_end, "console", &c->console, power,
			      MACHINE_KEPT(m, console));
	for (size_t i = 0; i < c->nr_ports && rc == 0; i++) {
		snprintf(what, sizeof(what), "port %s", c->port[i].name);
		rc = open_end(m, &m->port_end[i], what, &c->port[i].end, power,
			      MACHINE_KEPT(m, port[i]));
	}
	return rc;
}

/* Finds the size of the console's terminal. Returns false if it has none. */
static bool window_size(const struct machine *m, uint16_t *cols, uint16_t *rows)
{
	const struct host_end *e = &m->config->console;

	if (e->kind == HOST_FD)
		return tty_size_of((int)e->fd, cols, rows);
	return e->kind == HOST_STDIO && tty_size(cols, rows);
}

static int add(struct machine *m, struct virtio_console *c, const struct console_options *o)
{
	int rc = virtio_console_init(c, o, &m->loop);

	return rc == 0 ? machine_add_virtio(m, &c->vd, &m->loop) : rc;
}

static struct console_end end_of(const struct host_end *e, struct stream *stream)
{
	return (struct console_end){
		.stream = stream,
		.where = machine_console_where(e),
		.path = e->path,
	};
}

int machine_console_add(struct machine *m)
{
	const struct config *c = m->config;
	struct console_end end[CONFIG_MAX_PORTS];
	struct console_options console = { .console = end_of(&c->console, m->console_end) };
	const struct console_options ports = { .port = end, .nr_ports = (unsigned)c->nr_ports };
	int rc = 0;

	console.has_size = window_size(m, &console.cols, &console.rows);
	for (size_t i = 0; i < c->nr_ports; i++) {
		end[i] = end_of(&c->port[i].end, m->port_end[i]);
		end[i].name = c->port[i].name;
	}
	if (c->console.kind != HOST_NONE)
		rc = add(m, &m->console, &console);
	if (rc == 0 && c->nr_ports)
		rc = add(m, &m->ports, &ports);
	return rc;
}

void machine_window_changed(struct machine *m)
{
	uint16_t cols, rows;

	if (window_size(m, &cols, &rows))
		virtio_console_resize(&m->console, cols, rows);
}

static void close_end(struct stream **s)
{
	stream_destroy(*s);
	*s = NULL;
}

void machine_console_close(struct machine *m)
{
	board_close_serial(&m->board);
	virtio_console_detach(&m->console);
	virtio_console_detach(&m->ports);
	close_end(&m->serial);
	for (size_t i = 0; i < ARRAY_SIZE(m->port_end); i++)
		close_end(&m->port_end[i]);
	close_end(&m->console_end);
}

void machine_console_destroy(struct machine *m)
{
	virtio_console_destroy(&m->console);
	virtio_console_destroy(&m->ports);
}

const char *machine_console_where(const struct host_end *e)
{
	switch (e->kind) {
	case HOST_NONE:
		return "none";
	case HOST_STDIO:
		return "standard input and output";
	case HOST_PTY:
		return "a new pseudo-terminal";
	case HOST_FILE:
		return "file ";
	case HOST_SOCKET:
		return "socket ";
	case HOST_FD:
		return "an open descriptor";
	}
	return "";
}
