/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks in files for the tests of qcow2: a base of known sectors, requests that run to their end,
 * and QEMU's tools as the judge. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "backend/disk/disk.h"
#include "vmm/log.h"

#include "test.h"

#define SECTOR DISK_SECTOR

/* A number says what a sector holds: 0 is zeroes, BASE what the base had. */
#define BASE 1u

static inline void sector_fill(uint8_t *p, uint64_t sector, uint32_t value)
{
	uint64_t x = sector * 0x9e3779b97f4a7c15ull ^ (uint64_t)value << 20;

	for (unsigned i = 0; i < SECTOR / 8; i++) {
		uint64_t word = value ? (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull + i : 0;

		memcpy(p + 8 * i, &word, 8);
	}
	if (value)
		memcpy(p, &value, sizeof(value));
}

/* Returns the number of the sector at p, which must hold all of it. */
static inline uint32_t sector_value(const uint8_t *p, uint64_t sector)
{
	uint8_t want[SECTOR];
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	sector_fill(want, sector, value);
	if (memcmp(p, want, SECTOR))
		fail_msg("sector %llu is torn, or none of ours: %u", (unsigned long long)sector,
			 value);
	return value;
}

static inline void disk_done(struct disk *d __attribute__((unused)),
			     struct disk_request *r __attribute__((unused)))
{
}

static inline int disk_perform(struct disk *d, struct disk_request *r)
{
	r->result = 1;
	disk_submit(d, r);
	disk_drain(d);
	return r->result;
}

static inline int disk_range(struct disk *d, enum disk_op op, bool unmap, uint64_t sector,
			     uint64_t nr)
{
	struct disk_request r = {
		.op = op, .unmap = unmap, .off = sector * SECTOR, .len = nr * SECTOR
	};

	return disk_perform(d, &r);
}

/* Transfers it in two pieces, cut at an odd place. */
static inline int disk_transfer(struct disk *d, enum disk_op op, uint64_t sector, void *buf,
				uint64_t nr)
{
	const size_t len = nr * SECTOR, first = len / 3 + 1;
	struct iovec iov[] = { { buf, first }, { (uint8_t *)buf + first, len - first } };
	struct disk_request r = {
		.op = op, .off = sector * SECTOR, .len = len, .iov = iov, .nr_iov = 2
	};

	return disk_perform(d, &r);
}

static inline int disk_fill(struct disk *d, uint64_t sector, uint64_t nr, uint32_t value)
{
	/* On pages, as a guest's are: a killed write may end where one of its pages ends. */
	uint8_t *buf = aligned_alloc(4096, (nr * SECTOR + 4095) & ~4095ull);
	int rc;

	for (uint64_t i = 0; i < nr; i++)
		sector_fill(buf + i * SECTOR, sector + i, value);
	rc = disk_transfer(d, DISK_WRITE, sector, buf, nr);
	free(buf);
	return rc;
}

static inline void assert_disk(struct disk *d, uint64_t sector, uint64_t nr, uint32_t value)
{
	uint8_t *buf = malloc(nr * SECTOR);

	assert_int_equal(disk_transfer(d, DISK_READ, sector, buf, nr), 0);
	for (uint64_t i = 0; i < nr; i++)
		if (sector_value(buf + i * SECTOR, sector + i) != value)
			fail_msg("sector %llu is %u, not %u", (unsigned long long)(sector + i),
				 sector_value(buf + i * SECTOR, sector + i), value);
	free(buf);
}

/* Makes a raw file of sectors with that value. */
static inline void make_raw(const char *path, uint64_t sectors, uint32_t value)
{
	uint8_t *buf = malloc(sectors * SECTOR);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	for (uint64_t i = 0; i < sectors; i++)
		sector_fill(buf + i * SECTOR, i, value);
	assert_int_equal(write(fd, buf, sectors * SECTOR), sectors * SECTOR);
	close(fd);
	free(buf);
}

/* poke changes size bytes at off of a file to a big-endian number; peek reads 8. */
static inline void poke(const char *path, uint64_t off, uint64_t value, unsigned size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	value = htobe64(value << (64 - 8 * size));
	assert_int_equal(pwrite(fd, &value, size, (off_t)off), size);
	close(fd);
}

static inline uint64_t peek(const char *path, uint64_t off)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t v = 0;

	assert_int_equal(pread(fd, &v, sizeof(v), (off_t)off), sizeof(v));
	close(fd);
	return be64toh(v);
}

/* Runs a program with its output in a file. Returns the exit status. */
static inline int run_tool(const char *output, char *const argv[])
{
	posix_spawn_file_actions_t to;
	extern char **environ;
	int status = -1;
	pid_t pid;

	posix_spawn_file_actions_init(&to);
	posix_spawn_file_actions_addopen(&to, 1, output, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	posix_spawn_file_actions_adddup2(&to, 1, 2);
	if (posix_spawnp(&pid, argv[0], &to, NULL, argv, environ) == 0)
		waitpid(pid, &status, 0);
	posix_spawn_file_actions_destroy(&to);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline bool have_qemu_img(void)
{
	return run_tool("/dev/null", (char *[]){ "qemu-img", "--version", NULL }) == 0;
}

/* Checks that qemu-img check finds no error in the image. Returns how many clusters are counted and
 * not used. */
static inline int assert_sound(const char *image, const char *log)
{
	int status = run_tool(log, (char *[]){ "qemu-img", "check", "-f", "qcow2", (char *)image,
					       NULL });
	static char text[4 << 20]; /* a line for each */
	const char *leaks;
	FILE *f = fopen(log, "r");

	assert_non_null(f); /* otherwise it was not even started: status */
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	if (status != 0 && status != 3)
		fail_msg("qemu-img check %s: status %d: %s", image, status, text);
	if (status == 0)
		return 0;
	for (leaks = strstr(text, " leaked clusters"); leaks && leaks > text && leaks[-1] != '\n';)
		leaks--;
	return leaks ? atoi(leaks) : 1;
}

/* Makes a raw copy with qemu-img, of an image that nobody has open. */
static inline void convert(const char *image, const char *raw, const char *log)
{
	if (run_tool(log, (char *[]){ "qemu-img", "convert", "-f", "qcow2", "-O", "raw",
				      (char *)image, (char *)raw, NULL }) != 0)
		fail_msg("qemu-img convert %s failed: see %s", image, log);
}

/* Checks that d reads the same as the raw copy in every sector. */
static inline void assert_same(struct disk *d, const char *raw)
{
	uint8_t *a = malloc(d->size), *b = malloc(d->size);
	int fd = open(raw, O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, a, d->size, 0), d->size);
	close(fd);
	assert_int_equal(disk_transfer(d, DISK_READ, 0, b, d->size / SECTOR), 0);
	assert_memory_equal(a, b, d->size);
	free(a);
	free(b);
}
