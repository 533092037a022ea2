#ifndef ISLE_HOST_DEVICES_H
#define ISLE_HOST_DEVICES_H

// Mounts that are brought into the mount namespace of a running instance. For threads that end with the work: they
// change the calling thread. Every function gives 0 or more, or the negated errno.

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/// Moves the calling thread into the mount namespace `fd`; its root and working folder are that namespace's root then.
static inline int isle_thread_join_mounts(int fd) {
    if (syscall(SYS_unshare, 0x00000200 /* CLONE_FS */) < 0) return -errno;
    return syscall(SYS_setns, fd, 0x00020000 /* CLONE_NEWNS */) < 0 ? -errno : 0;
}

/// A detached copy of what is mounted at `path` (open_tree(2)); with `userNamespace` >= 0 its owners are mapped
/// (mount_setattr(2), MOUNT_ATTR_IDMAP). The descriptor.
static inline int isle_tree_copy(const char *path, int recursive, int readOnly, int userNamespace) {
    long tree = syscall(428, AT_FDCWD, path, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | (recursive ? 0x8000 : 0));
    if (tree < 0) return -errno;
    struct { uint64_t set, clear, propagation, userNamespace; } change = {
        (readOnly ? 1 : 0) | (userNamespace >= 0 ? 0x00100000 : 0), 0, 0, userNamespace >= 0 ? userNamespace : 0 };
    if (change.set && syscall(442, (int)tree, "", 0x1000 | (recursive ? 0x8000 : 0), &change, sizeof change) < 0) {
        int number = errno;
        close((int)tree);
        return -number;
    }
    return (int)tree;
}

/// Mounts what `isle_tree_copy` gave on the file or folder that `target` stands for (move_mount(2)).
static inline int isle_tree_mount(int tree, int target) {
    return syscall(429, tree, "", target, "", 0x44 /* both by descriptor */) < 0 ? -errno : 0;
}

/// Takes the mount at `path` away, without following a link.
static inline int isle_unmount(const char *path) {
    return umount2(path, MNT_DETACH | 8 /* UMOUNT_NOFOLLOW */) < 0 ? -errno : 0;
}

/// An in-memory file system in which device files work, at `path`.
static inline int isle_mount_device_folder(const char *path) {
    return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0711,size=64k") < 0 ? -errno : 0;
}

/// A device file with its owner and mode.
static inline int isle_make_device(const char *path, int block, uint32_t major_, uint32_t minor_, uint32_t mode,
                                   uint32_t uid, uint32_t gid) {
    if (mknod(path, (block ? S_IFBLK : S_IFCHR) | 0600, makedev(major_, minor_)) < 0) return -errno;
    if (chown(path, uid, gid) < 0) return -errno;
    return chmod(path, mode & 0777) < 0 ? -errno : 0;
}

#endif
