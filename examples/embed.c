/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * embed COMMAND [ARGUMENT]...: runs a command in a fresh virtual machine, which sees this machine's
 * files and can't change them, and has no network; prints what it says, and ends with its status.
 *
 * cc embed.c $(pkg-config --cflags --libs minivmm)
 */
#include <minivmm.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* Copies both streams of the command until both have ended. */
static void copy(int out, int err)
{
	struct pollfd from[] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };
	char buf[65536];

	while ((from[0].fd >= 0 || from[1].fd >= 0) && poll(from, 2, -1) > 0) {
		for (int i = 0; i < 2; i++) {
			ssize_t n = from[i].revents ? read(from[i].fd, buf, sizeof(buf)) : 0;

			if (n > 0)
				fwrite(buf, 1, (size_t)n, i == 0 ? stdout : stderr);
			else if (from[i].revents && close(from[i].fd) == 0)
				from[i].fd = -1; /* poll() passes over it */
		}
	}
}

static int run(struct minivmm *vm)
{
	int out = minivmm_stream(vm, MINIVMM_STDOUT), err = minivmm_stream(vm, MINIVMM_STDERR);

	close(minivmm_stream(vm, MINIVMM_STDIN)); /* there is no input */
	if (minivmm_start(vm) == 0) {
		copy(out, err);
		minivmm_wait(vm, -1);
	}
	if (minivmm_end(vm) != MINIVMM_COMMAND)
		fprintf(stderr, "embed: %s\n", minivmm_why(vm));
	return minivmm_status(vm);
}

int main(int argc, char **argv)
{
	struct minivmm_config *c = minivmm_config_new();
	struct minivmm *vm = NULL;
	int status = 125;

	if (argc > 1 && c && minivmm_config_command(c, argv + 1) == 0 &&
	    minivmm_config_set(c, "memory", "512M") == 0 && minivmm_create(c, &vm) == 0)
		status = run(vm);
	else
		fprintf(stderr, "embed: %s\n", minivmm_error());
	minivmm_destroy(vm);
	minivmm_config_free(c);
	return status;
}
