/* SPDX-License-Identifier: BSD-2-Clause */
#include "native.h"

/* What start.S got of the loader (Multiboot 0.6.96 §3.3). */
struct info {
	uint32_t flags, mem_lower, mem_upper /* KiB from 1 MiB on */, boot_device, cmdline;
};
extern uint32_t multiboot_info;
extern uint8_t bss_end[];

static const struct info *info(void)
{
	return (const struct info *)(uintptr_t)multiboot_info;
}

/* GCC makes calls of these two. */
void *memset(void *to, int c, size_t len);
void *memset(void *to, int c, size_t len)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(c) : "memory");
	return to;
}
void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(len) : : "memory");
	return to;
}

/* Returns what follows "key=" in the last word that begins so, or NULL. It is the last one because
 * the words that a monitor adds come first. */
static const char *find(const char *key)
{
	const char *found = NULL;

	for (const char *word = (const char *)(uintptr_t)info()->cmdline; *word;) {
		size_t n = 0;

		while (key[n] && word[n] == key[n])
			n++;
		if (!key[n] && word[n] == '=')
			found = word + n + 1;
		while (*word && *word++ != ' ')
			;
	}
	return found;
}

uint64_t param(const char *key, uint64_t otherwise)
{
	const char *s = find(key);
	uint64_t v = 0;

	if (!s)
		return otherwise;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	return *s == 'K' ? v << 10 : *s == 'M' ? v << 20 : v;
}

bool param_is(const char *key, const char *value)
{
	const char *s = find(key);

	while (s && *value && *s == *value) {
		s++;
		value++;
	}
	return s && !*value && (!*s || *s == ' ');
}

void *alloc(size_t len)
{
	static uintptr_t next;
	uint8_t *at;

	if (!next) /* QEMU puts the command line right after the image */
		next = ((uintptr_t)bss_end + 0x10000 + 4095) & ~4095ul;
	if (next + len > 0x100000 + (uint64_t)info()->mem_upper * 1024)
		fail("out of memory");
	at = (uint8_t *)next;
	next += (len + 4095) & ~4095ul;
	return memset(at, 0, len);
}

uint64_t random_next(void)
{
	static uint64_t x = 88172645463325252u; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

void report(const char *key, uint64_t value)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = 0;
	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	print(key);
	print(" ");
	print(digits + at);
	print("\n");
}

void fail(const char *what)
{
	print("failed: ");
	print(what);
	print("\n");
	leave(49);
}

void finish(void)
{
	leave(16);
}
