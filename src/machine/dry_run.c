/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at what a start would need. Some things can't be seen without doing them, and are found out
 * only then: whether a TAP is in use, whether somebody listens at a socket that the machine
 * connects to, whether a FIFO has a reader, whether there is room.
 */
#include "machine/dry_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "backend/net/tap.h"
#include "backend/net/user.h"
#include "backend/stream/output.h"
#include "backend/unix/dir.h"
#include "backend/unix/file.h"
#include "backend/vhost/vhost.h"
#include "arch/arch.h"
#include "virtio/vsock_vhost.h"
#include "vmm/log.h"

/* The thing that is looked at, for messages: "WHAT: KEY=PATH: why", or "WHAT PATH: why" without a
 * KEY. */
struct subject {
	const char *what, *key, *path;
};

static int refuse(const struct subject *s, int rc, const char *why)
{
	return log_ret(rc, "%s%s%s%s%s: %s", s->what, s->key ? ": " : " ", s->key ?: "",
		       s->key ? "=" : "", s->path, why);
}

static int may(const char *path, int mode)
{
	return faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0 ? -errno : 0;
}

/* Returns 0 if a file may be made at path, or -errno. */
static int may_make(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir =
		!slash ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	struct stat st;
	int rc;

	if (!dir)
		return -ENOMEM;
	rc = stat(dir, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? may(dir, W_OK | X_OK) : -ENOTDIR;
	free(dir);
	return rc;
}

/* Checks a file that is written, and made if it doesn't exist. */
static int check_output(const char *what, const char *key, const char *path)
{
	const struct subject s = { what, key, path };
	struct stat st;
	int rc = output_try(path);

	if (rc < 0 || output_descriptor(path) >= 0)
		return rc < 0 ? refuse(&s, rc, output_error(rc)) : 0;
	if (stat(path, &st) < 0)
		rc = errno == ENOENT ? may_make(path) : -errno;
	else
		rc = S_ISDIR(st.st_mode) ? -EISDIR : may(path, W_OK);
	return rc < 0 ? refuse(&s, rc, strerrordesc_np(-rc)) : 0;
}

/* -- sockets --------------------------------------------------------------------------------- */

/* Does a socket listen at path? A connection would be noticed, so this reads the kernel's list:
 * "Num: RefCount Protocol Flags Type St Inode Path"; 10000 among the flags means that it
 * listens. */
static bool somebody_listens(const char *path)
{
	FILE *f = fopen("/proc/net/unix", "re");
	bool found = false;
	char line[512];

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned flags;
		int at = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*s %*s %*s %x %*s %*s %*s %n", &flags, &at) == 1 && at)
			found = flags & 0x10000 && !strcmp(unix_file_unmarked(line + at), path);
	}
	if (f)
		fclose(f);
	return found;
}

/* Checks a socket that the machine listens at. */
static int check_listen(const char *what, const char *key, const char *path)
{
	const struct subject s = { what, key, path };
	struct stat st;
	int rc = may_make(path);

	if (rc < 0)
		return refuse(&s, rc, strerrordesc_np(-rc));
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return refuse(&s, -ENAMETOOLONG, "a socket's path has at most 107 bytes");
	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return refuse(&s, -EADDRINUSE,
			      "there is another file; remove it, or choose another path");
	if (somebody_listens(path))
		return refuse(
			&s, -EADDRINUSE,
			"somebody listens there, perhaps another minivmm; choose another path");
	return 0;
}

/* Checks a socket that somebody else has made. */
static int check_connect(const char *what, const char *key, const char *path)
{
	const struct subject s = { what, key, path };
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0)
		return refuse(&s, -errno,
			      errno == ENOENT ? "nobody listens there; start that first"
					      : strerrordesc_np(errno));
	if (!S_ISSOCK(st.st_mode)) {
		rc = S_ISLNK(st.st_mode) ? -ELOOP : -ENOTSOCK;
		return refuse(&s, rc, rc == -ELOOP ? unix_dir_error(rc) : "is not a socket");
	}
	rc = may(path, W_OK);
	return rc < 0 ? refuse(&s, rc, strerrordesc_np(-rc)) : 0;
}

/* -- consoles, vsock, shares ----------------------------------------------------------------- */

static int check_end(const char *what, const struct host_end *e)
{
	int rc;

	switch (e->kind) {
	case HOST_FILE:
		return check_output(what, "file", e->path);
	case HOST_SOCKET:
		return check_listen(what, "socket", e->path);
	case HOST_PTY:
		rc = may("/dev/ptmx", R_OK | W_OK);
		return rc < 0 ? log_ret(rc, "%s: pty: /dev/ptmx: %s", what, strerrordesc_np(-rc))
			      : 0;
	case HOST_FD: /* given.h has checked it */
	case HOST_STDIO:
	case HOST_NONE:
		break;
	}
	return 0;
}

static int check_ends(const struct config *c)
{
	char what[80];
	int rc = check_end("serial port", &c->serial);

	if (rc == 0)
		rc = check_end("console", &c->console);
	for (size_t i = 0; i < c->nr_ports && rc == 0; i++) {
		snprintf(what, sizeof(what), "port %s", c->port[i].name);
		rc = check_end(what, &c->port[i].end);
	}
	return rc;
}

static int check_vsock(const struct config *c)
{
	struct vsock_vhost v;
	int rc;

	if (c->vsock.path)
		return check_listen("--vsock", "socket", c->vsock.path);
	if (!c->vsock.vhost)
		return 0;
	rc = vsock_vhost_init(&v, c->vsock.cid, true, NULL);
	vsock_vhost_destroy(&v);
	return rc;
}

static int check_shares(const struct config *c)
{
	int rc = 0;

	for (size_t i = 0; i < c->nr_fs && rc == 0; i++)
		if (c->fs[i].socket)
			rc = check_connect("--fs", "socket", c->fs[i].socket);
	return rc;
}

/* -- networks -------------------------------------------------------------------------------- */

/* Checks that the host's port can be bound, without listening at it. */
static int check_forward(const struct net_forward *f)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(f->host_port),
		.sin_addr.s_addr = htonl(f->host),
	};
	const int on = 1;
	AUTO_CLOSE int fd = socket(AF_INET, (f->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	char host[INET_ADDRSTRLEN];

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* as libslirp */
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return 0;
	inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host));
	return log_errno("--net user: hostfwd=%s:%s:%u: listening on the host",
			 f->udp ? "udp" : "tcp", host, f->host_port);
}

static int check_user(const struct net_config *n)
{
	const struct net_user_options o = { .restricted = n->restricted, .mtu = n->mtu };
	struct net_backend *b;
	int rc = net_user_open(&b, &o);

	if (rc == 0)
		b->ops->destroy(b);
	for (size_t i = 0; i < n->nr_forwards && rc == 0; i++)
		rc = check_forward(&n->forward[i]);
	return rc;
}

static int check_tap(const struct net_config *n)
{
	const struct net_tap_options o = {
		.option = n->option,
		.name = n->name,
		.bridge = n->bridge,
		.script = n->script,
		.pairs = n->queues,
		.mtu = n->mtu,
	};

	return net_tap_try(&o);
}

static int check_net(const struct net_config *n)
{
	struct vhost vhost = { .fd = -1 };
	int rc = 0;

	switch (n->mode) {
	case NET_TAP:
		rc = check_tap(n);
		break;
	case NET_FD:
		rc = net_tap_try_fd(n->option, (int)n->fd);
		break;
	case NET_USER:
		rc = check_user(n);
		break;
	case NET_SOCKET:
		rc = check_connect("--net", "socket", n->path);
		break;
	}
	if (rc == 0 && n->vhost)
		rc = vhost_open(&vhost, n->option, "/dev/vhost-net", "vhost_net", NULL, 0);
	vhost_close(&vhost);
	return rc;
}

/* -- other options, and the host ------------------------------------------------------------- */

static int check_given(void *ctx __unused, const struct opt_given_path *given)
{
	char option[64];

	snprintf(option, sizeof(option), "--%s", given->option);
	return given->output ? check_output(option, given->key, given->path) : 0;
}

/* Where no machine can run, one may still be described: that is a warning. */
static int look_at_kvm(const struct config *c)
{
	const int rc = may("/dev/kvm", R_OK | W_OK);

	if (rc == 0)
		return c->nested ? vm_try_nested() : 0;
	log_warn("/dev/kvm: %s: the machine can't run here ('minivmm doctor' tells more)",
		 strerrordesc_np(-rc));
	return 0;
}

int dry_run_check(const struct config *c)
{
	int rc = config_paths(c, check_given, NULL);

	if (rc == 0)
		rc = check_ends(c);
	for (size_t i = 0; i < c->nr_nets && rc == 0; i++)
		rc = check_net(&c->net[i]);
	if (rc == 0)
		rc = check_vsock(c);
	if (rc == 0)
		rc = check_shares(c);
	return rc == 0 ? look_at_kvm(c) : rc;
}
