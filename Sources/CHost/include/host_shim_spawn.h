#ifndef ISLE_HOST_SHIM_SPAWN_H
#define ISLE_HOST_SHIM_SPAWN_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

// GNU extensions that the Swift importer's feature macros hide (glibc 2.29 and 2.34).
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
extern int pipe2(int *, int);

/// pipe2(2) with O_CLOEXEC: 0 or -errno; `ends` is the reading and the writing end.
static inline int isle_pipe(int *ends) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

/// Executes `path` (looked up in PATH when it has no slash) in a new session with default signals, the given
/// descriptors as 0, 1 and 2 (-1: /dev/null) and no others. `directory` may be null. The child's pid or -errno.
static inline int isle_spawn(
    const char *path, char *const *argv, char *const *envp, const char *directory, int in, int out, int err) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int streams[3] = {in, out, err};
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0) return -r;
    r = posix_spawnattr_init(&attributes);
    if (r != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -r;
    }
    for (int i = 0; i < 3 && r == 0; i++)
        r = streams[i] >= 0
            ? posix_spawn_file_actions_adddup2(&actions, streams[i], i)
            : posix_spawn_file_actions_addopen(&actions, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
    if (r == 0) r = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (r == 0 && directory) r = posix_spawn_file_actions_addchdir_np(&actions, directory);
    sigset_t none, every;
    sigemptyset(&none);
    sigfillset(&every);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &every);
    // 0x80 is POSIX_SPAWN_SETSID.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | 0x80);
    pid_t pid = -1;
    if (r == 0)
        r = strchr(path, '/') ? posix_spawn(&pid, path, &actions, &attributes, argv, envp)
                              : posix_spawnp(&pid, path, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r == 0 ? pid : -r;
}

#endif
