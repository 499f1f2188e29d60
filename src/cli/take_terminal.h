/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "minivmm.h"

/* Puts the terminal at standard input, if there is one, into raw mode (term.h), so that keys go to
 * the guest as they are typed. Returns 0; or -errno, and then vm's messages say why. */
int take_terminal(struct minivmm *vm);
