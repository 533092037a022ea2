#ifndef ISLE_HOST_ROOT_H
#define ISLE_HOST_ROOT_H

// Calls on names below a folder's descriptor. Every function gives the result, or the negated errno.

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ISLE_RESOLVE_NO_XDEV 0x01
#define ISLE_RESOLVE_NO_MAGICLINKS 0x02
#define ISLE_RESOLVE_NO_SYMLINKS 0x04
#define ISLE_RESOLVE_BENEATH 0x08
#define ISLE_RESOLVE_IN_ROOT 0x10

#define ISLE_O_PATH 010000000
#define ISLE_RENAME_NOREPLACE 1
#define ISLE_RENAME_EXCHANGE 2

/// openat2(2) with O_CLOEXEC; tries again when the kernel says that a path changed under it (EAGAIN).
static inline int isle_openat2(int folder, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct { uint64_t flags, mode, resolve; } how = { flags | O_CLOEXEC, mode, resolve };
    for (int attempt = 0;; attempt++) {
        long result = syscall(437, folder, path, &how, sizeof how);
        if (result >= 0) return (int)result;
        if (errno == EINTR || (errno == EAGAIN && attempt < 128)) continue;
        return -errno;
    }
}

/// openat(2) of one name, with O_CLOEXEC.
static inline int isle_openat(int folder, const char *name, int flags, mode_t mode) {
    int result = openat(folder, name, flags | O_CLOEXEC, mode);
    return result < 0 ? -errno : result;
}

static inline int isle_mkdirat(int folder, const char *name, mode_t mode) {
    return mkdirat(folder, name, mode) < 0 ? -errno : 0;
}

static inline int isle_mknodat(int folder, const char *name, mode_t mode, uint32_t major_, uint32_t minor_) {
    return mknodat(folder, name, mode, makedev(major_, minor_)) < 0 ? -errno : 0;
}

static inline int isle_symlinkat(const char *target, int folder, const char *name) {
    return symlinkat(target, folder, name) < 0 ? -errno : 0;
}

static inline int isle_linkat(int oldFolder, const char *oldName, int folder, const char *name) {
    return linkat(oldFolder, oldName, folder, name, 0) < 0 ? -errno : 0;
}

static inline int isle_unlinkat(int folder, const char *name, int isDirectory) {
    return unlinkat(folder, name, isDirectory ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

static inline int isle_renameat2(int oldFolder, const char *oldName, int folder, const char *name, unsigned flags) {
    return syscall(SYS_renameat2, oldFolder, oldName, folder, name, flags) < 0 ? -errno : 0;
}

static inline long isle_readlinkat(int folder, const char *name, char *buffer, size_t size) {
    long result = readlinkat(folder, name, buffer, size);
    return result < 0 ? -errno : result;
}

/// lstat(2) of a name, or of the descriptor itself where the name is empty.
static inline int isle_statat(int folder, const char *name, struct stat *out) {
    int empty = name[0] == 0 ? 0x1000 /* AT_EMPTY_PATH */ : 0;
    return fstatat(folder, name, out, AT_SYMLINK_NOFOLLOW | empty) < 0 ? -errno : 0;
}

static inline uint32_t isle_major(uint64_t device) { return major(device); }
static inline uint32_t isle_minor(uint64_t device) { return minor(device); }

static inline int isle_chownat(int folder, const char *name, uid_t user, gid_t group) {
    return fchownat(folder, name, user, group, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static inline int isle_fchown(int file, uid_t user, gid_t group) { return fchown(file, user, group) < 0 ? -errno : 0; }

static inline int isle_fchmod(int file, mode_t mode) { return fchmod(file, mode) < 0 ? -errno : 0; }

/// Sets access and modification time of a name, or of the descriptor where `name` is null; follows no link.
static inline int isle_utimensat(int folder, const char *name, int64_t accessed, long accessedNanos, int64_t modified,
                                 long modifiedNanos) {
    struct timespec times[2] = { { accessed, accessedNanos }, { modified, modifiedNanos } };
    int result = name ? utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) : futimens(folder, times);
    return result < 0 ? -errno : 0;
}

/// Extended attributes of what an O_PATH descriptor stands for: f*xattr(2) refuses such, /proc leads to the same file.
static inline const char *isle_descriptor_path(int file, char *buffer, size_t size) {
    snprintf(buffer, size, "/proc/self/fd/%d", file);
    return buffer;
}

static inline int isle_setxattr(int file, const char *name, const void *value, size_t size) {
    char path[40];
    int result = fsetxattr(file, name, value, size, 0);
    if (result < 0 && errno == EBADF) result = setxattr(isle_descriptor_path(file, path, sizeof path), name, value, size, 0);
    return result < 0 ? -errno : 0;
}

/// Sets an attribute of `name` in `folder` itself, of a link too.
static inline int isle_setxattrat(int folder, const char *name, const char *attribute, const void *value, size_t size) {
    char path[4400];
    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name) >= (int)sizeof path) return -ENAMETOOLONG;
    return lsetxattr(path, attribute, value, size, 0) < 0 ? -errno : 0;
}

static inline long isle_getxattrat(int folder, const char *name, const char *attribute, void *value, size_t size) {
    char path[4400];
    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name) >= (int)sizeof path) return -ENAMETOOLONG;
    long result = lgetxattr(path, attribute, value, size);
    return result < 0 ? -errno : result;
}

static inline long isle_listxattrat(int folder, const char *name, char *list, size_t size) {
    char path[4400];
    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name) >= (int)sizeof path) return -ENAMETOOLONG;
    long result = llistxattr(path, list, size);
    return result < 0 ? -errno : result;
}

static inline int isle_removexattrat(int folder, const char *name, const char *attribute) {
    char path[4400];
    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name) >= (int)sizeof path) return -ENAMETOOLONG;
    return lremovexattr(path, attribute) < 0 ? -errno : 0;
}

static inline int isle_chmod_path(int file, mode_t mode) {
    char path[40];
    return chmod(isle_descriptor_path(file, path, sizeof path), mode) < 0 ? -errno : 0;
}

static inline int isle_fsync(int file) { return fsync(file) < 0 ? -errno : 0; }

/// Starts writing a part of a file out, without waiting for it (sync_file_range(2)). 0 or the negated errno.
static inline int isle_start_writing(int file, int64_t offset, int64_t count) {
    return syscall(SYS_sync_file_range, file, offset, count, 2 /* SYNC_FILE_RANGE_WRITE */) < 0 ? -errno : 0;
}

/// Writes out the whole filesystem that `file` is on (syncfs(2)).
static inline int isle_syncfs(int file) { return syscall(SYS_syncfs, file) < 0 ? -errno : 0; }

static inline long isle_pwrite(int file, const void *bytes, size_t size, int64_t offset) {
    long result = pwrite(file, bytes, size, offset);
    return result < 0 ? -errno : result;
}

/// copy_file_range(2) from and to the same offset: the bytes copied, 0 at the end.
static inline long isle_copy_range(int from, int to, int64_t offset, size_t count) {
    int64_t in = offset, out = offset;
    long result = syscall(SYS_copy_file_range, from, &in, to, &out, count, 0);
    return result < 0 ? -errno : result;
}

static inline int isle_ftruncate(int file, int64_t size) { return ftruncate(file, size) < 0 ? -errno : 0; }

#endif
