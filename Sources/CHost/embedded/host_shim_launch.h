#ifndef ISLE_HOST_SHIM_LAUNCH_H
#define ISLE_HOST_SHIM_LAUNCH_H

// What isle-shim needs to make namespaces, mounts and processes. Only for programs with one thread; needs
// _GNU_SOURCE, so it is not part of CHost.h.

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

enum {
    ISLE_NEWNS = CLONE_NEWNS,
    ISLE_NEWUTS = CLONE_NEWUTS,
    ISLE_NEWIPC = CLONE_NEWIPC,
    ISLE_NEWUSER = CLONE_NEWUSER,
    ISLE_NEWPID = CLONE_NEWPID,
    ISLE_NEWNET = CLONE_NEWNET,
    // linux/mount.h
    ISLE_ATTR_RDONLY = 0x1,
    ISLE_ATTR_NOSUID = 0x2,
    ISLE_ATTR_NODEV = 0x4,
    ISLE_ATTR_NOEXEC = 0x8,
    ISLE_ATTR_IDMAP = 0x00100000,
};

static inline const char *isle_error_text(int number) { return strerror(number); }
static inline int isle_pid(void) { return getpid(); }

static inline int isle_pipe2(int *ends) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

static inline int isle_open_path(const char *path) {
    int r = open(path, O_PATH | O_CLOEXEC);
    return r < 0 ? -errno : r;
}

static inline int isle_open_null(void) {
    int r = open("/dev/null", O_RDWR | O_CLOEXEC);
    return r < 0 ? -errno : r;
}

static inline void isle_close_from(int lowest) {
    // 436 is close_range(2) on every architecture.
    if (syscall(436, lowest, ~0u, 0) == 0) return;
    for (int fd = lowest; fd < 65536; fd++) close(fd);
}

// ---- processes

/// fork(2), or clone(2) into new namespaces with its memory copied: 0 in the child, the child's pid, or -errno.
static inline int isle_fork(unsigned long namespaces) {
#if defined(__s390x__)
#error "clone(2) takes its arguments in another order here"
#endif
    long r = syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0);
    return r < 0 ? -errno : (int)r;
}

/// The same, with the child in the unified control group whose folder is open as `cgroup`: it is there from its first
/// moment, and nothing waits for the lock that a later move takes (clone3(2), CLONE_INTO_CGROUP; Linux 5.7).
static inline int isle_fork_into(unsigned long namespaces, int cgroup) {
    // struct clone_args up to its field for control groups.
    unsigned long long args[11] = {0};
    args[0] = namespaces | 0x200000000ULL;
    args[4] = SIGCHLD;
    args[10] = (unsigned long long)cgroup;
    // 435 is clone3(2) on every architecture.
    long r = syscall(435, args, sizeof args);
    return r < 0 ? -errno : (int)r;
}

static inline void isle_exit(int code) { _exit(code); }
static inline int isle_setsid(void) { return setsid() < 0 ? -errno : 0; }
static inline int isle_kill(int pid, int number) { return kill(pid, number) < 0 ? -errno : 0; }

/// Reaps any child that has ended: its pid and wait(2) status, 0 if none has, -ECHILD if there are none.
static inline int isle_reap(int *status) {
    int r;
    do r = waitpid(-1, status, WNOHANG);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

/// Whether the pid is a child of ours that was not reaped yet.
static inline int isle_is_child(int pid) {
    siginfo_t info;
    return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// Blocks every signal and gives a descriptor that is readable when a child ended, or -errno.
static inline int isle_child_signals(void) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    int r = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return r < 0 ? -errno : r;
}

static inline void isle_drain_signals(int fd) {
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) > 0) {}
}

/// Gives a child the signal state that programs expect.
static inline void isle_default_signals(void) {
    for (int number = 1; number < 65; number++)
        if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, 0);
}

static inline void isle_block_signals(void) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, 0);
}

/// Waits for any signal and gives its number; all are blocked.
static inline int isle_wait_signal(void) {
    sigset_t set;
    int number = 0;
    sigfillset(&set);
    return sigwait(&set, &number) == 0 ? number : -1;
}

static inline int isle_signal_child(void) { return SIGCHLD; }

/// Makes the process the leader of a group of its own, the foreground one if standard input is its terminal.
static inline void isle_lead_foreground(void) {
    setpgid(0, 0);
    if (isatty(0)) tcsetpgrp(0, getpgrp());
}

static inline int isle_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0; }
static inline int isle_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ? -errno : 0; }
static inline int isle_parent(void) { return getppid(); }
static inline int isle_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0; }

/// SECBIT_NO_SETUID_FIXUP on or off: with it a change of fsuid takes no capabilities away.
static inline int isle_keep_capabilities(int on) {
    return prctl(PR_SET_SECUREBITS, on ? 4 : 0, 0, 0, 0) < 0 ? -errno : 0;
}

static inline void isle_set_fs_ids(unsigned uid, unsigned gid) {
    setfsgid(gid);
    setfsuid(uid);
}

static inline int isle_set_ids(unsigned uid, unsigned gid, const unsigned *groups, size_t count) {
    if (setgroups(count, groups) < 0) return -errno;
    if (setresgid(gid, gid, gid) < 0) return -errno;
    return setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

/// Empties the capability bounding set (capabilities(7)), which takes CAP_SETPCAP.
static inline int isle_drop_bounding_set(void) {
    for (int capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL) return -errno;
    return 0;
}

/// Empties the ambient, effective, permitted and inheritable capability sets.
static inline int isle_drop_capabilities(void) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) return -errno;
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522, 0};
    uint32_t data[6] = {0};
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static inline int isle_set_limit(int resource, uint64_t value) {
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/// Loads a classic BPF program of `count` eight-byte instructions (seccomp(2), SECCOMP_SET_MODE_FILTER).
static inline int isle_seccomp(void *instructions, unsigned short count) {
    struct {
        unsigned short count;
        void *instructions;
    } program = {count, instructions};
    return syscall(SYS_seccomp, 1, 0, &program) < 0 ? -errno : 0;
}

/// execve(2), with the program looked up in PATH if it has no slash; returns only on failure, -errno.
static inline int isle_execute(char *const *argv, char *const *envp) {
    if (strchr(argv[0], '/')) execve(argv[0], argv, envp);
    else execvpe(argv[0], argv, envp);
    return -errno;
}

static inline char *const *isle_own_environment(void) { return environ; }
static inline char *isle_copy_string(const char *text) { return strdup(text); }

/// Makes `fd` the standard stream `number`, inherited by programs.
static inline int isle_set_stream(int fd, int number) {
    if (fd == number) return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
    return dup2(fd, number) < 0 ? -errno : 0;
}

/// Opens `path` for reading, or for reading and writing, as descriptor `number`, inherited by programs; 0 or -errno.
/// -EBUSY: the number is taken.
static inline int isle_open_as(const char *path, int writable, int number) {
    if (fcntl(number, F_GETFD) >= 0) return -EBUSY;
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return -errno;
    int r = dup2(fd, number) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/// Attaches to the existing tap interface `name` as descriptor `number`; 0 or -errno.
static inline int isle_tap_as(const char *name, int number) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (strlen(name) >= sizeof request.ifr_name) return -ENAMETOOLONG;
    strcpy(request.ifr_name, name);
    // IFF_TAP | IFF_NO_PI | IFF_VNET_HDR; 0x400454ca is TUNSETIFF (linux/if_tun.h).
    request.ifr_flags = 0x0002 | 0x1000 | 0x4000;
    int r = isle_open_as("/dev/net/tun", 1, number);
    if (r == 0 && ioctl(number, 0x400454ca, &request) < 0) r = -errno;
    return r;
}

// ---- terminals

/// A new terminal: its master, and its other side in `slave`; or -errno.
static inline int isle_open_terminal(int *slave) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) return -errno;
    int unlocked = 0;
    // 0x5441 is TIOCGPTPEER: the other side of this very master, whatever /dev/pts is mounted.
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0
        || (*slave = ioctl(master, 0x5441, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        int r = -errno;
        close(master);
        return r;
    }
    return master;
}

/// Another descriptor of the other side of a terminal's master, or -errno.
static inline int isle_terminal_peer(int master) {
    int r = ioctl(master, 0x5441, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return r < 0 ? -errno : r;
}

static inline int isle_controlling_terminal(int fd) { return ioctl(fd, TIOCSCTTY, 0) < 0 ? -errno : 0; }
static inline int isle_chown(int fd, unsigned uid, unsigned gid) { return fchown(fd, uid, gid) < 0 ? -errno : 0; }

/// A block or character device file with these permission bits, whatever the umask.
static inline int isle_mknod(const char *path, int block, unsigned major, unsigned minor, unsigned mode) {
    if (mknod(path, (block ? S_IFBLK : S_IFCHR) | (mode & 0777), makedev(major, minor)) < 0) return -errno;
    return chmod(path, mode & 0777) < 0 ? -errno : 0;
}
static inline int isle_chown_path(const char *path, unsigned uid, unsigned gid) {
    return lchown(path, uid, gid) < 0 ? -errno : 0;
}

// ---- namespaces and mounts

static inline int isle_unshare(int flags) { return unshare(flags) < 0 ? -errno : 0; }
static inline int isle_setns(int fd, int type) { return setns(fd, type) < 0 ? -errno : 0; }
static inline int isle_hostname(const char *name) { return sethostname(name, strlen(name)) < 0 ? -errno : 0; }
static inline int isle_chdir(const char *path) { return chdir(path) < 0 ? -errno : 0; }
static inline int isle_fchdir(int fd) { return fchdir(fd) < 0 ? -errno : 0; }
static inline int isle_umask(int mask) { return umask(mask); }

/// Brings the network namespace's loopback interface up.
static inline int isle_loopback_up(void) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int r = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/// Stops or follows propagation of all mounts below `path`: MS_REC with MS_SLAVE or MS_PRIVATE.
static inline int isle_propagation(const char *path, int follow) {
    return mount(0, path, 0, MS_REC | (follow ? MS_SLAVE : MS_PRIVATE), 0) < 0 ? -errno : 0;
}

static inline int isle_bind(const char *source, const char *target) {
    return mount(source, target, 0, MS_BIND, 0) < 0 ? -errno : 0;
}

static inline int isle_mount(const char *type, const char *target, int nosuid, const char *options) {
    unsigned long flags = MS_NODEV | (nosuid ? MS_NOSUID : 0);
    return mount(type, target, type, flags, options) < 0 ? -errno : 0;
}

/// A tmpfs on which device files work.
static inline int isle_mount_devices(const char *target, const char *options) {
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NOEXEC, options) < 0 ? -errno : 0;
}

static inline int isle_remount_readonly(const char *target) {
    return mount(0, target, 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, 0) < 0 ? -errno : 0;
}

static inline int isle_remount_devices_readonly(const char *target) {
    return mount(0, target, 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, 0) < 0 ? -errno : 0;
}

/// Makes at `target` the device file that `source` is, for `uid` and `gid` alone; 0 or -errno.
static inline int isle_device_like(const char *source, const char *target, unsigned uid, unsigned gid) {
    struct stat s;
    if (stat(source, &s) < 0) return -errno;
    if (!S_ISCHR(s.st_mode)) return -ENODEV;
    if (mknod(target, S_IFCHR | 0600, s.st_rdev) < 0 || chmod(target, 0600) < 0) return -errno;
    return chown(target, uid, gid) < 0 ? -errno : 0;
}

/// Makes the current folder, a mount, the root; the old root is gone.
static inline int isle_pivot_here(void) {
    if (syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
    if (umount2(".", MNT_DETACH) < 0) return -errno;
    return chdir("/") < 0 ? -errno : 0;
}

/// open_tree(2): a detached copy of the mounts at `path`, with all below if `recursive`, or -errno.
static inline int isle_open_tree(const char *path, int recursive) {
    // 428; OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE.
    long r = syscall(428, AT_FDCWD, path, 1 | O_CLOEXEC | (recursive ? 0x8000 : 0));
    return r < 0 ? -errno : (int)r;
}

/// mount_setattr(2) on a detached tree; `userns` is the map for ISLE_ATTR_IDMAP.
static inline int isle_tree_attributes(int tree, uint64_t set, int userns, int recursive) {
    struct {
        uint64_t set, clear, propagation, userns;
    } attributes = {set, 0, 0, userns < 0 ? 0 : (uint64_t)userns};
    // 442; AT_EMPTY_PATH | AT_RECURSIVE.
    long r = syscall(442, tree, "", 0x1000 | (recursive ? 0x8000 : 0), &attributes, sizeof attributes);
    return r < 0 ? -errno : 0;
}

/// move_mount(2) of a detached tree to `target`.
static inline int isle_attach_tree(int tree, const char *target) {
    // 429; MOVE_MOUNT_F_EMPTY_PATH.
    return syscall(429, tree, "", AT_FDCWD, target, 0x4) < 0 ? -errno : 0;
}

/// The same onto the open file or folder `target`.
static inline int isle_attach_tree_to(int tree, int target) {
    // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH.
    return syscall(429, tree, "", target, "", 0x4 | 0x40) < 0 ? -errno : 0;
}

/// openat2(2) of one name below `directory`, symbolic links refused: an O_PATH descriptor or -errno.
static inline int isle_open_below(int directory, const char *name, int is_folder) {
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_PATH | O_CLOEXEC | O_NOFOLLOW | (is_folder ? O_DIRECTORY : 0), 0, 0x02 | 0x04 | 0x08};
    // 437; RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH.
    long r = syscall(437, directory, name, &how, sizeof how);
    return r < 0 ? -errno : (int)r;
}

static inline int isle_mkdir_at(int directory, const char *name) {
    return mkdirat(directory, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/// Makes an empty file if there is none.
static inline int isle_touch_at(int directory, const char *name) {
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return errno == EEXIST ? 0 : -errno;
    close(fd);
    return 0;
}

/// 1 for a folder, 0 for anything else, or -errno.
static inline int isle_is_folder(int fd) {
    struct stat s;
    return fstat(fd, &s) < 0 ? -errno : S_ISDIR(s.st_mode) != 0;
}

/// Accepts a connection, non-blocking and close-on-exec, or -errno.
static inline int isle_accept(int fd) {
    int r = accept4(fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return r < 0 ? -errno : r;
}

static inline int isle_sleep_ms(int milliseconds) { return usleep(milliseconds * 1000); }

#endif
