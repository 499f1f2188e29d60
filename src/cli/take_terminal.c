/* SPDX-License-Identifier: BSD-2-Clause */
#include "take_terminal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "term.h"

int take_terminal(struct minivmm *vm)
{
	const int rc = isatty(STDIN_FILENO) ? term_raw(STDIN_FILENO) : 0;
	char text[128];

	if (rc < 0) {
		snprintf(text, sizeof(text), "terminal: raw mode: %s", strerror(-rc));
		minivmm_log(vm, MINIVMM_ERROR, text);
	}
	return rc;
}
