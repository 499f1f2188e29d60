/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts that are printed into memory, by open_memstream(). */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* Closes such a stream, whose text *text is then. Returns false if memory was short; fclose() alone
 * may not say so. The caller frees *text in any case. */
static inline bool text_end(FILE *f, char *const *text)
{
	return fclose(f) == 0 && *text;
}
