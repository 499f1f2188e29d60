/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/cmdline.h"

#include <stdlib.h>

#include "test.h"

#define PANIC " panic=-1 reboot=panic_warm,acpi"

static void assert_cmdline(const struct config *c, const char *wanted)
{
	char *got = cmdline_make(c, true);

	assert_string_equal(got, wanted);
	free(got);
}

static void defaults_depend_on_what_there_is(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO };

	assert_cmdline(&c, "console=ttyS0 quiet" PANIC);
	c.nr_disks = 1;
	assert_cmdline(&c, "console=ttyS0 quiet" PANIC " root=/dev/vda rw");
	c.disk[0].readonly = true;
	assert_cmdline(&c, "console=ttyS0 quiet" PANIC " root=/dev/vda ro");
	c.initrd = (char *)"initrd";
	assert_cmdline(&c, "console=ttyS0 quiet" PANIC);
	c.serial.kind = HOST_NONE;
	assert_cmdline(&c, "quiet" PANIC);
}

static void appended_words_replace_defaults(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO,
			    .nr_disks = 1,
			    .append = (char *)"init=/bin/sh root=/dev/vdb  panic=5" };

	assert_cmdline(
		&c,
		"console=ttyS0 quiet reboot=panic_warm,acpi rw init=/bin/sh root=/dev/vdb  panic=5");
	c.append = (char *)"xroot=1 console";
	assert_cmdline(&c, "console=ttyS0 quiet" PANIC " root=/dev/vda rw xroot=1 console");
	c.append = (char *)"";
	c.nr_disks = 0;
	assert_cmdline(&c, "console=ttyS0 quiet" PANIC);
}

static void no_terminal_shows_a_line_twice(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO, .console.kind = HOST_STDIO };

	assert_cmdline(&c, "earlyprintk=ttyS0 console=hvc0 quiet" PANIC);
	c.append = (char *)"console=ttyS0";
	assert_cmdline(&c, "earlyprintk=ttyS0 quiet" PANIC " console=ttyS0");
	c.append = NULL;
	c.serial.kind = HOST_FILE;
	assert_cmdline(&c, "console=ttyS0 console=hvc0 quiet" PANIC);
	c.serial.kind = HOST_NONE;
	assert_cmdline(&c, "console=hvc0 quiet" PANIC);
	c.serial.kind = HOST_STDIO;
	c.console.kind = HOST_PTY;
	assert_cmdline(&c, "console=ttyS0 console=hvc0 quiet" PANIC);
}

static void a_command_gets_a_quiet_kernel(void **state __unused)
{
	char *argv[] = { "true", NULL };
	struct config c = { .command.argv = argv, .nr_disks = 1 };
	char *got = cmdline_make(&c, true);

	assert_non_null(strstr(got, "quiet" PANIC));
	assert_non_null(strstr(got, " rdinit=/minivmm/init"));
	assert_non_null(strstr(got, " pci=noearly cryptomgr.notests "));
	assert_null(strstr(got, "root="));
	free(got);
	c.command.console_log = "log";
	got = cmdline_make(&c, true);
	assert_null(strstr(got, "quiet"));
	free(got);
}

static void only_linux_gets_the_words_of_linux(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO, .nr_disks = 1 };
	char *got = cmdline_make(&c, false);

	assert_string_equal(got, "");
	free(got);
	c.append = (char *)"one two";
	got = cmdline_make(&c, false);
	assert_string_equal(got, "one two");
	free(got);
	c.no_default_cmdline = true;
	assert_cmdline(&c, "one two");
	c.append = NULL;
	assert_cmdline(&c, "");
}

/* Words after "--" are for init, and quoted text is part of another word. */
static void words_are_cut_as_linux_does(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO,
			    .append = (char *)"a=\"b console=x\" -- panic=5" };

	assert_cmdline(&c, "console=ttyS0 quiet" PANIC " a=\"b console=x\" -- panic=5");
	c.append = (char *)"a\tconsole=x\n\"panic=0\"";
	assert_cmdline(&c, "quiet reboot=panic_warm,acpi a\tconsole=x\n\"panic=0\"");
	c.append = (char *)"reboot=k";
	assert_cmdline(&c, "console=ttyS0 quiet" PANIC " reboot=k");
}

static void panics_are_told_from_resets_by_their_marks(void **state __unused)
{
	static const struct {
		const char *cmdline;
		bool marks;
	} cases[] = {
		{ "", false },
		{ "quiet reboot=k", false },
		{ "reboot=panic_warm", true },
		{ "console=ttyS0 quiet panic=-1 reboot=panic_warm,acpi", true },
		{ "reboot=panic_warm,acpi reboot=t", true },
		{ "reboot=panic_warm reboot=w", false }, /* every reset is a warm one */
		{ "reboot=w reboot=panic_warm", false },
		{ "reboot=panic_warm reboot=warm,k", false },
		{ "reboot=panic_warm reboot=k,w", false },
		{ "reboot=panic_warm reboot=w,smp1", false },
		{ "reboot=panic_warm reboot=w,s1", false },
		{ "reboot=panic_warm reboot=w reboot=cold", true },
		{ "reboot=panic_warm reboot=panic_cold", false },
		{ "reboot=panic_cold,panic_w", true },
		{ "reboot=panic_", false },
		{ "reboot=panic_warm reboot=", true },
		{ "reboot=panic_warm reboot=,,", true },
		{ "\"reboot=panic_warm\"", true },
		{ "x=\"a reboot=panic_warm\"", false },
		{ "xreboot=panic_warm", false },
		{ "a -- reboot=panic_warm", false },
		{ "reboot=panic_warm -- reboot=w", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (cmdline_marks_panics(cases[i].cmdline) != cases[i].marks)
			fail_msg("%s", cases[i].cmdline);
}

/* A stream that says that all is well, and has no text: as glibc's does when memory is short in
 * fclose(). */
static bool memory_is_short;

FILE *__real_open_memstream(char **text, size_t *len);
FILE *__wrap_open_memstream(char **text, size_t *len);
FILE *__wrap_open_memstream(char **text, size_t *len)
{
	return memory_is_short ? fopen("/dev/null", "w") : __real_open_memstream(text, len);
}

static void without_memory_there_is_none(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO };

	memory_is_short = true;
	assert_null(cmdline_make(&c, true)); /* nor is there memory to say so */
	memory_is_short = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_depend_on_what_there_is),
		cmocka_unit_test(no_terminal_shows_a_line_twice),
		cmocka_unit_test(appended_words_replace_defaults),
		cmocka_unit_test(a_command_gets_a_quiet_kernel),
		cmocka_unit_test(only_linux_gets_the_words_of_linux),
		cmocka_unit_test(words_are_cut_as_linux_does),
		cmocka_unit_test(panics_are_told_from_resets_by_their_marks),
		cmocka_unit_test(without_memory_there_is_none),
	};

	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
