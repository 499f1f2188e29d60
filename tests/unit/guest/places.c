/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories that the guest's init makes for variables of the environment. */
#include "guest/places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"
#include "vmm/types.h"

static char top[] = "/tmp/minivmm-places-XXXXXX";

static const char *below(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s%s", top, name);
	return path;
}

static void is(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	assert_int_equal(stat(below(name), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static void what_is_the_guests_own_is_known(void **state __unused)
{
	static const char *const own[] = { "/run",     "/run/user/1000", "/var/run/x", "/dev/shm/a",
					   "/dev/shm", "/var/lock/x",    "/run/..x/y" };
	static const char *const others[] = {
		"/", "/runner",  "/tmp/run", "run/x",         "/dev/shmx",
		"",  "/var/lib", "/run/..",  "/run/../etc/x", "/run/a/../../x"
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		assert_true(place_is_guests(own[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(place_is_guests(others[i]));
}

/* Another user, if we may make one the owner. */
static uid_t user(void)
{
	return geteuid() ? geteuid() : 1234;
}

static gid_t group(void)
{
	return geteuid() ? getegid() : 1235;
}

static void a_place_is_the_users_alone(void **state __unused)
{
	const uid_t first = geteuid();

	assert_int_equal(place_make(below("/user/1000"), user(), group()), 0);
	is("/user", 0755, first, getegid());
	is("/user/1000", 0700, user(), group());
	/* The directories below it all belong to the user. */
	assert_int_equal(place_make(below("/user/1000/a/b/"), user(), group()), 0);
	is("/user/1000/a", 0755, user(), group());
	is("/user/1000/a/b", 0700, user(), group());
	/* Existing directories do not change. */
	assert_int_equal(chmod(below("/user/1000"), 0711), 0);
	assert_int_equal(place_make(below("/user/1000"), user(), group()), 0);
	is("/user/1000", 0711, user(), group());
}

static void what_cant_be_made_is_said(void **state __unused)
{
	char name[5000];
	FILE *f = fopen(below("/file"), "w");

	assert_non_null(f);
	fclose(f);
	assert_int_equal(place_make(below("/file"), user(), group()), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(place_make(below("/file/x"), user(), group()), -1);
	assert_int_equal(errno, ENOTDIR);
	memset(name, '/', sizeof(name));
	memset(name + 1, 'x', sizeof(name) - 2);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(place_make(name, user(), group()), -1);
	assert_int_equal(errno, ENAMETOOLONG);
}

/* Only the guest's own directories are touched, whatever the environment says. */
static void other_places_are_left_alone(void **state __unused)
{
	char text[300],
		*env[] = { "A=/run/x", text, "XDG_RUNTIME_DIRS=/run/y", "TMPDIR=", "TMP", NULL };
	const struct orders o = { .env = env, .uid = user(), .gid = group() };

	snprintf(text, sizeof(text), "TMPDIR=%s", below("/never"));
	assert_null(places_make(&o));
	assert_int_equal(access(below("/never"), F_OK), -1);
}

/* The variables of the XDG Base Directory Specification, and those for temporary files. */
static void each_variable_counts(void **state __unused)
{
	static const char *const names[] = { "XDG_RUNTIME_DIR",
					     "HOME",
					     "TMPDIR",
					     "TMP",
					     "TEMP",
					     "XDG_CACHE_HOME",
					     "XDG_STATE_HOME",
					     "XDG_DATA_HOME",
					     "XDG_CONFIG_HOME" };
	char text[300], place[] = "/dev/shm/minivmm-places-XXXXXX", *env[] = { text, NULL };
	const struct orders o = { .env = env, .uid = geteuid(), .gid = getegid() };

	if (!mkdtemp(place))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(text, sizeof(text), "%s=%s/%zu", names[i], place, i);
		assert_null(places_make(&o));
		assert_int_equal(rmdir(strchr(text, '/')), 0);
	}
	assert_int_equal(rmdir(place), 0);
}

static int begin(void **state __unused)
{
	umask(022);
	return mkdtemp(top) ? 0 : -1;
}

static int finish(void **state __unused)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", top);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_the_guests_own_is_known),
		cmocka_unit_test(a_place_is_the_users_alone),
		cmocka_unit_test(what_cant_be_made_is_said),
		cmocka_unit_test(other_places_are_left_alone),
		cmocka_unit_test(each_variable_counts),
	};

	return cmocka_run_group_tests(tests, begin, finish);
}
