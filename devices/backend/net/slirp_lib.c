/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/slirp_lib.h"

#include <dlfcn.h>
#include <errno.h>

#include "vmm/log.h"

#define ALL_LEVELS (-1) /* GLogLevelFlags: all levels, fatal and recursive ones, too */

typedef void glib_log_fn(const char *domain, int level, const char *message, void *data);

/* libslirp comments on some of the guest's frames: an operator can't act on that, and the guest can
 * cause as much of it as it likes. */
static void say_nothing(const char *domain __unused, int level __unused,
			const char *message __unused, void *data __unused)
{
}

static int hush(void *so)
{
	unsigned (*set_handler)(const char *domain, int levels, glib_log_fn *fn, void *data) = NULL;

	*(void **)&set_handler = dlsym(so, "g_log_set_handler");
	if (!set_handler)
		return -ENOSYS;
	set_handler("Slirp", ALL_LEVELS, say_nothing, NULL);
	return 0;
}

int slirp_lib_load(struct slirp_lib *lib)
{
	void *so = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
	int rc = 0;

	if (!so)
		return log_ret(-ENOENT, "--net user: %s; install it: apt-get install libslirp0",
			       dlerror());
#define SLIRP_LOOK_UP(name)                                                                        \
	*(void **)&lib->name = dlsym(so, #name);                                                   \
	if (!lib->name)                                                                            \
		rc = -ENOSYS;
	SLIRP_FUNCTIONS(SLIRP_LOOK_UP)
#undef SLIRP_LOOK_UP
	if (rc == 0)
		rc = hush(so);
	return rc < 0 ? log_ret(rc, "--net user: this libslirp is too old; 4.7 or newer is needed")
		      : 0;
}
