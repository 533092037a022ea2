import Model

/// Names of capabilities (capabilities(7)), as sets that containers start with.
enum CapabilitySet {
    /// What Docker gives an application.
    static let application: [String] = [
        "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
        "CAP_SYS_CHROOT",
    ]

    /// Never given to a system container: they reach the host's kernel, clock, modules or security policy.
    static let withheldFromSystem: Set<String> = [
        "CAP_BPF", "CAP_CHECKPOINT_RESTORE", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_PERFMON", "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    ]

    /// All that Linux has, in the kernel's order.
    static let all: [String] = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
        "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
    ]

    /// The capabilities of an instance, in the kernel's order.
    ///
    /// `ALL` adds or drops all; what is both added and dropped is dropped, unless only `ALL` was dropped.
    /// - Throws: `invalidArgument` for a name that is none.
    static func of(_ kind: InstanceKind, adding: [String], dropping: [String]) throws -> [String] {
        var set =
            kind == .system
            ? Set(all).subtracting(withheldFromSystem).subtracting(["CAP_AUDIT_READ"]) : Set(application)
        let (added, dropped) = (try adding.map(checked), try dropping.map(checked))
        if dropped.contains("ALL") { set = [] }
        if added.contains("ALL") { set = Set(all) }
        set.formUnion(added)
        set.subtract(dropped)
        return all.filter(set.contains)
    }

    /// Those of `names` that this process may give to others in its own user namespace: the bounding set of a text in
    /// the format of `/proc/<pid>/status`. A daemon that was started with fewer cannot give more.
    static func available(_ names: [String], status: String) -> [String] {
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapBnd:") }),
            let mask = UInt64(line.dropFirst(7).drop { $0 == "\t" || $0 == " " }, radix: 16)
        else { return names }
        return names.filter { name in all.firstIndex(of: name).map { mask >> UInt64($0) & 1 == 1 } ?? false }
    }

    private static func checked(_ name: String) throws -> String {
        var upper = name.uppercased()
        if upper == "ALL" || upper == "CAP_ALL" { return "ALL" }
        if !upper.hasPrefix("CAP_") { upper = "CAP_" + upper }
        guard all.contains(upper) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(name)) is not a capability",
                hint: "names are those of capabilities(7), as CAP_NET_ADMIN, or ALL")
        }
        return upper
    }
}
