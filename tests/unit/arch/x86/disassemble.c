/* SPDX-License-Identifier: BSD-2-Clause */
#include <linux/kvm.h>

#include "arch/x86/x86.h"
#include "test.h"

#define CR0_PE   1u
#define EFER_LMA (1u << 10)

static const uint8_t code[] = { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8 };

static void the_mode_is_the_processors(void **state __unused)
{
	static const struct {
		struct kvm_sregs s;
		const char *text;
	} mode[] = {
		{ { .cr0 = 0 }, "dec ax" },
		{ { .cr0 = 0, .cs = { .db = 1 } }, "dec ax" },
		{ { .cr0 = CR0_PE }, "dec ax" },
		{ { .cr0 = CR0_PE, .cs = { .db = 1 } }, "dec eax" },
		{ { .cr0 = CR0_PE, .efer = EFER_LMA, .cs = { .db = 1 } }, "dec eax" },
		{ { .cr0 = CR0_PE, .efer = EFER_LMA, .cs = { .l = 1 } },
		  "mov rax, 0x807060504030201" },
	};
	char text[DISASSEMBLY];

	for (size_t i = 0; i < ARRAY_SIZE(mode); i++) {
		disassemble(&mode[i].s, 0x1000, code, sizeof(code), text);
		if (*text == '(')
			skip(); /* without Zydis */
		assert_string_equal(text, mode[i].text);
	}
}

static void half_an_instruction_is_none(void **state __unused)
{
	const struct kvm_sregs s = { .cr0 = CR0_PE, .efer = EFER_LMA, .cs = { .l = 1 } };
	char text[DISASSEMBLY];

	disassemble(&s, 0x1000, code, sizeof(code) - 1, text);
	assert_true(*text == '(' || !strcmp(text, "not a valid one"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mode_is_the_processors),
		cmocka_unit_test(half_an_instruction_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
