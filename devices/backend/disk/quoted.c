/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/disk/quoted.h"

#include <string.h>

const char *disk_quoted(char *to, size_t size, const char *path)
{
	size_t n = 0;

	to[n++] = '\'';
	for (; *path && n + 6 < size; path++) {
		if (*path == '\'')
			n = (size_t)(stpcpy(to + n, "'\\'") - to);
		to[n++] = *path;
	}
	to[n++] = '\'';
	to[n] = '\0';
	return to;
}
