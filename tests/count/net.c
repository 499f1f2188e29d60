/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of 1,514 bytes over --net socket=, alone and 16 at a time. */
#include "virtio/net.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "backend/net/socket.h"
#include "count.h"

#define FRAME   1514u
#define MOST    16 /* frames at once */
#define BUFFER  1536u
#define BUFFERS 128u
#define RX      0
#define TX      1

static struct virtio_net n;
static struct driver d;
static struct loop loop;
static int peer;
static gpa_t sent, buffer[VIRTQ_MAX_SIZE]; /* the frame that is sent; for received ones, by head */

/* A frame as it is in the stream: its length comes first. */
static uint8_t wire[MOST * (4 + FRAME)];

static struct net_backend *connect_backend(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char dir[] = "/tmp/count-XXXXXX";
	struct net_backend *b;
	static char path[32];

	must(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	strcpy(a.sun_path, path);
	must(bind(listener, (void *)&a, sizeof(a)) == 0 && listen(listener, 1) == 0);
	must(net_socket_open(&b, path, NULL) == 0);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	must(peer >= 0);
	close(listener);
	unlink(path);
	rmdir(dir);
	return b;
}

static void give_buffer(gpa_t gpa)
{
	buffer[ring_send(&d.ring[RX], &(struct ring_buf){ gpa, BUFFER, true }, 1)] = gpa;
}

static bool up(void)
{
	const struct virtio_net_options o = { .name = "--net", .mac = { 0x52, 0x54, 0, 1, 2, 3 } };

	must(loop_init(&loop) == 0);
	must(virtio_net_init(&n, &o, connect_backend()) == 0);
	driver_init(&d, &n.vd);
	must(virtio_start(&n.vd, &loop) == 0);
	must(driver_start(&d, VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) |
				      VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	sent = driver_alloc(&d, NET_HDR_LEN + FRAME);
	for (unsigned i = 0; i < BUFFERS; i++)
		give_buffer(driver_alloc(&d, BUFFER));
	for (unsigned i = 0; i < MOST; i++) {
		wire[i * (4 + FRAME) + 2] = FRAME >> 8;
		wire[i * (4 + FRAME) + 3] = FRAME & 0xff;
	}
	driver_kick(&d, RX);
	turn_loop(&loop);
	return true;
}

static void send_frames(unsigned batch)
{
	for (unsigned i = 0; i < batch; i++)
		offer(&d.ring[TX], &(struct ring_buf){ sent, NET_HDR_LEN + FRAME, false }, 1);
	counted_kick(&d, TX);
	take(&d.ring[TX], batch);
	for (size_t left = batch * (4 + FRAME); left;) {
		ssize_t got = recv(peer, wire, left, 0);

		must(got > 0);
		left -= (size_t)got;
	}
}

static void receive(unsigned batch)
{
	const size_t len = batch * (4 + FRAME);
	struct ring_elem e;

	must(send(peer, wire, len, 0) == (ssize_t)len);
	ring_set_used_event(&d.ring[RX], d.ring[RX].last_used);
	turn_loop(&loop);
	for (unsigned i = 0; i < batch; i++) {
		must(ring_take(&d.ring[RX], &e) && e.len == NET_HDR_LEN + FRAME);
		give_buffer(buffer[e.id]);
	}
}

const struct kind net_kinds[KINDS_MAX] = {
	{ "net.send", 1, up, send_frames, NULL },
	{ "net.send-16", 16, up, send_frames, NULL },
	{ "net.receive", 1, up, receive, NULL },
	{ "net.receive-16", 16, up, receive, NULL },
};
