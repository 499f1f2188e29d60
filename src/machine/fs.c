/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/fs.h"

/* A dry run connects to nothing. */
static int init_daemon(struct machine *m, size_t i, struct loop *loop)
{
	const struct shared_dir *d = &m->shared_dir[i];
	const struct fs_vhost_options o = {
		.tag = d->tag,
		.path = d->socket,
		.dry = m->owner.dry,
		.memory = { .fd = m->ram.memfd, .host = m->ram.host },
		.kept = MACHINE_KEPT(m, fs[i]),
	};
	int rc = fs_vhost_init(&m->fs_vhost[i], &o, loop);

	return rc == 0 ? machine_add_virtio(m, &m->fs_vhost[i].vd, loop) : rc;
}

int machine_fs_init(struct machine *m)
{
	struct loop *loop = &m->io[m->config->io_threads].loop; /* the loop of all shares */
	int rc = 0;

	for (size_t i = 0; i < m->nr_shared_dirs && rc == 0; i++) {
		const struct shared_dir *d = &m->shared_dir[i];
		const struct fuse_options o = {
			.option = d->option,
			.path = d->path,
			.readonly = d->readonly,
			.files = d->files,
			.cache = d->cache,
			.stopping = &m->stopping,
			.fds = &m->fds,
			.kept = MACHINE_KEPT(m, fs[i]),
		};

		m->nr_fs++; /* machine_fs_destroy() destroys it, even if it is only half made */
		if (d->socket) {
			rc = init_daemon(m, i, loop);
			continue;
		}
		rc = virtio_fs_init(&m->fs[i], d->tag, &o);
		if (rc == 0)
			rc = machine_add_virtio(m, &m->fs[i].vd, loop);
	}
	return rc;
}

void machine_fs_destroy(struct machine *m)
{
	for (size_t i = 0; i < m->nr_fs; i++) {
		virtio_fs_destroy(&m->fs[i]);
		fs_vhost_destroy(&m->fs_vhost[i]);
	}
	m->nr_fs = 0;
}
