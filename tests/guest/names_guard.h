/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guard for tests: it sees every system call by which a thread looks up a name (by seccomp's user
 * notification), and catches those whose name could lead elsewhere than before. Names below a
 * descriptor can't, unless they are links.
 *
 * The guarded thread calls guard_me(); guard() runs in a thread of its own, which ends when no
 * guarded thread is left.
 */
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* The positions of the directory's descriptor and of the name among a call's arguments; dir -1:
 * none. */
static const struct call {
	int nr, dir, name;
} calls[] = {
	{ SYS_open, -1, 0 },
	{ SYS_openat, 0, 1 },
	{ SYS_openat2, 0, 1 },
	{ SYS_creat, -1, 0 },
	{ SYS_stat, -1, 0 },
	{ SYS_lstat, -1, 0 },
	{ SYS_newfstatat, 0, 1 },
	{ SYS_statx, 0, 1 },
	{ SYS_statfs, -1, 0 },
	{ SYS_access, -1, 0 },
	{ SYS_faccessat, 0, 1 },
	{ SYS_faccessat2, 0, 1 },
	{ SYS_readlink, -1, 0 },
	{ SYS_readlinkat, 0, 1 },
	{ SYS_unlink, -1, 0 },
	{ SYS_unlinkat, 0, 1 },
	{ SYS_rmdir, -1, 0 },
	{ SYS_mkdir, -1, 0 },
	{ SYS_mkdirat, 0, 1 },
	{ SYS_mknod, -1, 0 },
	{ SYS_mknodat, 0, 1 },
	{ SYS_rename, -1, 0 },
	{ SYS_renameat, 0, 1 },
	{ SYS_renameat2, 0, 1 },
	{ SYS_link, -1, 0 },
	{ SYS_linkat, 0, 1 },
	{ SYS_symlink, -1, 1 },
	{ SYS_symlinkat, 1, 2 },
	{ SYS_chmod, -1, 0 },
	{ SYS_fchmodat, 0, 1 },
	{ SYS_chown, -1, 0 },
	{ SYS_lchown, -1, 0 },
	{ SYS_fchownat, 0, 1 },
	{ SYS_utimensat, 0, 1 },
	{ SYS_truncate, -1, 0 },
	{ SYS_chdir, -1, 0 },
	{ SYS_execve, -1, 0 },
	{ SYS_execveat, 0, 1 },
	{ SYS_inotify_add_watch, -1, 1 },
	{ SYS_getxattr, -1, 0 },
	{ SYS_setxattr, -1, 0 },
	{ SYS_connect, -1, 1 }, /* a struct sockaddr */
	{ SYS_bind, -1, 1 },
};
#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

static int guard_fd = -1;
static char caught[4096];
static unsigned looked_at;

/* Guards the calling thread, and those that it starts. */
static bool guard_me(void)
{
	struct sock_filter code[4 + NR_CALLS + 2];
	struct sock_fprog program = { .filter = code };
	unsigned n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, arch));
	code[n++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < NR_CALLS; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned)calls[i].nr,
							 (unsigned char)(NR_CALLS - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	program.len = (unsigned short)n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	guard_fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return guard_fd >= 0;
}

/* Copies memory of the waiting thread. The kernel copies, so that TSan sees no race. */
static void copy_from(char *to, size_t size, uintptr_t at)
{
	const size_t page = 4096, here = page - at % page;
	const struct iovec local = { to, size - 1 };
	const struct iovec remote[] = { { (void *)at, here < size - 1 ? here : size - 1 },
					{ (void *)(at + here), size } };

	memset(to, 0, size);
	if (at)
		(void)!process_vm_readv(getpid(), &local, 1, remote, 2, 0);
}

/* The name, or "" when the address isn't one. */
static const char *name_in(const struct call *c, const struct seccomp_data *d)
{
	static char bytes[512];
	const struct sockaddr_un *sun = (const void *)bytes;

	copy_from(bytes, sizeof(bytes), (uintptr_t)d->args[c->name]);
	if (c->nr != SYS_connect && c->nr != SYS_bind)
		return bytes;
	return sun->sun_family == AF_UNIX ? sun->sun_path : "";
}

/* Libraries look these up, which can't be prevented; only root decides where they lead. */
static bool is_libraries(const char *name)
{
	return !strcmp(name, "/etc/resolv.conf") || !strcmp(name, "/dev/urandom"); /* libslirp */
}

/* Sanitizers look these up for themselves. */
static bool is_sanitizers(const char *name)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return !strncmp(name, "/proc/self/maps", 15) || !strncmp(name, "/proc/self/task", 15) ||
	       !strncmp(name, "/proc/self/status", 17) || !strcmp(name, "libslirp.so.0");
#else
	(void)name;
	return false;
#endif
}

/* Would the name be looked up anew? /proc/self/fd/N is the file that N has open. Allocates nothing:
 * the waiting thread may have the allocator's lock. */
static void judge(const struct seccomp_data *d)
{
	const struct call *c = calls;
	const char *name;
	size_t at;

	while (c->nr != d->nr)
		c++;
	looked_at++;
	name = name_in(c, d);
	if (!*name || !strncmp(name, "/proc/self/fd/", 14) || is_libraries(name) ||
	    is_sanitizers(name))
		return;
	if (c->dir >= 0 && (int)d->args[c->dir] >= 0 && *name != '/')
		return;
	at = strlen(caught);
	snprintf(caught + at, sizeof(caught) - at, "# call %d: %s\n", d->nr, name);
}

static void *guard(void *arg)
{
	static struct seccomp_notif n;
	static struct seccomp_notif_resp r;

	(void)arg;
	for (;;) {
		struct pollfd p = { .fd = guard_fd, .events = POLLIN };

		if (poll(&p, 1, -1) < 0 || p.revents & POLLHUP)
			return NULL; /* nobody is left */
		memset(&n, 0, sizeof(n));
		if (ioctl(guard_fd, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
			continue;
		judge(&n.data);
		r = (struct seccomp_notif_resp){ .id = n.id,
						 .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
		ioctl(guard_fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
	}
}
