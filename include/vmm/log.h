/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages for people, on standard error: "minivmm: " and one line.
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

enum log_level { LOG_QUIET, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The one mutable global of the core: messages above this level are not printed. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

void log_msg(enum log_level level, const char *fmt, ...) __printf(2, 3);
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

/* Logs "MESSAGE: what errno says" as an error. Returns -errno. */
int log_errno(const char *fmt, ...) __printf(1, 2);

/* Logs MESSAGE as an error. Returns rc. */
int log_ret(int rc, const char *fmt, ...) __printf(2, 3);

/* Several lines, as they are, at level error and in one piece. No file name or other text of
 * somebody else's. */
void log_block(const char *text);

/* At most ten messages a second each; zero-initialised is ready to use. */
struct ratelimit {
	int64_t second;  /* CLOCK_MONOTONIC second that count belongs to */
	unsigned count;  /* messages in that second */
	unsigned missed; /* suppressed since the last one printed */
};

/* A guest's misbehaviour, at level warn. The caller serialises the use of one rl. */
void guest_err(struct ratelimit *rl, const char *fmt, ...) __printf(2, 3);

/* The same for an error of the host's that a guest can bring about as often as it likes: "MESSAGE:
 * what errno says". Returns -errno. */
int guest_errno(struct ratelimit *rl, const char *fmt, ...) __printf(2, 3);
