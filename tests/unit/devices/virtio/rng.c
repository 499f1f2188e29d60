/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/rng.h"

#include "ring.h"
#include "test.h"

static void rng_init(struct virtio_dev *rng, struct driver *d)
{
	virtio_init(rng, &virtio_rng_ops, 0);
	driver_init(d, rng);
	assert_true(driver_start(d, 0));
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void it_fills_what_is_offered(void **state __unused)
{
	struct virtio_dev rng;
	struct driver d;
	struct ring_elem used;
	uint8_t *bytes;

	rng_init(&rng, &d);

	gpa_t gpa = driver_alloc(&d, 64);
	struct ring_buf buf[] = { { gpa, 16, .in = true }, { gpa + 32, 16, .in = true } };

	ring_send(&d.ring[0], buf, 2);
	assert_false(virtio_kick(&rng, 0));
	assert_true(ring_take(&d.ring[0], &used));
	assert_int_equal(used.len, 32);
	bytes = ram_at(&d.ram, gpa, 64);
	/* Sixteen random bytes are zero once in 2^128. */
	assert_false(all_zero(bytes, 16));
	assert_true(all_zero(bytes + 16, 16));
	assert_false(all_zero(bytes + 32, 16));
	assert_true(all_zero(bytes + 48, 16));
	assert_memory_not_equal(bytes, bytes + 32, 16);
	assert_int_equal(d.interrupts[0], 1);
	driver_destroy(&d);
}

static void a_large_request_gets_256_bytes(void **state __unused)
{
	struct virtio_dev rng;
	struct driver d;
	struct ring_elem used;

	rng_init(&rng, &d);

	gpa_t gpa = driver_alloc(&d, 1024);

	ring_send(&d.ring[0], &(struct ring_buf){ gpa, 1024, .in = true }, 1);
	assert_false(virtio_kick(&rng, 0));
	assert_true(ring_take(&d.ring[0], &used));
	assert_int_equal(used.len, 256);
	assert_false(all_zero(ram_at(&d.ram, gpa + 224, 32), 32));
	assert_true(all_zero(ram_at(&d.ram, gpa + 256, 768), 768));
	driver_destroy(&d);
}

static void a_request_without_room_gets_nothing(void **state __unused)
{
	struct virtio_dev rng;
	struct driver d;
	struct ring_elem used;

	rng_init(&rng, &d);

	gpa_t gpa = driver_put(&d, "read me", 7);
	/* There is nothing to write to: a readable buffer, and one of no bytes. */
	const struct ring_buf buf[] = { { gpa, 7, .in = false }, { gpa, 0, .in = true } };

	for (unsigned i = 0; i < 2; i++)
		ring_send(&d.ring[0], &buf[i], 1);
	assert_false(virtio_kick(&rng, 0));
	for (unsigned i = 0; i < 2; i++) {
		assert_true(ring_take(&d.ring[0], &used));
		assert_int_equal(used.id, i);
		assert_int_equal(used.len, 0);
	}
	assert_memory_equal(ram_at(&d.ram, gpa, 7), "read me", 7);
	driver_destroy(&d);
}

static void a_looping_chain_breaks_it(void **state __unused)
{
	struct virtio_dev rng;
	struct driver d;

	rng_init(&rng, &d);
	ring_desc(&d.ring[0], 0, 0x9000, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	ring_offer(&d.ring[0], 0);
	assert_false(virtio_kick(&rng, 0));
	assert_true(rng.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(ring_used(&d.ring[0]), 0);
	assert_int_equal(d.config_interrupts, 1);
	driver_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_fills_what_is_offered),
		cmocka_unit_test(a_large_request_gets_256_bytes),
		cmocka_unit_test(a_request_without_room_gets_nothing),
		cmocka_unit_test(a_looping_chain_breaks_it),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests_name("virtio-rng", tests, NULL, NULL);
}
