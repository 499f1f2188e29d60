/* SPDX-License-Identifier: BSD-2-Clause */
/* The cache: what is stored is found, whatever is done to it, and takes no more room than it may. */
#include "kernels/kernels.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "backend/kept.h"
#include "capture.h"
#include "config/config.h"

#define FILE_LEN  70000
#define PAGES_LEN (64 * KIB)

static char dir[] = "/tmp/minivmm-kernels-XXXXXX";
static struct kernels k;
static uint8_t bytes[FILE_LEN], pages[PAGES_LEN];
static const struct file file = { bytes, FILE_LEN };
static const struct key key = { .name = "l-key", .settled = true }, none = { .settled = true };
static const struct boot_image image = {
	.start = 16 * MIB,
	.end = 16 * MIB + PAGES_LEN,
	.kernel_start = 16 * MIB,
	.kernel_end = 17 * MIB,
	.room_start = 14 * MIB,
	.room_end = 18 * MIB,
	.entry = 16 * MIB,
	.floor = 20 * MIB,
	.head_len = 4096,
};

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static bool there(const char *name)
{
	struct stat st;

	return fstatat(k.dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static const char *entry_name(void)
{
	static char name[KERNELS_NAME_LEN];

	kernels_name(name, &file);
	return name;
}

static int store(void)
{
	const bool stop = false;

	return kernels_store(&k, &key, &file, &image, pages, &stop);
}

static bool is_found(const struct key *by)
{
	struct kernels_found f;
	const bool found = kernels_find(&k, by, &f);

	kernels_let_go(&f);
	return found;
}

static bool is_matched(const struct file *by)
{
	struct kernels_found f;
	const bool found = kernels_match(&k, by, &none, &f);

	kernels_let_go(&f);
	return found;
}

static int begin(void **state __unused)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s/*", dir);
	return system(command);
}

static int begin_stored(void **state)
{
	return begin(state) || store() < 0;
}

/* -- what is found --------------------------------------------------------------------------- */

static void check_found(const struct kernels_found *f)
{
	uint8_t *map = mmap(NULL, PAGES_LEN, PROT_READ, MAP_PRIVATE, f->fd, (off_t)f->e.image_at);
	struct stat st;

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_memory_equal(map, pages, PAGES_LEN);
	munmap(map, PAGES_LEN);
	assert_memory_equal(&f->e.image, &image, sizeof(image));
	assert_int_equal(f->head.len, 4096);
	assert_memory_equal(f->head.data, bytes, 4096);
	assert_int_equal(fstat(f->fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
}

static void what_was_stored_is_found(void **state __unused)
{
	const struct key other = { .name = "l-other", .settled = true };
	struct kernels_found f;

	assert_false(is_found(&key) || is_matched(&file));
	assert_int_equal(store(), 0);
	assert_true(kernels_find(&k, &key, &f));
	check_found(&f);
	kernels_let_go(&f);
	kernels_let_go(&f);
	assert_false(is_found(&none));

	/* A copy has another key, which is known from then on. */
	assert_false(is_found(&other));
	assert_true(kernels_match(&k, &file, &other, &f));
	check_found(&f);
	kernels_let_go(&f);
	assert_true(is_found(&other));
	assert_int_equal(store(), -EEXIST);
}

static void what_changed_just_now_is_read_again(void **state __unused)
{
	const struct key fresh = { .name = "l-fresh" };
	struct kernels_found f;

	assert_true(kernels_match(&k, &file, &fresh, &f));
	kernels_let_go(&f);
	assert_false(is_found(&fresh));
}

/* The sum in the name only finds an entry; there is one entry of a name. */
static void another_file_of_the_same_sum_is_another_file(void **state __unused)
{
	struct file other = { malloc(FILE_LEN), FILE_LEN };
	char name[KERNELS_NAME_LEN];
	bool stop = false;

	memcpy(other.data, bytes, FILE_LEN);
	other.data[FILE_LEN / 2] ^= 1; /* which the sum doesn't see */
	kernels_name(name, &other);
	assert_string_equal(name, entry_name());
	assert_false(is_matched(&other));
	assert_int_equal(kernels_store(&k, &none, &other, &image, pages, &stop), 0);
	assert_true(is_matched(&other));
	assert_false(is_matched(&file));
	assert_false(is_found(&key)); /* its link leads to the entry that was there */
	other.data[FILE_LEN - 1] ^= 1;
	kernels_name(name, &other);
	assert_string_not_equal(name, entry_name());
	other.len--;
	assert_false(is_matched(&other));
	free(other.data);
}

static void a_later_life_finds_it_in_the_same_directory(void **state __unused)
{
	struct config c = { .kernel_cache.dir = dir };
	struct kept kept = { 0 };
	struct kernels first, later;
	struct stat st;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	kernels_open(&first, &c, &kept);
	assert_true(first.dir >= 0);
	assert_int_equal(kept_keep(&kept, 0, fd, "kernel"), 0);
	kernels_close(&first);
	c.kernel_cache.dir = (char[]){ "/nowhere/else" }; /* which nobody looks at */
	kernels_open(&later, &c, &kept);
	assert_int_equal(fstat(later.dir, &st), 0);
	assert_int_equal(st.st_ino, k.st.st_ino);
	assert_int_equal(later.boot, k.boot);
	kernels_close(&later);
	c.kernel_cache.off = true;
	kernels_open(&later, &c, &kept);
	assert_int_equal(later.dir, -1);
	kept_end(&kept);
	close(fd);
}

static void without_a_directory_nothing_is_found(void **state __unused)
{
	const struct kernels no = { .dir = -1 };
	struct kernels_found f;

	assert_false(kernels_find(&no, &key, &f));
	kernels_let_go(&f);
	assert_false(kernels_match(&no, &file, &key, &f));
	kernels_let_go(&f);
}

/* -- damage ---------------------------------------------------------------------------------- */

static void change(off_t at, uint8_t flip)
{
	int fd;
	uint8_t byte;

	assert_int_equal(fchmodat(k.dir, entry_name(), 0600, 0), 0);
	fd = openat(k.dir, entry_name(), O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= flip;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void flip_magic(void)
{
	change(0, 1);
}
static void flip_version(void)
{
	change(15, 1);
}
static void flip_address(void)
{
	change(16, 1);
}
static void flip_head(void)
{
	change(ENTRY_FILE + 100, 1);
}
static void truncate_it(void)
{
	const struct entry e = entry_of(&image, bytes, FILE_LEN, 0);

	assert_int_equal(chmod(in_dir(entry_name()), 0600), 0);
	assert_int_equal(truncate(in_dir(entry_name()), (off_t)entry_len(&e) - 4096), 0);
}
static void extend_it(void)
{
	const struct entry e = entry_of(&image, bytes, FILE_LEN, 0);

	assert_int_equal(truncate(in_dir(entry_name()), (off_t)entry_len(&e) + 4096), 0);
}
static void empty_it(void)
{
	assert_int_equal(truncate(in_dir(entry_name()), 0), 0);
}
static void open_it_to_others(void)
{
	assert_int_equal(fchmodat(k.dir, entry_name(), 0440, 0), 0);
}
static void make_it_a_link(void)
{
	assert_int_equal(renameat(k.dir, entry_name(), k.dir, "real"), 0);
	assert_int_equal(symlinkat("real", k.dir, entry_name()), 0);
}
static void make_it_a_directory(void)
{
	assert_int_equal(unlinkat(k.dir, entry_name(), 0), 0);
	assert_int_equal(mkdirat(k.dir, entry_name(), 0700), 0);
	assert_int_equal(unlinkat(k.dir, entry_name(), AT_REMOVEDIR), 0);
	assert_int_equal(mkfifoat(k.dir, entry_name(), 0600), 0);
}
static void remove_it(void)
{
	assert_int_equal(unlinkat(k.dir, entry_name(), 0), 0);
}
static void give_it_away(void)
{
	if (geteuid() == 0)
		assert_int_equal(fchownat(k.dir, entry_name(), 1, 1, 0), 0);
	else
		remove_it();
}

/* An entry with any of these damages is ignored, and made anew. */
static void a_damaged_entry_is_replaced(void **state)
{
	static void (*const damage[])(void) = {
		flip_magic,          flip_version, flip_address,      flip_head,
		truncate_it,         extend_it,    open_it_to_others, make_it_a_link,
		make_it_a_directory, remove_it,    empty_it,          give_it_away,
	};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		struct kernels_found f;

		assert_int_equal(begin_stored(state), 0);
		damage[i]();
		if (is_found(&key) || is_matched(&file))
			fail_msg("damage %zu: it was found", i);
		assert_int_equal(store(), 0);
		assert_true(kernels_find(&k, &key, &f));
		check_found(&f);
		kernels_let_go(&f);
	}
}

static void links_lead_to_entries_only(void **state __unused)
{
	static const char *const targets[] = { "../k-x:0", "k-/../x:0", "x:0",   "/etc/passwd",
					       "l-bad:0",  "k-",        "k-x:0", ":" };
	const struct key bad = { .name = "l-bad", .settled = true };

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		assert_int_equal(symlinkat(targets[i], k.dir, "l-bad"), 0);
		assert_false(is_found(&bad));
		assert_int_equal(unlinkat(k.dir, "l-bad", 0), 0);
	}
	close(openat(k.dir, "l-bad", O_CREAT | O_CLOEXEC | O_WRONLY, 0600));
	assert_false(is_found(&bad));
}

/* -- writing --------------------------------------------------------------------------------- */

static void one_writes_at_a_time(void **state __unused)
{
	char temp[KERNELS_NAME_LEN];

	strcpy(temp, entry_name());
	temp[0] = 't';
	close(openat(k.dir, temp, O_CREAT | O_CLOEXEC | O_WRONLY, 0600));
	assert_int_equal(store(), -EEXIST);
	assert_true(there(temp));
	/* Whoever began that was killed. */
	assert_int_equal(utimensat(k.dir, temp, (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0), 0);
	assert_int_equal(store(), 0);
	assert_false(there(temp));
	assert_true(is_found(&key));
}

static void it_stops_when_it_is_told(void **state __unused)
{
	const bool stop = true;
	char temp[KERNELS_NAME_LEN];

	assert_int_equal(kernels_store(&k, &key, &file, &image, pages, &stop), -ECANCELED);
	strcpy(temp, entry_name());
	temp[0] = 't';
	assert_false(there(temp) || there(entry_name()) || there(key.name));
}

static void without_room_nothing_is_left(void **state __unused)
{
	struct rlimit before, l = { 2 * MIB, RLIM_INFINITY };
	char temp[KERNELS_NAME_LEN];
	int rc;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	l.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
	rc = store();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, -EFBIG);
	strcpy(temp, entry_name());
	temp[0] = 't';
	assert_false(there(temp) || there(entry_name()) || there(key.name));
}

static void what_is_too_large_is_not_kept(void **state __unused)
{
	struct boot_image large = image;
	const bool stop = false;

	large.end = large.start + 256 * MIB;
	assert_int_equal(kernels_store(&k, &key, &file, &large, pages, &stop), -EFBIG);
	large = image;
	large.head_len = ENTRY_HEAD_MAX + 1;
	assert_int_equal(kernels_store(&k, &key, &file, &large, pages, &stop), -EFBIG);
}

/* -- the bound ------------------------------------------------------------------------------- */

/* Makes something that takes as much room as an entry, used at that time. */
static void make_old(const char *name, uint64_t len, time_t used)
{
	int fd = openat(k.dir, name, O_CREAT | O_CLOEXEC | O_WRONLY, 0600);
	const struct timespec t[2] = { { used, 0 }, { used, 0 } };

	if (fallocate(fd, 0, 0, (off_t)len) < 0)
		skip();
	assert_int_equal(futimens(fd, t), 0);
	close(fd);
}

static void the_least_recently_used_go(void **state __unused)
{
	make_old("k-2", 100 * MIB, 2);
	make_old("k-1", 100 * MIB, 1);
	make_old("k-3", 50 * MIB, 3);
	make_old("mine", 100 * MIB, 1); /* somebody put it there: it is left alone */
	assert_int_equal(symlinkat("k-1:0", k.dir, "l-1"), 0);
	assert_int_equal(symlinkat("k-0:0", k.dir, "l-0"), 0);
	assert_int_equal(store(), 0);
	assert_true(there("k-1") && there("l-1"));
	assert_false(there("l-0")); /* it led nowhere */
	assert_int_equal(begin(NULL), 0);

	make_old("k-2", 100 * MIB, 2);
	make_old("k-1", 100 * MIB, 1);
	make_old("k-3", 56 * MIB, 3);
	assert_int_equal(store(), 0);
	assert_false(there("k-1"));
	assert_true(there("k-2") && there("k-3") && there(entry_name()));
}

static void few_are_kept(void **state __unused)
{
	char name[16];

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "k-%d", i);
		make_old(name, 4096, 1 + i);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "l-%d", i);
		assert_int_equal(symlinkat("k-39:0", k.dir, name), 0);
	}
	assert_int_equal(store(), 0);
	assert_true(there("k-39") && there("k-9") && !there("k-8") && !there("k-0"));
	assert_true(is_found(&key));
}

static void a_use_is_noted(void **state __unused)
{
	const struct timespec t[2] = { { 1000, 0 }, { 1000, 0 } };
	struct stat st;

	assert_int_equal(utimensat(k.dir, entry_name(), t, 0), 0);
	assert_true(is_found(&key));
	assert_int_equal(fstatat(k.dir, entry_name(), &st, 0), 0);
	assert_true(st.st_mtim.tv_sec > 1000);
}

/* A machine that has it mapped doesn't notice. */
static void what_is_in_use_stays(void **state __unused)
{
	struct kernels_found f;

	assert_true(kernels_find(&k, &key, &f));
	assert_int_equal(begin(NULL), 0);
	check_found(&f);
	kernels_let_go(&f);
	assert_false(is_found(&key));
}

int main(void)
{
#define STORED(f) cmocka_unit_test_setup(f, begin_stored)
#define EMPTY(f)  cmocka_unit_test_setup(f, begin)
	const struct CMUnitTest tests[] = {
		EMPTY(what_was_stored_is_found),
		STORED(what_changed_just_now_is_read_again),
		STORED(another_file_of_the_same_sum_is_another_file),
		STORED(a_later_life_finds_it_in_the_same_directory),
		STORED(without_a_directory_nothing_is_found),
		EMPTY(a_damaged_entry_is_replaced),
		STORED(links_lead_to_entries_only),
		EMPTY(one_writes_at_a_time),
		EMPTY(it_stops_when_it_is_told),
		EMPTY(without_room_nothing_is_left),
		EMPTY(what_is_too_large_is_not_kept),
		EMPTY(the_least_recently_used_go),
		EMPTY(few_are_kept),
		STORED(a_use_is_noted),
		STORED(what_is_in_use_stays),
	};
	struct config c = { .kernel_cache.dir = dir };
	int rc;

	for (size_t i = 0; i < FILE_LEN; i++)
		bytes[i] = (uint8_t)(i * 7 >> 3);
	for (size_t i = 0; i < PAGES_LEN; i++)
		pages[i] = (uint8_t)(i * 5 >> 2);
	if (!mkdtemp(dir))
		return 1;
	log_set_level(LOG_QUIET);
	kernels_open(&k, &c, NULL);
	if (k.dir < 0) {
		puts("1..0 # SKIP /tmp is not on a file system of this machine");
		return rmdir(dir) < 0;
	}
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	begin(NULL);
	kernels_close(&k);
	return rmdir(dir) < 0 ? 1 : rc;
}
