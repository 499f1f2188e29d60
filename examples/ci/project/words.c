/* SPDX-License-Identifier: BSD-2-Clause */
/* Counts the words of its standard input. */
#include <ctype.h>
#include <stdio.h>

int main(void)
{
	int words = 0, inside = 0;

	for (int c; (c = getchar()) != EOF;) {
		words += !inside && !isspace(c);
		inside = !isspace(c);
	}
	return printf("%d\n", words) < 0;
}
