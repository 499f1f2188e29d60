/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/fs.h"

/* A dry run connects to nothing. */
static int init_daemon(struct machine *m, size_t i, struct loop *loop)
{
	const struct fs_config *c = &m->config->fs[i];
	const struct fs_vhost_options o = {
		.tag = c->tag,
		.path = c->socket,
		.dry = m->vm.fd < 0,
		.memory = { .fd = m->ram.memfd, .host = m->ram.host },
		.kept = MACHINE_KEPT(m, fs[i]),
	};
	int rc = fs_vhost_init(&m->fs_vhost[i], &o, loop);

	return rc == 0 ? machine_add_virtio(m, &m->fs_vhost[i].vd, loop) : rc;
}

int machine_fs_init(struct machine *m)
{
	const struct config *c = m->config;
	int rc = 0;

	for (size_t i = 0; i < c->nr_fs && rc == 0; i++) {
		struct loop *loop = &m->io[c->io_threads].loop; /* the loop of all shares */
		const struct fuse_options o = {
			.option = c->fs[i].option ?: "--fs",
			.path = c->fs[i].path,
			.readonly = c->fs[i].readonly,
			.files = c->fs[i].files,
			.cache = c->fs[i].cache,
			.stopping = &m->stopping,
			.fds = &m->fds,
			.kept = MACHINE_KEPT(m, fs[i]),
		};

		m->nr_fs++; /* machine_fs_destroy() destroys it, even if it is only half made */
		if (c->fs[i].socket) {
			rc = init_daemon(m, i, loop);
			continue;
		}
		rc = virtio_fs_init(&m->fs[i], c->fs[i].tag, &o);
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
