/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "arch/arch.h"
#include "test.h"
#include "x86/bios.h"

#define LEN 0x4100

/* Returns the release of a kernel of LEN bytes whose header says that it is at offset at; "": none. */
static const char *release_of(const char *text, size_t at)
{
	static char release[KERNEL_RELEASE_MAX];
	uint8_t *file = malloc(LEN); /* so that ASan sees the byte after it */
	bool found;

	assert_non_null(file);
	memset(file, 'A', LEN);
	memcpy(file + 0x202, "HdrS", 4);
	store_le(file + 0x20e, 2, at - 0x200);
	if (at < LEN)
		memcpy(file + at, text, min(strlen(text) + 1, LEN - at));
	found = kernel_release(file, LEN, release);
	free(file);
	return found ? release : "";
}

static void a_release_is_a_directory_s_name(void **state __unused)
{
	const uint8_t other[0x1000] = { 0 };
	char release[KERNEL_RELEASE_MAX], text[2 * KERNEL_RELEASE_MAX];

	assert_string_equal(release_of("6.1.0-56 (me@home)", 0x4000), "6.1.0-56");
	assert_string_equal(release_of("6.1", LEN - 4), "6.1");
	assert_string_equal(release_of("6.1", LEN - 3), ""); /* nothing ends it */
	assert_string_equal(release_of("6.1", LEN), "");
	assert_string_equal(release_of("6.1/../x", 0x4000), "6.1");
	assert_string_equal(release_of("../x", 0x4000), "");
	assert_string_equal(release_of("", 0x4000), "");
	memset(text, '6', sizeof(text));
	text[KERNEL_RELEASE_MAX] = '\0';
	assert_string_equal(release_of(text, 0x4000), "");
	text[KERNEL_RELEASE_MAX - 1] = '\0';
	assert_string_equal(release_of(text, 0x4000), text);
	assert_false(kernel_release(other, sizeof(other), release));
	assert_false(kernel_release(other, 0, release));
}

static void a_panic_is_a_warm_boot(void **state __unused)
{
	uint8_t ram[0x1000] = { 0 };
	struct gmem mem = { 0 };

	assert_false(kernel_left_panic(&mem));
	assert_int_equal(gmem_add(&mem, 0, sizeof(ram), ram), 0);
	assert_false(kernel_left_panic(&mem));
	store_le(ram + BIOS_RESET_FLAG, 2, 0x1234);
	assert_true(kernel_left_panic(&mem));
	store_le(ram + BIOS_RESET_FLAG, 2, 0x4321);
	assert_false(kernel_left_panic(&mem));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release_is_a_directory_s_name),
		cmocka_unit_test(a_panic_is_a_warm_boot),
	};

	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
