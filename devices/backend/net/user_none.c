/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "backend/net/user.h"
#include "vmm/log.h"

int net_user_open(struct net_backend **b __unused, const struct net_user_options *o __unused)
{
	return log_ret(
		-ENOTSUP,
		"--net user: this minivmm was built without libslirp; build it with libslirp-dev installed, or use passt and --net socket=PATH");
}
