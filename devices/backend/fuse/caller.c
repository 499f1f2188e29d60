/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who asks. A monitor of a plain user has that user's rights, whoever asks in the guest. One of
 * root's makes files in the name of the guest's user: permissions were the guest kernel's to check
 * (it mounts with default_permissions), and only it knows the user's other groups, so the right to
 * override them stays. User and group of a file system's access are the thread's own (setfsuid(2)).
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

/* Of this thread, like setfsuid(). */
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

/* For ever: setfsuid(0) would bring some back. */
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
	/* The umask would be that of all threads, otherwise. Where this is forbidden (as Docker's
	 * filter does), the process's own counts beside the caller's. */
	c->masks = unshare(CLONE_FS) == 0;
	if (c->masks) {
		c->mask = umask(0);
		umask(c->mask);
	}
	c->gid = getegid();
	if (!get_caps(caps))
		return -errno;
	give_up(CAP_SYS_RESOURCE); /* blocks that are kept for root, and more than a quota */
	give_up(CAP_LINUX_IMMUTABLE);
	c->root = geteuid() == 0 && (caps[0].effective & wanted) == wanted;
	c->fsetid = caps[0].effective & CAP_TO_MASK(CAP_FSETID);
	c->ready = true;
	return 0;
}

int fuse_caller_enter(const struct fuse_caller *c, const struct fuse_in_header *h, uint32_t mask,
		      mode_t *mode)
{
	if (c->masks)
		umask(mask & 0777);
	else
		*mode &= ~(mask & 0777);
	if (!c->root || (h->uid == 0 && h->gid == c->gid))
		return 0;
	setfsgid(h->gid);
	setfsuid(h->uid);
	/* They fail in silence, for an id that the host doesn't give us. */
	if ((uid_t)setfsuid((uid_t)-1) != h->uid || (gid_t)setfsgid((gid_t)-1) != h->gid) {
		fuse_caller_leave(c);
		return -EPERM;
	}
	set_cap(CAP_DAC_OVERRIDE, true); /* went with fsuid 0 */
	return 0;
}

void fuse_caller_leave(const struct fuse_caller *c)
{
	if (c->root) {
		setfsuid(0);
		setfsgid(c->gid);
	}
	if (c->masks)
		umask(c->mask);
}

void fuse_caller_humble(const struct fuse_caller *c, bool on)
{
	if (c->fsetid)
		set_cap(CAP_FSETID, !on);
}
