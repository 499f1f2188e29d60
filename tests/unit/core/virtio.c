/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/virtio.h"

#include "ring.h"
#include "test.h"

#define ECHO_F_SHOUT 3
#define ACKNOWLEDGED VIRTIO_CONFIG_S_ACKNOWLEDGE
#define FOUND        (ACKNOWLEDGED | VIRTIO_CONFIG_S_DRIVER)
#define AGREED       (FOUND | VIRTIO_CONFIG_S_FEATURES_OK)
#define LIVE         (AGREED | VIRTIO_CONFIG_S_DRIVER_OK)
#define VERSION_1    VIRTIO_BIT(VIRTIO_F_VERSION_1)

/* A device of two queues that writes what it reads into the same chain. It can hold requests
 * back. */
struct echo {
	struct virtio_dev vd;
	bool hold;
	bool answers; /* what it holds, when it is to hold nothing */
	struct virtq_chain held[4];
	struct virtq *held_from[4];
	unsigned nr_held;

	int activate_rc;
	unsigned activated, resets, queue_resets;
	uint8_t config[8];
	unsigned config_calls;
	struct driver *refill; /* a driver that makes more available while the device works */
	struct ring_buf refill_buf;
	unsigned refills;
};

static void echo_answer(struct virtq *q, const struct virtq_chain *c)
{
	char buf[64];
	size_t n = chain_read(c, 0, buf, sizeof(buf));

	virtq_push(q, c->head, (uint32_t)chain_write(c, 0, buf, n));
}

static int echo_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct echo *e = container_of(vd, struct echo, vd);
	struct virtq_chain c;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0) {
		if (e->hold) {
			assert_in_range(e->nr_held, 0, ARRAY_SIZE(e->held) - 1);
			e->held_from[e->nr_held] = q;
			e->held[e->nr_held++] = c;
		} else {
			echo_answer(q, &c);
		}
		if (e->refills > 0) {
			e->refills--;
			ring_send(&e->refill->ring[0], &e->refill_buf, 1);
		}
	}
	return rc;
}

static void echo_complete(struct echo *e)
{
	for (unsigned i = 0; i < e->nr_held; i++) {
		echo_answer(e->held_from[i], &e->held[i]);
		virtio_notify(&e->vd, e->held_from[i]);
	}
	e->nr_held = 0;
}

static int echo_activate(struct virtio_dev *vd)
{
	struct echo *e = container_of(vd, struct echo, vd);

	assert_true(vd->state.status & VIRTIO_CONFIG_S_DRIVER_OK);
	e->activated++;
	return e->activate_rc;
}

static void echo_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct echo *e = container_of(vd, struct echo, vd);
	unsigned kept = 0;

	if (q)
		e->queue_resets++;
	else
		e->resets++;
	for (unsigned i = 0; i < e->nr_held; i++)
		if (q && e->held_from[i] != q) {
			e->held_from[kept] = e->held_from[i];
			e->held[kept++] = e->held[i];
		}
	e->nr_held = kept;
}

static void echo_quiesce(struct virtio_dev *vd)
{
	struct echo *e = container_of(vd, struct echo, vd);

	for (unsigned i = 0; i < e->nr_held; i++) {
		if (e->answers)
			echo_answer(e->held_from[i], &e->held[i]);
		else
			virtq_unpop(e->held_from[i], 1);
	}
	e->nr_held = 0;
}

static uint64_t echo_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	struct echo *e = container_of(vd, struct echo, vd);

	e->config_calls++;
	return load_le(e->config + off, size);
}

static void echo_config_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value)
{
	struct echo *e = container_of(vd, struct echo, vd);

	e->config_calls++;
	store_le(e->config + off, size, value);
}

static const struct virtio_ops echo_ops = {
	.name = "echo",
	.device_id = 42,
	.nr_queues = 2,
	.queue_size = 8,
	.config_size = 8,
	.kick = echo_kick,
	.activate = echo_activate,
	.reset = echo_reset,
	.quiesce = echo_quiesce,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
};

/* A device that has only queues. */
static const struct virtio_ops bare_ops = {
	.name = "bare",
	.device_id = 43,
	.nr_queues = 1,
	.queue_size = 8,
	.config_size = 8,
	.kick = echo_kick,
};

static void echo_init(struct echo *e, struct driver *d)
{
	*e = (struct echo){ 0 };
	virtio_init(&e->vd, &echo_ops, VIRTIO_BIT(ECHO_F_SHOUT));
	driver_init(d, &e->vd);
}

/* Sends "hello" on queue i, with room for the answer. */
static void send_hello(struct driver *d, unsigned i)
{
	struct ring_buf buf[] = {
		{ driver_put(d, "hello", 5), 5, .in = false },
		{ driver_alloc(d, 8), 8, .in = true },
	};

	ring_send(&d->ring[i], buf, 2);
}

static void a_request_goes_there_and_back(void **state __unused)
{
	struct echo e;
	struct driver d;
	struct ring_elem used;
	struct ring_buf buf[2];

	echo_init(&e, &d);
	assert_true(driver_start(&d, 0));
	assert_int_equal(e.activated, 1);
	buf[0] = (struct ring_buf){ driver_put(&d, "hello", 5), 5, .in = false };
	buf[1] = (struct ring_buf){ driver_alloc(&d, 8), 8, .in = true };
	ring_send(&d.ring[1], buf, 2);
	assert_false(virtio_kick(&e.vd, 1));
	assert_int_equal(d.interrupts[0], 0);
	assert_int_equal(d.interrupts[1], 1);
	assert_true(ring_take(&d.ring[1], &used));
	assert_int_equal(used.id, 0);
	assert_int_equal(used.len, 5);
	assert_memory_equal(ram_at(&d.ram, buf[1].gpa, 5), "hello", 5);
	assert_false(ring_take(&d.ring[1], &used));
	driver_destroy(&d);
}

static void features_are_agreed_on(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_true(e.vd.features ==
		    (VIRTIO_BIT(ECHO_F_SHOUT) | VERSION_1 |
		     VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		     VIRTIO_BIT(VIRTIO_F_RING_RESET)));
	assert_true(driver_start(&d, VIRTIO_BIT(ECHO_F_SHOUT)));
	assert_true(virtio_has(&e.vd, ECHO_F_SHOUT));
	assert_false(virtio_has(&e.vd, VIRTIO_RING_F_EVENT_IDX));
	assert_false(e.vd.q[0].event_idx);
	assert_false(e.vd.q[0].indirect);
	/* It is too late now. */
	virtio_accept_features(&e.vd, 0, 0);
	assert_true(virtio_has(&e.vd, ECHO_F_SHOUT));

	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	assert_false(virtio_has(&e.vd, ECHO_F_SHOUT));
	assert_true(e.vd.q[0].event_idx);
	assert_false(e.vd.q[0].indirect);
	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)));
	assert_false(e.vd.q[1].event_idx);
	assert_true(e.vd.q[1].indirect);
	driver_destroy(&d);
}

static void features_that_were_not_offered_are_refused(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_false(driver_start(&d, VIRTIO_BIT(ECHO_F_SHOUT + 1)));
	assert_int_equal(e.vd.state.status, FOUND);
	assert_false(driver_start(&d, VIRTIO_BIT(VIRTIO_F_RING_PACKED)));
	assert_int_equal(e.vd.state.status, FOUND);
	/* The driver may change its mind. */
	virtio_accept_features(&e.vd, 1, VERSION_1 >> 32);
	virtio_set_status(&e.vd, AGREED);
	assert_int_equal(e.vd.state.status, AGREED);

	/* This driver is a legacy one. */
	virtio_set_status(&e.vd, 0);
	virtio_set_status(&e.vd, FOUND);
	virtio_accept_features(&e.vd, 0, 1 << ECHO_F_SHOUT);
	virtio_set_status(&e.vd, AGREED);
	assert_int_equal(e.vd.state.status, FOUND);
	/* There are only 64 feature bits. */
	virtio_accept_features(&e.vd, 3, VERSION_1 >> 32);
	assert_true(e.vd.state.driver_features == 1 << ECHO_F_SHOUT);
	driver_destroy(&d);
}

static void status_bits_come_in_order(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	virtio_accept_features(&e.vd, 1, VERSION_1 >> 32);
	virtio_set_status(&e.vd, VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(e.vd.state.status, 0);
	virtio_set_status(&e.vd, ACKNOWLEDGED | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(e.vd.state.status, ACKNOWLEDGED);
	virtio_set_status(&e.vd, FOUND | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(e.vd.state.status, FOUND);
	assert_int_equal(e.activated, 0);
	/* Bits stay set, our bits can't be set, and a driver may give up. */
	virtio_set_status(&e.vd, ACKNOWLEDGED);
	assert_int_equal(e.vd.state.status, FOUND);
	virtio_set_status(&e.vd, FOUND | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(e.vd.state.status, FOUND);
	virtio_set_status(&e.vd, FOUND | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(e.vd.state.status, FOUND | VIRTIO_CONFIG_S_FAILED);
	virtio_set_status(&e.vd, 0);
	assert_int_equal(e.vd.state.status, 0);
	assert_int_equal(e.vd.state.driver_features, 0);
	/* Setting all bits at once is allowed. */
	virtio_accept_features(&e.vd, 1, VERSION_1 >> 32);
	virtio_set_status(&e.vd, LIVE);
	assert_int_equal(e.vd.state.status, LIVE);
	virtio_set_status(&e.vd, LIVE);
	assert_int_equal(e.activated, 1);
	driver_destroy(&d);
}

static void a_device_that_does_not_start_is_broken(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	e.activate_rc = -1;
	assert_false(driver_start(&d, 0));
	assert_int_equal(e.vd.state.status, LIVE | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(d.config_interrupts, 1);
	e.activate_rc = 0;
	assert_true(driver_start(&d, 0));
	driver_destroy(&d);
}

static void kicks_count_only_on_a_live_device(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_false(virtio_kick(&e.vd, 0)); /* not even set up */
	virtio_accept_features(&e.vd, 1, VERSION_1 >> 32);
	virtio_set_status(&e.vd, AGREED);
	driver_queue_up(&d, 0);
	send_hello(&d, 0);
	assert_false(virtio_kick(&e.vd, 0));
	assert_int_equal(ring_used(&d.ring[0]), 0);
	virtio_set_status(&e.vd, LIVE);
	assert_false(virtio_kick(&e.vd, 1)); /* not ready */
	assert_false(virtio_kick(&e.vd, 2)); /* does not exist */
	assert_false(virtio_kick(&e.vd, UINT32_MAX));
	assert_false(virtio_kick(&e.vd, 0));
	assert_int_equal(ring_used(&d.ring[0]), 1);
	assert_null(virtio_queue(&e.vd, 2));
	assert_ptr_equal(virtio_queue(&e.vd, 1), &e.vd.q[1]);
	driver_destroy(&d);
}

static void a_round_ends_where_it_began_to_look(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	e.refill = &d;
	e.refill_buf = (struct ring_buf){ driver_alloc(&d, 8), 8, .in = true };
	e.refills = 2;
	ring_send(&d.ring[0], &e.refill_buf, 1);
	assert_true(virtio_kick(&e.vd, 0));
	assert_int_equal(ring_used(&d.ring[0]), 1);
	assert_true(virtio_kick(&e.vd, 0));
	assert_int_equal(ring_used(&d.ring[0]), 2);
	assert_false(virtio_kick(&e.vd, 0));
	assert_int_equal(ring_used(&d.ring[0]), 3);
	assert_int_equal(ring_avail_event(&d.ring[0]), 3);
	driver_destroy(&d);
}

static void a_malformed_ring_breaks_the_device(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_true(driver_start(&d, 0));
	send_hello(&d, 0);
	ring_offer(&d.ring[0], 8); /* no such descriptor */
	assert_false(virtio_kick(&e.vd, 0));
	assert_int_equal(e.vd.state.status, LIVE | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(d.config_interrupts, 1);
	/* All its queues stop. */
	send_hello(&d, 1);
	assert_false(virtio_kick(&e.vd, 1));
	assert_int_equal(ring_used(&d.ring[1]), 0);
	/* The device says so only once. */
	virtio_broken(&e.vd, "again");
	assert_int_equal(d.config_interrupts, 1);
	/* The index jumped; a reset repairs everything. */
	assert_true(driver_start(&d, 0));
	send_hello(&d, 1);
	assert_false(virtio_kick(&e.vd, 1));
	assert_int_equal(ring_used(&d.ring[1]), 1);
	/* A ready queue stays as it is, even if its addresses have changed. */
	e.vd.q[1].state.used_gpa = RAM_END;
	virtio_queue_enable(&e.vd, &e.vd.q[1]);
	assert_int_equal(e.vd.state.status, LIVE);
	d.ring[1].avail->idx = htole16(1 + 9);
	assert_false(virtio_kick(&e.vd, 1));
	assert_true(e.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_destroy(&d);
}

static void a_malformed_queue_is_not_ready(void **state __unused)
{
	struct echo e;
	struct driver d;
	struct virtq *q = &e.vd.q[0];

	echo_init(&e, &d);
	ring_init(&d.ring[0], &d.ram, 0, 8);
	ring_attach(&d.ring[0], q);
	virtio_queue_enable(&e.vd, q); /* before FEATURES_OK: ignored */
	assert_false(q->state.ready);
	assert_int_equal(e.vd.state.status, 0);
	virtio_accept_features(&e.vd, 1, VERSION_1 >> 32);
	virtio_set_status(&e.vd, AGREED);
	q->state.used_gpa = RAM_END;
	virtio_queue_enable(&e.vd, q);
	assert_false(q->state.ready);
	assert_int_equal(e.vd.state.status, AGREED | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(d.config_interrupts, 0); /* not before DRIVER_OK */
	virtio_set_status(&e.vd, e.vd.state.status | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(e.activated, 0);
	driver_destroy(&d);
}

static void a_reset_forgets_what_is_in_flight(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_true(driver_start(&d, 0));
	e.hold = true;
	send_hello(&d, 0);
	send_hello(&d, 1);
	assert_false(virtio_kick(&e.vd, 0));
	assert_false(virtio_kick(&e.vd, 1));
	assert_int_equal(e.nr_held, 2);
	assert_int_equal(ring_used(&d.ring[0]) + ring_used(&d.ring[1]), 0);
	virtio_config_changed(&e.vd);
	e.resets = 0;
	virtio_set_status(&e.vd, 0);
	assert_int_equal(e.resets, 1);
	assert_int_equal(e.nr_held, 0);
	assert_int_equal(e.vd.state.config_generation, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(e.vd.q[i].state.ready);
		assert_int_equal(e.vd.q[i].state.size, 8);
		assert_int_equal(e.vd.q[i].state.next_avail, 0);
		assert_int_equal(e.vd.q[i].state.desc_gpa, 0);
	}
	virtio_notify(&e.vd, &e.vd.q[0]); /* a queue that is gone: nothing happens */
	assert_int_equal(d.interrupts[0], 0);
	driver_destroy(&d);
}

static void one_queue_is_reset_alone(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	/* Only if it was negotiated. */
	assert_true(driver_start(&d, 0));
	virtio_queue_reset(&e.vd, &e.vd.q[0]);
	assert_true(e.vd.q[0].state.ready);
	assert_int_equal(e.queue_resets, 0);

	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_F_RING_RESET)));
	e.hold = true;
	send_hello(&d, 0);
	send_hello(&d, 1);
	assert_false(virtio_kick(&e.vd, 0));
	assert_false(virtio_kick(&e.vd, 1));
	virtio_queue_reset(&e.vd, &e.vd.q[0]);
	assert_int_equal(e.queue_resets, 1);
	assert_false(e.vd.q[0].state.ready);
	assert_true(e.vd.q[1].state.ready);
	echo_complete(&e);
	assert_int_equal(ring_used(&d.ring[0]), 0);
	assert_int_equal(ring_used(&d.ring[1]), 1);
	assert_int_equal(d.interrupts[1], 1);

	/* It is brought up again from the start, while the device is live. */
	e.hold = false;
	driver_queue_up(&d, 0);
	assert_true(e.vd.q[0].state.ready);
	send_hello(&d, 0);
	assert_false(virtio_kick(&e.vd, 0));
	assert_int_equal(ring_used(&d.ring[0]), 1);

	virtio_queue_disable(&e.vd, &e.vd.q[1]); /* needs no feature */
	assert_false(e.vd.q[1].state.ready);
	assert_int_equal(e.queue_resets, 2);
	driver_destroy(&d);
}

static void late_completions_interrupt(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_true(driver_start(&d, 0));
	e.hold = true;
	send_hello(&d, 0);
	assert_false(virtio_kick(&e.vd, 0));
	assert_int_equal(d.interrupts[0], 0);
	echo_complete(&e);
	assert_int_equal(d.interrupts[0], 1);
	virtio_notify(&e.vd, &e.vd.q[0]); /* nothing new */
	assert_int_equal(d.interrupts[0], 1);
	d.ring[0].avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
	send_hello(&d, 0);
	assert_false(virtio_kick(&e.vd, 0));
	echo_complete(&e);
	assert_int_equal(d.interrupts[0], 1);
	driver_destroy(&d);
}

static void what_a_quiet_device_held_comes_again(void **state __unused)
{
	struct echo e;
	struct driver d;
	struct ring_elem used;

	echo_init(&e, &d);
	virtio_quiesce(&e.vd); /* before it is up, too */
	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	e.hold = true;
	for (unsigned i = 0; i < 3; i++)
		send_hello(&d, 0);
	send_hello(&d, 1);
	driver_kick(&d, 0);
	driver_kick(&d, 1);
	assert_int_equal(e.nr_held, 4);
	assert_false(driver_holds_nothing(&d));
	virtio_quiesce(&e.vd);
	assert_int_equal(e.nr_held, 0);
	assert_true(driver_holds_nothing(&d));
	assert_int_equal(d.interrupts[0] + d.interrupts[1], 0);

	/* The driver doesn't kick for them again, so the core does. */
	e.hold = false;
	driver_go_on(&d);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(ring_take(&d.ring[0], &used));
		assert_int_equal(used.id, 2 * i);
	}
	assert_int_equal(ring_used(&d.ring[0]), 0);
	assert_int_equal(ring_used(&d.ring[1]), 1);
	assert_int_equal(d.interrupts[0], 1);
	assert_int_equal(d.interrupts[1], 1);
	driver_destroy(&d);
}

/* Or it is answered, of which the core tells the driver. */
static void what_a_quiet_device_answers_interrupts(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	assert_true(driver_start(&d, 0));
	e.hold = e.answers = true;
	send_hello(&d, 1);
	driver_kick(&d, 1);
	virtio_quiesce(&e.vd);
	assert_true(driver_holds_nothing(&d));
	assert_int_equal(ring_used(&d.ring[1]), 1);
	assert_int_equal(d.interrupts[1], 1);
	driver_go_on(&d);
	assert_int_equal(ring_used(&d.ring[1]), 1);

	/* A broken device lets go, too, and that is all. */
	send_hello(&d, 1);
	driver_kick(&d, 1);
	virtio_broken(&e.vd, "test");
	e.answers = false;
	virtio_quiesce(&e.vd);
	assert_int_equal(e.nr_held, 0);
	assert_int_equal(ring_used(&d.ring[1]), 1);
	assert_false(event_take(d.kick_fd[1]));
	driver_destroy(&d);
}

static void config_space_has_an_end(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	virtio_config_write(&e.vd, 0, 8, 0x1122334455667788);
	assert_true(virtio_config_read(&e.vd, 0, 8) == 0x1122334455667788);
	assert_int_equal(virtio_config_read(&e.vd, 7, 1), 0x11);
	assert_int_equal(virtio_config_read(&e.vd, 4, 4), 0x11223344);
	assert_int_equal(e.config_calls, 4);
	/* One byte beyond the end is as bad as all of them. */
	const struct {
		uint64_t off;
		unsigned size;
	} bad[] = {
		{ 8, 1 }, { 7, 2 }, { 5, 4 }, { 1, 8 }, { UINT64_MAX, 1 }, { UINT64_MAX - 3, 4 }
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(virtio_config_read(&e.vd, bad[i].off, bad[i].size), 0);
		virtio_config_write(&e.vd, bad[i].off, bad[i].size, 0xff);
	}
	assert_int_equal(e.config_calls, 4);
	driver_destroy(&d);
}

static void config_changes_are_told_to_a_live_driver(void **state __unused)
{
	struct echo e;
	struct driver d;

	echo_init(&e, &d);
	virtio_config_changed(&e.vd);
	assert_int_equal(e.vd.state.config_generation, 1);
	assert_int_equal(d.config_interrupts, 0);
	assert_true(driver_start(&d, 0));
	virtio_config_changed(&e.vd);
	assert_int_equal(e.vd.state.config_generation, 1);
	assert_int_equal(d.config_interrupts, 1);
	driver_destroy(&d);
}

static void functions_are_optional(void **state __unused)
{
	struct echo e = { 0 };
	struct driver d;

	virtio_init(&e.vd, &bare_ops, 0);
	driver_init(&d, &e.vd);
	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_F_RING_RESET)));
	assert_int_equal(virtio_config_read(&e.vd, 0, 4), 0);
	virtio_config_write(&e.vd, 0, 4, 1);
	virtio_quiesce(&e.vd);
	virtio_queue_reset(&e.vd, &e.vd.q[0]);
	assert_false(e.vd.q[0].state.ready);
	driver_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_goes_there_and_back),
		cmocka_unit_test(features_are_agreed_on),
		cmocka_unit_test(features_that_were_not_offered_are_refused),
		cmocka_unit_test(status_bits_come_in_order),
		cmocka_unit_test(a_device_that_does_not_start_is_broken),
		cmocka_unit_test(kicks_count_only_on_a_live_device),
		cmocka_unit_test(a_round_ends_where_it_began_to_look),
		cmocka_unit_test(a_malformed_ring_breaks_the_device),
		cmocka_unit_test(a_malformed_queue_is_not_ready),
		cmocka_unit_test(a_reset_forgets_what_is_in_flight),
		cmocka_unit_test(one_queue_is_reset_alone),
		cmocka_unit_test(late_completions_interrupt),
		cmocka_unit_test(what_a_quiet_device_held_comes_again),
		cmocka_unit_test(what_a_quiet_device_answers_interrupts),
		cmocka_unit_test(config_space_has_an_end),
		cmocka_unit_test(config_changes_are_told_to_a_live_driver),
		cmocka_unit_test(functions_are_optional),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
