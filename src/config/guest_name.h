/* SPDX-License-Identifier: BSD-2-Clause */
/* A name that the guest is given: udev makes file names of it, so it has no blanks or slashes. */
#pragma once

#include "vmm/options.h"

/* Copies the value of a key of that kind to to, of size bytes with the 0 at its end. Returns 0 or
 * -EINVAL, explained. */
int config_word(const struct opt_value *v, char *to, size_t size);
