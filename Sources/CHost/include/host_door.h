#ifndef ISLE_HOST_DOOR_H
#define ISLE_HOST_DOOR_H

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

/// stat(2), or lstat(2) unless `follow`: type and permissions, and owner. 0 or -errno.
/// Here because swift-nio's C modules hide struct stat from targets that import both.
static inline int isle_file_mode(const char *path, int follow, uint32_t *mode, uint32_t *owner) {
    struct stat info;
    if ((follow ? stat(path, &info) : lstat(path, &info)) < 0) return -errno;
    *mode = info.st_mode;
    *owner = info.st_uid;
    return 0;
}

#endif
