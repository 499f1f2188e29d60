/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's own limit: what the same requests to the same file cost a process that makes them one
 * after the other, without a guest. host FILE WORD...: words as those of block.c (op, order, size,
 * count, runs); op=copy copies in memory, and op=tsc prints "khz N", the clock's speed. With
 * op=stat and op=open FILE is a directory of the guest fs, whose small files are looked at, or
 * opened, looked at and closed. op=release gives memory that was used back to the kernel.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "words.h"

static uint64_t next(void)
{
	static uint64_t x = 88172645463325252u; /* as random_next of native.c */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void look(int directory, bool open, uint64_t nth)
{
	char name[16];
	struct stat st;
	int fd = directory;

	snprintf(name, sizeof(name), "f%07u", (unsigned)nth);
	if (open)
		fd = openat(directory, name, O_RDONLY);
	if ((open ? fstat(fd, &st) : fstatat(directory, name, &st, 0)) < 0)
		err(1, "%s", name);
	if (open)
		close(fd);
}

static void request(int fd, const char *op, char *data, size_t size, uint64_t place)
{
	const off_t at = (off_t)(place * size);
	ssize_t done = (ssize_t)size;

	if (!strcmp(op, "read"))
		done = pread(fd, data, size, at);
	else if (!strcmp(op, "write") || !strcmp(op, "flush"))
		done = pwrite(fd, data, size, at);
	else if (!strcmp(op, "copy"))
		memcpy(data + size, data, size);
	else if (!strcmp(op, "stat") || !strcmp(op, "open"))
		look(fd, !strcmp(op, "open"), place);
	else if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)size) < 0)
		err(1, "fallocate");
	if (done != (ssize_t)size || (!strcmp(op, "flush") && fdatasync(fd) < 0))
		err(1, "%s", op);
}

static void print_speed(void)
{
	uint64_t start = __rdtsc();

	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	printf("khz %ju\n", (uintmax_t)(__rdtsc() - start) / 100);
}

static void release(uint64_t size, uint64_t count)
{
	for (uint64_t run = number("runs", "3"); run; run--) {
		char *data = mmap(NULL, size * count, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uint64_t start;

		if (data == MAP_FAILED)
			err(1, "mmap");
		memset(data, 1, size * count);
		start = __rdtsc();
		for (uint64_t i = 0; i < count; i++)
			if (madvise(data + i * size, size, MADV_DONTNEED) < 0)
				err(1, "madvise");
		printf("cycles %ju\n", (uintmax_t)(__rdtsc() - start) / count);
		munmap(data, size * count);
	}
}

int main(int argc, char **argv)
{
	words = argv + 2;
	if (argc < 2)
		errx(2, "host FILE WORD...");
	const char *op = word("op", "read");
	const bool named = !strcmp(op, "stat") || !strcmp(op, "open");
	const bool random = !strcmp(word("order", ""), "random");
	const uint64_t size = number("size", "4K"), count = number("count", "1000");
	char *data = aligned_alloc(4096, 2 * size + 4096);
	int fd = open(argv[1], named || !strcmp(op, "read") ? O_RDONLY : O_RDWR);

	if (!strcmp(op, "tsc"))
		return print_speed(), 0;
	if (!strcmp(op, "release"))
		return release(size, count), 0;
	if (!data || fd < 0)
		err(1, "%s", argv[1]);
	memset(data, 1, 2 * size);
	const uint64_t places = named ? count : (uint64_t)lseek(fd, 0, SEEK_END) / size;
	for (uint64_t run = 0; run <= number("runs", "3"); run++) {
		uint64_t start = __rdtsc();

		for (uint64_t i = 0; i < count; i++)
			request(fd, op, data, size, (random ? next() : i) % places);
		if (run)
			printf("cycles %ju\n", (uintmax_t)((__rdtsc() - start) / count));
	}
}
