/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of the form KEY=VALUE, as the guests have them on their command line, for the programs beside
 * them. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char **words; /* set by main() */

/* Returns what follows "KEY=" in the last word that begins so; if none does, otherwise. */
static const char *word(const char *key, const char *otherwise)
{
	size_t n = strlen(key);

	for (char **w = words; *w; w++)
		if (!strncmp(*w, key, n) && (*w)[n] == '=')
			otherwise = *w + n + 1;
	return otherwise;
}

static uint64_t number(const char *key, const char *otherwise)
{
	char *end;
	uint64_t v = strtoull(word(key, otherwise), &end, 10);

	return *end == 'K' ? v << 10 : *end == 'M' ? v << 20 : v;
}
