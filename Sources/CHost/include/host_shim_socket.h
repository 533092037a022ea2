#ifndef ISLE_HOST_SHIM_SOCKET_H
#define ISLE_HOST_SHIM_SOCKET_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { ISLE_MAX_FDS = 8 };

static inline int isle_unix_address(struct sockaddr_un *address, const char *path) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

/// Connects a SOCK_SEQPACKET socket to the name `name` in the folder `directory`: non-blocking, close-on-exec
/// descriptor, or -errno. The path may be longer than sun_path allows: it goes through /proc/self/fd.
static inline int isle_seqpacket_connect(int directory, const char *name) {
    char path[108];
    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    struct sockaddr_un address;
    int r = isle_unix_address(&address, path);
    if (r < 0) return r;
    // 02000000 and 04000 are SOCK_CLOEXEC and SOCK_NONBLOCK on every architecture that Isle supports.
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | 02000000, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

/// Makes and binds a listening socket of `type` at the name `name` in the folder `directory`, mode 0600,
/// non-blocking and close-on-exec: descriptor or -errno.
static inline int isle_unix_listen(int directory, const char *name, int type) {
    char path[108];
    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    struct sockaddr_un address;
    int r = isle_unix_address(&address, path);
    if (r < 0) return r;
    int fd = socket(AF_UNIX, type | 02000000 | 04000, 0);
    if (fd < 0) return -errno;
    unlink(path);
    mode_t mask = umask(0177);
    r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0 ? -errno : fd;
    umask(mask);
    if (r < 0) close(fd);
    return r;
}

/// Sends one message with up to ISLE_MAX_FDS descriptors, without waiting: 0 or -errno.
static inline int isle_send(int fd, const void *bytes, size_t size, const int *fds, int count) {
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
    union {
        char bytes[CMSG_SPACE(sizeof(int) * ISLE_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (count < 0 || count > ISLE_MAX_FDS) return -EINVAL;
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    long r;
    do r = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/// Receives one message without waiting: its size (0: the peer closed) or -errno. `fds` takes ISLE_MAX_FDS
/// descriptors, close-on-exec; `count` is set to their number. A message longer than `size`, or with more
/// descriptors, is -EMSGSIZE, and nothing of it is kept.
static inline long isle_receive(int fd, void *buffer, size_t size, int *fds, int *count) {
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    union {
        char bytes[CMSG_SPACE(sizeof(int) * ISLE_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    *count = 0;
    long r;
    // 0x40000000 is MSG_CMSG_CLOEXEC.
    do r = recvmsg(fd, &message, MSG_DONTWAIT | 0x40000000);
    while (r < 0 && errno == EINTR);
    if (r < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int number = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < number; i++) {
            int received;
            memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
            if (*count < ISLE_MAX_FDS) fds[(*count)++] = received;
            else close(received);
        }
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (int i = 0; i < *count; i++) close(fds[i]);
        *count = 0;
        return -EMSGSIZE;
    }
    return r;
}

/// Sets a terminal's size: 0 or -errno.
static inline int isle_terminal_size(int fd, unsigned short columns, unsigned short rows) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

#endif
