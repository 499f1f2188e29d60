/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/resolv.h"

#include <arpa/inet.h>
#include <stdio.h>

#define BLANKS    " \t\r\n"
#define MAX_LINES 1000 /* a limit, in case the file is /dev/zero */

/* Only such words are passed on, as they go into the guest's file unchanged. */
static bool is_word(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static void take_server(struct resolv *r, const char *word, unsigned nr)
{
	struct in_addr a;

	if (inet_pton(AF_INET, word, &a) == 1)
		r->has4 = true;
	else if (strchr(word, ':') && nr == 0)
		r->first6 = true;
}

/* If several lines of the file name domains, the last one counts. */
static void take_domains(struct resolv *r, char *words)
{
	char *save, *word = strtok_r(words, BLANKS, &save);
	size_t at = 0, nr = 0;

	for (; word && nr < RESOLV_MAX_DOMAINS; word = strtok_r(NULL, BLANKS, &save)) {
		const size_t len = strlen(word) + 1;

		if (!is_word(word) || !strcmp(word, ".") || len > sizeof(r->text) - at)
			continue;
		memcpy(r->text + at, word, len);
		r->domain[nr++] = r->text + at;
		at += len;
	}
	r->domain[nr] = NULL;
}

static void take_options(struct resolv *r, char *words)
{
	char *save, *word = strtok_r(words, BLANKS, &save);

	for (; word; word = strtok_r(NULL, BLANKS, &save)) {
		const size_t at = strlen(r->options);

		if (is_word(word) && at + 1 + strlen(word) < sizeof(r->options))
			snprintf(r->options + at, sizeof(r->options) - at, "%s%s", at ? " " : "",
				 word);
	}
}

void resolv_read(struct resolv *r, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024];
	unsigned servers = 0;

	*r = (struct resolv){ 0 };
	for (unsigned i = 0; f && i < MAX_LINES && fgets(line, sizeof(line), f); i++) {
		char *rest, *word = strtok_r(line, BLANKS, &rest);

		if (!word)
			continue;
		if (!strcmp(word, "nameserver") && (word = strtok_r(NULL, BLANKS, &rest)))
			take_server(r, word, servers++);
		else if (word && (!strcmp(word, "search") || !strcmp(word, "domain")))
			take_domains(r, rest);
		else if (word && !strcmp(word, "options"))
			take_options(r, rest);
	}
	if (f)
		fclose(f);
}
