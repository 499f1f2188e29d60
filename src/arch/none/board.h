/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "arch/arch.h"

struct board {
	const struct config *config; /* not owned */
};
