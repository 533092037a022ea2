import Model

// Keys of LXD's vocabulary for containers beyond those that all kinds have.
extension OptionCatalog {
    /// All keys of all tables.
    static let everything = options + containerOptions

    static let containerOptions: [Option] = [
        option(
            "limits.cpu.priority", "share of processor time among equals, 10 the most", "0 to 10", kinds: containers,
            live: true, accepts: zeroToTen),
        option(
            "limits.disk.priority", "share of disk time among equals, 10 the most", "0 to 10", kinds: containers,
            live: true, accepts: zeroToTen),
        option(
            "limits.memory.enforce",
            "`hard`: never more than `limits.memory`; `soft`: more as long as the host has memory to spare",
            "hard or soft", kinds: containers, live: true
        ) { $0 == "hard" || $0 == "soft" },
        option(
            "limits.memory.swap.priority",
            "how reluctantly pages are swapped out, 10 the most (control groups of version 1 only)",
            "0 to 10", kinds: containers, live: true, accepts: zeroToTen),
        family(
            "limits.hugepages.",
            "bytes of huge pages of a size: `64KB`, `1MB`, `2MB` or `1GB`, where the host has them",
            kinds: containers, form: "size"
        ) { Units.bytes($0) != nil },
        option(
            "linux.kernel_modules", "modules that the host's kernel is to have loaded before the start", "name,name",
            kinds: containers
        ) { text in
            text.split(separator: ",").allSatisfy { name in
                !name.hasPrefix("-")
                    && name.utf8.allSatisfy { byte in
                        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
                    }
            }
        },
        option(
            "security.idmap.base", "first host id of the instance's own; unset: Isle chooses", "id from 65536",
            kinds: containers
        ) { UInt32($0).map { $0 >= 65536 && $0 <= UInt32.max - 65537 } ?? false },
        option(
            "raw.idmap", "ids of the host's in place of own ones, a line each: `both 1000 1000`, first the host's",
            "lines", kinds: containers,
            accepts: anything),
        bool(
            "security.idmap.isolated", "ids that no other instance has: every instance of Isle has them",
            kinds: containers
        ),
        option("security.idmap.size", "number of ids; every instance has 65536", "65536", kinds: containers) {
            $0 == "65536"
        },
        bool(
            "security.protection.shift", "owners on disk are not changed: Isle never does, it maps them",
            kinds: containers
        ),
        option(
            "security.syscalls.deny", "system calls that fail, one a line: `NAME` or `NAME errno N`", "lines",
            kinds: containers
        ) { DeniedCall.parse($0) != nil },
        option(
            "security.syscalls.allow",
            "the only system calls that may be made, one a line, in place of the default filter",
            "lines", kinds: containers, accepts: anything),
        option(
            "raw.seccomp", "a whole filter of system calls in LXC's form (version 2), in place of the default one",
            "text", kinds: containers, accepts: anything),
        bool(
            "security.syscalls.deny_default",
            "the default filter of system calls; `false` is `security.seccomp=unconfined`",
            kinds: containers),
        option("security.devlxd", "`false`: the socket /dev/lxd is not offered", "false") { Units.bool($0) == false },
        option("boot.autostart.delay", "seconds to wait after its start before the next one's", "seconds", live: true) {
            Int($0).map { (0...3600).contains($0) } ?? false
        },
        option("boot.stop.priority", "kept: instances go on when the daemon ends", "number", live: true) {
            Int($0) != nil
        },
        option("cluster.evacuate", "kept: there is one host", "auto, migrate, live-migrate or stop", live: true) {
            ["auto", "migrate", "live-migrate", "stop"].contains($0)
        },
    ]

    /// Keys that LXD has and Isle does not, with the reason.
    static let notOffered: [(prefix: String, reason: String)] = [
        ("raw.apparmor", "containers are confined without AppArmor"), ("raw.lxc", "containers are not LXC's"),
        ("raw.", "there is no such program to give it to"),
        ("nvidia.", "there is no NVIDIA runtime"), ("security.devlxd.", "the socket /dev/lxd is not offered"),
        ("security.syscalls.intercept.", "system calls are not carried out by the host for an instance"),
        ("security.syscalls.deny_compat", "give a whole profile in security.seccomp"),
        ("security.syscalls.blacklist", "its name is security.syscalls.deny"),
        ("security.syscalls.whitelist", "give a whole profile in security.seccomp"),
        ("limits.network.priority", "limit the nic device instead"),
        ("migration.", "instances are not migrated while they run"),
    ]

    private static let zeroToTen: @Sendable (String) -> Bool = { Int($0).map { (0...10).contains($0) } ?? false }
}
