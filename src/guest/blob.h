/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests' init (guest/init.c), a static program, as bytes. */
#pragma once

#include <stdint.h>

extern const uint8_t guest_init[] __attribute__((visibility("hidden")));
extern const uint8_t guest_init_end[] __attribute__((visibility("hidden")));
