/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages for people. A message goes to the sink of its thread, which belongs to the machine that
 * the thread works for. A thread without a sink prints it on standard error: "minivmm: " and one
 * line.
 *
 * Three kinds of error, three answers:
 *  - the host's or the operator's: the function that knows the name calls log_errno() or log_ret()
 *    once and returns what they return; callers pass it up silently;
 *  - the guest's: answered in-band (an error status, all ones, a device that needs a reset), and
 *    mentioned by guest_err(), which a guest can't use to flood the log;
 *  - ours: assert().
 * Every function here may be called from any thread.
 */
#pragma once

#include "vmm/types.h"

/* LOG_ASKED is for what the user asked for, such as statistics: no level hides it. */
enum log_level { LOG_ASKED, LOG_QUIET = LOG_ASKED, LOG_ERROR, LOG_WARN, LOG_INFO };

/* Sets the one mutable global of the core: messages of threads without a sink are printed up to
 * this level. It is for tests; machines have sinks. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* A sink takes the messages up to a level. message() may be called by several threads at once, with
 * any device's lock held. text is printable UTF-8: one line without its end, or (log_block)
 * several, each with '\n'. */
struct log_sink {
	void (*message)(struct log_sink *s, enum log_level level, const char *text);
	enum log_level level;
};

/* From here on this thread, and those that it starts by thread_start(), log to s, which must exist
 * for as long as they do. NULL: they print on standard error. Returns the sink before. */
struct log_sink *log_use(struct log_sink *s);
struct log_sink *log_used(void);

/* Returns how many bytes of text, at most len, can be kept without cutting a character in two. text
 * is UTF-8, and text[len] is read. */
size_t log_cut(const char *text, size_t len);

/* Prints a message, as a sink gets it, on standard error by one write(2). It is lost if nobody
 * reads from there for a second. */
void log_print(const char *text);

void log_msg(enum log_level level, const char *fmt, ...) __printf(2, 3);
#define log_warn(...) log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)

/* Logs "MESSAGE: what errno says" as an error. Returns -errno. */
int log_errno(const char *fmt, ...) __printf(1, 2);

/* Logs MESSAGE as an error. Returns rc. */
int log_ret(int rc, const char *fmt, ...) __printf(2, 3);

/* Logs several lines, as they are and in one piece. They contain no file name or other text of
 * somebody else's. */
void log_block(enum log_level level, const char *text);

/* At most ten messages a second are printed for each of these. All zeroes is ready to use. */
struct ratelimit {
	int64_t second;  /* the second (CLOCK_MONOTONIC) that count belongs to */
	unsigned count;  /* messages in that second */
	unsigned missed; /* how many were left out since the last one printed */
};

/* Logs a guest's misbehaviour, as a warning. The caller serialises the use of one rl. */
void guest_err(struct ratelimit *rl, const char *fmt, ...) __printf(2, 3);

/* Logs an error of the host's that a guest can bring about as often as it likes: "MESSAGE: what
 * errno says", as a warning. Returns -errno. */
int guest_errno(struct ratelimit *rl, const char *fmt, ...) __printf(2, 3);
