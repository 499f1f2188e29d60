/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-vsock (virtio 1.2 §5.10) over /dev/vhost-vsock: packets go between the guest and the
 * host's kernel, where the guest's CID is an address of the family AF_VSOCK. We keep the registers,
 * and the event queue, which stays silent.
 *
 * The kernel's own features beyond streams (SEQPACKET) are not offered, so that the guest finds the
 * same device with vhost and without.
 */
#include "virtio/vsock_vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_vsock.h>
#include <sys/ioctl.h>

#include "virtio/vsock.h"

static int set_running(const struct vsock_vhost *v, int on)
{
	return ioctl(v->vhost.fd, VHOST_VSOCK_SET_RUNNING, &on) < 0 ? -errno : 0;
}

static void vsock_stop(struct vsock_vhost *v)
{
	if (!v->vhost.nr)
		return;
	(void)!set_running(v, 0); /* it fails only if the device does not run */
	vhost_stop(&v->vhost);
}

static bool queues_are_up(const struct vsock_vhost *v)
{
	return v->vd.q[VSOCK_RX].state.ready && v->vd.q[VSOCK_TX].state.ready;
}

static int vsock_begin(struct vsock_vhost *v)
{
	int rc = vhost_start(&v->vhost, &v->vd, VSOCK_RX, 2);

	if (rc == 0) {
		rc = set_running(v, 1);
		errno = -rc;
		if (rc < 0)
			guest_errno(&v->vd.log, "--vsock: vhost: VHOST_VSOCK_SET_RUNNING");
	}
	if (rc < 0)
		vsock_stop(v);
	else
		vhost_kick(&v->vhost);
	return rc;
}

static int vsock_activate(struct virtio_dev *vd)
{
	struct vsock_vhost *v = container_of(vd, struct vsock_vhost, vd);

	return v->open && queues_are_up(v) ? vsock_begin(v) : -EINVAL;
}

/* What comes are buffers of the event queue; or the kernel was stopped by quiesce, and goes on. */
static int vsock_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct vsock_vhost *v = container_of(vd, struct vsock_vhost, vd);

	if (q == &vd->q[VSOCK_EVENT])
		return 0;
	q->quiet = true;
	return v->vhost.nr || !queues_are_up(v) ? 0 : vsock_begin(v);
}

static void vsock_quiesce(struct virtio_dev *vd)
{
	vsock_stop(container_of(vd, struct vsock_vhost, vd));
}

/* A reset of one of the two queues makes the kernel stop both: it needs them all the time. */
static void vsock_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct vsock_vhost *v = container_of(vd, struct vsock_vhost, vd);

	if (q != &vd->q[VSOCK_EVENT])
		vsock_stop(v);
}

static uint64_t vsock_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	const struct vsock_vhost *v = container_of(vd, struct vsock_vhost, vd);

	return vsock_read_config(v->cid, off, size);
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.module = "vmw_vsock_virtio_transport",
	.device_id = VIRTIO_ID_VSOCK,
	.nr_queues = VSOCK_NR_QUEUES,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = sizeof(struct virtio_vsock_config),
	.kick = vsock_kick,
	.activate = vsock_activate,
	.reset = vsock_reset,
	.quiesce = vsock_quiesce,
	.config_read = vsock_config_read,
};

int vsock_vhost_init(struct vsock_vhost *v, uint32_t cid, bool open, struct kept *kept)
{
	const uint64_t guest_cid = cid;
	int rc;

	*v = (struct vsock_vhost){ .cid = cid, .vhost.fd = -1 };
	virtio_init(&v->vd, &vsock_ops, 0);
	if (!open)
		return 0;
	v->open = true;
	rc = vhost_open(&v->vhost, "--vsock", "/dev/vhost-vsock", "vhost_vsock", kept, 0);
	if (rc < 0)
		return rc;
	v->vd.features = vhost_offer(&v->vhost, v->vd.features);
	if (ioctl(v->vhost.fd, VHOST_VSOCK_SET_GUEST_CID, &guest_cid) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return log_ret(
			-EADDRINUSE,
			"--vsock cid=%u: another guest of this host has that CID; give each guest its own",
			cid);
	return log_errno("--vsock cid=%u: VHOST_VSOCK_SET_GUEST_CID", cid);
}

void vsock_vhost_destroy(struct vsock_vhost *v)
{
	if (v->open)
		vhost_close(&v->vhost);
	v->open = false;
}
