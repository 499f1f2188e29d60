/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest/wire.h"

/* Does a word of text begin with the len bytes of key, "=" included? */
static bool sets_key(const char *text, const char *key, size_t len)
{
	for (const char *at = text; at; at = strchr(at, ' ')) {
		at += strspn(at, " ");
		if (strncmp(at, key, len) == 0)
			return true;
	}
	return false;
}

/* Adds "key=value", or a plain word, unless the user's own text sets that key. */
static void add_default(FILE *f, const char *append, const char *word)
{
	const char *equals = strchr(word, '=');

	if (equals && append && sets_key(append, word, (size_t)(equals - word) + 1))
		return;
	fprintf(f, "%s ", word);
}

/* The last console= is /dev/console. What is printed before a console comes up is repeated there,
 * and what comes later goes to each: so two of them on one terminal would show every line twice.
 * But earlyprintk ends where the console begins. */
static void add_consoles(FILE *f, const struct config *c)
{
	const bool shared = c->serial.kind == HOST_STDIO && c->console.kind == HOST_STDIO;

	if (shared)
		add_default(f, c->append, "earlyprintk=ttyS0");
	else if (c->serial.kind != HOST_NONE)
		add_default(f, c->append, "console=ttyS0");
	if (c->console.kind != HOST_NONE)
		add_default(f, c->append, "console=hvc0");
}

/* Of a kernel that runs a command: nothing that it could do without. Its messages come out of the
 * early console at the serial port, which nothing else tells it of: without a driver's probing. */
static void add_run(FILE *f, const struct config *c)
{
	if (c->run.console_log)
		add_default(f, c->append, "loglevel=7");
	else
		add_default(f, c->append, "quiet");
	add_default(f, c->append, "panic=-1");
	if (c->serial.kind == HOST_NONE) {
		add_default(f, c->append, "earlyprintk=ttyS0,115200,keep");
		add_default(f, c->append, "8250.nr_uarts=0");
	}
	add_default(f, c->append, "random.trust_cpu=on");
	add_default(f, c->append, "random.trust_bootloader=on");
	add_default(f, c->append, "rdinit=" GUEST_INIT);
}

char *cmdline_make(const struct config *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f) {
		log_ret(-ENOMEM, "out of memory");
		return NULL;
	}
	add_consoles(f, c);
	if (c->run.argv) {
		add_run(f, c);
	} else {
		add_default(f, c->append, "quiet");
		add_default(f, c->append, "panic=-1");
	}
	if (c->nr_disks && !c->initrd && !c->run.argv) {
		add_default(f, c->append, "root=/dev/vda");
		add_default(f, c->append, c->disk[0].readonly ? "ro" : "rw");
	}
	fprintf(f, "%s", c->append ? c->append : "");
	if (fclose(f) != 0) {
		log_ret(-ENOMEM, "out of memory");
		free(text);
		return NULL;
	}
	len = strlen(text);
	if (len && text[len - 1] == ' ')
		text[len - 1] = '\0';
	return text;
}
