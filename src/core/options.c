/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "vmm/log.h"

/* At most so many bytes of a value are repeated in a message: the reason must fit on the line,
 * too. */
#define SHOWN_MAX 160

int opt_fail(const struct opt_value *v, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (!v->whole)
		return log_ret(-EINVAL, "--%s: %s", v->option, why);
	return log_ret(-EINVAL, "--%s %.*s%s: %s", v->option, SHOWN_MAX,
		       *v->whole ? v->whole : "''", strlen(v->whole) > SHOWN_MAX ? "…" : "", why);
}

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Returns the edit distance, which counts a swap of neighbours as one (optimal string alignment)
 * and ignores case. */
static unsigned distance(const char *a, const char *b, size_t la, size_t lb)
{
	enum { MAX = 32 };
	unsigned d[MAX + 1][MAX + 1]; /* from the first i letters of a to the first j of b */

	if (la > MAX || lb > MAX)
		return UINT32_MAX;
	for (unsigned i = 0; i <= la; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= lb; j++)
		d[0][j] = j;
	for (unsigned i = 1; i <= la; i++) {
		for (unsigned j = 1; j <= lb; j++) {
			unsigned best = d[i - 1][j - 1] + !same_letter(a[i - 1], b[j - 1]);

			best = min(best, d[i - 1][j] + 1);
			best = min(best, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
			    same_letter(a[i - 2], b[j - 1]))
				best = min(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

void opt_offer(struct opt_nearest *n, const char *known)
{
	size_t len = strlen(n->word);
	unsigned d = distance(n->word, known, len, strlen(known));

	if (len && !strncasecmp(n->word, known, len))
		d = min(d, 1u); /* an abbreviation */
	else if (d > (len + 1) / 3)
		return;
	if (n->best && d >= n->distance)
		return;
	n->best = known;
	n->distance = d;
}

static int no_memory(void)
{
	return log_ret(-ENOMEM, "out of memory while reading the command line");
}

/* -- setters --------------------------------------------------------------------------------- */

int opt_switch(const struct opt_value *v __unused, void *field)
{
	*(bool *)field = true;
	return 0;
}

int opt_string(const struct opt_value *v, void *field)
{
	char **s = field;

	free(*s);
	*s = strdup(v->text);
	return *s ? 0 : no_memory();
}

int opt_path(const struct opt_value *v, void *field)
{
	if (!*v->text)
		return opt_fail(v, "the path is empty; name a file");
	return opt_string(v, field);
}

int opt_output(const struct opt_value *v, void *field)
{
	return opt_path(v, field);
}

int opt_name(const struct opt_value *v, void *field)
{
	return opt_path(v, field);
}

/* Says "on, off or 2M", and what v may have been meant to be. */
static int not_a_choice(const struct opt_value *v, const struct opt_choice *choice)
{
	struct opt_nearest near = { .word = v->text };
	char list[256] = "";
	size_t len = 0;

	for (const struct opt_choice *c = choice; c->name && len < sizeof(list); c++) {
		const char *comma = c == choice ? "" : c[1].name ? ", " : " or ";

		opt_offer(&near, c->name);
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", comma, c->name);
	}
	return opt_fail(v, "%s is %s, not '%.40s'%s%s%s", v->row->name, list, v->text,
			near.best ? "; did you mean " : "", near.best ?: "", near.best ? "?" : "");
}

int opt_choice(const struct opt_value *v, void *field)
{
	const struct opt_choice *choice = v->row->kind;

	for (const struct opt_choice *c = choice; c->name; c++) {
		if (!strcmp(v->text, c->name)) {
			*(int *)field = c->value;
			return 0;
		}
	}
	return not_a_choice(v, choice);
}

int opt_bool(const struct opt_value *v, void *field)
{
	static const struct opt_choice on_off[] = { { "on", 1 }, { "off", 0 }, { NULL, 0 } };

	for (const struct opt_choice *c = on_off; c->name; c++) {
		if (!strcmp(v->text, c->name)) {
			*(bool *)field = c->value;
			return 0;
		}
	}
	return not_a_choice(v, on_off);
}

/* Returns a * b + c, or the largest number if that does not fit. */
static uint64_t mul_add(uint64_t a, uint64_t b, uint64_t c)
{
	if (__builtin_mul_overflow(a, b, &a) || __builtin_add_overflow(a, c, &a))
		return UINT64_MAX;
	return a;
}

/* Reads the decimal number that s begins with. Returns where it ends, or NULL if there is none. */
static const char *parse_decimal(const char *s, uint64_t *value)
{
	const char *p = s;

	for (*value = 0; *p >= '0' && *p <= '9'; p++)
		*value = mul_add(*value, 10, (uint64_t)(*p - '0'));
	return p == s ? NULL : p;
}

static bool in_range(uint64_t value, const struct opt_range *r)
{
	return value >= r->min && value <= r->max;
}

int opt_number(const struct opt_value *v, void *field)
{
	const struct opt_range *r = v->row->kind;
	uint64_t value;
	const char *end = parse_decimal(v->text, &value);

	if (!end || *end || !in_range(value, r))
		return opt_fail(v, "%s must be a whole number from %ju to %ju", v->row->name,
				(uintmax_t)r->min, (uintmax_t)r->max);
	*(unsigned *)field = (unsigned)value;
	return 0;
}

static const char units[] = "KMGT";

const char *opt_size_text(uint64_t size, char buf[OPT_SIZE_LEN])
{
	char letter[2] = "";
	unsigned unit = 0;

	while (size && size % 1024 == 0 && unit < strlen(units)) {
		size /= 1024;
		unit++;
	}
	letter[0] = unit ? units[unit - 1] : '\0';
	snprintf(buf, OPT_SIZE_LEN, "%ju%s", (uintmax_t)size, letter);
	return buf;
}

int opt_size(const struct opt_value *v, void *field)
{
	const struct opt_range *r = v->row->kind;
	char min[OPT_SIZE_LEN], max[OPT_SIZE_LEN];
	uint64_t value;
	const char *end = parse_decimal(v->text, &value);
	const char *unit = end && *end ? strchr(units, toupper((unsigned char)*end)) : NULL;

	/* A bare number is MiB for some monitors and bytes for others, so it is refused here. */
	if (end && !*end)
		return opt_fail(v, "the size has no unit; write %.20sM for MiB, or use K, G or T",
				v->text);
	if (!unit || end[1])
		return opt_fail(
			v,
			"'%.40s' is not a size; write a whole number and K, M, G or T, as in 512M or 2G",
			v->text);
	for (const char *u = units; u <= unit; u++)
		value = mul_add(value, 1024, 0);
	if (!in_range(value, r))
		return opt_fail(v, "the size must be from %s to %s", opt_size_text(r->min, min),
				opt_size_text(r->max, max));
	*(uint64_t *)field = value;
	return 0;
}

/* -- tables ---------------------------------------------------------------------------------- */

/* Returns the row called name[0..len), or NULL. */
static const struct opt *find_row(struct opt_table t, const char *name, size_t len)
{
	for (size_t i = 0; i < t.nr; i++) {
		const char *known = t.row[i].name;

		if (known && strlen(known) == len && !memcmp(known, name, len))
			return &t.row[i];
	}
	return NULL;
}

static const char *nearest_row(struct opt_table t, const char *name)
{
	struct opt_nearest near = { .word = name };

	for (size_t i = 0; i < t.nr; i++) {
		if (t.row[i].name)
			opt_offer(&near, t.row[i].name);
	}
	return near.best;
}

/* Sets one row's field from v, unless it was set before. */
static int set_row(struct opt_table t, const struct opt_value *v, void *target, uint64_t *seen)
{
	uint64_t bit = 1ull << (v->row - t.row);

	if (*seen & bit && !v->row->repeats)
		return opt_fail(v, "%s was given before; leave one of them out", v->row->name);
	*seen |= bit;
	return v->row->set(v, (char *)target + v->row->field);
}

/* Cuts the first item off *rest in place, and returns it: it ends at a single comma, and ",,"
 * becomes ",". *rest is NULL after the last. */
static char *next_item(char **rest)
{
	char *item = *rest, *to = item;

	for (char *from = item;; from++) {
		if (*from == ',' && from[1] == ',') {
			from++;
		} else if (*from == ',' || !*from) {
			*rest = *from ? from + 1 : NULL;
			*to = '\0';
			return item;
		}
		*to++ = *from;
	}
}

static int unknown_key(const struct opt_value *v, struct opt_table t, char *item)
{
	char list[256] = "";
	size_t len = 0;
	char *equals = strchr(item, '=');
	const char *near;

	for (size_t i = t.row[0].name ? 0 : 1; i < t.nr && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
					t.row[i].name);
	if (equals)
		*equals = '\0';
	near = nearest_row(t, item);
	if (near)
		return opt_fail(v, "there is no key '%.40s'; did you mean %s?", item, near);
	return opt_fail(v, "there is no key '%.40s', only %s%s", item, list,
			equals                 ? ""
			: strchr(v->text, ',') ? "; a comma that belongs to the text is written ,,"
					       : ", each followed by = and its value");
}

static int set_key(const struct opt_value *whole, struct opt_table t, void *target, char *item,
		   uint64_t *seen)
{
	size_t len = strcspn(item, "=");
	struct opt_value v = *whole;

	if (!*item)
		return opt_fail(
			whole,
			"a comma is followed by nothing; leave it out, or write ,, if it belongs to the text");
	v.row = find_row(t, item, len);
	if (!v.row)
		return unknown_key(whole, t, item);
	if (!v.row->metavar && item[len])
		return opt_fail(whole, "%s takes no value; write %s alone", v.row->name,
				v.row->name);
	if (v.row->metavar && !item[len])
		return opt_fail(whole, "%s needs a value: %s=%s", item, item, v.row->metavar);
	v.text = item[len] ? item + len + 1 : NULL;
	return set_row(t, &v, target, seen);
}

static int set_first(const struct opt_value *whole, struct opt_table t, void *target,
		     const char *item, uint64_t *seen)
{
	size_t len = strcspn(item, "=");
	struct opt_value v = *whole;

	if (item[len] && find_row(t, item, len))
		return opt_fail(whole, "%s must come first: --%s %s,%.40s", t.row->metavar,
				whole->option, t.row->metavar, item);
	v.row = t.row;
	v.text = item;
	return set_row(t, &v, target, seen);
}

int opt_list(const struct opt_value *v, struct opt_table t, void *target)
{
	char *copy = strdup(v->text), *rest = copy;
	uint64_t seen = 0;
	int rc = 0;

	if (!copy)
		return no_memory();
	if (!t.row[0].name)
		rc = set_first(v, t, target, next_item(&rest), &seen);
	else if (!*rest)
		rest = NULL; /* there is no item at all */
	while (rc == 0 && rest)
		rc = set_key(v, t, target, next_item(&rest), &seen);
	free(copy);
	return rc;
}

/* Explains that arg is not an option of ours. */
static int unknown_option(struct opt_table t, const char *arg)
{
	const char *name = arg + strspn(arg, "-");
	bool dashes = arg[0] == '-' && arg[1] == '-';
	char word[64];
	const char *near;

	snprintf(word, sizeof(word), "%.*s", (int)min(strcspn(name, "="), sizeof(word)), name);
	near = nearest_row(t, word);
	if (near)
		return log_ret(-EINVAL, "%.*s: %s; did you mean --%s?", SHOWN_MAX, arg,
			       dashes ? "there is no such option" : "options begin with two dashes",
			       near);
	return log_ret(-EINVAL, "%.*s: there is no such option; minivmm --help lists them",
		       SHOWN_MAX, arg);
}

/* Does arg look like an option of t? Then it is hardly the value of the one before it. */
static bool is_option(struct opt_table t, const char *arg)
{
	return !strncmp(arg, "--", 2) && find_row(t, arg + 2, strcspn(arg + 2, "="));
}

/* Fills *v from argv[i], and from argv[i + 1] if that is the value. Returns how many it took, or
 * -EINVAL. */
static int take_option(struct opt_table t, struct opt_value *v, int argc, char *const argv[], int i)
{
	const char *arg = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
	size_t len = strcspn(arg, "=");

	v->row = strncmp(arg, "--", 2) ? NULL : find_row(t, arg + 2, len - 2);
	if (!v->row)
		return unknown_option(t, arg);
	v->option = v->row->name;
	v->whole = arg[len] ? arg + len + 1 : NULL;
	if (!v->row->metavar) {
		if (v->whole)
			return opt_fail(v, "this is a switch; write --%s alone, or leave it out",
					v->option);
	} else if (!v->whole && v->row->optional && (!next || is_option(t, next))) {
		v->text = "";
		return 1;
	} else if (!v->whole) {
		if (!next)
			return opt_fail(v, "the value is missing; write --%s %s", v->option,
					v->row->metavar);
		if (is_option(t, next))
			return opt_fail(
				v,
				"the value before %.40s is missing; write --%s %s (or --%s=%.40s if that is the value)",
				next, v->option, v->row->metavar, v->option, next);
		v->whole = next;
	}
	v->text = v->whole;
	return v->whole && v->whole == next ? 2 : 1;
}

int opt_argv(struct opt_table t, void *target, int argc, char *const argv[])
{
	uint64_t seen = 0;
	int rc = 0;

	for (int i = 1, taken; i < argc && rc == 0; i += taken) {
		struct opt_value v = { 0 };

		if (argv[i][0] != '-' && find_row(t, argv[i], strlen(argv[i])))
			return log_ret(-EINVAL, "%s: options begin with two dashes: --%s", argv[i],
				       argv[i]);
		if (argv[i][0] != '-' || !strcmp(argv[i], "--"))
			return log_ret(-EINVAL, "'%.*s' belongs to no option; %s", SHOWN_MAX,
				       argv[i], t.bare);
		taken = take_option(t, &v, argc, argv, i);
		if (taken < 0)
			return taken;
		rc = set_row(t, &v, target, &seen);
	}
	return rc;
}

int opt_set_one(struct opt_table t, void *target, const char *name, const char *value,
		uint64_t *seen)
{
	struct opt_value v = { .row = find_row(t, name, strlen(name)),
			       .option = name,
			       .whole = value,
			       .text = value };
	const char *near = v.row ? NULL : nearest_row(t, name);

	if (!v.row)
		return log_ret(-EINVAL, "%.*s: there is no such option%s%s%s", SHOWN_MAX, name,
			       near ? "; did you mean " : "", near ?: "", near ? "?" : "");
	if (!v.row->metavar && value)
		return opt_fail(&v, "this is a switch and takes no value");
	if (v.row->metavar && !value && !v.row->optional)
		return opt_fail(&v, "the value is missing: %s", v.row->metavar);
	if (v.row->metavar && !value)
		v.text = "";
	return set_row(t, &v, target, seen);
}

void opt_help(struct opt_table t, FILE *out)
{
	const int column = 26;

	for (size_t i = 0; i < t.nr; i++) {
		const struct opt *o = &t.row[i];
		int at = fprintf(out, "  --%s%s%s", o->name, o->metavar ? " " : "",
				 o->metavar ?: "");

		if (at > column - 2)
			at = fprintf(out, "\n") - 1;
		fprintf(out, "%*s", column - at, "");
		for (const char *p = o->help; *p; p++) {
			fputc(*p, out);
			if (*p == '\n')
				fprintf(out, "%*s", column, "");
		}
		fputc('\n', out);
	}
}
