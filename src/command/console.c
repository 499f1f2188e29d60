/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/console.h"

#include <errno.h>
#include <fcntl.h>

#include "vmm/log.h"

static void console_start(struct stream *s __unused) {}

static ssize_t console_read(struct stream *s __unused, void *buf __unused, size_t len __unused)
{
	return 0;
}

static size_t console_write(struct stream *s, const void *buf, size_t len)
{
	struct command_console *c = container_of(s, struct command_console, stream);
	const char *bytes = buf;

	for (size_t i = 0; i < len; i++)
		c->text[c->len++ % sizeof(c->text)] = bytes[i];
	/* A slow reader, of a FIFO, misses some of it: the guest doesn't wait for its log. */
	if (c->log.fd >= 0) {
		const ssize_t n = output_write(&c->log, buf, len);

		if (n < 0 && n != -EAGAIN) {
			log_ret((int)n, "--console-log: %s", strerrordesc_np((int)-n));
			output_close(&c->log);
		}
	}
	return len;
}

static bool console_flush(struct stream *s __unused)
{
	return true;
}

/* The stream is part of struct command, which owns it. */
static void console_destroy(struct stream *s __unused) {}

static const struct stream_ops console_ops = {
	.start = console_start,
	.read = console_read,
	.write = console_write,
	.flush = console_flush,
	.destroy = console_destroy,
};

int command_console_open(struct command_console *c, const char *path)
{
	int rc;

	*c = (struct command_console){ .stream.ops = &console_ops, .log.fd = -1 };
	rc = path ? output_open(&c->log, path, O_TRUNC) : 0;
	return rc < 0 ? log_ret(rc, "--console-log %s: %s", path, output_error(rc)) : 0;
}

void command_console_close(struct command_console *c)
{
	output_close(&c->log);
}

void command_console_tail(const struct command_console *c, unsigned lines, char *text, size_t max)
{
	const uint64_t room = min(sizeof(c->text), max - 2), kept = min(c->len, room);
	size_t out = 0, start;

	for (uint64_t at = c->len - kept; at < c->len; at++) {
		char byte = c->text[at % sizeof(c->text)];

		if (byte != '\r')
			text[out++] = byte == '\n' || (byte >= ' ' && byte <= '~') ? byte : '?';
	}
	if (out && text[out - 1] != '\n')
		text[out++] = '\n';
	text[out] = '\0';
	for (start = out; start > 0; start--)
		if (start < out && text[start - 1] == '\n' && !--lines)
			break;
	memmove(text, text + start, out - start + 1);
}
