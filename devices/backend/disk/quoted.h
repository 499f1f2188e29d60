/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths for the commands in messages. */
#pragma once

#include <stddef.h>

/* Writes path to to, quoted for a shell, for commands in messages. If size is too small, the text
 * is cut. Returns to. */
const char *disk_quoted(char *to, size_t size, const char *path);
