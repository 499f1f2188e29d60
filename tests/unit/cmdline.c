/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmdline.h"

#include <stdlib.h>

#include "test.h"

static void assert_cmdline(const struct config *c, const char *wanted)
{
	char *got = cmdline_make(c);

	assert_string_equal(got, wanted);
	free(got);
}

static void defaults_depend_on_what_there_is(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO };

	assert_cmdline(&c, "console=ttyS0 quiet panic=-1");
	c.nr_disks = 1;
	assert_cmdline(&c, "console=ttyS0 quiet panic=-1 root=/dev/vda rw");
	c.disk[0].readonly = true;
	assert_cmdline(&c, "console=ttyS0 quiet panic=-1 root=/dev/vda ro");
	c.initrd = (char *)"initrd";
	assert_cmdline(&c, "console=ttyS0 quiet panic=-1");
	c.serial.kind = HOST_NONE;
	assert_cmdline(&c, "quiet panic=-1");
}

static void appended_words_replace_defaults(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO,
			    .nr_disks = 1,
			    .append = (char *)"init=/bin/sh root=/dev/vdb  panic=5" };

	assert_cmdline(&c, "console=ttyS0 quiet rw init=/bin/sh root=/dev/vdb  panic=5");
	c.append = (char *)"xroot=1 console";
	assert_cmdline(&c, "console=ttyS0 quiet panic=-1 root=/dev/vda rw xroot=1 console");
	c.append = (char *)"";
	c.nr_disks = 0;
	assert_cmdline(&c, "console=ttyS0 quiet panic=-1");
}

static void no_terminal_shows_a_line_twice(void **state __unused)
{
	struct config c = { .serial.kind = HOST_STDIO, .console.kind = HOST_STDIO };

	assert_cmdline(&c, "earlyprintk=ttyS0 console=hvc0 quiet panic=-1");
	c.append = (char *)"console=ttyS0";
	assert_cmdline(&c, "earlyprintk=ttyS0 quiet panic=-1 console=ttyS0");
	c.append = NULL;
	c.serial.kind = HOST_FILE;
	assert_cmdline(&c, "console=ttyS0 console=hvc0 quiet panic=-1");
	c.serial.kind = HOST_NONE;
	assert_cmdline(&c, "console=hvc0 quiet panic=-1");
	c.serial.kind = HOST_STDIO;
	c.console.kind = HOST_PTY;
	assert_cmdline(&c, "console=ttyS0 console=hvc0 quiet panic=-1");
}

static void a_command_gets_a_quiet_kernel(void **state __unused)
{
	char *argv[] = { "true", NULL };
	struct config c = { .run.argv = argv, .nr_disks = 1 };
	char *got = cmdline_make(&c);

	assert_non_null(strstr(got, "quiet panic=-1"));
	assert_non_null(strstr(got, " rdinit=/minivmm/init"));
	assert_null(strstr(got, "root="));
	free(got);
	c.run.console_log = "log";
	got = cmdline_make(&c);
	assert_null(strstr(got, "quiet"));
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_depend_on_what_there_is),
		cmocka_unit_test(no_terminal_shows_a_line_twice),
		cmocka_unit_test(appended_words_replace_defaults),
		cmocka_unit_test(a_command_gets_a_quiet_kernel),
	};

	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
