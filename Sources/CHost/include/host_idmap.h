#ifndef ISLE_HOST_IDMAP_H
#define ISLE_HOST_IDMAP_H

// What it takes to find out whether a file system can show its files with shifted owners (mount_setattr(2)).

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int isle_idmap_write(int pid, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    int r = write(file, text, strlen(text)) < 0 ? -errno : 0;
    close(file);
    return r;
}

/// A user namespace in which 0..65535 are `base`.. of the host, kept by nothing but the descriptor; or -errno. The
/// child that makes it does nothing that a process of many threads must not do between fork and exec.
static inline int isle_idmap_namespace(unsigned base) {
    int ends[2];
    if (syscall(SYS_pipe2, ends, O_CLOEXEC) < 0) return -errno;
    // CLONE_NEWUSER.
    long pid = syscall(SYS_clone, 0x10000000 | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        char byte;
        close(ends[1]);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {}
        _exit(0);
    }
    int result = pid < 0 ? -errno : 0;
    close(ends[0]);
    if (result == 0) {
        char map[64];
        snprintf(map, sizeof map, "0 %u 65536\n", base);
        result = isle_idmap_write((int)pid, "uid_map", map);
        if (result == 0) result = isle_idmap_write((int)pid, "gid_map", map);
        if (result == 0) {
            snprintf(map, sizeof map, "/proc/%d/ns/user", (int)pid);
            result = open(map, O_RDONLY | O_CLOEXEC);
            if (result < 0) result = -errno;
        }
    }
    close(ends[1]);
    if (pid > 0) {
        while (waitpid((pid_t)pid, 0, 0) < 0 && errno == EINTR) {}
    }
    return result;
}

/// Whether a copy of the mounts at `path` takes the map of `userns`: 0, or -errno as mount_setattr(2) gives it. Nothing
/// is attached anywhere.
static inline int isle_idmap_try(const char *path, int userns) {
    // open_tree(2): OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE.
    long tree = syscall(428, AT_FDCWD, path, 1 | O_CLOEXEC | 0x8000);
    if (tree < 0) return -errno;
    struct {
        uint64_t set, clear, propagation, userns;
    } attributes = {0x00100000 /* MOUNT_ATTR_IDMAP */, 0, 0, (uint64_t)userns};
    // AT_EMPTY_PATH | AT_RECURSIVE.
    int r = syscall(442, (int)tree, "", 0x1000 | 0x8000, &attributes, sizeof attributes) < 0 ? -errno : 0;
    close((int)tree);
    return r;
}

#endif
