/* SPDX-License-Identifier: BSD-2-Clause */
/* replay DIR: runs each file of DIR, and an empty input, through the fuzz target; speaks TAP. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "vmm/log.h"

static size_t read_file(const char *dir, const char *name, uint8_t **data)
{
	char path[4096];
	FILE *f;
	long len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END) < 0 || (len = ftell(f)) < 0) {
		printf("Bail out! can't read %s\n", path);
		exit(1);
	}
	rewind(f);
	/* Exactly as long as the input, so that ASan sees one byte too many. */
	*data = malloc(len ? (size_t)len : 1);
	if (!*data || fread(*data, 1, (size_t)len, f) != (size_t)len) {
		printf("Bail out! can't read %s\n", path);
		exit(1);
	}
	fclose(f);
	return (size_t)len;
}

static int is_file(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **entry;
	int n;

	if (argc != 2 || (n = scandir(argv[1], &entry, is_file, alphasort)) <= 0) {
		printf("Bail out! no corpus in %s\n", argc > 1 ? argv[1] : "(no directory named)");
		return 1;
	}
	log_set_level(LOG_QUIET);
	setvbuf(stdout, NULL, _IOLBF, 0); /* a crash shows which input it was */
	printf("1..1\n");
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 0; i < n; i++) {
		uint8_t *data;
		size_t len = read_file(argv[1], entry[i]->d_name, &data);

		printf("# %s\n", entry[i]->d_name);
		LLVMFuzzerTestOneInput(data, len);
		free(data);
		free(entry[i]);
	}
	free(entry);
	printf("ok 1 - %d inputs of %s\n", n, argv[1]);
	return 0;
}
