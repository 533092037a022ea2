#ifndef ISLE_HOST_CONTAINER_H
#define ISLE_HOST_CONTAINER_H

#include <sys/types.h>
#include <sys/syscall.h>
#include <unistd.h>

// Sets the ids that the calling thread makes files with, setfsgid(2) first: afterwards it has no right to. The libc
// functions would do the same; both report no failure.
static inline void isle_set_file_ids(unsigned int uid, unsigned int gid) {
    (void)syscall(SYS_setfsgid, gid);
    (void)syscall(SYS_setfsuid, uid);
}

#endif
