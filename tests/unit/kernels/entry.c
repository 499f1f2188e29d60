/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/entry.h"

#include "test.h"

#define FILE_LEN 100000

static uint8_t file[FILE_LEN];
static const struct boot_image image = {
	.start = 16 * MIB + 4 * KIB,
	.end = 20 * MIB,
	.kernel_start = 16 * MIB + 4 * KIB,
	.kernel_end = 21 * MIB,
	.room_start = 14 * MIB,
	.room_end = 22 * MIB,
	.entry = 17 * MIB,
	.floor = 24 * MIB,
	.head_len = 4096,
};

static void what_was_written_is_read(void **state __unused)
{
	struct entry e = entry_of(&image, file, FILE_LEN, 5), f;
	uint8_t header[ENTRY_FILE];

	assert_true(e.image_at >= ENTRY_FILE + FILE_LEN);
	assert_int_equal(e.image_at % (2 * MIB), image.start % (2 * MIB));
	assert_int_equal(entry_len(&e), e.image_at + image.end - image.start);
	entry_write(&e, header);
	assert_true(entry_read(&f, header, entry_len(&e)));
	assert_memory_equal(&e, &f, sizeof(e));
}

/* Each bit of it is flipped, and each length but the right one is tried. */
static void a_damaged_header_is_not_read(void **state __unused)
{
	struct entry e = entry_of(&image, file, FILE_LEN, 5), f;
	uint8_t header[ENTRY_FILE];
	const uint64_t len = entry_len(&e);

	entry_write(&e, header);
	for (size_t bit = 0; bit < 8 * (16 + sizeof(e) + 8); bit++) {
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(entry_read(&f, header, len));
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(entry_read(&f, header, len - 1));
	assert_false(entry_read(&f, header, len + 4096));
	assert_false(entry_read(&f, header, 0));
	assert_true(entry_read(&f, header, len));
}

/* That is so even if the checksum is right. */
static void numbers_that_no_entry_has_are_not_read(void **state __unused)
{
	const struct entry good = entry_of(&image, file, FILE_LEN, 5);
	const struct {
		size_t field;
		uint64_t value;
	} bad[] = {
		{ offsetof(struct entry, image.start), 16 * MIB + 1 },
		{ offsetof(struct entry, image.start), 20 * MIB },
		{ offsetof(struct entry, image.start), UINT64_MAX - 4095 },
		{ offsetof(struct entry, image.end), 0 },
		{ offsetof(struct entry, image.end), 20 * MIB + 4096 },
		{ offsetof(struct entry, image.head_len), 0 },
		{ offsetof(struct entry, image.head_len), FILE_LEN + 1 },
		{ offsetof(struct entry, image.head_len), UINT64_MAX },
		{ offsetof(struct entry, file_len), 1 },
		{ offsetof(struct entry, file_len), good.image_at - ENTRY_FILE + 1 },
		{ offsetof(struct entry, file_len), UINT64_MAX },
		{ offsetof(struct entry, image_at), 0 },
		{ offsetof(struct entry, image_at), good.image_at + 1 },
		{ offsetof(struct entry, image_at), UINT64_MAX - 4095 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t header[ENTRY_FILE];
		struct entry e = good, f;

		memcpy((uint8_t *)&e + bad[i].field, &bad[i].value, sizeof(bad[i].value));
		entry_write(&e, header);
		if (entry_read(&f, header, entry_len(&good)))
			fail_msg("%zu was read", i);
	}
}

static void sums_differ(void **state __unused)
{
	const uint64_t sum = entry_sum(file, FILE_LEN);

	assert_int_equal(entry_sum(file, FILE_LEN), sum);
	assert_int_not_equal(entry_sum(file, FILE_LEN - 1), sum);
	for (size_t i = 0; i < FILE_LEN; i += 997) {
		file[i] ^= 1;
		assert_int_not_equal(entry_sum(file, FILE_LEN), sum);
		file[i] ^= 1;
	}
	assert_int_not_equal(entry_sum(file, 0), entry_sum(file, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(a_damaged_header_is_not_read),
		cmocka_unit_test(numbers_that_no_entry_has_are_not_read),
		cmocka_unit_test(sums_differ),
	};

	for (size_t i = 0; i < FILE_LEN; i++)
		file[i] = (uint8_t)(i * 31 >> 4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
