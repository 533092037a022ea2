#ifndef ISLE_HOST_SHIM_FORWARD_H
#define ISLE_HOST_SHIM_FORWARD_H

// What a forwarder of connections needs. Every function gives 0 or more, or the negated errno.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

struct isle_address {
    socklen_t length;
    struct sockaddr_storage storage;
};

/// A literal address with a port.
static inline int isle_address_parse(struct isle_address *out, const char *text, int port) {
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        out->length = sizeof *v4;
        return 0;
    }
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) return -EINVAL;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    out->length = sizeof *v6;
    return 0;
}

/// A path of a socket; one that begins with '@' is in the abstract name space (unix(7)).
static inline int isle_address_unix(struct isle_address *out, const char *path) {
    memset(out, 0, sizeof *out);
    struct sockaddr_un *address = (struct sockaddr_un *)&out->storage;
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address->sun_path) return -ENAMETOOLONG;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, size);
    if (path[0] == '@') address->sun_path[0] = 0;
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] == '@' ? 0 : 1));
    return 0;
}

static inline int isle_forward_socket(const struct isle_address *address, int datagram) {
    int fd = socket(address->storage.ss_family, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static inline int isle_forward_bind(int fd, const struct isle_address *address) {
    int on = 1;
    if (address->storage.ss_family != AF_UNIX) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    return bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ? -errno : 0;
}

static inline int isle_forward_listen(int fd) { return listen(fd, 128) < 0 ? -errno : 0; }

static inline int isle_forward_connect(int fd, const struct isle_address *address) {
    return connect(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ? -errno : 0;
}

static inline int isle_forward_accept(int fd, struct isle_address *peer) {
    peer->length = sizeof peer->storage;
    int connection = accept4(fd, (struct sockaddr *)&peer->storage, &peer->length, SOCK_CLOEXEC);
    return connection < 0 ? -errno : connection;
}

static inline long isle_forward_receive(int fd, void *buffer, size_t size, struct isle_address *peer) {
    peer->length = sizeof peer->storage;
    long count = recvfrom(fd, buffer, size, MSG_DONTWAIT, (struct sockaddr *)&peer->storage, &peer->length);
    return count < 0 ? -errno : count;
}

static inline long isle_forward_send(int fd, const void *bytes, size_t size, const struct isle_address *peer) {
    long count = sendto(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, peer ? (const struct sockaddr *)&peer->storage : 0,
                        peer ? peer->length : 0);
    return count < 0 ? -errno : count;
}

static inline int isle_same_address(const struct isle_address *one, const struct isle_address *two) {
    return one->length == two->length && memcmp(&one->storage, &two->storage, one->length) == 0;
}

/// The text of an address; its port.
static inline int isle_address_text(const struct isle_address *address, char *text, size_t size) {
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        return inet_ntop(AF_INET, &v4->sin_addr, text, size) ? ntohs(v4->sin_port) : -errno;
    }
    if (address->storage.ss_family != AF_INET6) return -EAFNOSUPPORT;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
    return inet_ntop(AF_INET6, &v6->sin6_addr, text, size) ? ntohs(v6->sin6_port) : -errno;
}

/// The socket's own address.
static inline int isle_own_address(int fd, struct isle_address *out) {
    out->length = sizeof out->storage;
    return getsockname(fd, (struct sockaddr *)&out->storage, &out->length) < 0 ? -errno : 0;
}

static inline void isle_finish_writing(int fd) { shutdown(fd, SHUT_WR); }

/// Waits for `fds[i]` to be readable (bit 1 of `wanted[i]`) or writable (bit 2); what is, stands in `ready[i]`, with bit
/// 4 for an error or a hang-up. At most 512. Below 0: for ever.
static inline int isle_forward_poll(const int *fds, const uint8_t *wanted, uint8_t *ready, int count, int milliseconds) {
    struct pollfd polled[512];
    if (count > 512) return -EINVAL;
    for (int i = 0; i < count; i++) {
        polled[i].fd = wanted[i] ? fds[i] : -1;
        polled[i].events = (short)((wanted[i] & 1 ? POLLIN : 0) | (wanted[i] & 2 ? POLLOUT : 0));
        polled[i].revents = 0;
    }
    int result = poll(polled, (nfds_t)count, milliseconds);
    if (result < 0) return -errno;
    for (int i = 0; i < count; i++) {
        short got = polled[i].revents;
        ready[i] = (uint8_t)((got & POLLIN ? 1 : 0) | (got & POLLOUT ? 2 : 0) | (got & (POLLERR | POLLHUP | POLLNVAL) ? 4 : 0));
    }
    return result;
}

static inline int isle_join_namespace(int fd, int kind) { return syscall(SYS_setns, fd, kind) < 0 ? -errno : 0; }

static inline int isle_socket_owner(const char *path, unsigned int uid, unsigned int gid) {
    return lchown(path, uid, gid) < 0 ? -errno : 0;
}

#endif
