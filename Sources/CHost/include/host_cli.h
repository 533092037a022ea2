#ifndef ISLE_HOST_CLI_H
#define ISLE_HOST_CLI_H

// What a command-line client needs of the kernel: unix sockets, window size, signals as a descriptor, a terminal
// that is restored even when the program crashes, and detached child processes.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/// Connects to the unix socket `path`; the descriptor or a negative errno.
static inline int isle_cli_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (errno == EINTR) continue;
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/// Columns and rows of the terminal `fd`; 0 or a negative errno.
static inline int isle_cli_window_size(int fd, unsigned short *columns, unsigned short *rows) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0) return -errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

/// Blocks `signals` and gives a non-blocking signalfd(2) that delivers them; `previous` receives the mask to
/// restore. The descriptor or a negative errno.
static inline int isle_cli_signals_open(const int *signals, int count, sigset_t *previous) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int error = pthread_sigmask(SIG_BLOCK, &set, previous);
    if (error != 0) return -error;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        error = errno;
        pthread_sigmask(SIG_SETMASK, previous, NULL);
        return -error;
    }
    return fd;
}

/// The next signal of a descriptor from isle_cli_signals_open, or 0 when there is none.
static inline int isle_cli_signals_next(int fd) {
    struct signalfd_siginfo info;
    ssize_t got = read(fd, &info, sizeof info);
    return got == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

/// Closes the descriptor and restores the signal mask `previous`.
static inline void isle_cli_signals_close(int fd, const sigset_t *previous) {
    close(fd);
    pthread_sigmask(SIG_SETMASK, previous, NULL);
}

/// Ends the process as the signal `number` would have: default action, unblocked, raised.
static inline void isle_cli_die_of(int number) {
    sigset_t set;
    signal(number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

/// What isle_cli_guard remembers: the terminal to restore from a signal handler.
struct isle_cli_guarded {
    volatile int fd;
    struct termios saved;
};

/// The one terminal under guard of this translation unit; callers stay in one source file.
static inline struct isle_cli_guarded *isle_cli_guard_slot(void) {
    static struct isle_cli_guarded slot = {.fd = -1};
    return &slot;
}

/// Handler of fatal signals: restores the guarded terminal, then dies of the same signal.
static inline void isle_cli_guard_fired(int number) {
    struct isle_cli_guarded *slot = isle_cli_guard_slot();
    if (slot->fd >= 0) tcsetattr(slot->fd, TCSANOW, &slot->saved);
    isle_cli_die_of(number);
}

/// Puts `fd` into raw mode after remembering its settings, and has faults and aborts of this program restore them.
/// 0 or a negative errno.
static inline int isle_cli_guard_raw(int fd) {
    struct isle_cli_guarded *slot = isle_cli_guard_slot();
    struct termios raw;
    if (tcgetattr(fd, &slot->saved) < 0) return -errno;
    slot->fd = fd;
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) signal(fatal[i], isle_cli_guard_fired);
    raw = slot->saved;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSANOW, &raw) < 0) {
        int error = errno;
        slot->fd = -1;
        return -error;
    }
    return 0;
}

/// Restores the guarded terminal; a second call does nothing.
static inline void isle_cli_guard_restore(void) {
    struct isle_cli_guarded *slot = isle_cli_guard_slot();
    if (slot->fd < 0) return;
    tcsetattr(slot->fd, TCSANOW, &slot->saved);
    slot->fd = -1;
}

/// Runs `path` with `arguments` in a session of its own, standard input from /dev/null, output appended to `log`.
/// The process id, or a negative errno of fork(2), open(2) or execv(3).
static inline int isle_cli_spawn_detached(const char *path, char *const arguments[], const char *log) {
    int report[2];
    if (pipe(report) < 0) return -errno;
    fcntl(report[0], F_SETFD, FD_CLOEXEC);
    fcntl(report[1], F_SETFD, FD_CLOEXEC);
    pid_t pid = fork();
    if (pid < 0) {
        int error = errno;
        close(report[0]);
        close(report[1]);
        return -error;
    }
    if (pid == 0) {
        setsid();
        int none = open("/dev/null", O_RDONLY);
        int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (none >= 0 && out >= 0) {
            dup2(none, 0);
            dup2(out, 1);
            dup2(out, 2);
            if (none > 2) close(none);
            if (out > 2) close(out);
            sigset_t empty;
            sigemptyset(&empty);
            pthread_sigmask(SIG_SETMASK, &empty, NULL);
            signal(SIGPIPE, SIG_DFL);
            execv(path, arguments);
        }
        int error = errno;
        ssize_t ignored = write(report[1], &error, sizeof error);
        (void)ignored;
        _exit(127);
    }
    close(report[1]);
    int error = 0;
    ssize_t got;
    do {
        got = read(report[0], &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got == (ssize_t)sizeof error) {
        waitpid(pid, NULL, 0);
        return -error;
    }
    return pid;
}

/// Runs `path` with `arguments` on this terminal and waits for it: its exit code, 128 plus the signal that ended
/// it, or a negative errno of fork(2).
static inline int isle_cli_run_foreground(const char *path, char *const arguments[]) {
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        execvp(path, arguments);
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
