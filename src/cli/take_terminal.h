/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "minivmm.h"

/* Keys go to the guest as they are typed: puts the terminal at standard input, if there is one, into
 * raw mode (term.h). 0; or -errno, and then vm's messages say why. */
int take_terminal(struct minivmm *vm);
