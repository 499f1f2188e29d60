/* SPDX-License-Identifier: BSD-2-Clause */
/* --user, by the guest's own /etc/passwd and /etc/group, which are files of its root. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "machine.h"

static FILE *open_in(const struct config *c, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", c->run.root ?: "", name);
	return fopen(path, "re");
}

static void put_caller(FILE *out)
{
	static const int max_groups = 65536; /* the kernel's */
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

/* The groups that name is a member of. */
static void put_groups(const struct config *c, const char *name, gid_t own, FILE *out)
{
	FILE *f = open_in(c, "etc/group");
	unsigned nr = 1;
	struct group *g;

	fprintf(out, "group=%u%c", own, 0);
	while (f && nr < GUEST_MAX_GROUPS && (g = fgetgrent(f))) {
		for (char **member = g->gr_mem; *member; member++) {
			if (strcmp(*member, name) || g->gr_gid == own)
				continue;
			fprintf(out, "group=%u%c", g->gr_gid, 0);
			nr++;
			break;
		}
	}
	if (f)
		fclose(f);
}

/* -1 is nobody's: for setresuid(2) it is "as it was". */
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

/* UID, or UID:GID. */
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

int run_put_user(const struct config *c, FILE *out)
{
	const char *name = c->run.user;
	struct passwd *p = NULL;
	FILE *f;

	if (!name) {
		put_caller(out);
		return 0;
	}
	if (name[0] >= '0' && name[0] <= '9' && put_numbers(name, out))
		return 0;
	f = open_in(c, "etc/passwd");
	while (f && (p = fgetpwent(f)) && strcmp(p->pw_name, name))
		;
	if (p) {
		fprintf(out, "uid=%u%cgid=%u%c", p->pw_uid, 0, p->pw_gid, 0);
		put_groups(c, name, p->pw_gid, out);
	}
	if (f)
		fclose(f);
	return p ? 0
		 : log_ret(-EINVAL,
			   "--user %s: the guest's root has no such user (see its "
			   "/etc/passwd); UID or UID:GID works, too",
			   name);
}
