/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/guest_name.h"

int config_guest_name(const struct opt_value *v, char *to, size_t size)
{
	const size_t len = strlen(v->text);

	if (!len || len >= size)
		return opt_fail(v, "%s must have 1 to %zu characters; this one has %zu",
				v->row->name, size - 1, len);
	for (const char *p = v->text; *p; p++) {
		if (*p <= ' ' || *p > '~' || *p == '/')
			return opt_fail(
				v,
				"%s may have ASCII letters, digits and signs, but no blank and no slash",
				v->row->name);
	}
	memcpy(to, v->text, len + 1);
	return 0;
}
