/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the library that need no KVM; tests/guest/library.c has the rest. */
#include "minivmm.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "capture.h"
#include "vmm/types.h"

struct heard {
	int level;
	char text[512];
};

static void on_log(void *ctx, int level, const char *text)
{
	struct heard *h = ctx;

	h->level = level;
	snprintf(h->text, sizeof(h->text), "%s", text);
}

/* That option is refused with these words, and so is the configuration that has it. */
static void refuses(const char *name, const char *value, const char *why)
{
	struct minivmm_config *c = minivmm_config_new();
	struct heard h = { 0 };
	struct minivmm *vm;

	minivmm_config_log(c, on_log, &h);
	assert_int_equal(minivmm_config_set(c, "memory", "64M"), 0);
	assert_string_equal(minivmm_error(), "");
	assert_int_equal(minivmm_config_set(c, name, value), -EINVAL);
	assert_string_equal(minivmm_error(), why);
	assert_string_equal(h.text, why);
	assert_int_equal(h.level, MINIVMM_ERROR);
	assert_int_equal(minivmm_create(c, &vm), -EINVAL);
	assert_null(vm);
	minivmm_config_free(c);
}

static void options_are_refused_in_the_words_of_the_command_line(void **state __unused)
{
	refuses("memroy", "64M", "memroy: there is no such option; did you mean memory?");
	refuses("--memory", "64M", "--memory: there is no such option; did you mean memory?");
	refuses("", "", ": there is no such option");
	refuses("disk", "", "--disk '': the path is empty; name a file");
	refuses("cpus", NULL, "--cpus: the value is missing: N");
	refuses("cpus", "65", "--cpus 65: cpus must be a whole number from 1 to 64");
	refuses("stats", "on", "--stats on: this is a switch and takes no value");
	refuses("help", NULL, "--help is for the command line only");
	refuses("dry-run", NULL, "--dry-run is for the command line only");
	refuses("memory", "64M", "--memory 64M: memory was given before; leave one of them out");
	refuses("serial", "fd=2", "--serial fd=2: fd must be a whole number from 3 to 1048576");
}

static void options_may_be_set_in_any_order_and_number(void **state __unused)
{
	struct minivmm_config *c = minivmm_config_new();

	assert_int_equal(minivmm_config_set(c, "stats", NULL), 0);
	assert_int_equal(minivmm_config_set(c, "balloon", NULL), 0);
	assert_int_equal(minivmm_config_set(c, "port", "name=a,fd=7"), 0);
	assert_int_equal(minivmm_config_set(c, "disk", "a"), 0);
	assert_int_equal(minivmm_config_set(c, "disk", "b,readonly=on"), 0);
	assert_int_equal(minivmm_config_set(c, "kernel", "k"), 0);
	minivmm_config_free(c);
}

static void nothing_is_printed(void **state __unused)
{
	struct minivmm_config *c = minivmm_config_new();
	struct capture printed;
	struct minivmm *vm;
	char *text;

	capture_begin(&printed);
	assert_int_equal(minivmm_create(c, &vm), -EINVAL);
	assert_non_null(strstr(minivmm_error(), "--kernel is missing"));
	assert_int_equal(minivmm_config_set(c, "kernel", "/nonexistent"), 0);
	assert_int_equal(minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text), -ENOENT);
	assert_null(text);
	assert_string_equal(minivmm_error(), "--kernel /nonexistent: No such file or directory");
	assert_int_equal(minivmm_text(c, MINIVMM_ACTION_BOOT, &text), -EINVAL);
	assert_string_equal(capture_end(&printed), "");
	minivmm_config_free(c);
}

static void command_lines_say_what_is_to_be_done(void **state __unused)
{
	static const struct {
		const char *arg;
		int action;
	} t[] = {
		{ "--help", MINIVMM_ACTION_HELP },
		{ "--version", MINIVMM_ACTION_VERSION },
		{ "doctor", MINIVMM_ACTION_DOCTOR },
		{ "--kernel=k", MINIVMM_ACTION_BOOT },
		{ "--memory=", -EINVAL },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *const argv[] = { (char *)"minivmm", (char *)t[i].arg, NULL };
		struct minivmm_config *c = minivmm_config_new();

		assert_int_equal(minivmm_config_args(c, 2, argv), t[i].action);
		assert_int_equal(minivmm_config_args(c, 2, argv), -EBUSY);
		minivmm_config_free(c);
	}
}

static void a_command_line_is_for_a_new_configuration(void **state __unused)
{
	char *const command[] = { (char *)"true", NULL };
	char *const argv[] = { (char *)"minivmm", (char *)"run", (char *)"--", (char *)"true",
			       NULL };
	struct minivmm_config *c = minivmm_config_new();

	assert_int_equal(minivmm_config_command(c, command), 0);
	assert_int_equal(minivmm_config_args(c, 4, argv), -EBUSY);
	minivmm_config_free(c); /* with nothing left of either */
}

static void texts(void **state __unused)
{
	char *text;

	assert_int_equal(minivmm_text(NULL, MINIVMM_ACTION_HELP, &text), 0);
	assert_non_null(strstr(text, "--kernel FILE"));
	free(text);
	assert_int_equal(minivmm_text(NULL, MINIVMM_ACTION_VERSION, &text), 0);
	assert_non_null(strstr(text, minivmm_version()));
	free(text);
}

/* An option that was refused may be half set: here a socket that has no path. */
static void what_was_refused_is_not_described(void **state __unused)
{
	struct minivmm_config *c = minivmm_config_new();
	char *text;

	assert_int_equal(minivmm_config_set(c, "kernel", "k"), 0);
	assert_int_equal(minivmm_config_set(c, "serial", "socket="), -EINVAL);
	assert_int_equal(minivmm_config_set(c, "console", "socket=/c"), 0);
	assert_int_equal(minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text), -EINVAL);
	assert_null(text);
	assert_string_equal(minivmm_error(), "an option of this configuration was refused");
	minivmm_config_free(c);
}

static void *fail_elsewhere(void *arg __unused)
{
	struct minivmm_config *c = minivmm_config_new();
	bool ok = !*minivmm_error();

	ok = minivmm_config_set(c, "cpus", "0") == -EINVAL && strstr(minivmm_error(), "cpus") && ok;
	minivmm_config_free(c);
	return ok ? c : NULL;
}

static void each_thread_has_its_own_error(void **state __unused)
{
	struct minivmm_config *c = minivmm_config_new();
	pthread_t t;
	void *ok;

	assert_int_equal(minivmm_config_set(c, "memory", "1"), -EINVAL);
	assert_int_equal(pthread_create(&t, NULL, fail_elsewhere, NULL), 0);
	assert_int_equal(pthread_join(t, &ok), 0);
	assert_non_null(ok);
	assert_non_null(strstr(minivmm_error(), "--memory"));
	minivmm_config_free(c);
}

/* An error too long for its place is cut between two characters. */
static void long_errors_are_cut(void **state __unused)
{
	char value[700], *text;

	for (int first = 0; first < 2; first++) {
		struct minivmm_config *c = minivmm_config_new();
		const char *e = minivmm_error();
		size_t len;

		memset(value, 'x', sizeof(value));
		for (size_t i = (size_t)first; i + 2 < sizeof(value); i += 2)
			memcpy(value + i, "ü", 3); /* ends the value, too */
		assert_int_equal(minivmm_config_set(c, "kernel", value), 0);
		assert_int_equal(minivmm_text(c, MINIVMM_ACTION_DRY_RUN, &text), -ENAMETOOLONG);
		len = strlen(e);
		assert_true(len == 511 || len == 510);
		assert_memory_equal(e + len - 2, "ü", 2);
		minivmm_config_free(c);
	}
}

/* A descriptor number that is free is one that the machine would get for something of its own. */
static void closed_descriptors_are_not_used(void **state __unused)
{
	static const struct {
		const char *option, *value, *who;
	} cases[] = {
		{ "serial", "fd=", "serial port" },
		{ "serial", "file=/dev/fd/", "serial port" },
		{ "console", "file=/proc/self/fd/", "console" },
		{ "port", "name=a,fd=", "port a" },
		{ "net", "fd=", "--net fd=" },
		{ "kernel", "/dev/fd/", "--kernel" },
		{ "initrd", "/proc/self/fd/", "--initrd" },
		{ "vsock", "cid=3,socket=/dev/fd/", "--vsock socket" },
		{ "disk", "/dev/fd/", "--disk" },
		{ "disk", "none,overlay=/dev/fd/", "--disk overlay" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct minivmm_config *c = minivmm_config_new();
		const int next = dup(STDIN_FILENO);
		char value[64], text[64];
		struct minivmm *vm;

		close(next);
		snprintf(value, sizeof(value), "%s%d", cases[i].value, next);
		snprintf(text, sizeof(text), ": descriptor %d is not open", next);
		if (strcmp(cases[i].option, "kernel"))
			assert_int_equal(minivmm_config_set(c, "kernel", "none"), 0);
		assert_int_equal(minivmm_config_set(c, cases[i].option, value), 0);
		assert_int_equal(minivmm_create(c, &vm), -EBADF);
		assert_ptr_equal(strstr(minivmm_error(), cases[i].who), minivmm_error());
		assert_non_null(strstr(minivmm_error(), text));
		minivmm_config_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_refused_in_the_words_of_the_command_line),
		cmocka_unit_test(options_may_be_set_in_any_order_and_number),
		cmocka_unit_test(nothing_is_printed),
		cmocka_unit_test(command_lines_say_what_is_to_be_done),
		cmocka_unit_test(a_command_line_is_for_a_new_configuration),
		cmocka_unit_test(texts),
		cmocka_unit_test(what_was_refused_is_not_described),
		cmocka_unit_test(each_thread_has_its_own_error),
		cmocka_unit_test(long_errors_are_cut),
		cmocka_unit_test(closed_descriptors_are_not_used),
	};

	return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
