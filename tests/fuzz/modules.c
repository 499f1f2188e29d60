/* SPDX-License-Identifier: BSD-2-Clause */
/* A modules.dep and, after a line of "=", a modules.builtin; and an initramfs of what they list. */
#include "command/modules.h"

#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"
#include "command/initramfs.h"

static void pack(const struct modules *m)
{
	struct initramfs a;

	initramfs_begin(&a, m, m->nr);
	for (size_t i = 0; i < m->nr; i++) {
		char name[64] = { 0 };

		memcpy(name, m->path[i], min(m->len[i], sizeof(name) - 1));
		initramfs_file(&a, name, 0644, m->path[i], m->len[i]);
	}
	if (initramfs_end(&a) == 0)
		assert(a.len % 4 == 0);
	initramfs_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = { "a", "b", "virtio_pci", "c-d" };
	char *text = malloc(len ?: 1);
	struct modules m = { 0 };
	struct modules_index x = { .dep = text, .dep_len = len };
	const char *split;

	if (len)
		memcpy(text, data, len);
	split = memmem(text, len, "\n=\n", 3);
	if (split) {
		x.dep_len = (size_t)(split - text);
		x.builtin = split + 3;
		x.builtin_len = len - x.dep_len - 3;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *culprit;
		size_t culprit_len;

		if (modules_add(&m, &x, names[i], &culprit, &culprit_len) < 0)
			assert(culprit_len <= len + 16);
	}
	assert(m.nr <= MODULES_MAX);
	for (size_t i = 0; i < m.nr; i++)
		assert(m.path[i] >= text && m.path[i] + m.len[i] <= text + len);
	pack(&m);
	free(text);
	return 0;
}
