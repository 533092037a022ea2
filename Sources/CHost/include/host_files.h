#ifndef ISLE_HOST_FILES_H
#define ISLE_HOST_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Sets the ids that the calling thread makes files with, and keeps its capabilities over those of others, which
/// setfsuid(2) takes from it (capabilities(7)). 0 or the negated errno.
static inline int isle_act_for(unsigned int uid, unsigned int gid) {
    (void)syscall(SYS_setfsgid, gid);
    (void)syscall(SYS_setfsuid, uid);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) return -errno;
    for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted;
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/// Owner and group of what an open descriptor stands for, O_PATH too; -1 leaves one as it is. 0 or the negated errno.
static inline int isle_chown_path(int file, unsigned int uid, unsigned int gid) {
    return fchownat(file, "", uid, gid, 0x1000 /* AT_EMPTY_PATH */) < 0 ? -errno : 0;
}

/// Access and modification time of what an open descriptor stands for, O_PATH too, in seconds since 1970.
static inline int isle_utimens_path(int file, int64_t seconds) {
    struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    return syscall(SYS_utimensat, file, "", times, 0x1000 /* AT_EMPTY_PATH */) < 0 ? -errno : 0;
}

#endif
