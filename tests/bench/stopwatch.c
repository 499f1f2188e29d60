/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stopwatch MARKER COMMAND…: prints the microseconds from just before COMMAND is started until
 * MARKER appears on its standard output; then COMMAND is killed. With MARKER "first KVM_RUN at " it
 * prints minivmm's own clock reading, from its --stats on standard error, and COMMAND ends by
 * itself. With MARKER "" it prints the time until COMMAND's process is gone.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	static char text[1 << 20];
	const bool stats = argc > 2 && strcmp(argv[1], "first KVM_RUN at ") == 0;
	const bool to_its_end = argc > 2 && !*argv[1];
	size_t len = 0;
	char *found = NULL;
	int64_t start;
	int fds[2];
	pid_t pid;

	if (argc < 3 || pipe(fds) < 0)
		return 2;
	start = now_us();
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(stats ? null : fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	close(fds[1]);
	while (!(found = strstr(text, argv[1])) || stats || to_its_end) {
		ssize_t n = read(fds[0], text + len, sizeof(text) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	int64_t end = now_us();

	if (!to_its_end)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (to_its_end)
		end = now_us();
	if (!found) {
		fprintf(stderr, "stopwatch: %s never said \"%s\"; it said: %s\n", argv[2], argv[1],
			text);
		return 1;
	}
	if (stats)
		end = atoll(found + strlen(argv[1]));
	printf("%lld\n", (long long)(end - start));
	return 0;
}
