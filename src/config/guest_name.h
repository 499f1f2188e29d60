/* SPDX-License-Identifier: BSD-2-Clause */
/* A name that the guest is given: udev makes file names of it, so it has no blanks or slashes. */
#pragma once

#include "vmm/options.h"

/* For a setter: copies v's text to the member to, which has size bytes, the 0 at its end included.
 * Returns 0 or -EINVAL, explained. */
int config_guest_name(const struct opt_value *v, char *to, size_t size);
