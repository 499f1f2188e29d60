/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The caller's rights. A monitor that a plain user runs has that user's rights, whichever user of
 * the guest asks. One that root runs makes files in the name of the guest's user. The guest's
 * kernel has checked permissions (it mounts with default_permissions), and only it knows the user's
 * other groups, so the right to override permissions stays. The user and group of file system
 * accesses belong to the thread (setfsuid(2)).
 */
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

#include "backend/fuse/fuse_impl.h"

static bool get_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &head, caps) == 0;
}

/* Sets a capability of this thread, like setfsuid(). */
static void set_cap(unsigned cap, bool on)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (!get_caps(caps))
		return;
	if (on)
		caps[CAP_TO_INDEX(cap)].effective |=
			caps[CAP_TO_INDEX(cap)].permitted & CAP_TO_MASK(cap);
	else
		caps[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
	syscall(SYS_capset, &head, caps);
}

/* Drops a capability for ever: setfsuid(0) would bring some back. */
static void give_up(unsigned cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (!get_caps(caps))
		return;
	caps[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
	caps[CAP_TO_INDEX(cap)].permitted &= ~CAP_TO_MASK(cap);
	syscall(SYS_capset, &head, caps);
}

int fuse_caller_prepare(struct fuse_caller *c)
{
	const uint32_t wanted = CAP_TO_MASK(CAP_SETUID) | CAP_TO_MASK(CAP_SETGID);
	struct __user_cap_data_struct caps[2];

	if (c->ready)
		return 0;
	/* Otherwise all threads would have the same umask. Where unshare() is forbidden (as by
	 * Docker's filter), the process's umask applies as well as the caller's. */
	c->masks = unshare(CLONE_FS) == 0;
	if (c->masks) {
		c->mask = umask(0);
		umask(c->mask);
	}
	c->gid = getegid();
	if (!get_caps(caps))
		return -errno;
	give_up(CAP_SYS_RESOURCE); /* root's reserved blocks, and more than a quota allows */
	give_up(CAP_LINUX_IMMUTABLE);
	c->root = geteuid() == 0 && (caps[0].effective & wanted) == wanted;
	c->fsetid = caps[0].effective & CAP_TO_MASK(CAP_FSETID);
	c->ready = true;
	return 0;
}

/* Are these the ids that we have anyway? */
static bool is_self(const struct fuse_caller *c, const struct fuse_in_header *h)
{
	return !c->root || (h->uid == 0 && h->gid == c->gid);
}

int fuse_caller_enter(const struct fuse_caller *c, const struct fuse_in_header *h, uint32_t mask,
		      mode_t *mode)
{
	if (c->masks)
		umask(mask & 0777);
	else
		*mode &= ~(mask & 0777);
	if (is_self(c, h))
		return 0;
	setfsgid(h->gid);
	setfsuid(h->uid);
	/* They fail silently for an id that the host doesn't give us. */
	if ((uid_t)setfsuid((uid_t)-1) != h->uid || (gid_t)setfsgid((gid_t)-1) != h->gid) {
		fuse_caller_leave(c, h);
		return -EPERM;
	}
	set_cap(CAP_DAC_OVERRIDE, true); /* it was lost with fsuid 0 */
	return 0;
}

void fuse_caller_leave(const struct fuse_caller *c, const struct fuse_in_header *h)
{
	if (!is_self(c, h)) {
		setfsuid(0);
		setfsgid(c->gid);
	}
	if (c->masks)
		umask(c->mask);
}

bool fuse_caller_humble(const struct fuse_caller *c, int fd)
{
	struct stat st;

	if (!c->fsetid)
		return false;
	/* One look costs less than two changes of capabilities. A bit that somebody sets between
	 * the look and the guest's change stays, as if it had been set after the change. */
	if (fd >= 0 && fstat(fd, &st) == 0 && !(st.st_mode & (S_ISUID | S_ISGID)))
		return false;
	set_cap(CAP_FSETID, false);
	return true;
}

void fuse_caller_proud(void)
{
	set_cap(CAP_FSETID, true);
}
