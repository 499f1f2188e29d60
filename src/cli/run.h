/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's half of `minivmm run`: standard streams, terminal and signals. */
#pragma once

#include "minivmm.h"

/* Runs the command that c asks for. Returns the exit status. */
int run_command(struct minivmm_config *c);
