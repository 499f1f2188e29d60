/* SPDX-License-Identifier: BSD-2-Clause */
/* The folders of --fs: their devices (shares.c). For machine.c. */
#pragma once

#include "machine/machine.h"

/* 0 or -errno, logged; machine_fs_destroy() is safe either way. */
int machine_fs_init(struct machine *m) __must_check;
void machine_fs_destroy(struct machine *m);
