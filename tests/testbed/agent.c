/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * agent: PID 1 of the test bed's emulated host. Loads the modules that the initrd holds, makes the
 * caller's file system tree (by virtiofs) its root, runs COMMAND as host.c describes it, carries
 * its three streams (wire.h), and reports its exit status. It says on the console what failed;
 * host.c then shows that to the caller.
 *
 * What COMMAND sees: / read-only; shares read-write; /tmp with the caller's files under a layer of
 * its own; fresh /run, /var/tmp, /proc, /sys and /dev. There is no network but loopback.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <net/if.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "wire.h"

struct job {
	struct spec spec;
	gid_t *groups;
	char *cwd, **shares, **args, **env;
};

/* One stream between a port and the file descriptor of COMMAND's pipe or terminal. */
struct stream {
	int port, fd;
	bool used;
	pthread_t thread;
};

static void mount_or_warn(const char *source, const char *dir, const char *type,
			  unsigned long flags, const char *data)
{
	if (mount(source, dir, type, flags, data) < 0)
		warn("mount %s on %s", type, dir);
}

/*
 * KVM takes the clock rate of this machine's TSC when it is loaded, from a calibration of a few
 * milliseconds; Linux measures it anew a second later. If the two differ by more than this
 * tolerance and the processor has no TSC scaling, as here, Linux 6.1 leaves every vCPU with a scale
 * of zero: its timers then come late by the time since this machine's start, so that its guest
 * stands still for minutes. On a busy host one start in six differed by more than the default, 250.
 */
#define KVM_OPTIONS "tsc_tolerance_ppm=100000"

static const char *module_options(const char *file)
{
	const char *name = strrchr(file, '/');

	return strncmp(name ? name + 1 : file, "kvm.ko", 6) == 0 ? KVM_OPTIONS : "";
}

/* /modules lists the files of the initrd's modules, each after those that it depends on. */
static void load_modules(void)
{
	FILE *list = fopen("/modules", "re");
	char name[256];

	if (!list)
		err(1, "/modules");
	while (fscanf(list, "%255s", name) == 1) {
		int fd = open(name, O_RDONLY | O_CLOEXEC);

		if (fd < 0 ||
		    (syscall(SYS_finit_module, fd, module_options(name), 0) < 0 && errno != EEXIST))
			warn("module %s", name);
		close(fd);
	}
	fclose(list);
}

/* The driver makes a port's node when the device has told it about the port, which is some time
 * after the driver was loaded. */
static int open_port(int nr)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/vport0p%d", nr);
	while ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0 && (errno == ENOENT || errno == ENXIO))
		usleep(1000);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static char **take_strings(char **from, uint32_t nr)
{
	char **list = calloc(nr + 1, sizeof(*list));

	for (uint32_t i = 0; i < nr; i++, *from += strlen(*from) + 1)
		list[i] = *from;
	return list;
}

static void job_read(struct job *j, int ctl)
{
	char *tail;

	if (!read_all(ctl, &j->spec, sizeof(j->spec)) || !(tail = malloc(j->spec.tail_len)) ||
	    !read_all(ctl, tail, j->spec.tail_len))
		errx(1, "the description of the command did not arrive");
	j->groups = (gid_t *)tail;
	tail += j->spec.nr_groups * sizeof(gid_t);
	j->cwd = tail;
	tail += strlen(tail) + 1;
	j->shares = take_strings(&tail, j->spec.nr_shares);
	j->args = take_strings(&tail, j->spec.nr_args);
	j->env = take_strings(&tail, j->spec.nr_env);
}

/* Like mkdir -p; if a directory can't be made, the mount that follows fails. */
static void make_dirs(const char *path)
{
	char *copy = strdup(path);

	for (char *p = copy + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(copy, 0755);
	}
	mkdir(copy, 0755);
	free(copy);
}

/* Enters the caller's file system. The working directory stays outside, on the layer for its
 * /tmp. */
static void enter_tree(void)
{
	if (mount("root", "/root", "virtiofs", 0, NULL) < 0)
		err(1, "mount the caller's file system");
	mount_or_warn("layer", "/layer", "tmpfs", 0, "mode=755");
	if (chdir("/layer") < 0 || mkdir("top", 0755) < 0 || chmod("top", 01777) < 0 ||
	    mkdir("work", 0755) < 0 || chroot("/root") < 0)
		err(1, "enter the caller's file system");
}

static void mount_fresh(void)
{
	static const struct {
		const char *type, *dir, *data;
	} fresh[] = {
		{ "proc", "/proc", NULL },
		{ "sysfs", "/sys", NULL },
		{ "cgroup2", "/sys/fs/cgroup", NULL },
		{ "debugfs", "/sys/kernel/debug", NULL },
		{ "devtmpfs", "/dev", NULL },
		{ "devpts", "/dev/pts", "mode=620,gid=5,ptmxmode=666" },
		{ "tmpfs", "/dev/shm", "mode=1777" },
		{ "tmpfs", "/run", "mode=755" },
		{ "tmpfs", "/var/tmp", "mode=1777" },
		{ "overlay", "/tmp", "lowerdir=/tmp,upperdir=top,workdir=work" },
	};

	for (size_t i = 0; i < sizeof(fresh) / sizeof(*fresh); i++) {
		mkdir(fresh[i].dir, 0755); /* those in /dev */
		mount_or_warn(fresh[i].type, fresh[i].dir, fresh[i].type, 0, fresh[i].data);
	}
}

/* devtmpfs has what the kernel's drivers ask for; this is what udev would do. */
static void complete_dev(void)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "fd/0", "/dev/stdin" },
		{ "fd/1", "/dev/stdout" },
		{ "fd/2", "/dev/stderr" },
	};
	static const char *const open_to_all[] = { "/dev/kvm", "/dev/net/tun", "/dev/vhost-net",
						   "/dev/vhost-vsock" };

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			warn("%s", links[i][1]);
	for (size_t i = 0; i < sizeof(open_to_all) / sizeof(*open_to_all); i++)
		if (chmod(open_to_all[i], 0666) < 0)
			warn("%s", open_to_all[i]);
}

/* Ends chrooted into the caller's tree, with everything in its place. */
static void mount_all(const struct job *j)
{
	const uint32_t nr = j->spec.nr_shares;
	int *share = calloc(nr + 1, sizeof(*share));

	enter_tree();
	for (uint32_t i = 0; i < nr; i++) /* before anything hides them */
		if ((share[i] = open_tree(AT_FDCWD, j->shares[i],
					  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)) < 0)
			err(1, "share %s", j->shares[i]);
	mount_or_warn(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
	mount_fresh();
	for (uint32_t i = 0; i < nr; i++) {
		make_dirs(j->shares[i]);
		if (move_mount(share[i], "", AT_FDCWD, j->shares[i], MOVE_MOUNT_F_EMPTY_PATH) < 0)
			err(1, "share %s", j->shares[i]);
		close(share[i]);
	}
	free(share);
	complete_dev();
}

/* Returns the number of inodes that this kernel has, nearly all of which are virtiofsd's; 0:
 * unknown. */
static unsigned long nr_inodes(int fd)
{
	char text[64] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtoul(text, NULL, 10) : 0;
}

/*
 * Each file that this kernel remembers is a descriptor of virtiofsd, which has a limited number of
 * them; after the last one, every open fails with EMFILE. The kernel forgets files only when memory
 * is short. So it is told to forget well before that: first files without pages, then all that
 * nobody uses.
 */
static void *forget_files(void *arg)
{
	const struct job *j = arg;
	const unsigned long most = j->spec.descriptors / 2;
	int nr = open("/proc/sys/fs/inode-nr", O_RDONLY | O_CLOEXEC);
	int drop = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (nr < 0 || drop < 0)
		warn("watching the number of files");
	for (; nr >= 0 && drop >= 0; usleep(20000)) {
		if (nr_inodes(nr) > most)
			write_all(drop, "2", 1);
		if (nr_inodes(nr) > most + most / 4)
			write_all(drop, "3", 1);
	}
	return NULL;
}

static void set_up_machine(const struct job *j)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &lo) < 0)
		warn("loopback");
	close(s);
	if (sethostname("testbed", 7) < 0 || clock_settime(CLOCK_REALTIME, &j->spec.now) < 0)
		warn("host name and time");
}

/* In the child: becomes COMMAND with the three file descriptors. Never returns. */
static _Noreturn void become(const struct job *j, const int fds[3], int tty)
{
	const struct spec *s = &j->spec;

	setsid();
	if (tty >= 0)
		ioctl(tty, TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i); /* the originals are above 2 and close on exec */
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		setrlimit((__rlimit_resource_t)i, &s->limits[i]);
	umask(s->umask);
	if (setgroups(s->nr_groups, j->groups) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
	    setresuid(s->uid, s->uid, s->uid) < 0) {
		dprintf(2, "testbed: can't become user %u: %m\n", s->uid);
		_exit(125);
	}
	if (chdir(j->cwd) < 0) {
		dprintf(2,
			"testbed: %s: %m: the working directory must be visible in the test bed\n",
			j->cwd);
		_exit(125);
	}
	environ = j->env;
	execvp(j->args[0], j->args);
	dprintf(2, "testbed: %s: %m\n", j->args[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Carries the caller's input to COMMAND. */
static void *pump_in(void *arg)
{
	struct stream *s = arg;
	struct frame f;

	while (frame_read(s->port, &f) && write_all(s->fd, f.data, f.len))
		;
	close(s->fd);
	return NULL;
}

/* Carries COMMAND's output to the caller, until nobody holds the other end or the caller's end is
 * closed. */
static void *pump_out(void *arg)
{
	struct stream *s = arg;
	struct pollfd p[] = { { .fd = s->fd, .events = POLLIN },
			      { .fd = s->port, .events = POLLIN } };
	struct frame f;
	ssize_t n;

	while (poll(p, 2, -1) >= 0 && !(p[1].revents & POLLIN) &&
	       (n = read_some(s->fd, f.data, FRAME_MAX)) > 0) {
		f.len = (uint16_t)n;
		if (!frame_write(s->port, &f))
			break;
	}
	close(s->fd); /* tells COMMAND, with SIGPIPE or SIGHUP */
	f.len = 0;
	frame_write(s->port, &f);
	return NULL;
}

struct resizer {
	int ctl, tty;
};

static void *follow_size(void *arg)
{
	const struct resizer *r = arg;
	struct winsize size;

	while (read_all(r->ctl, &size, sizeof(size)))
		ioctl(r->tty, TIOCSWINSZ, &size);
	return NULL;
}

/* Starts COMMAND and the threads that carry its streams (stream[n] is that of PORT_IN + n). Returns
 * its process id. */
static pid_t start(const struct job *j, struct stream stream[4], int *tty)
{
	int child[3], ours[3], slave = -1;

	*tty = -1;
	if (j->spec.ttys && openpty(tty, &slave, NULL, &j->spec.termios, &j->spec.winsize) < 0)
		err(1, "open a terminal");
	if (slave >= 0 && fchown(slave, j->spec.uid, 5) < 0)
		warn("the terminal's owner");
	for (int i = 0; i < 3; i++) {
		int p[2];

		if (j->spec.ttys & 1u << i) {
			child[i] = slave;
			ours[i] = i == 0 ? fcntl(*tty, F_DUPFD_CLOEXEC, 3) : -1;
		} else {
			if (pipe2(p, O_CLOEXEC) < 0)
				err(1, "pipe");
			child[i] = p[i == 0 ? 0 : 1];
			ours[i] = p[i == 0 ? 1 : 0];
		}
	}
	if (slave >= 0) {
		fcntl(slave, F_SETFD, FD_CLOEXEC);
		fcntl(*tty, F_SETFD, FD_CLOEXEC);
	}

	pid_t pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		become(j, child, slave);
	for (int i = 0; i < 3; i++)
		if (child[i] != slave)
			close(child[i]);
	close(slave);

	for (int i = 0; i < 3; i++)
		stream[i].fd = ours[i];
	stream[3].fd = *tty >= 0 ? fcntl(*tty, F_DUPFD_CLOEXEC, 3) : -1;
	for (int i = 0; i < 4; i++) {
		stream[i].used = stream[i].fd >= 0;
		if (stream[i].used && pthread_create(&stream[i].thread, NULL,
						     i == 0 ? pump_in : pump_out, &stream[i]))
			errx(1, "no thread");
	}
	return pid;
}

static void send_report(int ctl, int what, int status)
{
	write_all(ctl, &(struct report){ what, status }, sizeof(struct report));
}

/* When PID 1 ends because of an error, QEMU (-no-reboot) ends, too; the message is the console's
 * last line. */
static void end_machine(void)
{
	reboot(RB_AUTOBOOT);
}

/*
 * Keeps a VM with one vCPU, which never runs, as long as this machine lives.
 *
 * With its first VM and after its last one, KVM switches static keys, which rewrites instructions
 * of the scheduler while both processors run it. QEMU 7.2's TCG may keep its translation of the
 * breakpoint that Linux temporarily puts there; then the processors take that breakpoint for ever,
 * with interrupts off. Seen here once in some 30 guests; with a VM held the keys stay as they are
 * (preempt_notifier_key: a VM; apic_sw_disabled: a vCPU whose local APIC was never enabled).
 */
static void hold_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0L);

	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0L) < 0 || ioctl(vm, KVM_CREATE_VCPU, 0L) < 0)
		warn("hold a VM"); /* the command will find out what is wrong */
}

int main(void)
{
	struct job job = { 0 };
	struct stream stream[4];
	pthread_t resize, forget;
	int ctl, tty, status;

	atexit(end_machine);
	mount_or_warn("dev", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	hold_vm();
	signal(SIGPIPE, SIG_IGN);
	ctl = open_port(PORT_CTL);
	for (int i = 0; i < 4; i++)
		stream[i].port = open_port(PORT_IN + i);
	send_report(ctl, READY, 0);
	job_read(&job, ctl);
	mount_all(&job);
	set_up_machine(&job);
	if (pthread_create(&forget, NULL, forget_files, &job))
		errx(1, "no thread");

	send_report(ctl, STARTED, 0);
	pid_t pid = start(&job, stream, &tty);
	if (tty >= 0 && pthread_create(&resize, NULL, follow_size, &(struct resizer){ ctl, tty }))
		errx(1, "no thread");
	for (pid_t ended; (ended = wait(&status)) != pid;) /* PID 1 inherits orphans */
		if (ended < 0)
			err(1, "wait");

	/* What COMMAND left running would keep the streams open for ever; what it wrote must still
	 * be carried. */
	kill(-1, SIGKILL);
	while (wait(NULL) > 0)
		;
	for (int i = 1; i < 4; i++)
		if (stream[i].used)
			pthread_join(stream[i].thread, NULL);
	/* This includes the shares; sync() might wait for a disk that the command broke. */
	syncfs(open("/", O_RDONLY | O_CLOEXEC));
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	send_report(ctl, FINISHED, status);
	for (;;)
		pause(); /* host.c ends the machine */
}
