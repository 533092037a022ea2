#ifndef ISLE_HOST_GUEST_AFFINITY_H
#define ISLE_HOST_GUEST_AFFINITY_H

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Binds one thread to the processors whose bits are set in `mask` of `size` bytes: sched_setaffinity(2).
static inline int isle_set_affinity(int thread, size_t size, const void *mask) {
    return syscall(SYS_sched_setaffinity, thread, size, mask) < 0 ? -errno : 0;
}

#endif
