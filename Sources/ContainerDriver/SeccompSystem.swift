extension SeccompProfile {
    /// The filter of system containers: all calls but those that reach past the namespaces. An init system mounts,
    /// unshares and loads filters of its own; the user namespace bounds what that does.
    static func system(machine: String) -> SeccompProfile {
        SeccompProfile(
            defaultAction: .allow,
            rules: [
                Rule(
                    calls: [
                        "create_module", "delete_module", "finit_module", "get_kernel_syms", "init_module",
                        "kexec_file_load", "kexec_load", "nfsservctl", "open_by_handle_at", "query_module", "swapoff",
                        "swapon", "uselib", "vm86", "vm86old",
                    ], action: .fail(SeccompErrno.notPermitted)),
                // Programs that use these for speed have another way when the kernel has none of it.
                Rule(
                    calls: [
                        "bpf", "io_uring_enter", "io_uring_register", "io_uring_setup", "perf_event_open",
                        "userfaultfd",
                    ],
                    action: .fail(SeccompErrno.notImplemented)),
                Rule(
                    calls: ["socket"], action: .fail(97),
                    conditions: [equal(0, 40)]),
            ],
            architectures: architectures(machine: machine))
    }
}
