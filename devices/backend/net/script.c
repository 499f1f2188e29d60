/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/script.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/log.h"

int net_script_run(const char *option, const char *script, const char *interface)
{
	char *argv[] = { (char *)script, (char *)interface, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int status = 0;
	pid_t pid;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none); /* ours has signals blocked */
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, 2, 1); /* standard output belongs to the guest */
	errno = posix_spawn(&pid, script, &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	if (errno)
		return log_errno("%s: script %s", option, script);
	do
		errno = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR);
	if (errno == ECHILD) /* it has ended, but another part of this process took its status */
		log_warn(
			"%s: script %s: its status is lost, as this process ignores SIGCHLD or waits for any child",
			option, script);
	else if (errno)
		return log_errno("%s: script %s", option, script);
	if (WIFSIGNALED(status))
		return log_ret(-EIO, "%s: script %s %s was ended by signal %d", option, script,
			       interface, WTERMSIG(status));
	if (WEXITSTATUS(status))
		return log_ret(-EIO, "%s: script %s %s failed with status %d", option, script,
			       interface, WEXITSTATUS(status));
	return 0;
}
