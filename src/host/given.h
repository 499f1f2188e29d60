/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors that options name by their numbers: fd=N, and files as /dev/fd/N. */
#pragma once

#include "config/config.h"

#define GIVEN_TEXT 512

/* Is each of them open? This must be asked before the machine opens anything: a descriptor of ours
 * could get such a number, and then be written to. If not, text is a sentence about the first that
 * isn't. */
bool given_are_open(const struct config *c, char text[GIVEN_TEXT]) __must_check;
