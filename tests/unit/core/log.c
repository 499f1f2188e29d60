/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>

#include "capture.h"

#define PRINTS(text, ...)                                                                          \
	do {                                                                                       \
		struct capture c_;                                                                 \
		capture_begin(&c_);                                                                \
		log_msg(LOG_ERROR, __VA_ARGS__);                                                   \
		assert_string_equal(capture_end(&c_), text);                                       \
	} while (0)

static void a_message_is_one_line(void **state __unused)
{
	PRINTS("minivmm: disk a.img: gone\n", "disk %s: gone", "a.img");
	PRINTS("minivmm: a\\x0ab\n", "a\nb");
}

static void what_a_terminal_would_obey_is_escaped(void **state __unused)
{
	PRINTS("minivmm: \\x1b[31m\\x7f\\x09\n", "\x1b[31m\x7f\t");
	PRINTS("minivmm: \\xc2\\x9b\n", "\xc2\x9b"); /* U+009B, the 8-bit CSI */
}

static void utf8_is_left_as_it_is(void **state __unused)
{
	PRINTS("minivmm: Jürgen … 磁盘 💾 \u00a0\n", "Jürgen … 磁盘 💾 \u00a0");
}

static void what_is_not_utf8_is_escaped(void **state __unused)
{
	PRINTS("minivmm: \\xff\\xfe\n", "\xff\xfe");
	PRINTS("minivmm: J\\xfcrgen\n", "J\xfcrgen");
	PRINTS("minivmm: \\xc3\n", "\xc3");                              /* cut off */
	PRINTS("minivmm: \\xe2\\x80\n", "\xe2\x80");                     /* cut off */
	PRINTS("minivmm: \\xc0\\xaf \\xc1\\xbf\n", "\xc0\xaf \xc1\xbf"); /* overlong */
	PRINTS("minivmm: \\xe0\\x80\\xaf\n", "\xe0\x80\xaf");            /* overlong */
	PRINTS("minivmm: \\xf0\\x80\\x80\\xaf\n", "\xf0\x80\x80\xaf");
	PRINTS("minivmm: \\xed\\xa0\\x80\n", "\xed\xa0\x80");          /* a surrogate */
	PRINTS("minivmm: \\xf4\\x90\\x80\\x80\n", "\xf4\x90\x80\x80"); /* above U+10FFFF */
	PRINTS("minivmm: \\xf5\\x80\\x80\\x80\n", "\xf5\x80\x80\x80");
	PRINTS("minivmm: \\x80\n", "\x80");
}

static void long_messages_are_cut(void **state __unused)
{
	char text[3000];
	struct capture c;

	memset(text, 1, sizeof(text) - 1); /* each byte becomes four */
	text[sizeof(text) - 1] = '\0';
	capture_begin(&c);
	log_msg(LOG_ERROR, "%s", text);
	capture_end(&c);
	assert_true(strlen(c.text) > 1000 && strlen(c.text) < 1400);
	assert_int_equal(c.text[strlen(c.text) - 1], '\n');
	assert_string_equal(c.text + strlen(c.text) - 5, "\\x01\n");
}

static void long_messages_are_cut_between_characters(void **state __unused)
{
	char text[3000];
	struct capture c;

	for (size_t first = 0; first < 4; first++) {
		memset(text, 'x', sizeof(text));
		for (size_t i = first; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "💾", 5);
		capture_begin(&c);
		log_msg(LOG_ERROR, "%s", text);
		capture_end(&c);
		assert_true(strlen(c.text) > 1000);
		assert_null(strstr(c.text, "\\x"));
		assert_string_equal(c.text + strlen(c.text) - 5, "💾\n");
	}
}

struct kept {
	struct log_sink sink;
	enum log_level level;
	char text[256];
};

static void keep(struct log_sink *s, enum log_level level, const char *text)
{
	struct kept *k = container_of(s, struct kept, sink);

	k->level = level;
	snprintf(k->text, sizeof(k->text), "%s", text);
}

static void a_threads_sink_gets_its_messages(void **state __unused)
{
	struct kept k = { .sink = { .message = keep, .level = LOG_INFO } };
	struct ratelimit rl = { 0 };
	struct capture c;

	capture_begin(&c);
	assert_null(log_use(&k.sink));
	log_info("a\x1b%d", 1);
	assert_string_equal(k.text, "a\\x1b1");
	assert_int_equal(k.level, LOG_INFO);
	errno = ENOENT;
	log_errno("b");
	assert_string_equal(k.text, "b: No such file or directory");
	assert_int_equal(k.level, LOG_ERROR);
	guest_err(&rl, "c");
	assert_int_equal(k.level, LOG_WARN);
	log_block(LOG_ASKED, "d\ne\n");
	assert_string_equal(k.text, "d\ne\n");
	assert_int_equal(k.level, LOG_ASKED);
	assert_ptr_equal(log_use(NULL), &k.sink);
	log_warn("f");
	assert_string_equal(capture_end(&c), "minivmm: f\n");
	assert_string_equal(k.text, "d\ne\n");
}

static void errors_return_what_they_say(void **state __unused)
{
	struct capture c;

	capture_begin(&c);
	errno = ENOENT;
	assert_int_equal(log_errno("disk: open %s", "a"), -ENOENT);
	assert_int_equal(log_ret(-EINVAL, "%d", 7), -EINVAL);
	assert_string_equal(capture_end(&c),
			    "minivmm: disk: open a: No such file or directory\nminivmm: 7\n");
}

static void levels_above_the_set_one_are_silent(void **state __unused)
{
	struct capture c;

	capture_begin(&c);
	log_info("no");
	log_warn("yes");
	log_set_level(LOG_QUIET);
	log_warn("no");
	log_ret(-1, "no");
	log_set_level(LOG_WARN);
	assert_string_equal(capture_end(&c), "minivmm: yes\n");
}

static void a_guest_cannot_flood_the_log(void **state __unused)
{
	struct ratelimit rl = { 0 };
	struct capture c;
	unsigned lines = 0;

	capture_begin(&c);
	for (unsigned i = 0; i < 1000; i++)
		guest_err(&rl, "x");
	capture_end(&c);
	for (const char *p = c.text; *p; p++)
		lines += *p == '\n';
	assert_true(lines >= 10 && lines < 100); /* the second may have changed in between */
}

static void what_a_guest_can_repeat_says_why_and_ends(void **state __unused)
{
	struct capture c;
	struct ratelimit rl = { 0 };
	unsigned lines = 0;

	capture_begin(&c);
	for (unsigned i = 0; i < 1000; i++) {
		errno = EMFILE;
		assert_int_equal(guest_errno(&rl, "x"), -EMFILE);
	}
	capture_end(&c);
	for (const char *p = c.text; *p; p++)
		lines += *p == '\n';
	assert_true(lines >= 10 && lines < 100);
	assert_non_null(strstr(c.text, "minivmm: x: Too many open files\n"));
}

/* Stores what comes out of a terminal in that mode when "message" and the block "a\nb\n" are
 * logged. */
static void log_to_terminal(bool raw, char *out, size_t size)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), saved = dup(STDERR_FILENO), slave;
	struct termios mode;
	ssize_t n = 0, got;

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_int_equal(tcgetattr(slave, &mode), 0);
	if (raw)
		cfmakeraw(&mode);
	else
		mode.c_oflag = (mode.c_oflag | OPOST) & ~(tcflag_t)ONLCR; /* it adds nothing */
	assert_int_equal(tcsetattr(slave, TCSANOW, &mode), 0);
	dup2(slave, STDERR_FILENO);
	log_msg(LOG_ERROR, "message");
	log_block(LOG_ERROR, "a\nb\n");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(slave);
	while ((got = read(master, out + n, size - 1 - (size_t)n)) > 0)
		n += got;
	out[n] = '\0';
	close(master);
}

static void lines_begin_at_the_left_in_a_raw_terminal(void **state __unused)
{
	char out[256];

	log_to_terminal(true, out, sizeof(out));
	assert_string_equal(out, "minivmm: message\r\na\r\nb\r\n");
	log_to_terminal(false, out, sizeof(out));
	assert_string_equal(out, "minivmm: message\na\nb\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_one_line),
		cmocka_unit_test(what_a_guest_can_repeat_says_why_and_ends),
		cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
		cmocka_unit_test(utf8_is_left_as_it_is),
		cmocka_unit_test(what_is_not_utf8_is_escaped),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(long_messages_are_cut_between_characters),
		cmocka_unit_test(a_threads_sink_gets_its_messages),
		cmocka_unit_test(errors_return_what_they_say),
		cmocka_unit_test(levels_above_the_set_one_are_silent),
		cmocka_unit_test(a_guest_cannot_flood_the_log),
		cmocka_unit_test(lines_begin_at_the_left_in_a_raw_terminal),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
