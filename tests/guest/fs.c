/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fs DIR: does what programs do with the file system of DIR, which is the guest's end of virtio-fs.
 * Every surprise is a line that begins with "bad: ". The directory "kept" remains in DIR, with a
 * file of each kind, for the host to look at.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHECK(what)                                                                                \
	do {                                                                                       \
		errno = 0;                                                                         \
		if (!(what))                                                                       \
			printf("bad: line %d: %s: %s\n", __LINE__, #what, strerror(errno));        \
	} while (0)
#define FAILS(what, why) CHECK((what) < 0 && errno == (why))

/* Makes a file with this content, and returns it open. */
static int make(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

static int has(const char *name, const char *text)
{
	char buf[4096] = "";
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf));

	close(fd);
	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

static void names(void)
{
	struct stat st, other;
	char buf[100];

	close(make("a", "text"));
	CHECK(link("a", "b") == 0 && stat("a", &st) == 0 && st.st_nlink == 2);
	CHECK(stat("b", &other) == 0 && other.st_ino == st.st_ino);
	CHECK(symlink("a", "soft") == 0 && has("soft", "text"));
	CHECK(readlink("soft", buf, sizeof(buf)) == 1 && *buf == 'a');
	FAILS(symlink("a", "soft"), EEXIST);
	CHECK(mkdir("dir", 0750) == 0 && mkdir("dir/below", 0755) == 0);
	FAILS(rmdir("dir"), ENOTEMPTY);
	CHECK(rename("b", "dir/below/b") == 0 && has("dir/below/b", "text"));
	FAILS(open("b", O_RDONLY), ENOENT);
	close(make("c", "other"));
	FAILS(renameat2(AT_FDCWD, "c", AT_FDCWD, "a", RENAME_NOREPLACE), EEXIST);
	CHECK(renameat2(AT_FDCWD, "c", AT_FDCWD, "a", RENAME_EXCHANGE) == 0);
	CHECK(has("c", "text") && has("a", "other"));
	CHECK(rename("c", "a") == 0 && has("a", "text"));
	CHECK(unlink("dir/below/b") == 0 && rmdir("dir/below") == 0 && rmdir("dir") == 0);
	CHECK(unlink("soft") == 0 && unlink("a") == 0);
	FAILS(stat("a", &st), ENOENT);
	FAILS(mknod("disk", S_IFBLK | 0600, makedev(8, 0)), EPERM);
}

static void content(void)
{
	static char page[4096], got[4096];
	struct stat st;
	int fd = make("file", "0123456789"), append = open("file", O_WRONLY | O_APPEND);

	CHECK(write(append, "abc", 3) == 3 && has("file", "0123456789abc"));
	CHECK(pwrite(fd, "XY", 2, 4) == 2 && has("file", "0123XY6789abc"));
	CHECK(ftruncate(fd, 5) == 0 && has("file", "0123X"));
	CHECK(write(append, "!", 1) == 1 && has("file", "0123X!"));
	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
	CHECK(fallocate(fd, 0, 0, 65536) == 0 && fstat(fd, &st) == 0 && st.st_size == 65536);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536) == 0);
	memset(page, 'p', sizeof(page));
	CHECK(pwrite(fd, page, sizeof(page), 32768) == sizeof(page));
	CHECK(fsync(fd) == 0 && lseek(fd, 0, SEEK_DATA) == 32768);
	CHECK(lseek(fd, 32768, SEEK_HOLE) == 32768 + 4096);
	CHECK(unlink("file") == 0 && fstat(fd, &st) == 0 && st.st_nlink == 0);
	CHECK(pread(fd, got, sizeof(got), 32768) == sizeof(got) && !memcmp(got, page, sizeof(got)));
	close(append);
	close(fd);
}

static void copies(void)
{
	int from = make("from", "all of this"), to = make("to", "");
	loff_t off = 4;

	CHECK(copy_file_range(from, &off, to, NULL, 100, 0) == 7 && has("to", "of this"));
	close(from);
	close(to);
	CHECK(unlink("from") == 0 && unlink("to") == 0);
	from = open(".", O_RDWR | O_TMPFILE, 0600);
	CHECK(from >= 0 || errno == EOPNOTSUPP);
	if (from >= 0) {
		char path[64];

		CHECK(write(from, "named late", 10) == 10);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", from);
		CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "late", AT_SYMLINK_FOLLOW) == 0);
		CHECK(has("late", "named late") && unlink("late") == 0);
		close(from);
	}
}

static void mapped(void)
{
	int fd = make("map", "");
	char *p;

	CHECK(ftruncate(fd, 3 * 4096) == 0);
	p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	if (p == MAP_FAILED)
		return;
	memcpy(p + 4090, "across pages", 12);
	CHECK(msync(p, 3 * 4096, MS_SYNC) == 0 && munmap(p, 3 * 4096) == 0);
	close(fd);
}

static void direct(void)
{
	const size_t size = 1 << 20;
	char *buf = NULL, *got = NULL;
	int fd = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0644);

	CHECK(fd >= 0);
	CHECK(posix_memalign((void **)&buf, 4096, size) == 0);
	CHECK(posix_memalign((void **)&got, 4096, size) == 0);
	for (size_t i = 0; i < size; i++)
		buf[i] = (char)(i >> 8 ^ i);
	CHECK(write(fd, buf, size) == (ssize_t)size);
	CHECK(pread(fd, got, size, 0) == (ssize_t)size && !memcmp(buf, got, size));
	close(fd);
	CHECK(unlink("direct") == 0);
}

static void attributes(void)
{
	const struct timespec t[2] = { { 1000000000, 0 }, { 1234567890, 123456789 } };
	struct statvfs vfs;
	struct stat st;
	char buf[100];
	int fd = make("file", "");

	CHECK(chmod("file", 0640) == 0 && stat("file", &st) == 0 && (st.st_mode & 07777) == 0640);
	CHECK(utimensat(AT_FDCWD, "file", t, 0) == 0 && stat("file", &st) == 0);
	CHECK(st.st_mtim.tv_sec == t[1].tv_sec && st.st_mtim.tv_nsec == t[1].tv_nsec);
	CHECK(statvfs("file", &vfs) == 0 && vfs.f_blocks > 0);
	if (setxattr("file", "user.color", "green", 5, 0) < 0 && errno == EOPNOTSUPP) {
		printf("no xattrs\n"); /* the host's file system has none */
	} else {
		CHECK(getxattr("file", "user.color", buf, sizeof(buf)) == 5 &&
		      !memcmp(buf, "green", 5));
		CHECK(listxattr("file", buf, sizeof(buf)) >= 11);
		FAILS(setxattr("file", "user.color", "red", 3, XATTR_CREATE), EEXIST);
		CHECK(removexattr("file", "user.color") == 0);
		FAILS(getxattr("file", "user.color", buf, sizeof(buf)), ENODATA);
	}
	close(fd);
	CHECK(unlink("file") == 0);
}

/* Locks between processes of the guest. */
static void locks(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	int fd = make("lock", ""), status = 0;

	CHECK(flock(fd, LOCK_EX) == 0 && fcntl(fd, F_SETLK, &lock) == 0);
	if (fork() == 0) {
		int own = open("lock", O_RDWR);

		_exit((flock(own, LOCK_EX | LOCK_NB) == 0 ? 1 : 0) |
		      (fcntl(own, F_SETLK, &lock) == 0 ? 2 : 0));
	}
	CHECK(wait(&status) > 0 && status == 0);
	close(fd);
	CHECK(unlink("lock") == 0);
}

/* Files that the host looks at afterwards; pipe and socket work in the guest. */
static void kinds(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "kept/socket" };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0), fd,
	    status = 0;
	char buf[8] = "";

	CHECK(mkdir("kept", 0755) == 0);
	close(make("kept/file", "from the guest\n"));
	CHECK(symlink("../../../../etc/hostname", "kept/link") == 0);
	CHECK(bind(s, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(s, 1) == 0);
	CHECK(connect(other, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(mkfifo("kept/pipe", 0600) == 0);
	if (fork() == 0) {
		fd = open("kept/pipe", O_WRONLY);
		_exit(write(fd, "through", 7) == 7 ? 0 : 1);
	}
	fd = open("kept/pipe", O_RDONLY);
	CHECK(read(fd, buf, sizeof(buf)) == 7 && !memcmp(buf, "through", 7));
	CHECK(wait(&status) > 0 && status == 0);
	close(fd);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	CHECK(argc == 2 && chdir(argv[1]) == 0);
	names();
	content();
	copies();
	mapped();
	direct();
	attributes();
	locks();
	kinds();
	printf("all done\n");
	return 0;
}
