#ifndef ISLE_HOST_ROOT_MOUNT_H
#define ISLE_HOST_ROOT_MOUNT_H

// Mounts that only one thread sees: it gets a mount namespace of its own, which ends with it. Every function gives 0
// or the negated errno.

#include <sys/vfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/// A mount namespace of this thread's own (CLONE_NEWNS), of which nothing shows outside; working and root folder are
/// its own from then on too.
static inline int isle_thread_private_mounts(void) {
    if (syscall(SYS_unshare, 0x00020000) < 0) return -errno;
    return mount("none", "/", 0, MS_REC | MS_SLAVE, 0) < 0 ? -errno : 0;
}

/// Network, IPC and UTS namespaces of this thread's own.
static inline int isle_thread_no_network(void) {
    return syscall(SYS_unshare, 0x40000000 | 0x08000000 | 0x04000000) < 0 ? -errno : 0;
}

/// The type of the filesystem that `path` is on, as statfs(2) gives it; negative: an errno.
static inline long isle_filesystem_type(const char *path) {
    struct statfs info;
    return statfs(path, &info) < 0 ? -errno : (long)info.f_type;
}

static inline int isle_thread_mount(const char *source, const char *target, const char *type, unsigned long flags,
                                    const char *options) {
    return mount(source, target, type, flags, options) < 0 ? -errno : 0;
}

static inline int isle_thread_bind(const char *source, const char *target, int readOnly) {
    if (mount(source, target, 0, MS_BIND, 0) < 0) return -errno;
    if (!readOnly) return 0;
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
    return mount(0, target, 0, flags, 0) < 0 ? -errno : 0;
}

/// A mount of the file or folder that `file` stands for, attached nowhere yet (open_tree(2)): the descriptor or the
/// negated errno. To be made before the thread leaves the mount namespace that `file` comes from.
static inline int isle_thread_clone_mount(int file, int readOnly) {
    long tree = syscall(428, file, "", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | 0x1000 /* AT_EMPTY_PATH */);
    if (tree < 0) return -errno;
    struct { uint64_t set, clear, propagation, userNamespace; } change = { readOnly ? 7 : 6, 0, 0, 0 };
    if (syscall(442, (int)tree, "", 0x1000, &change, sizeof change) < 0) {
        int number = errno;
        close((int)tree);
        return -number;
    }
    return (int)tree;
}

/// Attaches what `isle_thread_clone_mount` made.
static inline int isle_thread_attach_mount(int tree, const char *target) {
    return syscall(429, tree, "", AT_FDCWD, target, 4 /* MOVE_MOUNT_F_EMPTY_PATH */) < 0 ? -errno : 0;
}

static inline int isle_thread_chdir(const char *path) { return chdir(path) < 0 ? -errno : 0; }

/// Makes `path` this thread's root and leaves nothing of the old one reachable (pivot_root(2), "pivot_root(".", ".")").
static inline int isle_thread_enter_root(const char *path) {
    if (chdir(path) < 0) return -errno;
    if (syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
    if (umount2(".", MNT_DETACH) < 0) return -errno;
    return chdir("/") < 0 ? -errno : 0;
}

#endif
