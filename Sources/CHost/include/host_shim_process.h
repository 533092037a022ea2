#ifndef ISLE_HOST_SHIM_PROCESS_H
#define ISLE_HOST_SHIM_PROCESS_H

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

extern char **environ;

/// This process's environment, null-terminated.
static inline char *const *isle_environment(void) { return environ; }

/// pidfd_open(2): a descriptor of the process, always close-on-exec, or -errno.
static inline int isle_pidfd_open(pid_t pid) {
    long r = syscall(SYS_pidfd_open, pid, 0);
    return r < 0 ? -errno : (int)r;
}

/// pidfd_send_signal(2): 0 or -errno.
static inline int isle_pidfd_send_signal(int pidfd, int number) {
    return syscall(SYS_pidfd_send_signal, pidfd, number, (void *)0, 0) < 0 ? -errno : 0;
}

/// Reaps the child behind the descriptor without waiting: 1 and its wait(2) status in `status`, 0 when it still
/// runs, or -errno (-ECHILD: not our child).
static inline int isle_pidfd_reap(int pidfd, int *status) {
    siginfo_t info;
    info.si_pid = 0;
    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : (info.si_status & 0x7f);
    return 1;
}

#endif
