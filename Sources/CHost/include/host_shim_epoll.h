#ifndef ISLE_HOST_SHIM_EPOLL_H
#define ISLE_HOST_SHIM_EPOLL_H

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

/// Bits of epoll_ctl(2) that Swift does not see as macros.
enum {
    ISLE_EPOLLIN = 0x001,
    ISLE_EPOLLOUT = 0x004,
    ISLE_EPOLLERR = 0x008,
    ISLE_EPOLLHUP = 0x010,
    ISLE_EPOLLONESHOT = 1 << 30,
};

/// What isle_epoll_wait reports: the key given at registration and what happened.
struct isle_epoll_ready {
    uint64_t key;
    uint32_t events;
};

static inline int isle_epoll_create(void) {
    int r = epoll_create1(EPOLL_CLOEXEC);
    return r < 0 ? -errno : r;
}

static inline int isle_epoll_add(int epoll, int fd, uint32_t events, uint64_t key) {
    struct epoll_event event = {.events = events, .data = {.u64 = key}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static inline int isle_epoll_modify(int epoll, int fd, uint32_t events, uint64_t key) {
    struct epoll_event event = {.events = events, .data = {.u64 = key}};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

static inline int isle_epoll_remove(int epoll, int fd) {
    struct epoll_event event = {.events = 0};
    return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event) < 0 ? -errno : 0;
}

/// epoll_wait(2): the number of entries filled in, at most 32, or -errno. `milliseconds` of -1 waits for ever.
static inline int isle_epoll_wait(int epoll, struct isle_epoll_ready *ready, int capacity, int milliseconds) {
    struct epoll_event events[32];
    if (capacity > 32) capacity = 32;
    int count = epoll_wait(epoll, events, capacity, milliseconds);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) {
        ready[i].key = events[i].data.u64;
        ready[i].events = events[i].events;
    }
    return count;
}

#endif
