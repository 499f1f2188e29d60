/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/polling.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

#define LOAD_NS      10000000  /* between two looks at the host's load */
#define GAP_NS       200000    /* a look takes less than a microsecond */
#define DISTURBED_NS 100000000 /* how long others are left alone then */

int polling_open(void)
{
	const int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void polling_init(struct polling *p, int load_fd)
{
	cpu_set_t mine;

	*p = (struct polling){ .load_fd = load_fd, .ns = POLLING_MIN_NS };
	/* On a host with more processors than the set has room for, the call fails. */
	if (sched_getaffinity(0, sizeof(mine), &mine) == 0)
		p->processors = (unsigned)CPU_COUNT(&mine);
	if (p->processors < 2) /* one for a vCPU, and one to look */
		p->load_fd = -1;
}

/* Are more threads ready to run than there are processors? The fourth field of /proc/loadavg begins
 * with how many there are now, us included (proc(5)). */
static bool host_is_busy(const struct polling *p)
{
	char line[64];
	unsigned ready;
	const ssize_t n = pread(p->load_fd, line, sizeof(line) - 1, 0);

	if (n <= 0)
		return true;
	line[n] = '\0';
	return sscanf(line, "%*s %*s %*s %u/", &ready) != 1 || ready > p->processors;
}

uint64_t polling_begin(struct polling *p, uint64_t now)
{
	if (p->load_fd < 0 || !p->ns || now < p->off_ns)
		return 0;
	if (now >= p->again_ns) {
		p->again_ns = now + LOAD_NS;
		if (host_is_busy(p))
			p->off_ns = p->again_ns;
	}
	return now < p->off_ns ? 0 : p->ns;
}

void polling_adapt(struct polling *p, uint64_t idle_ns)
{
	p->ns = idle_ns < POLLING_MAX_NS ? 2 * p->ns : p->ns / 2;
	if (p->ns < POLLING_MIN_NS)
		p->ns = idle_ns < POLLING_MAX_NS ? POLLING_MIN_NS : 0;
	p->ns = min(p->ns, (uint64_t)POLLING_MAX_NS);
}

bool polling_disturbed(struct polling *p, uint64_t now, uint64_t gap_ns)
{
	if (gap_ns < GAP_NS)
		return false;
	p->off_ns = now + DISTURBED_NS;
	return true;
}
