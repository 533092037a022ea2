#ifndef ISLE_HOST_ROOT_MOUNT_H
#define ISLE_HOST_ROOT_MOUNT_H

// Mounts that only one thread sees: it gets a mount namespace of its own, which ends with it. Every function gives 0
// or the negated errno.

#include <errno.h>
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

static inline int isle_thread_chdir(const char *path) { return chdir(path) < 0 ? -errno : 0; }

/// Makes `path` this thread's root and leaves nothing of the old one reachable (pivot_root(2), "pivot_root(".", ".")").
static inline int isle_thread_enter_root(const char *path) {
    if (chdir(path) < 0) return -errno;
    if (syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
    if (umount2(".", MNT_DETACH) < 0) return -errno;
    return chdir("/") < 0 ? -errno : 0;
}

#endif
