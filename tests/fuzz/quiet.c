/* SPDX-License-Identifier: BSD-2-Clause */
/* In every target with libFuzzer: what a guest does wrong is not logged. (replay.c does this
 * itself.) */
#include "vmm/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc __unused, char ***argv __unused)
{
	log_set_level(LOG_QUIET);
	return 0;
}
