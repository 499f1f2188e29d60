/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot KERNEL [OPTION=VALUE]...: boots a kernel by libminivmm, prints what it says at its serial
 * port, and ends with minivmm's status. Example: boot bzImage initrd=initrd.img memory=512M
 *
 * cc boot.c $(pkg-config --cflags --libs minivmm)
 */
#include <minivmm.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_log(void *ctx, int level, const char *text)
{
	fprintf(ctx, "%s%s\n", level == MINIVMM_ERROR ? "error: " : "", text);
}

int main(int argc, char **argv)
{
	struct minivmm_config *c = minivmm_config_new();
	struct minivmm *vm;
	char serial[16], said[4096];
	int pair[2], status = 1, rc;
	ssize_t n;

	if (argc < 2 || !c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 1;
	snprintf(serial, sizeof(serial), "fd=%d", pair[1]);
	minivmm_config_log(c, on_log, stderr);
	rc = minivmm_config_set(c, "kernel", argv[1]);
	if (rc == 0)
		rc = minivmm_config_set(c, "serial", serial);
	for (int i = 2; i < argc && rc == 0; i++) {
		char *value = strchr(argv[i], '=');

		if (value)
			*value++ = '\0';
		rc = minivmm_config_set(c, argv[i], value);
	}
	if (rc == 0 && minivmm_create(c, &vm) == 0) {
		close(pair[1]); /* the machine has a copy, which it closes at its end */
		if (minivmm_start(vm) == 0) {
			while ((n = read(pair[0], said, sizeof(said))) > 0)
				fwrite(said, 1, (size_t)n, stdout);
			minivmm_wait(vm, -1);
			fprintf(stderr, "%s\n", minivmm_why(vm));
			status = minivmm_status(vm);
		}
		minivmm_destroy(vm);
	}
	minivmm_config_free(c);
	close(pair[0]);
	return status;
}
