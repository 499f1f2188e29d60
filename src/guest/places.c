/* SPDX-License-Identifier: BSD-2-Clause */
#include "places.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Is one of its parts ".."? Then it is not clear where it leads. */
static bool goes_up(const char *path)
{
	for (const char *at = path; (at = strstr(at, "/..")); at++)
		if (at[3] == '/' || !at[3])
			return true;
	return false;
}

bool place_is_guests(const char *path)
{
	static const char *const own[] = { "/run", "/var/run", "/var/lock", "/dev/shm" };

	if (goes_up(path))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		const size_t len = strlen(own[i]);

		if (!strncmp(path, own[i], len) && (path[len] == '/' || !path[len]))
			return true;
	}
	return false;
}

/* Makes one part of a path. *users says whether its parent is the user's; a new part then belongs
 * to the user, too. Sets *users for this part. */
static int make_part(const char *path, mode_t mode, bool *users, uid_t uid, gid_t gid)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return *users ? chown(path, uid, gid) : 0;
	if (errno != EEXIST || stat(path, &st) < 0)
		return -1;
	*users = st.st_uid == uid;
	errno = ENOTDIR;
	return S_ISDIR(st.st_mode) ? 0 : -1;
}

int place_make(const char *path, uid_t uid, gid_t gid)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	bool users = false;

	while (len > 1 && path[len - 1] == '/')
		len--;
	errno = ENAMETOOLONG;
	if (len >= sizeof(part))
		return -1;
	memcpy(part, path, len);
	part[len] = '\0';
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (make_part(part, 0755, &users, uid, gid) < 0)
			return -1;
		*p = '/';
	}
	users = true;
	return make_part(part, 0700, &users, uid, gid);
}

/* Returns the variable's value, or NULL if env is another variable. */
static const char *value_of(const char *env, const char *name)
{
	const size_t len = strlen(name);

	return !strncmp(env, name, len) && env[len] == '=' ? env + len + 1 : NULL;
}

const char *places_make(const struct orders *o)
{
	/* The others may be below the first. */
	static const char *const names[] = {
		"XDG_RUNTIME_DIR",
		"HOME",
		"TMPDIR",
		"TMP",
		"TEMP",
		"XDG_CACHE_HOME",
		"XDG_STATE_HOME",
		"XDG_DATA_HOME",
		"XDG_CONFIG_HOME",
	};
	const char *wrong = NULL;
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (char **env = o->env; *env; env++) {
			const char *path = value_of(*env, names[i]);

			if (!path || !place_is_guests(path) ||
			    place_make(path, o->uid, o->gid) == 0)
				continue;
			wrong = names[i];
			error = errno;
		}
	}
	errno = error;
	return wrong;
}
