/* SPDX-License-Identifier: BSD-2-Clause */
/* --user NAME, as the guest's own /etc/passwd and /etc/group have it, which are files of its
 * root. */
#include "command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define LINE_ROOM MIB /* for a line of passwd or group, and the pointers into it */

/* Opens a regular file of the guest's root, with links resolved inside that root. Returns NULL if
 * it is anything else: whoever wrote the root may have put something there that opening has an
 * effect on, or that blocks. */
static FILE *open_in(const struct config *c, const char *name)
{
	const struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	AUTO_CLOSE int root = open(c->command.root ?: "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd =
		root < 0 ? -1 : (int)syscall(SYS_openat2, root, name, &how, sizeof(how));
	struct stat st;
	char self[32];

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return fopen(self, "re");
}

static void put_caller(FILE *out)
{
	static const int max_groups = 65536; /* the kernel's limit */
	gid_t *group = calloc((size_t)max_groups, sizeof(*group));
	int nr = group ? getgroups(max_groups, group) : 0;

	if (nr > GUEST_MAX_GROUPS) {
		log_warn("run: you are in %d groups; the command will be in the first %d of them",
			 nr, GUEST_MAX_GROUPS);
		nr = GUEST_MAX_GROUPS;
	}
	fprintf(out, "uid=%u%cgid=%u%c", getuid(), 0, getgid(), 0);
	for (int i = 0; i < nr; i++)
		fprintf(out, "group=%u%c", group[i], 0);
	free(group);
}

static int refuse_line(const struct config *c, const char *file)
{
	return log_ret(-E2BIG, "--user %s: %s/%s has a line of more than %llu KiB", c->command.user,
		       c->command.root ?: "", file, LINE_ROOM / KIB);
}

static bool is_member(const struct group *g, const char *name)
{
	for (char **member = g->gr_mem; *member; member++)
		if (!strcmp(*member, name))
			return true;
	return false;
}

/* Writes the groups that the user is a member of. line is LINE_ROOM bytes, for this function and
 * the next one. Returns 0 or -errno, logged. */
static int put_groups(const struct config *c, gid_t own, char *line, FILE *out)
{
	FILE *f = open_in(c, "etc/group");
	unsigned nr = 1;
	struct group g, *found;
	int error = 0;

	fprintf(out, "group=%u%c", own, 0);
	while (f && nr < GUEST_MAX_GROUPS &&
	       (error = fgetgrent_r(f, &g, line, LINE_ROOM, &found)) == 0) {
		if (g.gr_gid == own || !is_member(&g, c->command.user))
			continue;
		fprintf(out, "group=%u%c", g.gr_gid, 0);
		nr++;
	}
	if (f)
		fclose(f);
	return error == ERANGE ? refuse_line(c, "etc/group") : 0;
}

static int put_named(const struct config *c, char *line, FILE *out)
{
	FILE *f = open_in(c, "etc/passwd");
	struct passwd p, *found = NULL;
	int error = 0;

	while (f && (error = fgetpwent_r(f, &p, line, LINE_ROOM, &found)) == 0 &&
	       strcmp(p.pw_name, c->command.user))
		;
	if (f)
		fclose(f);
	if (error == ERANGE)
		return refuse_line(c, "etc/passwd");
	if (!found)
		return log_ret(
			-EINVAL,
			"--user %s: the guest's root has no such user (see its /etc/passwd); UID or UID:GID works, too",
			c->command.user);
	fprintf(out, "uid=%u%cgid=%u%c", p.pw_uid, 0, p.pw_gid, 0);
	return put_groups(c, p.pw_gid, line, out);
}

/* -1 can't be an id: for setresuid(2) it means "as it was". */
static bool take_id(const char **text, unsigned *id)
{
	char *end;
	unsigned long n;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	n = strtoul(*text, &end, 10);
	*text = end;
	*id = (unsigned)n;
	return errno == 0 && n < UINT32_MAX;
}

/* Writes UID, or UID:GID. Returns false if text is neither. */
static bool put_numbers(const char *text, FILE *out)
{
	unsigned uid, gid;

	if (!take_id(&text, &uid))
		return false;
	gid = uid;
	if (*text == ':') {
		text++;
		if (!take_id(&text, &gid))
			return false;
	}
	if (*text)
		return false;
	fprintf(out, "uid=%u%cgid=%u%cgroup=%u%c", uid, 0, gid, 0, gid, 0);
	return true;
}

int command_put_user(const struct config *c, FILE *out)
{
	const char *name = c->command.user;
	char *line;
	int rc;

	if (!name) {
		put_caller(out);
		return 0;
	}
	if (name[0] >= '0' && name[0] <= '9' && put_numbers(name, out))
		return 0;
	line = malloc(LINE_ROOM);
	rc = line ? put_named(c, line, out) : log_ret(-ENOMEM, "out of memory");
	free(line);
	return rc;
}
