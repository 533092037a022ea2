#ifndef ISLE_HOST_MISC_H
#define ISLE_HOST_MISC_H

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/// errno of the last failed call of this thread.
static inline int isle_errno(void) { return errno; }

/// Keeps the allocator from making an arena per thread: a daemon of many short tasks would keep them all (mallopt(3)).
static inline void isle_limit_arenas(void) {
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 2);
#endif
}

/// Gives memory that is free back to the kernel (malloc_trim(3)).
static inline void isle_release_memory(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

#endif
