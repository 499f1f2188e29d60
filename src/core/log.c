/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/log.h"
#include "vmm/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>

#define PATIENCE_MS 1000 /* how long the reader of standard error is waited for */

static enum log_level log_level = LOG_WARN;
static _Thread_local struct log_sink *sink; /* not owned */

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_level, level, __ATOMIC_RELAXED);
}

bool log_enabled(enum log_level level)
{
	return level <= (sink ? sink->level : __atomic_load_n(&log_level, __ATOMIC_RELAXED));
}

struct log_sink *log_use(struct log_sink *s)
{
	struct log_sink *before = sink;

	sink = s;
	return before;
}

struct log_sink *log_used(void)
{
	return sink;
}

/* Returns how many bytes the UTF-8 character at s has, if a terminal may get it (RFC 3629). 0: it
 * is malformed, or a control character. */
static size_t printable(const unsigned char *s)
{
	const size_t len = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (len == 1)
		return s[0] >= ' ' && s[0] != 0x7f;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4 ||     /* not a leading byte */
	    (s[0] == 0xc2 && s[1] < 0xa0) ||  /* C1 controls */
	    (s[0] == 0xe0 && s[1] < 0xa0) ||  /* overlong */
	    (s[0] == 0xf0 && s[1] < 0x90) ||  /* overlong */
	    (s[0] == 0xed && s[1] >= 0xa0) || /* surrogates */
	    (s[0] == 0xf4 && s[1] >= 0x90))   /* above U+10FFFF */
		return 0;
	return len;
}

size_t log_cut(const char *text, size_t len)
{
	size_t n = len;

	while (n > 0 && len - n < 3 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Messages repeat file names and other people's text. This copies from to to, with all that could
 * move the cursor or colour the terminal written as \xNN. Returns the length, at most size. */
static size_t escape(char *to, size_t size, const char *from)
{
	size_t len = 0;

	while (*from && size - len >= 4) {
		size_t n = printable((const unsigned char *)from);

		if (n) {
			memcpy(to + len, from, n);
		} else {
			static const char hex[] = "0123456789abcdef";
			const unsigned char c = (unsigned char)*from;

			memcpy(to + len, (const char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
		}
		len += n ?: 4;
		from += n ?: 1;
	}
	return len;
}

/* While the guest has the terminal in raw mode, "\n" alone doesn't return to the first column. */
static const char *line_end(void)
{
	struct termios mode;

	return tcgetattr(STDERR_FILENO, &mode) == 0 && !(mode.c_oflag & OPOST) ? "\r\n" : "\n";
}

/* It is one write(2), so that the messages of several threads don't mix. */
void log_print(const char *text)
{
	struct pollfd error = { .fd = STDERR_FILENO, .events = POLLOUT };
	const bool block = strchr(text, '\n');
	const char *end = line_end();
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return;
	fputs(block ? "" : "minivmm: ", f);
	for (; *text; text++)
		*text == '\n' ? fputs(end, f) : fputc(*text, f);
	fputs(block ? "" : end, f);
	/* If standard error itself fails, or its reader takes nothing, there is nobody left to
	 * tell. */
	if (text_end(f, &out) && poll(&error, 1, PATIENCE_MS) != 0 &&
	    write(STDERR_FILENO, out, len) < 0)
		errno = 0;
	free(out);
}

static void deliver(enum log_level level, const char *text)
{
	if (sink)
		sink->message(sink, level, text);
	else
		log_print(text);
}

static void log_line(enum log_level level, const char *fmt, va_list ap, const char *suffix)
{
	char text[1028], line[1280];
	const size_t most = sizeof(text) - 4; /* a cut character shows where it ended */
	size_t len;

	if (vsnprintf(text, sizeof(text), fmt, ap) > (int)most)
		text[log_cut(text, most)] = '\0';
	len = escape(line, sizeof(line) - 1, text);
	len += escape(line + len, sizeof(line) - 1 - len, suffix);
	line[len] = '\0';
	deliver(level, line);
}

void log_block(enum log_level level, const char *text)
{
	if (log_enabled(level))
		deliver(level, text);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	log_line(level, fmt, ap, "");
	va_end(ap);
}

static void describe(int err, char why[160])
{
	snprintf(why, 160, ": %s", strerrordesc_np(err) ?: "unknown error");
}

int log_errno(const char *fmt, ...)
{
	int err = errno;
	char why[160];
	va_list ap;

	if (!log_enabled(LOG_ERROR))
		return -err;
	describe(err, why);
	va_start(ap, fmt);
	log_line(LOG_ERROR, fmt, ap, why);
	va_end(ap);
	return -err;
}

int log_ret(int rc, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(LOG_ERROR))
		return rc;
	va_start(ap, fmt);
	log_line(LOG_ERROR, fmt, ap, "");
	va_end(ap);
	return rc;
}

static void limited_line(struct ratelimit *rl, const char *fmt, va_list ap, const char *why)
{
	const unsigned most = 10; /* a second */
	struct timespec now;
	char suffix[224];
	int n;

	if (!log_enabled(LOG_WARN))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != rl->second) {
		rl->second = now.tv_sec;
		rl->count = 0;
	}
	if (rl->count >= most) {
		rl->missed++;
		return;
	}
	rl->count++;
	n = snprintf(suffix, sizeof(suffix), "%s", why);
	if (rl->missed)
		snprintf(suffix + n, sizeof(suffix) - (size_t)n,
			 " (%u messages before this one were left out)", rl->missed);
	rl->missed = 0;
	log_line(LOG_WARN, fmt, ap, suffix);
}

void guest_err(struct ratelimit *rl, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	limited_line(rl, fmt, ap, "");
	va_end(ap);
}

int guest_errno(struct ratelimit *rl, const char *fmt, ...)
{
	const int err = errno;
	char why[160];
	va_list ap;

	describe(err, why);
	va_start(ap, fmt);
	limited_line(rl, fmt, ap, why);
	va_end(ap);
	return -err;
}
