/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine that is parked and goes on, again and again, under a guest that writes to its serial port
 * without asking for room and reads its disk (bare/count.c).
 *
 *	park IMAGES
 *
 * It prints TAP, and skips without /dev/kvm. It also runs under TSan.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "machine/machine.h"

static int points, failures;

static void point(bool ok, const char *name)
{
	failures += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ++points, name);
	fflush(stdout);
}

struct guest {
	struct machine *m;
	struct config c;
	pthread_t thread;
	int serial, disk;
	unsigned next; /* what it will say: bytes 0 to 255, and after each 64th a sector's */
	bool sector;
	size_t heard;
	bool wrong;  /* it said something else */
	bool enough; /* atomic: listen_to() ends */
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

static void set(struct guest *g, const char *name, const char *value)
{
	uint64_t seen = 0;

	need(config_set(&g->c, name, value, &seen) == 0, name);
}

static void *serve(void *arg)
{
	machine_serve(arg);
	return NULL;
}

static void start(struct guest *g, const char *images)
{
	char kernel[4096], text[64];
	uint8_t sector[512] = { 0 };
	int pair[2];

	g->disk = memfd_create("disk", MFD_CLOEXEC);
	for (unsigned i = 0; i < 8; i++) {
		sector[0] = (uint8_t)(0xa0 + i);
		need(write(g->disk, sector, sizeof(sector)) == sizeof(sector), "disk");
	}
	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	need(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int)) == 0,
	     "SO_SNDBUF");
	g->serial = pair[0];
	config_init(&g->c);
	snprintf(kernel, sizeof(kernel), "%s/count.bin", images);
	set(g, "kernel", kernel);
	set(g, "memory", "64M");
	set(g, "transport", "mmio");
	snprintf(text, sizeof(text), "fd=%d", pair[1]);
	set(g, "serial", text);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", g->disk);
	set(g, "disk", text);
	need(config_check(&g->c) == 0, "configuration");
	need(machine_new(&g->m, &g->c, &(struct machine_owner){ 0 }) == 0, "machine_new");
	need(machine_start(g->m) == 0, "machine_start");
	need(pthread_create(&g->thread, NULL, serve, g->m) == 0, "thread");
}

/* Reads some of what it says. */
static void hear(struct guest *g)
{
	uint8_t buf[4096];
	ssize_t n = read(g->serial, buf, sizeof(buf));

	for (ssize_t i = 0; i < n; i++) {
		const unsigned wanted = g->sector ? 0xa0 + (g->next + 255) % 256 / 64 : g->next;

		g->wrong |= buf[i] != wanted;
		if (!g->sector)
			g->next = (g->next + 1) % 256;
		g->sector = !g->sector && g->next % 64 == 0;
	}
	g->heard += n > 0 ? (size_t)n : 0;
}

static void *listen_to(void *arg)
{
	struct guest *g = arg;
	struct pollfd p = { .fd = g->serial, .events = POLLIN };

	while (!__atomic_load_n(&g->enough, __ATOMIC_RELAXED))
		if (poll(&p, 1, 10) > 0)
			hear(g);
	return NULL;
}

/* How many bytes are in its serial port. */
static unsigned in_transmitter(struct guest *g)
{
	struct uart *u = &g->m->board.com1;
	unsigned len;

	pthread_mutex_lock(&u->dev.lock);
	len = u->state.tx.len;
	pthread_mutex_unlock(&u->dev.lock);
	return len;
}

/* Returns when its vCPU waits for room in the serial port, with a byte that has no place there. */
static void await_waiter(struct guest *g)
{
	for (unsigned in_a_row = 0; in_a_row < 200; in_a_row++) {
		if (in_transmitter(g) < UART_FIFO_SIZE ||
		    __atomic_load_n(&g->m->vcpu[0].inside, __ATOMIC_SEQ_CST))
			in_a_row = 0;
		sched_yield();
	}
}

/* What there is to see of it from outside. */
struct view {
	struct kvm_regs regs;
	struct uart_state uart;
	struct virtq_state queue[2];
	int unread;
};

static struct view look(struct guest *g)
{
	struct view v;

	memset(&v, 0, sizeof(v));
	need(ioctl(g->m->vcpu[0].fd, KVM_GET_REGS, &v.regs) == 0, "KVM_GET_REGS");
	need(ioctl(g->serial, FIONREAD, &v.unread) == 0, "FIONREAD");
	memcpy(&v.uart, &g->m->board.com1.state, sizeof(v.uart));
	for (unsigned i = 0; i < 2; i++)
		memcpy(&v.queue[i], &g->m->virtio[i].vd->q[0].state, sizeof(v.queue[i]));
	return v;
}

/* Parks it, and tells whether it stays as it is and holds nothing. */
static bool rests(struct guest *g)
{
	struct view before, after;
	bool ok;

	machine_pause(g->m);
	if (!machine_park(g->m))
		return false;
	before = look(g);
	for (int i = 0; i < 50; i++)
		sched_yield();
	after = look(g);
	ok = memcmp(&before.regs, &after.regs, sizeof(after.regs)) == 0 &&
	     memcmp(&before.uart, &after.uart, sizeof(after.uart)) == 0 &&
	     memcmp(before.queue, after.queue, sizeof(after.queue)) == 0;
	for (unsigned i = 0; i < 2; i++)
		ok = ok && after.queue[i].next_avail == after.queue[i].next_used;
	return ok;
}

static void go_on(struct guest *g)
{
	machine_unpark(g->m);
	machine_resume(g->m);
}

static void while_it_waits(struct guest *g)
{
	bool rested = true, kept = false;

	for (int i = 0; i < 10; i++) {
		struct view v;
		size_t heard = g->heard;

		await_waiter(g);
		rested = rests(g) && rested;
		v = look(g);
		kept = kept || v.uart.tx.len == UART_FIFO_SIZE + 1; /* unless room came just then */
		rested = rested && v.uart.tx.len <= UART_FIFO_SIZE + 1;
		/* Whoever reads now changes nothing. */
		rested = rested && look(g).unread == v.unread;
		go_on(g);
		while (g->heard < heard + 10000)
			hear(g);
	}
	point(rested, "a guest that waits for its reader can be parked");
	point(kept, "its byte is in the serial port then");
	point(!g->wrong, "and nothing that it says is lost or said twice");
}

static void while_it_works(struct guest *g)
{
	const size_t heard = g->heard;
	bool rested = true;
	pthread_t reader;

	need(pthread_create(&reader, NULL, listen_to, g) == 0, "thread");
	for (int i = 0; i < 200; i++) {
		for (int n = 0; n < i * 7 % 50; n++)
			sched_yield();
		rested = rests(g) && rested;
		go_on(g);
	}
	__atomic_store_n(&g->enough, true, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	point(rested, "a guest at work can be parked at any moment");
	point(!g->wrong && g->heard > heard, "and goes on as if nothing had been");
}

/* The end wins. */
static void while_it_ends(struct guest *g)
{
	point(rests(g), "parked for the last time");
	log_set_level(LOG_QUIET); /* nobody reads what it said last */
	machine_end(g->m, END_KILLED, 0);
	pthread_join(g->thread, NULL);
	machine_unpark(g->m);
	point(!machine_park(g->m), "a machine that ends is not parked");
	machine_stop(g->m);
	point(true, "its threads end");
	machine_free(g->m);
	config_destroy(&g->c);
	close(g->serial);
	close(g->disk);
}

int main(int argc, char **argv)
{
	static struct guest g;

	if (argc != 2)
		return 2;
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("1..0 # SKIP no /dev/kvm that this user may use\n");
		return 0;
	}
	start(&g, argv[1]);
	while_it_waits(&g);
	while_it_works(&g);
	while_it_ends(&g);
	printf("1..%d\n", points);
	return failures > 0;
}
