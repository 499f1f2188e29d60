/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: the input, split at each NUL, is argv[1..]. */
#include "config/config.h"

#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"

static void check_end(const struct host_end *e)
{
	assert((e->kind != HOST_FILE && e->kind != HOST_SOCKET) || (e->path && *e->path));
	assert(e->kind != HOST_FD || e->fd >= 3);
}

/* Checks what config.h promises of an accepted command line. */
static void check(const struct config *c)
{
	bool runs = c->action == ACTION_BOOT || c->action == ACTION_DRY_RUN;

	assert(!runs || (c->kernel && *c->kernel));
	assert(!c->initrd || *c->initrd);
	assert(c->cpus >= 1 && c->cpus <= CONFIG_MAX_CPUS);
	assert(c->memory.size >= CONFIG_MIN_MEMORY && c->memory.size <= CONFIG_MAX_MEMORY);
	assert(c->memory.size % (c->memory.huge == HUGE_1G   ? GIB
				 : c->memory.huge == HUGE_2M ? 2 * MIB
							     : 4 * KIB) ==
	       0);
	assert(c->io_threads >= 1 && c->io_threads <= CONFIG_MAX_IO_THREADS);
	assert(c->nr_disks <= CONFIG_MAX_DISKS);
	for (size_t i = 0; i < c->nr_disks; i++) {
		assert(c->disk[i].path && *c->disk[i].path);
		assert(memchr(c->disk[i].id, '\0', sizeof(c->disk[i].id)));
	}
	check_end(&c->serial);
	check_end(&c->console);
	for (size_t i = 0; i < c->nr_ports; i++) {
		check_end(&c->port[i].end);
		assert(*c->port[i].name && c->port[i].end.kind != HOST_NONE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *argv[64] = { "minivmm" };
	struct config c;
	int argc = 1;

	while (len && argc < (int)ARRAY_SIZE(argv) - 1) {
		size_t n = strnlen((const char *)data, len);

		argv[argc++] = strndup((const char *)data, n); /* exactly as long as the word */
		n = min(n + 1, len);
		data += n;
		len -= n;
	}
	if (config_parse(&c, argc, argv) == 0)
		check(&c);
	config_destroy(&c);
	while (argc > 1)
		free(argv[--argc]);
	return 0;
}
