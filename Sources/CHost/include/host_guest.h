#ifndef ISLE_HOST_GUEST_H
#define ISLE_HOST_GUEST_H

// What isle-init needs from the kernel. Everything here also compiles for Embedded Swift against musl: plain system
// calls, no locale, no stdio. Results below zero are negated error numbers.

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <net/route.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static inline long guest_result(long value) { return value < 0 ? -(long)errno : value; }

static inline int guest_open(const char *path, int flags, int mode) {
    return (int)guest_result(open(path, flags | O_CLOEXEC, mode));
}
static inline int guest_o_rdonly(void) { return O_RDONLY; }
static inline int guest_o_rdwr(void) { return O_RDWR; }
static inline int guest_o_rdwr_nonblocking(void) { return O_RDWR | O_NONBLOCK | O_NOCTTY; }
static inline int guest_o_replace(void) { return O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW; }
static inline int guest_close(int fd) { return close(fd) < 0 ? -errno : 0; }
static inline long guest_read(int fd, void *buffer, size_t size) {
    long n;
    do n = read(fd, buffer, size); while (n < 0 && errno == EINTR);
    return guest_result(n);
}
static inline long guest_write(int fd, const void *buffer, size_t size) {
    long n;
    do n = write(fd, buffer, size); while (n < 0 && errno == EINTR);
    return guest_result(n);
}
static inline int guest_is_again(long result) { return result == -EAGAIN; }
static inline int guest_fsync(int fd) { return fsync(fd) < 0 ? -errno : 0; }
/// The descriptor again under the number `as`, kept over execution.
static inline int guest_duplicate(int fd, int as) {
    return (fd == as ? fcntl(fd, F_SETFD, 0) : dup2(fd, as)) < 0 ? -errno : 0;
}
static inline int guest_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}
static inline int guest_pipe(int *readEnd, int *writeEnd) {
    int ends[2];
    if (syscall(SYS_pipe2, ends, O_CLOEXEC) < 0) return -errno;
    *readEnd = ends[0];
    *writeEnd = ends[1];
    return 0;
}
/// Opens a new pseudo-terminal: the master and, as `*terminal`, its other side.
static inline int guest_terminal(int *terminal, uint16_t columns, uint16_t rows) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) return -errno;
    int zero = 0;
    if (ioctl(master, TIOCSPTLCK, &zero) < 0) { int e = errno; close(master); return -e; }
    int other = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (other < 0) { int e = errno; close(master); return -e; }
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    if (columns && rows) ioctl(master, TIOCSWINSZ, &size);
    *terminal = other;
    return master;
}
static inline int guest_resize(int fd, uint16_t columns, uint16_t rows) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
/// Turns a terminal into a plain pipe of bytes: no echo, no signals, no translation.
static inline int guest_raw(int fd) {
    struct termios mode;
    if (tcgetattr(fd, &mode) < 0) return -errno;
    mode.c_iflag = 0;
    mode.c_oflag = 0;
    mode.c_lflag = 0;
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    return tcsetattr(fd, TCSANOW, &mode) < 0 ? -errno : 0;
}
static inline int guest_drain(int fd) { return tcdrain(fd) < 0 ? -errno : 0; }

static inline int guest_poll(struct pollfd *entries, unsigned count, int milliseconds) {
    int n;
    do n = poll(entries, count, milliseconds); while (n < 0 && errno == EINTR);
    return (int)guest_result(n);
}
static inline uint64_t guest_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
static inline void guest_sleep(unsigned milliseconds) {
    struct timespec wait = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

static inline int guest_mount(
    const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    return mount(source, target, type, flags, data) < 0 ? -errno : 0;
}
static inline unsigned long guest_ms_default(void) { return MS_NOSUID | MS_NODEV | MS_NOEXEC; }
static inline unsigned long guest_ms_device(void) { return MS_NOSUID; }
static inline unsigned long guest_ms_tmp(void) { return MS_NOSUID | MS_NODEV; }
static inline unsigned long guest_ms_move(void) { return MS_MOVE; }
static inline unsigned long guest_ms_readonly(void) { return MS_RDONLY; }
static inline unsigned long guest_ms_remount_readonly(void) { return MS_REMOUNT | MS_RDONLY; }
static inline unsigned long guest_ms_noatime(void) { return MS_NOATIME; }
static inline int guest_mkdir(const char *path, int mode) { return mkdir(path, mode) < 0 ? -errno : 0; }
static inline int guest_symlink(const char *target, const char *path) { return symlink(target, path) < 0 ? -errno : 0; }
static inline int guest_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }
static inline int guest_chroot(const char *path) { return chroot(path) < 0 ? -errno : 0; }
static inline int guest_chdir(const char *path) { return chdir(path) < 0 ? -errno : 0; }
/// Access for execution by the caller: 0, else a negated error number.
static inline int guest_executable(const char *path) {
    struct stat info;
    if (stat(path, &info) < 0) return -errno;
    if (!S_ISREG(info.st_mode)) return -EACCES;
    return access(path, X_OK) < 0 ? -errno : 0;
}
static inline int guest_exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}
static inline long guest_readlink(const char *path, char *buffer, size_t size) {
    return guest_result(readlink(path, buffer, size));
}
static inline void *guest_opendir(const char *path) { return opendir(path); }
/// Name of the next entry that does not begin with a dot; NULL at the end.
static inline const char *guest_readdir(void *directory) {
    struct dirent *entry;
    while ((entry = readdir((DIR *)directory)) != NULL)
        if (entry->d_name[0] != '.') return entry->d_name;
    return NULL;
}
static inline void guest_closedir(void *directory) { closedir((DIR *)directory); }

static inline int guest_load_module(int fd) {
    return syscall(SYS_finit_module, fd, "", 0) < 0 ? -errno : 0;
}
static inline int guest_is_exists(long result) { return result == -EEXIST; }
static inline int guest_sethostname(const char *name, size_t length) {
    return sethostname(name, length) < 0 ? -errno : 0;
}
static inline int guest_hostname(char *buffer, size_t size) { return gethostname(buffer, size) < 0 ? -errno : 0; }
static inline int guest_kernel_release(char *buffer, size_t size) {
    struct utsname names;
    if (uname(&names) < 0) return -errno;
    strncpy(buffer, names.release, size - 1);
    buffer[size - 1] = 0;
    return 0;
}
static inline void guest_random(void *buffer, size_t size) { syscall(SYS_getrandom, buffer, size, 1); }
static inline void guest_sync(void) { sync(); }
static inline int guest_reboot(int powerOff) {
    return reboot(powerOff ? RB_POWER_OFF : RB_AUTOBOOT) < 0 ? -errno : 0;
}
static inline int guest_pid(void) { return getpid(); }
static inline int guest_fork(void) { return (int)guest_result(fork()); }
static inline int guest_execve(const char *path, char *const *arguments, char *const *environment) {
    execve(path, arguments, environment);
    return -errno;
}
static inline void guest_exit(int code) { _exit(code); }
static inline int guest_setsid(void) { return setsid() < 0 ? -errno : 0; }
static inline int guest_kill(int pid, int number) { return kill(pid, number) < 0 ? -errno : 0; }
static inline int guest_sigterm(void) { return SIGTERM; }
static inline int guest_sighup(void) { return SIGHUP; }
static inline int guest_sigkill(void) { return SIGKILL; }
static inline int guest_pidfd(int pid) { return (int)guest_result(syscall(SYS_pidfd_open, pid, 0)); }
static inline void guest_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

/// Reaps `pid` (-1: any child) without waiting: its pid, 0 if nobody ended, or a negated error number.
static inline int guest_reap(int pid, int *code, int *number) {
    int status = 0;
    int ended = waitpid(pid, &status, WNOHANG);
    if (ended < 0) return -errno;
    if (ended == 0) return 0;
    *number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return ended;
}
/// Blocks SIGCHLD and returns a descriptor that becomes readable when a child ends.
static inline int guest_child_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
    return (int)guest_result(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}
static inline void guest_unblock_all(void) {
    sigset_t set;
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

/// What to run. Descriptors below 0 are /dev/null.
struct guest_process {
    const char *path;
    char *const *arguments;
    char *const *environment;
    const char *directory;
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t groupCount;
    int input, output, error;
    /// The input is to be the controlling terminal.
    int terminal;
};

/// Starts the process and waits until it has been executed. Returns its pid or a negated error number; `*stage`
/// tells where it failed: 1 identity, 2 folder, 3 execution.
static inline int guest_spawn(const struct guest_process *process, int *stage) {
    int report[2];
    if (syscall(SYS_pipe2, report, O_CLOEXEC) < 0) return -errno;
    pid_t pid = fork();
    if (pid < 0) {
        int e = errno;
        close(report[0]);
        close(report[1]);
        return -e;
    }
    if (pid == 0) {
        int failure[2] = {3, 0};
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        int given[3] = {process->input, process->output, process->error};
        int copies[3];
        guest_unblock_all();
        for (int number = 1; number < 32; number++)
            if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
        setsid();
        for (int i = 0; i < 3; i++) copies[i] = fcntl(given[i] >= 0 ? given[i] : null, F_DUPFD_CLOEXEC, 10);
        for (int i = 0; i < 3; i++) dup2(copies[i], i);
        if (process->terminal) ioctl(0, TIOCSCTTY, 1);
        failure[0] = 1;
        if (getuid() == 0 && setgroups(process->groupCount, (const gid_t *)process->groups) < 0) goto failed;
        if (setgid(process->gid) < 0 || setuid(process->uid) < 0) goto failed;
        failure[0] = 2;
        if (chdir(process->directory) < 0) goto failed;
        failure[0] = 3;
        execve(process->path, process->arguments, process->environment);
    failed:
        failure[1] = errno;
        if (write(report[1], failure, sizeof failure) < 0) _exit(126);
        _exit(127);
    }
    close(report[1]);
    int failure[2] = {0, 0};
    long n = guest_read(report[0], failure, sizeof failure);
    close(report[0]);
    if (n == (long)sizeof failure) {
        waitpid(pid, NULL, 0);
        *stage = failure[0];
        return -failure[1];
    }
    return pid;
}

/// Writes the addresses of all interfaces but the loopback as lines `name address/prefix`; the length written.
static inline size_t guest_addresses(char *buffer, size_t size) {
    struct ifaddrs *list, *entry;
    size_t used = 0;
    if (getifaddrs(&list) < 0) return 0;
    for (entry = list; entry != NULL; entry = entry->ifa_next) {
        if (entry->ifa_addr == NULL || entry->ifa_netmask == NULL || (entry->ifa_flags & IFF_LOOPBACK)) continue;
        int family = entry->ifa_addr->sa_family;
        const uint8_t *address, *mask;
        size_t length;
        if (family == AF_INET) {
            address = (const uint8_t *)&((struct sockaddr_in *)entry->ifa_addr)->sin_addr;
            mask = (const uint8_t *)&((struct sockaddr_in *)entry->ifa_netmask)->sin_addr;
            length = 4;
        } else if (family == AF_INET6) {
            address = (const uint8_t *)&((struct sockaddr_in6 *)entry->ifa_addr)->sin6_addr;
            mask = (const uint8_t *)&((struct sockaddr_in6 *)entry->ifa_netmask)->sin6_addr;
            length = 16;
        } else
            continue;
        char text[INET6_ADDRSTRLEN];
        if (inet_ntop(family, address, text, sizeof text) == NULL) continue;
        unsigned prefix = 0;
        for (size_t i = 0; i < length; i++) prefix += (unsigned)__builtin_popcount(mask[i]);
        size_t nameLength = strlen(entry->ifa_name), textLength = strlen(text);
        if (used + nameLength + textLength + 8 > size) break;
        memcpy(buffer + used, entry->ifa_name, nameLength);
        used += nameLength;
        buffer[used++] = ' ';
        memcpy(buffer + used, text, textLength);
        used += textLength;
        buffer[used++] = '/';
        if (prefix >= 100) buffer[used++] = (char)('0' + prefix / 100);
        if (prefix >= 10) buffer[used++] = (char)('0' + prefix / 10 % 10);
        buffer[used++] = (char)('0' + prefix % 10);
        buffer[used++] = '\n';
    }
    freeifaddrs(list);
    return used;
}

static inline int guest_interface_up(const char *name) {
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    int result = ioctl(fd, SIOCGIFFLAGS, &request) < 0 ? -errno : 0;
    if (result == 0) {
        request.ifr_flags |= IFF_UP;
        result = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
    }
    close(fd);
    return result;
}
/// netdevice(7): SIOCSIFADDR, SIOCSIFNETMASK. Addresses are in network order.
static inline int guest_address4(const char *name, uint32_t address, uint32_t mask) {
    struct ifreq request;
    struct sockaddr_in value;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    memset(&request, 0, sizeof request);
    memset(&value, 0, sizeof value);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    value.sin_family = AF_INET;
    value.sin_addr.s_addr = address;
    memcpy(&request.ifr_addr, &value, sizeof value);
    int result = ioctl(fd, SIOCSIFADDR, &request) < 0 ? -errno : 0;
    if (result == 0) {
        value.sin_addr.s_addr = mask;
        memcpy(&request.ifr_netmask, &value, sizeof value);
        result = ioctl(fd, SIOCSIFNETMASK, &request) < 0 ? -errno : 0;
    }
    close(fd);
    return result;
}
static inline int guest_default_route4(uint32_t gateway) {
    struct rtentry route;
    struct sockaddr_in value;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    memset(&route, 0, sizeof route);
    memset(&value, 0, sizeof value);
    value.sin_family = AF_INET;
    memcpy(&route.rt_dst, &value, sizeof value);
    memcpy(&route.rt_genmask, &value, sizeof value);
    value.sin_addr.s_addr = gateway;
    memcpy(&route.rt_gateway, &value, sizeof value);
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    int result = ioctl(fd, SIOCADDRT, &route) < 0 ? -errno : 0;
    close(fd);
    return result;
}
/// ipv6(7) by the structures of linux/ipv6.h and linux/ipv6_route.h, which musl does not bring.
struct guest_in6_ifreq {
    uint8_t address[16];
    uint32_t prefix;
    int index;
};
struct guest_in6_rtmsg {
    uint8_t destination[16], source[16], gateway[16];
    uint32_t type;
    uint16_t destinationLength, sourceLength;
    uint32_t metric;
    unsigned long info;
    uint32_t flags;
    int index;
};
static inline int guest_address6(const char *name, const uint8_t *address, uint32_t prefix) {
    struct guest_in6_ifreq request;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    memcpy(request.address, address, 16);
    request.prefix = prefix;
    request.index = (int)if_nametoindex(name);
    int result = ioctl(fd, SIOCSIFADDR, &request) < 0 ? -errno : 0;
    close(fd);
    return result;
}
static inline int guest_default_route6(const char *name, const uint8_t *gateway) {
    struct guest_in6_rtmsg route;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    memset(&route, 0, sizeof route);
    memcpy(route.gateway, gateway, 16);
    route.metric = 1024;
    route.flags = RTF_UP | RTF_GATEWAY;
    route.index = (int)if_nametoindex(name);
    int result = ioctl(fd, SIOCADDRT, &route) < 0 ? -errno : 0;
    close(fd);
    return result;
}

#endif
