/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/cmdline.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "guest/wire.h"
#include "vmm/text.h"

#define BLANKS " \t\n\v\f\r"

/* Returns the next word of *text, as Linux cuts it (lib/cmdline.c: at blanks outside quotes), and
 * its length; *text moves to its end. NULL: there is none, or it is "--", after which words are for
 * init. */
static const char *next_word(const char **text, size_t *len)
{
	const char *word = *text + strspn(*text, BLANKS), *end = word;

	for (bool quoted = false; *end && (quoted || !strchr(BLANKS, *end)); end++)
		quoted ^= *end == '"';
	*len = (size_t)(end - word);
	*text = end;
	return *len && (*len != 2 || strncmp(word, "--", 2)) ? word : NULL;
}

/* Does a word of text begin with the len bytes of key, "=" included? */
static bool sets_key(const char *text, const char *key, size_t len)
{
	const char *word;
	size_t word_len;

	while ((word = next_word(&text, &word_len))) {
		word += *word == '"';
		if (strncmp(word, key, len) == 0)
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

/* Adds the words by which a guest ends when its kernel panics, and says that it was a panic. */
static void add_panic(FILE *f, const char *append)
{
	add_default(f, append, "panic=-1");
	fputs(WORDS_PANIC " ", f);
}

/* The last console= is /dev/console. What is printed before a console comes up is repeated there,
 * and what comes later goes to every console: so with two of them on one terminal each line would
 * show twice. An early console, however, ends where the other begins. */
static void add_consoles(FILE *f, const struct config *c)
{
	const bool shared = c->serial.kind == HOST_STDIO && c->console.kind == HOST_STDIO;

	if (shared)
		add_default(f, c->append, WORDS_EARLY);
	else if (c->serial.kind != HOST_NONE)
		add_default(f, c->append, WORDS_CONSOLE);
	if (c->console.kind != HOST_NONE)
		add_default(f, c->append, "console=hvc0");
}

/* Adds the words for a kernel that runs a command, which leave out all that it could do without.
 * Its messages come from the early console at the serial port. Nothing else tells the kernel of
 * that port, so that no driver probes it. */
static void add_command(FILE *f, const struct config *c)
{
	static const char *const early_only[] = { WORDS_EARLY_ONLY };

	if (c->command.console_log)
		add_default(f, c->append, "loglevel=7");
	else
		add_default(f, c->append, "quiet");
	add_panic(f, c->append);
	for (size_t i = 0; i < ARRAY_SIZE(early_only) && c->serial.kind == HOST_NONE; i++)
		add_default(f, c->append, early_only[i]);
	add_default(f, c->append, WORDS_NO_SEARCH);
	/* Debian's kernel spends half of its start on testing its ciphers. */
	add_default(f, c->append, "cryptomgr.notests");
	add_default(f, c->append, "random.trust_cpu=on");
	add_default(f, c->append, "random.trust_bootloader=on");
	add_default(f, c->append, "rdinit=" GUEST_INIT);
}

static void add_defaults(FILE *f, const struct config *c)
{
	add_consoles(f, c);
	if (c->command.argv) {
		add_command(f, c);
		return;
	}
	add_default(f, c->append, "quiet");
	add_panic(f, c->append);
	if (c->nr_disks && !c->initrd) {
		add_default(f, c->append, "root=/dev/vda");
		add_default(f, c->append, c->disk[0].readonly ? "ro" : "rw");
	}
}

char *cmdline_make(const struct config *c, bool linux_kernel)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f) {
		log_ret(-ENOMEM, "out of memory");
		return NULL;
	}
	if (linux_kernel && !c->no_default_cmdline)
		add_defaults(f, c);
	fprintf(f, "%s", c->append ? c->append : "");
	if (!text_end(f, &text)) {
		log_ret(-ENOMEM, "out of memory");
		free(text);
		return NULL;
	}
	len = strlen(text);
	if (len && text[len - 1] == ' ')
		text[len - 1] = '\0';
	return text;
}

struct reboot_modes {
	char ordinary, panic; /* 'w': warm */
};

/* Reads one item of reboot=, as Linux does (kernel/reboot.c). */
static void read_reboot(struct reboot_modes *m, const char *item)
{
	static const char panic[] = "panic_", modes[] = "wchsg";
	const bool of_panic = !strncmp(item, panic, sizeof(panic) - 1);

	item += of_panic ? sizeof(panic) - 1 : 0;
	if (!strncmp(item, "smp", 3) || (*item == 's' && isdigit((unsigned char)item[1])))
		return; /* it names a processor */
	if (*item && strchr(modes, *item))
		*(of_panic ? &m->panic : &m->ordinary) = *item;
}

bool cmdline_marks_panics(const char *cmdline)
{
	static const char key[] = "reboot=";
	struct reboot_modes m = { 0 };
	const char *word;
	size_t len;

	while ((word = next_word(&cmdline, &len))) {
		const char *end = word + len;

		word += *word == '"';
		if (strncmp(word, key, sizeof(key) - 1))
			continue;
		for (word += sizeof(key) - 2; word && word < end;
		     word = memchr(word, ',', (size_t)(end - word)))
			read_reboot(&m, ++word);
	}
	return m.panic == 'w' && m.ordinary != 'w';
}
