/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/given.h"

#include <fcntl.h>
#include <stdio.h>

#include "backend/stream/output.h"

/* No descriptor of ours ever gets the number of a standard stream. */
static bool is_open(int fd)
{
	return fd <= STDERR_FILENO || fcntl(fd, F_GETFD) >= 0;
}

/* what: the part that wants fd, for the message. */
static bool check(const char *what, int fd, char text[GIVEN_TEXT])
{
	if (is_open(fd))
		return true;
	snprintf(text, GIVEN_TEXT,
		 "%s: descriptor %d is not open; pass it on, as in minivmm … %d<>FILE", what, fd,
		 fd);
	return false;
}

static bool check_path(const char *what, const char *path, char text[GIVEN_TEXT])
{
	return !path || check(what, output_descriptor(path), text);
}

static bool check_end(const char *what, const struct host_end *e, char text[GIVEN_TEXT])
{
	if (e->kind == HOST_FD)
		return check(what, (int)e->fd, text);
	return e->kind != HOST_FILE || check_path(what, e->path, text);
}

static int check_given(void *ctx, const struct opt_given_path *given)
{
	char what[64];

	snprintf(what, sizeof(what), "--%s%s%s", given->option, given->key ? " " : "",
		 given->key ?: "");
	return !check_path(what, given->path, ctx);
}

bool given_are_open(const struct config *c, char text[GIVEN_TEXT])
{
	bool fine = check_end("serial port", &c->serial, text) &&
		    check_end("console", &c->console, text);
	char what[80];

	for (size_t i = 0; i < c->nr_ports && fine; i++) {
		snprintf(what, sizeof(what), "port %s", c->port[i].name);
		fine = check_end(what, &c->port[i].end, text);
	}
	fine = fine && config_paths(c, check_given, text) == 0;
	for (size_t i = 0; i < c->nr_disks && fine; i++)
		fine = check_path("--disk", c->disk[i].path, text) &&
		       check_path("--disk overlay", c->disk[i].overlay, text);
	for (size_t i = 0; i < c->nr_nets && fine; i++)
		if (c->net[i].mode == NET_FD)
			fine = check(c->net[i].option, (int)c->net[i].fd, text);
	return fine;
}
