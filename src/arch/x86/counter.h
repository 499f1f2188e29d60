/* SPDX-License-Identifier: BSD-2-Clause */
/* See arch.h. */
#pragma once

static inline unsigned long long counter_read(void)
{
	return __builtin_ia32_rdtsc();
}
