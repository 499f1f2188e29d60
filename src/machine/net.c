/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/net.h"

#include <errno.h>

#include "backend/net/socket.h"
#include "backend/net/tap.h"
#include "backend/net/user.h"
#include "machine/transport.h"

_Static_assert(CONFIG_MAX_NET_QUEUES == NET_MAX_PAIRS, "what the option takes, the device has");

/* -- plugged into nothing, for a machine that won't run -------------------------------------- */

static int nothing_start(struct net_backend *b __unused, struct loop *loop __unused)
{
	return 0;
}

static ssize_t nothing_send(struct net_backend *b __unused, unsigned pair __unused,
			    const struct iovec *iov __unused, unsigned nr __unused)
{
	return -ENETDOWN;
}

static ssize_t nothing_receive(struct net_backend *b __unused, unsigned pair __unused,
			       const struct iovec *iov __unused, unsigned nr __unused)
{
	return -EAGAIN;
}

static void nothing_want_frames(struct net_backend *b __unused, unsigned pair __unused,
				bool on __unused)
{
}

static void nothing_destroy(struct net_backend *b __unused) {}

static const struct net_backend_ops nothing_ops = {
	.name = "nothing",
	.start = nothing_start,
	.send = nothing_send,
	.receive = nothing_receive,
	.want_frames = nothing_want_frames,
	.destroy = nothing_destroy,
};

static int open_nothing(struct machine *m, size_t i, struct net_backend **b)
{
	*b = &m->no_net[i];
	**b = (struct net_backend){ .ops = &nothing_ops, .pairs = m->config->net[i].queues };
	return 0;
}

/* -- the real ones --------------------------------------------------------------------------- */

static int open_tap(const struct net_config *c, struct kept *kept, struct net_backend **b)
{
	const struct net_tap_options o = {
		.option = c->option,
		.name = c->name,
		.bridge = c->bridge,
		.script = c->script,
		.pairs = c->queues,
		.mtu = c->mtu,
		.kept = kept,
	};

	return net_tap_open(&o, b);
}

static int open_user(struct machine *m, const struct net_config *c, struct net_backend **b)
{
	struct net_user_forward forward[CONFIG_MAX_FORWARDS];
	const struct net_user_options o = {
		.forward = forward,
		.nr_forwards = c->nr_forwards,
		.restricted = c->restricted,
		.mtu = c->mtu,
		.domain = m->resolv.domain,
		.fds = &m->fds,
	};

	for (size_t i = 0; i < c->nr_forwards; i++) {
		forward[i] = (struct net_user_forward){
			.udp = c->forward[i].udp,
			.host.s_addr = htobe32(c->forward[i].host),
			.guest.s_addr = htobe32(c->forward[i].guest),
			.host_port = c->forward[i].host_port,
			.guest_port = c->forward[i].guest_port,
		};
	}
	return net_user_open(b, &o);
}

static int open_backend(struct machine *m, const struct net_config *c, struct kept *kept,
			struct net_backend **b)
{
	switch (c->mode) {
	case NET_TAP:
		return open_tap(c, kept, b);
	case NET_FD:
		return net_tap_adopt(c->option, (int)c->fd, kept, b);
	case NET_USER:
		return open_user(m, c, b);
	case NET_SOCKET:
		return net_socket_open(b, c->path, kept);
	}
	return -EINVAL;
}

static int init_net(struct machine *m, size_t i)
{
	const struct net_config *c = &m->config->net[i];
	const bool live = !m->owner.dry;
	struct loop *loop = &m->io[i % m->config->io_threads].loop;
	struct virtio_net_options o = {
		.name = c->option,
		.mtu = c->mtu,
		.vhost = c->vhost,
		.dry = !live,
		.kept = MACHINE_KEPT(m, net[i]),
	};
	struct net_backend *b = NULL;
	int rc = live ? open_backend(m, c, o.kept, &b) : open_nothing(m, i, &b);

	if (rc < 0)
		return rc;
	memcpy(o.mac, c->mac, sizeof(o.mac));
	m->nr_nets++; /* machine_net_destroy() destroys it, even if it is only half made */
	rc = virtio_net_init(&m->net[i], &o, b);
	return rc == 0 ? machine_add_virtio(m, &m->net[i].vd, loop) : rc;
}

/* Does one of them ask this host's servers for names? */
static bool ask_for_names(const struct config *c)
{
	for (size_t i = 0; i < c->nr_nets; i++)
		if (c->net[i].mode == NET_USER)
			return true;
	return false;
}

int machine_net_init(struct machine *m)
{
	int rc = 0;

	if (ask_for_names(m->config))
		resolv_read(&m->resolv, "/etc/resolv.conf");

	for (size_t i = 0; i < m->config->nr_nets && rc == 0; i++)
		rc = init_net(m, i);
	return rc;
}

void machine_net_destroy(struct machine *m)
{
	for (size_t i = 0; i < m->nr_nets; i++)
		virtio_net_destroy(&m->net[i]);
	m->nr_nets = 0;
}
