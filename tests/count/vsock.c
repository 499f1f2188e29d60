/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream between the guest and a socket pair of the host's, in packets of 4 KiB. */
#include "virtio/vsock.h"

#include <linux/virtio_vsock.h>
#include <sys/socket.h>

#include "count.h"

#define CID     42u
#define PORT    7u
#define DATA    4096u
#define BUFFER  (sizeof(struct virtio_vsock_hdr) + DATA)
#define BUFFERS 32u

static struct virtio_vsock v;
static struct driver d;
static struct loop loop;
static int host;
static gpa_t packet, buffer[VIRTQ_MAX_SIZE]; /* the one that is sent; those to receive, by head */
static uint32_t received;                    /* bytes */
static uint8_t data[DATA];

static void give_buffer(gpa_t gpa)
{
	buffer[ring_send(&d.ring[VSOCK_RX], &(struct ring_buf){ gpa, BUFFER, true }, 1)] = gpa;
}

/* The driver has a packet in its queue for the device. */
static void put(uint16_t op, uint32_t len)
{
	struct virtio_vsock_hdr *h = ram_at(&d.ram, packet, sizeof(*h));

	*h = (struct virtio_vsock_hdr){
		.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = 1024,
		.dst_port = PORT,
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = 1 * MIB,
		.fwd_cnt = received,
	};
	offer(&d.ring[VSOCK_TX],
	      (struct ring_buf[]){ { packet, sizeof(*h), false },
				   { packet + sizeof(*h), len, false } },
	      len ? 2 : 1);
}

/* The driver takes the packets that the device has sent. Returns how many bytes were in them. */
static uint32_t take_packets(void)
{
	struct ring_elem e;
	uint32_t len = 0;

	while (ring_take(&d.ring[VSOCK_RX], &e)) {
		len += e.len - (uint32_t)sizeof(struct virtio_vsock_hdr);
		give_buffer(buffer[e.id]);
	}
	ring_set_used_event(&d.ring[VSOCK_RX], d.ring[VSOCK_RX].last_used);
	received += len;
	return len;
}

static bool up(void)
{
	int pair[2];

	must(loop_init(&loop) == 0);
	must(virtio_vsock_init(&v, &(struct vsock_options){ .cid = CID }, &loop) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	host = pair[0];
	must(virtio_vsock_offer(&v, PORT, pair[1]) == 0);
	driver_init(&d, &v.vd);
	must(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	packet = driver_alloc(&d, BUFFER);
	for (unsigned i = 0; i < BUFFERS; i++)
		give_buffer(driver_alloc(&d, BUFFER));
	driver_kick(&d, VSOCK_RX);
	put(VIRTIO_VSOCK_OP_REQUEST, 0);
	counted_kick(&d, VSOCK_TX);
	turn_loop(&loop);
	take(&d.ring[VSOCK_TX], 1);
	must(ring_used(&d.ring[VSOCK_RX]) == 1); /* it is accepted */
	take_packets();
	return true;
}

static void from_guest(unsigned batch __unused)
{
	put(VIRTIO_VSOCK_OP_RW, DATA);
	counted_kick(&d, VSOCK_TX);
	take(&d.ring[VSOCK_TX], 1);
	must(recv(host, data, DATA, MSG_WAITALL) == DATA);
	turn_loop(&loop); /* the socket has room again */
	take_packets();   /* of credit */
}

static void send_to_guest(uint32_t len)
{
	must(send(host, data, len, 0) == len);
	turn_loop(&loop);
	must(take_packets() == len);
	put(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	driver_kick(&d, VSOCK_TX); /* is not counted: a driver does it for many packets once */
	take(&d.ring[VSOCK_TX], 1);
}

/* The packet fills the guest's buffer. */
static void to_guest(unsigned batch __unused)
{
	send_to_guest(DATA);
}

/* The guest's buffer has more room than the packet takes. */
static void short_to_guest(unsigned batch __unused)
{
	send_to_guest(64);
}

const struct kind vsock_kinds[KINDS_MAX] = {
	{ "vsock.from-guest", 1, up, from_guest, NULL },
	{ "vsock.to-guest", 1, up, to_guest, NULL },
	{ "vsock.short-to-guest", 1, up, short_to_guest, NULL },
};
