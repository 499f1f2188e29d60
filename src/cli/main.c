/* SPDX-License-Identifier: BSD-2-Clause */
/* The program: passes a command line to the library (minivmm.h), and exits with the status that
 * comes of it. Nothing else exits. */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "run.h"
#include "minivmm.h"
#include "signals.h"
#include "take_terminal.h"
#include "term.h"

/* This process is our own, and shared directories take many descriptors. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int boot(struct minivmm_config *c)
{
	int status = MINIVMM_EXIT_FAILED, rc;
	struct minivmm *vm;

	term_reserve_stdio();
	signals_prepare();
	if (minivmm_create(c, &vm) < 0)
		return MINIVMM_EXIT_FAILED;
	signals_block();
	rc = minivmm_on_stdio(vm) ? take_terminal(vm) : 0;
	if (rc == 0 && minivmm_start(vm) == 0 && signals_until_end(vm) == 0)
		status = minivmm_status(vm);
	minivmm_destroy(vm);
	term_restore();
	return status;
}

/* --help and its like do nothing but print, so it is a failure if that is lost. */
static int print(const struct minivmm_config *c, enum minivmm_action what)
{
	char *text;
	int status = minivmm_text(c, what, &text) < 0 ? MINIVMM_EXIT_FAILED : MINIVMM_EXIT_OK;

	if (text && (fputs(text, stdout) < 0 || fflush(stdout) < 0)) {
		fprintf(stderr, "minivmm: standard output: %s\n", strerror(errno));
		status = MINIVMM_EXIT_FAILED;
	}
	free(text);
	return status;
}

int main(int argc, char **argv)
{
	/* A failure of minivmm run itself must not look like the command's status. */
	const bool for_command = argc > 1 && !strcmp(argv[1], "run");
	struct minivmm_config *c;
	int status = MINIVMM_EXIT_FAILED, action = -1;

	mallopt(M_ARENA_MAX, 1); /* an arena for each thread costs more than sharing one */
	c = minivmm_config_new();
	if (c) {
		minivmm_config_log(c, minivmm_log_stderr, NULL);
		action = minivmm_config_args(c, argc, argv);
		allow_descriptors(); /* not earlier: the command gets the limits that we had */
		if (action < 0)
			status = MINIVMM_EXIT_USAGE;
		else if (action == MINIVMM_ACTION_BOOT)
			status = boot(c);
		else if (action == MINIVMM_ACTION_COMMAND)
			status = run_command(c);
		else
			status = print(c, (enum minivmm_action)action);
	}
	minivmm_config_free(c);
	return for_command && action != MINIVMM_ACTION_COMMAND && status != MINIVMM_EXIT_OK
		       ? MINIVMM_EXIT_COMMAND_FAILED
		       : status;
}
