/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network at the other end of a stream socket. The peer is the input: it sends any bytes in
 * pieces of any length, reads at any time, and hangs up. The device must get the frames of that
 * stream, and the peer must get those that the device sent, whole and in order.
 */
#include "backend/net/socket.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net_end.h"

#define STREAM (512 * 1024)

static struct net_end e;
static int listener, peer;
static char path[64];

/* The bytes that the peer has sent, and how many of them the device has got; and the other way
 * round. */
static uint8_t sent[STREAM], out[STREAM];
static size_t sent_len, taken, out_len, out_read;

static void clean_up(void)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

static void prepare(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/fuzz-net_socket.XXXXXX";
	bool ok;

	ok = mkdtemp(dir);
	snprintf(path, sizeof(path), "%s/s", dir);
	strcpy(a.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok = ok && bind(listener, (void *)&a, sizeof(a)) == 0 && listen(listener, 1) == 0;
	assert(ok);
	atexit(clean_up);
}

static size_t length_at(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static void frame_came(void *ctx __unused, const uint8_t *frame, size_t len)
{
	assert(sent_len - taken >= 4 + len && length_at(sent + taken) == len);
	assert(!memcmp(sent + taken + 4, frame, len));
	taken += 4 + len;
}

static void peer_send(struct fuzz_in *in, size_t len)
{
	ssize_t n;

	len = min(len, sizeof(sent) - sent_len);
	fuzz_take(in, sent + sent_len, len);
	n = peer < 0 ? 0 : send(peer, sent + sent_len, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		sent_len += (size_t)n;
}

/* Sends a frame preceded by its length; the input gives the length and the first bytes. */
static void peer_send_frame(struct fuzz_in *in)
{
	static uint8_t frame[4 + 0x20000];
	uint32_t len = (uint32_t)fuzz_number(in, 2) + (uint32_t)fuzz_number(in, 1) * 4;
	uint32_t wire = htobe32(len);
	struct fuzz_in all = { frame, 4 + len };

	memcpy(frame, &wire, 4);
	fuzz_take(in, frame + 4, min(8u, len));
	peer_send(&all, 4 + len);
}

static void peer_read(size_t len)
{
	static uint8_t got[65536];
	ssize_t n = peer < 0 ? 0 : recv(peer, got, min(len, sizeof(got)), MSG_DONTWAIT);

	if (n <= 0)
		return;
	assert((size_t)n <= out_len - out_read && !memcmp(got, out + out_read, (size_t)n));
	out_read += (size_t)n;
}

static void guest_send(struct fuzz_in *in)
{
	static uint8_t frame[0x10100];
	size_t len = fuzz_number(in, 2) + fuzz_number(in, 1) % 32;
	uint32_t wire = htobe32((uint32_t)len);
	ssize_t n;

	if (out_len + 4 + len > sizeof(out))
		return;
	fuzz_take(in, frame, min(len, (size_t)8));
	n = net_end_send(&e, frame, len);
	assert(n < 0 || (n == (ssize_t)(NET_HDR_LEN + len) && len >= 14));
	if (n < 0)
		return;
	memcpy(out + out_len, &wire, 4);
	memcpy(out + out_len + 4, frame, len);
	out_len += 4 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct net_backend *b;
	int rc;

	if (!*path)
		prepare();
	rc = net_socket_open(&b, path, NULL);
	assert(rc == 0);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert(peer >= 0);
	sent_len = taken = out_len = out_read = 0;
	e.frame = frame_came;
	net_end_start(&e, b);
	for (unsigned steps = 0; in.len && e.up && steps < 500; steps++) {
		switch (fuzz_number(&in, 1) % 8) {
		case 0:
			peer_send(&in, fuzz_number(&in, 1));
			break;
		case 1:
		case 2:
			peer_send_frame(&in);
			break;
		case 3:
			net_end_refill(&e, (unsigned)fuzz_number(&in, 1));
			break;
		case 4:
			guest_send(&in);
			break;
		case 5:
			peer_read(fuzz_number(&in, 2));
			break;
		case 6:
			net_end_turn(&e);
			break;
		case 7:
			if (fuzz_number(&in, 1) == 0x7e)
				close_fd(&peer);
			break;
		}
	}
	if (e.up)
		net_end_turn(&e);
	close_fd(&peer);
	net_end_stop(&e);
	return 0;
}
