/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machines as a library has them: two in one process, each run by a thread of its own, paused,
 * resumed and ended from their loops. two IMAGES; speaks TAP; skips without /dev/kvm.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "machine.h"

#define COUNT_GPA 0x300000 /* tests/guest/bare/spin.c */

struct run {
	struct machine m;
	struct config c;
	struct loop_source src;
	bool stood_still, went_on;
	pthread_t thread;
};

static uint64_t count_of(struct run *r)
{
	return LOAD_ONCE((uint64_t *)gmem_slice(&r->m.mem, COUNT_GPA, 8));
}

static void wait_for_progress(struct run *r, uint64_t from)
{
	while (count_of(r) == from)
		usleep(1000);
}

/* On the machine's loop: the guest counts; paused it does not; resumed it does again. */
static void pause_and_resume(struct loop_source *src, uint32_t events __unused)
{
	struct run *r = container_of(src, struct run, src);
	uint64_t n;

	wait_for_progress(r, 0);
	machine_pause(&r->m);
	n = count_of(r);
	usleep(50000);
	r->stood_still = count_of(r) == n;
	machine_resume(&r->m);
	wait_for_progress(r, n);
	r->went_on = true;
	machine_end(&r->m, END_QUIT, 0);
}

static void *run_machine(void *arg)
{
	struct run *r = arg;

	if (machine_init(&r->m, &r->c) == 0) {
		r->src = (struct loop_source){ .fd = eventfd(1, EFD_CLOEXEC),
					       .fn = pause_and_resume };
		if (loop_add(&r->m.loop, &r->src, EPOLLIN) == 0)
			machine_run(&r->m);
		close(r->src.fd);
	}
	machine_destroy(&r->m);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct run run[2];
	char kernel[4096];
	int failed = 0;

	if (argc != 2) {
		printf("Bail out! two IMAGES\n");
		return 1;
	}
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("1..0 # SKIP no /dev/kvm that this user may use\n");
		return 0;
	}
	snprintf(kernel, sizeof(kernel), "%s/spin.bin", argv[1]);
	vcpu_signal_setup();
	for (int i = 0; i < 2; i++) {
		char *const args[] = { (char *)"minivmm",       (char *)"--kernel",     kernel,
				       (char *)"--serial=none", (char *)"--memory=64M", NULL };

		if (config_parse(&run[i].c, 5, args) < 0)
			return 1;
		pthread_create(&run[i].thread, NULL, run_machine, &run[i]);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(run[i].thread, NULL);
		printf("%sok %d - machine %d ran\n", run[i].m.end == END_QUIT ? "" : "not ",
		       3 * i + 1, i);
		printf("%sok %d - machine %d stood still while paused\n",
		       run[i].stood_still ? "" : "not ", 3 * i + 2, i);
		printf("%sok %d - machine %d went on when resumed\n", run[i].went_on ? "" : "not ",
		       3 * i + 3, i);
		failed |= run[i].m.end != END_QUIT || !run[i].stood_still || !run[i].went_on;
		config_destroy(&run[i].c);
	}
	printf("1..6\n");
	return failed;
}
