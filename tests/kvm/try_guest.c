/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that arch_try_guest() tells a backend that runs kernel code from one that interprets it,
 * on this machine's /dev/kvm. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "arch/arch.h"

#define SKIPPED 77 /* meson's status for it */

static int count_files(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

int main(void)
{
	const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	const int open_before = count_files("/proc/self/fd");
	int expected, rc;

	if (kvm < 0) {
		printf("skipped: no /dev/kvm to use\n");
		return SKIPPED;
	}
	if (access("/sys/module/kvm_pvm", F_OK) == 0)
		expected = TRY_INTERPRETED;
	else if (access("/sys/module/kvm_intel", F_OK) == 0 ||
		 access("/sys/module/kvm_amd", F_OK) == 0)
		expected = TRY_RAN;
	else {
		printf("skipped: no backend whose answer is known\n");
		return SKIPPED;
	}
	rc = arch_try_guest(kvm);
	printf("got %d, expected %d\n", rc, expected);
	if (rc != expected || count_files("/proc/self/fd") != open_before)
		return 1;
	rc = arch_try_guest(-1);
	printf("without KVM: got %d, expected %d\n", rc, -EBADF);
	return rc == -EBADF ? 0 : 1;
}
