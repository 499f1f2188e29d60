/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulated host as seen from the caller's machine: namespaces that make it vanish without a
 * trace, the caller's file tree for virtiofsd to serve, QEMU. For a user other than root, all this
 * is in a new user namespace, where virtiofsd can act only for that user.
 */
#define _GNU_SOURCE
#include "machine.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define TREE      "/mnt/tree" /* the caller's file system, for virtiofsd */
#define FS_SOCKET "/mnt/fs"   /* between QEMU and virtiofsd */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || !write_all(fd, text, strlen(text)))
		err(BED_FAILED, "%s", path);
	close(fd);
}

/* Programs that we start keep the capabilities that a new user namespace gives us, although our
 * user id isn't 0. */
static void keep_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		err(BED_FAILED, "capget");
	for (int i = 0; i < 2; i++)
		data[i].inheritable = data[i].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		err(BED_FAILED, "capset");
	for (int cap = 0; prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0; cap++)
		;
}

/*
 * The kernel denies setgroups(2) in a user namespace like ours, and virtiofsd gives up if it can't
 * drop its groups. It is told that it did; it acts for their owner.
 */
static void feign_setgroups(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		err(BED_FAILED, "seccomp");
}

void enter_namespaces(void)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWNS | CLONE_NEWPID | (uid ? CLONE_NEWUSER : 0)) < 0)
		err(BED_FAILED, "can't make namespaces (%s)",
		    uid ? "run this as root, or allow it: sysctl kernel.unprivileged_userns_clone=1"
			: "in a container, this needs CAP_SYS_ADMIN");
	if (!uid)
		return;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_file("/proc/self/gid_map", map);
	keep_capabilities();
	feign_setgroups();
}

static int clone_tree(const char *path)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		err(BED_FAILED, "share %s", path);
	return fd;
}

static void attach_tree(int fd, const char *path)
{
	if (move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		err(BED_FAILED, "mount %s", path);
	close(fd);
}

void make_tree(const struct options *o)
{
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	int *share = calloc(o->nr_shares + 1, sizeof(*share)), root;
	char path[PATH_MAX + sizeof(TREE)];

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		err(BED_FAILED, "make a private mount namespace");
	root = clone_tree("/");
	if (mount_setattr(root, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only, sizeof(read_only)) <
	    0)
		err(BED_FAILED, "mount the file system read-only");
	for (uint32_t i = 0; i < o->nr_shares; i++)
		share[i] = clone_tree(o->shares[i]);
	if (mount("testbed", "/mnt", "tmpfs", 0, "mode=700") < 0 || mkdir(TREE, 0755) < 0)
		err(BED_FAILED, "mount a tmpfs");
	attach_tree(root, TREE);
	for (uint32_t i = 0; i < o->nr_shares; i++) {
		snprintf(path, sizeof(path), TREE "%s", o->shares[i]);
		attach_tree(share[i], path);
	}
	free(share);
}

/* Starts a program in a session of its own (the terminal's signals are not for it). keep[] stay
 * open in it. It writes its name in /proc to self, unless that is -1: the caller's PID namespace is
 * not the one of /proc. */
static pid_t spawn(char *const argv[], const int *keep, int nr_keep, int self)
{
	pid_t pid = fork();
	sigset_t none;
	char name[16];
	ssize_t len;

	if (pid < 0)
		err(BED_FAILED, "fork");
	if (pid > 0)
		return pid;
	len = readlink("/proc/self", name, sizeof(name));
	if (self >= 0 && len > 0)
		write_all(self, name, (size_t)len);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int log = open(LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	for (int i = 0; i < nr_keep; i++)
		fcntl(keep[i], F_SETFD, 0);
	execvp(argv[0], argv);
	warn("%s", argv[0]);
	_exit(127);
}

rlim_t raise_descriptors(void)
{
	struct rlimit limit = { 0 };
	FILE *f = fopen("/proc/sys/fs/nr_open", "re");
	unsigned long most;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (!f || fscanf(f, "%lu", &most) != 1 ||
	    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ most, most }) < 0)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ limit.rlim_max, limit.rlim_max });
	if (f)
		fclose(f);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

pid_t start_virtiofsd(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = FS_SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char fd_option[32];
	pid_t pid;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 1) < 0)
		err(BED_FAILED, "virtiofsd's socket");
	snprintf(fd_option, sizeof(fd_option), "--fd=%d", fd);
	/*
	 * cache=auto would drop a file's pages at every open, such as libc's at every exec. So the
	 * pages stay, and changes from outside are noticed by size and time, which are trusted for
	 * a second.
	 */
	pid = spawn((char *[]){ "/usr/lib/qemu/virtiofsd", fd_option, "-o", "source=" TREE, "-o",
				"sandbox=chroot", "-o", "cache=always,timeout=1", "-o",
				"log_level=warn", "--thread-pool-size=1", "--rlimit-nofile=0",
				NULL },
		    &fd, 1, -1);
	close(fd);
	return pid;
}

struct arguments {
	char *argv[64]; /* there is a constant number of them, below this */
	int nr;
};

/* Adds an option and its value. */
__attribute__((format(printf, 3, 4))) static void option(struct arguments *a, const char *name,
							 const char *value, ...)
{
	va_list ap;

	va_start(ap, value);
	a->argv[a->nr++] = (char *)name;
	if (vasprintf(&a->argv[a->nr++], value, ap) < 0)
		err(BED_FAILED, "start QEMU");
	va_end(ap);
}

pid_t start_qemu(const struct options *o, const int port[NR_PORTS + 1], char proc[PROC_LEN])
{
	struct arguments a = {
		{ "/usr/bin/qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot" }, 4
	};
	int keep[NR_PORTS + 2] = { o->kernel, o->initrd }, nr_keep = 2;

	option(&a, "-display", "none");
	option(&a, "-machine", "q35,memory-backend=memory");
	option(&a, "-accel", "tcg,thread=multi");
	option(&a, "-cpu", "max");
	option(&a, "-smp", "%u", o->cpus);
	option(&a, "-m", "%uM", o->megabytes);
	/* virtiofsd must have the memory, too */
	option(&a, "-object", "memory-backend-memfd,id=memory,share=on,size=%uM", o->megabytes);
	option(&a, "-kernel", "/proc/self/fd/%d", o->kernel);
	option(&a, "-initrd", "/proc/self/fd/%d", o->initrd);
	option(&a, "-append",
	       "console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests tsc=reliable");
	option(&a, "-serial", "file:" CONSOLE);
	/* It is the first virtio device, so its ports are /dev/vport0pN. */
	option(&a, "-device", "virtio-serial-pci");
	for (int i = PORT_CTL; i <= NR_PORTS; i++) {
		option(&a, "-chardev", "socket,id=port%d,fd=%d", i, keep[nr_keep++] = port[i]);
		option(&a, "-device", "virtserialport,nr=%d,chardev=port%d", i, i);
	}
	option(&a, "-chardev", "socket,id=fs,path=" FS_SOCKET);
	option(&a, "-device", "vhost-user-fs-pci,chardev=fs,tag=root");

	int self[2];
	char name[16];
	ssize_t len;

	if (pipe2(self, O_CLOEXEC) < 0)
		err(BED_FAILED, "pipe");
	pid_t pid = spawn(a.argv, keep, nr_keep, self[1]);

	close(self[1]);
	len = read_some(self[0], name, sizeof(name));
	close(self[0]);
	snprintf(proc, PROC_LEN, "/proc/%.*s/task", len > 0 ? (int)len : 0, name);
	return pid;
}

/* proc(5), schedstat: nanoseconds on a processor, nanoseconds of waiting for one, time slices. */
uint64_t waited_ns(const char proc[PROC_LEN])
{
	DIR *tasks = opendir(proc);
	struct dirent *e;
	uint64_t sum = 0;

	while (tasks && (e = readdir(tasks))) {
		char path[PROC_LEN + sizeof(e->d_name) + 16];
		unsigned long long ran, waited;
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s/schedstat", proc, e->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%llu %llu", &ran, &waited) == 2)
			sum += waited;
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return sum;
}
