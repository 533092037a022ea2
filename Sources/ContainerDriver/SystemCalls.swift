/// System calls by subject (syscalls(2)), for the filters. Names of all architectures; those that an architecture
/// lacks are skipped when a filter is compiled.
enum SystemCalls {
    static let files = words(
        """
        access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
        fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
        fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock fremovexattr fsetxattr fstat fstat64
        fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr
        getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
        io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl lchown lchown32 lgetxattr link linkat listmount
        listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat
        name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2
        read readahead readdir readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir
        sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync
        sync_file_range sync_file_range2 syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
        utimensat_time64 utimes vmsplice write writev
        """)

    static let memory = words(
        """
        brk cachestat get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create memfd_secret mincore mlock
        mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
        pkey_mprotect process_mrelease remap_file_pages set_mempolicy set_mempolicy_home_node shmat shmctl shmdt shmget
        """)

    static let processes = words(
        """
        execve execveat exit exit_group fork getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid
        get_robust_list get_thread_area gettid kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
        pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace restart_syscall rseq
        seccomp setpgid setpriority setrlimit set_robust_list setsid set_thread_area set_tid_address tgkill tkill
        ugetrlimit vfork wait4 waitid waitpid
        """)

    static let identity = words(
        """
        capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
        getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
        setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
        """)

    static let signals = words(
        """
        pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask
        sigreturn sigsuspend
        """)

    static let timers = words(
        """
        adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
        clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
        timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
        timerfd_gettime64 timerfd_settime timerfd_settime64 times
        """)

    static let scheduling = words(
        """
        getcpu ioprio_get ioprio_set nice sched_getaffinity sched_getattr sched_getparam sched_get_priority_max
        sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield
        """)

    static let waiting = words(
        """
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
        eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake poll ppoll ppoll_time64 pselect6
        pselect6_time64 select _newselect
        """)

    static let messages = words(
        """
        ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
        mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64
        """)

    static let sockets = words(
        """
        accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
        recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
        """)

    static let information = words("getrandom lsm_get_self_attr lsm_list_modules sysinfo uname")

    static let x86Only = words("arch_prctl modify_ldt")
    static let armOnly = words("arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls")

    /// Allowed only with the capability without which the kernel would refuse them, or most of what they do.
    static let byCapability: [(capability: String, calls: [String])] = [
        (
            "CAP_SYS_ADMIN",
            words(
                """
                bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_set_self_attr mount mount_setattr
                move_mount open_tree perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns
                syslog umount umount2 unshare
                """)
        ),
        ("CAP_SYS_BOOT", ["reboot"]),
        ("CAP_SYS_CHROOT", ["chroot"]),
        ("CAP_DAC_READ_SEARCH", ["open_by_handle_at"]),
        ("CAP_SYS_MODULE", ["delete_module", "finit_module", "init_module", "query_module"]),
        ("CAP_SYS_PACCT", ["acct"]),
        ("CAP_SYS_PTRACE", ["kcmp", "pidfd_getfd", "process_madvise"]),
        ("CAP_SYS_RAWIO", ["ioperm", "iopl"]),
        ("CAP_SYS_TIME", ["clock_settime", "clock_settime64", "settimeofday", "stime"]),
        ("CAP_SYS_TTY_CONFIG", ["vhangup"]),
        ("CAP_SYS_NICE", ["migrate_pages", "move_pages"]),
        ("CAP_SYSLOG", ["syslog"]),
    ]

    /// Known and refused whatever the capabilities: keyrings and user-handled faults are not namespaced, io_uring has
    /// a poor record, the others are obsolete or belong to the host alone.
    static let refused = words(
        """
        _sysctl add_key create_module get_kernel_syms io_uring_enter io_uring_register io_uring_setup kexec_file_load
        kexec_load keyctl nfsservctl request_key swapoff swapon sysfs uselib userfaultfd ustat vm86 vm86old
        """)

    private static func words(_ text: String) -> [String] {
        text.split { $0 == " " || $0 == "\n" }.map(String.init)
    }
}
