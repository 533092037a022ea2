#ifndef ISLE_HOST_SHIM_FILE_H
#define ISLE_HOST_SHIM_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/// Opens a file for reading and appending, made with mode 0600 if missing, close-on-exec: descriptor or -errno.
static inline int isle_open_append(const char *path) {
    int r = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    return r < 0 ? -errno : r;
}

/// Opens a file for reading, close-on-exec: descriptor or -errno.
static inline int isle_open_read(const char *path) {
    int r = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return r < 0 ? -errno : r;
}

/// Opens an existing file for writing (proc, cgroup), close-on-exec: descriptor or -errno.
static inline int isle_open_write(const char *path) {
    int r = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return r < 0 ? -errno : r;
}

/// Makes an empty file, or empties it, for writing, mode 0600, close-on-exec: descriptor or -errno.
static inline int isle_create(const char *path) {
    int r = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return r < 0 ? -errno : r;
}

static inline long isle_read(int fd, void *buffer, size_t size) {
    long r = read(fd, buffer, size);
    return r < 0 ? -errno : r;
}

static inline long isle_pread(int fd, void *buffer, size_t size, int64_t offset) {
    long r = pread(fd, buffer, size, offset);
    return r < 0 ? -errno : r;
}

static inline long isle_write(int fd, const void *bytes, size_t size) {
    long r = write(fd, bytes, size);
    return r < 0 ? -errno : r;
}

static inline void isle_close(int fd) { close(fd); }

/// The size of an open file or -errno.
static inline int64_t isle_size(int fd) {
    struct stat s;
    return fstat(fd, &s) < 0 ? -errno : (int64_t)s.st_size;
}

static inline int isle_truncate(int fd, int64_t size) { return ftruncate(fd, size) < 0 ? -errno : 0; }
static inline int isle_rename(const char *from, const char *to) { return rename(from, to) < 0 ? -errno : 0; }
static inline int isle_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }
static inline int isle_rmdir(const char *path) { return rmdir(path) < 0 ? -errno : 0; }

/// Makes one folder of mode 0755; one that is there already is fine.
static inline int isle_mkdir(const char *path) { return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0; }

/// The time since 1970.
static inline void isle_realtime(int64_t *seconds, int64_t *nanoseconds) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    *seconds = t.tv_sec;
    *nanoseconds = t.tv_nsec;
}

/// Milliseconds of a clock that never jumps.
static inline int64_t isle_monotonic_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/// A file in memory, close-on-exec: descriptor or -errno.
static inline int isle_memfd(const char *name) {
    long r = syscall(SYS_memfd_create, name, 1u);
    return r < 0 ? -errno : (int)r;
}

static inline int isle_seek_start(int fd) { return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0; }

/// Sets or clears O_NONBLOCK.
static inline int isle_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

/// A close-on-exec duplicate numbered at least `lowest`, or -errno.
static inline int isle_duplicate(int fd, int lowest) {
    int r = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    return r < 0 ? -errno : r;
}

#endif
