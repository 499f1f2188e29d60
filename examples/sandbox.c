/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox COMMAND [ARGUMENT]...: runs a command in a guest by libminivmm, and ends with its status.
 * What it prints comes out in capitals, to show that it passes through here. $KERNEL is the kernel,
 * if the host's own will not do.
 *
 * cc sandbox.c $(pkg-config --cflags --libs minivmm)
 */
#include <ctype.h>
#include <minivmm.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int sandbox(struct minivmm_config *c)
{
	struct minivmm *vm;
	char said[4096];
	int status = 125, out;
	ssize_t n;

	if (minivmm_create(c, &vm) < 0)
		return status;
	out = minivmm_stream(
		vm, MINIVMM_STDOUT); /* nothing goes in, and what it says on the third is lost */
	if (minivmm_start(vm) == 0) {
		while ((n = read(out, said, sizeof(said))) > 0) {
			for (ssize_t i = 0; i < n; i++)
				said[i] = (char)toupper((unsigned char)said[i]);
			fwrite(said, 1, (size_t)n, stdout);
		}
		minivmm_wait(vm, -1);
		status = minivmm_status(vm);
		fprintf(stderr, "%s, with status %d\n", minivmm_why(vm), status);
	}
	close(out);
	minivmm_destroy(vm);
	return status;
}

int main(int argc, char **argv)
{
	struct minivmm_config *c = minivmm_config_new();
	int status = 125;

	(void)argc;
	if (!c)
		return status;
	minivmm_config_log(c, minivmm_log_stderr, NULL);
	if ((!getenv("KERNEL") || minivmm_config_set(c, "kernel", getenv("KERNEL")) == 0) &&
	    minivmm_config_set(c, "memory", "256M") == 0 &&
	    minivmm_config_set(c, "timeout", "60") == 0 && minivmm_config_command(c, argv + 1) == 0)
		status = sandbox(c);
	minivmm_config_free(c);
	return status;
}
