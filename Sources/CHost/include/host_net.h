#ifndef ISLE_HOST_NET_H
#define ISLE_HOST_NET_H

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef CLONE_NEWNET
#define CLONE_NEWNET 0x40000000
/// Attaches to the existing tap interface `name` of the calling thread's network namespace: a descriptor or -errno.
static inline int isle_net_tap_open(const char *name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (strlen(name) >= sizeof request.ifr_name) return -ENAMETOOLONG;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) return -errno;
    strcpy(request.ifr_name, name);
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        int result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

#endif

/// Writes the name of the interface whose frames the device file `path` gives (macvtap) to `name`, of 16 bytes. 0 or a
/// negative errno.
static inline int isle_net_tap_name(const char *path, char *name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return -errno;
    int result = ioctl(fd, TUNGETIFF, &request) == 0 ? 0 : -errno;
    close(fd);
    memcpy(name, request.ifr_name, 16);
    name[15] = 0;
    return result;
}

extern int setns(int fd, int nstype);
extern int unshare(int flags);

/// Moves the calling thread into the network namespace `fd` (setns(2)). 0 or a negative errno.
static inline int isle_net_enter(int fd) {
    return setns(fd, CLONE_NEWNET) == 0 ? 0 : -errno;
}

/// Moves the calling thread into a new network namespace (unshare(2)). 0 or a negative errno.
static inline int isle_net_unshare(void) {
    return unshare(CLONE_NEWNET) == 0 ? 0 : -errno;
}

/// A netlink socket of `protocol` in the calling thread's network namespace, bound, with extended error messages,
/// without the request echoed in errors, with strict checks of dump requests, and a receive timeout in seconds
/// (0: none). Joins multicast group `group` unless it is 0. The descriptor or a negative errno.
static inline int isle_net_socket(int protocol, unsigned int group, int timeout) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0) return -errno;
    struct sockaddr_nl address;
    memset(&address, 0, sizeof address);
    address.nl_family = AF_NETLINK;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    int on = 1;
    int size = 1 << 20;
    // Older kernels lack some of these options; without them messages are shorter and dumps less filtered.
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (timeout > 0) {
        struct timeval wait = {.tv_sec = timeout, .tv_usec = 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    }
    if (group != 0 && setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/// Makes a persistent tap interface `name` that user `owner` may attach to, with virtio-net headers, in the calling
/// thread's network namespace. 0 or a negative errno.
static inline int isle_net_tap(const char *name, unsigned int owner) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (strlen(name) >= sizeof request.ifr_name) return -ENAMETOOLONG;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) return -errno;
    strcpy(request.ifr_name, name);
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
    int result = 0;
    if (ioctl(fd, TUNSETIFF, &request) != 0 || ioctl(fd, TUNSETOWNER, (unsigned long)owner) != 0 ||
        ioctl(fd, TUNSETPERSIST, 1UL) != 0)
        result = -errno;
    close(fd);
    return result;
}

#endif
