/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options as tables: a row is one --option of the command line, or one key of a comma-separated
 * value such as "a.img,readonly=on". Both are parsed, checked and explained by the same code.
 *
 * For whatever is wrong with a value one line is logged that names the option, the value, the
 * reason and the way out; unknown words get the nearest known one. No function here opens or looks
 * at a file.
 *
 * In a comma-separated value ",," stands for a comma that belongs to the text, as in QEMU's
 * options.
 */
#pragma once

#include <stdio.h>

#include "vmm/types.h"

struct opt_value;

/* Parses v->text into *field. Returns 0; OPT_STOP: what follows on the command line is ignored; or
 * -errno, explained by opt_fail(). Strings are allocated; the owner of the struct frees them, also
 * after an error. */
typedef int opt_set(const struct opt_value *v, void *field);

struct opt {
	/* The name, without dashes. NULL, in the first row of a list: the item without a key. */
	const char *name;
	/* The name of the value in the help. NULL: a switch, which takes none. */
	const char *metavar;
	const char *help; /* '\n' begins a new line; not used for keys */
	opt_set *set;
	size_t field;     /* offset in the struct that the table fills */
	const void *kind; /* what set() needs to know: an opt_choice[], an opt_range… */
	bool repeats;     /* may be given more than once */
	bool optional;    /* its value may be left out: then it is "" */
};

/* The rows of a list fill struct type, e.g. LIST_KEY("id", "STRING", set_id, disk_config, id). What
 * follows the member is a designated initialiser: .kind = … */
#define LIST_KEY(name_, metavar_, set_, type, member, ...)                                         \
	{                                                                                          \
		.name = name_, .metavar = metavar_, .set = set_,                                   \
		.field = offsetof(struct type, member), __VA_ARGS__                                \
	}

/* The rows of a table and their number, at most 64. */
struct opt_table {
	const struct opt *row;
	size_t nr;
	const char *bare; /* opt_argv() says this after an argument without a dash */

	/* For opt_keys; either may be NULL. begin() sets what holds before the first key: defaults,
	 * and that the option is there. check() looks at all keys after the last one, and returns
	 * 0, or what opt_fail() returns. */
	void (*begin)(void *target);
	int (*check)(const struct opt_value *v, const void *target);
};

/* A value, and where the user wrote it, for messages. */
struct opt_value {
	const struct opt *row;
	const char *option; /* the --option, without dashes */
	const char *whole;  /* all of its value as the user wrote it; NULL: a switch */
	const char *text;   /* the text to parse: whole, or the value of one key; NULL: a switch */
};

#define OPT_STOP 1

/* Goes through argv[1..] as --NAME VALUE, --NAME=VALUE or --NAME and fills target. Returns 0,
 * OPT_STOP or -errno, explained. */
int opt_argv(struct opt_table t, void *target, int argc, char *const argv[]) __must_check;

/* Does the same for one option: NAME and VALUE, which is NULL for a switch. *seen has a bit for
 * each row that was set before. */
int opt_set_one(struct opt_table t, void *target, const char *name, const char *value,
		uint64_t *seen) __must_check;

/* Fills target from v->text: FIRST,KEY=VALUE,… where FIRST goes to the first row of t, whose name
 * is NULL; or, when that row has a name, KEY=VALUE,… or "". Returns 0 or -errno, explained. */
int opt_list(const struct opt_value *v, struct opt_table t, void *target) __must_check;

/* Frees all strings that rows with a setter from below have put into target, also by opt_keys. It
 * may be called a second time. */
void opt_free(struct opt_table t, void *target);

/* A path that was given: --OPTION PATH, or --OPTION KEY=PATH. */
struct opt_given_path {
	const char *option, *key; /* key NULL: there is none */
	const char *path;
	bool output; /* opt_output */
};
/* Calls fn for each path that rows with opt_path or opt_output have put into target, also by
 * opt_keys, in the table's order, until fn returns something other than 0. Returns that, or 0. */
typedef int opt_path_fn(void *ctx, const struct opt_given_path *p);
int opt_paths(struct opt_table t, const void *target, opt_path_fn *fn, void *ctx) __must_check;

/* Prints the table in two columns. */
void opt_help(struct opt_table t, FILE *out);

/* Explains what is wrong with v: "--NAME VALUE: MESSAGE". Returns -EINVAL. */
int opt_fail(const struct opt_value *v, const char *fmt, ...) __printf(2, 3);

/* Setters. The comment after each says what the field is. */
opt_set opt_switch; /* bool: true when the option is there */
opt_set opt_bool;   /* bool: on or off */
opt_set opt_string; /* char *: any text */
opt_set opt_path;   /* char *: the path of a file that is opened, on the host: opt_paths() */
opt_set opt_output; /* char *: the same, and it is written, and made if there is none */
opt_set opt_name;   /* char *: any other text but the empty one */
opt_set opt_choice; /* an enum; kind is an opt_choice[] that ends with a NULL name */
opt_set opt_number; /* unsigned, decimal; kind is an opt_range */
opt_set opt_size;   /* uint64_t bytes, with a suffix K, M, G or T; kind is an opt_range */
opt_set opt_keys;   /* a struct that a list fills; kind is the list's opt_table */

struct opt_choice {
	const char *name;
	int value;
};

struct opt_range {
	uint64_t min, max; /* both are allowed */
};

/* Finds the known word that a mistyped one was most likely meant to be: offer each known word, then
 * look at best. */
struct opt_nearest {
	const char *word;
	const char *best; /* NULL: none is near */
	unsigned distance;
};
void opt_offer(struct opt_nearest *n, const char *known);

/* Writes size as --memory takes it ("512M"), in the largest unit that divides it. Returns buf. */
#define OPT_SIZE_LEN 24
const char *opt_size_text(uint64_t size, char buf[OPT_SIZE_LEN]);
