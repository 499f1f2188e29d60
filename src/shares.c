/* SPDX-License-Identifier: BSD-2-Clause */
#include "shares.h"

static enum fuse_cache cache_of(enum fs_cache c)
{
	switch (c) {
	case FS_CACHE_AUTO:
		break;
	case FS_CACHE_ALWAYS:
		return FUSE_CACHE_ALWAYS;
	case FS_CACHE_NONE:
		return FUSE_CACHE_NONE;
	}
	return FUSE_CACHE_AUTO;
}

int shares_init(struct machine *m)
{
	const struct config *c = m->config;
	int rc = 0;

	for (size_t i = 0; i < c->nr_fs && rc == 0; i++) {
		struct loop *loop = &m->io[i % c->io_threads].loop;
		const struct fuse_options o = {
			.path = c->fs[i].path,
			.readonly = c->fs[i].readonly,
			.cache = cache_of(c->fs[i].cache),
			.sharers = (unsigned)c->nr_fs,
		};

		m->nr_fs++; /* to be destroyed, however far it comes */
		rc = virtio_fs_init(&m->fs[i], c->fs[i].tag, &o);
		if (rc == 0)
			rc = machine_add_virtio(m, &m->fs[i].vd, loop);
	}
	return rc;
}

void shares_destroy(struct machine *m)
{
	for (size_t i = 0; i < m->nr_fs; i++)
		virtio_fs_destroy(&m->fs[i]);
	m->nr_fs = 0;
}
