import FoundationEssentials
public import Model

/// The configuration keys of instances and profiles: their meaning, form, and to which kinds they apply. The
/// reference documentation is printed from this table.
public struct OptionCatalog: Sendable {
    /// One key, or with `isPrefix` a family of keys.
    public struct Option: Sendable {
        public let key: String
        public let isPrefix: Bool
        public let kinds: Set<InstanceKind>
        public let summary: String
        /// What the value looks like, for messages and documentation.
        public let form: String
        /// May change while the instance runs.
        public let live: Bool
        let accepts: @Sendable (String) -> Bool
    }

    public static let options: [Option] = [
        option("limits.cpu", "processors as a count (`2`) or a set (`0-1,3`)", "count or set", live: true) {
            Int($0).map { (1...4096).contains($0) } ?? Units.isCPUSet($0)
        },
        option(
            "limits.cpu.allowance", "share of processor time, soft (`50%`) or hard (`25ms/100ms`)", "percent or quota",
            live: true
        ) {
            if $0.hasSuffix("%") { return Int($0.dropLast()).map { (1...100).contains($0) } ?? false }
            return Units.quota($0) != nil
        },
        option("limits.memory", "memory in bytes, or percent of the host's", "size", live: true) {
            if $0.hasSuffix("%") { return Int($0.dropLast()).map { (1...100).contains($0) } ?? false }
            return (Units.bytes($0) ?? 0) >= 1 << 20
        },
        option(
            "limits.processes", "number of processes and threads", "count", kinds: [.application, .system, .module],
            live: true
        ) {
            Int64($0).map { $0 >= 1 && $0 <= 4_194_304 } ?? false
        },
        bool("boot.autostart", "start with the daemon; unset: as before the host went down"),
        option("boot.autostart.priority", "higher ones start first", "number", live: true) { Int($0) != nil },
        option(
            "boot.host_shutdown_timeout", "seconds to wait for a clean stop", "seconds", live: true, accepts: seconds),
        option("restart.policy", "`no`, `on-failure[:N]`, `always`, `unless-stopped`", "policy", live: true) {
            RestartPolicy($0) != nil
        },
        option("stop.signal", "signal that asks the first process to end", "signal", live: true) {
            Signals.number($0) != nil
        },
        option("stop.timeout", "seconds from the stop signal to SIGKILL", "seconds", live: true, accepts: seconds),
        bool("security.privileged", "no user namespace: root inside is root on the host", kinds: containers),
        bool("security.nesting", "allow containers inside", kinds: containers),
        bool("security.readonly", "the root filesystem cannot be written", kinds: containers),
        bool("security.no_new_privileges", "setuid programs gain nothing", kinds: containers),
        bool("security.protection.delete", "refuse to delete the instance"),
        option(
            "security.capabilities.add", "capabilities added to the default set", "CAP_X,CAP_Y", kinds: containers,
            accepts: capabilities),
        option(
            "security.capabilities.drop", "capabilities taken from the default set", "CAP_X,CAP_Y", kinds: containers,
            accepts: capabilities),
        option(
            "security.seccomp", "`default`, `unconfined`, or a profile in Docker's JSON", "profile", kinds: containers
        ) {
            $0 == "default" || $0 == "unconfined" || $0.hasPrefix("{")
        },
        option("hostname", "host name inside; the instance's name if unset", "name") {
            $0.utf8.count <= 64 && !$0.isEmpty && $0.utf8.allSatisfy { $0 > 32 && $0 < 127 }
        },
        option(
            "snapshots.expiry", "how long snapshots are kept: `1M 2H 3d 4w 5m 6y`", "times", live: true
        ) { (try? ExpiryText($0)) != nil },
        option(
            "snapshots.schedule", "when snapshots are made: cron's five fields (UTC), `@hourly`, `@daily`, …",
            "schedule",
            live: true
        ) { $0.isEmpty || (try? Schedule($0)) != nil },
        bool("snapshots.schedule.stopped", "make scheduled snapshots also while the instance is stopped"),
        option(
            "snapshots.pattern", "name of snapshots without one: `%d`, `{{ creation_date|date:'2006-01-02' }}`",
            "pattern", live: true
        ) { (try? SnapshotPattern($0)) != nil },
        option("oci.entrypoint", "program in place of the image's entrypoint", "JSON array or words", accepts: words),
        option("oci.cmd", "arguments in place of the image's command", "JSON array or words", accepts: words),
        option("oci.user", "`user[:group]` of the first process", "user", accepts: anything),
        option("oci.cwd", "working folder of the first process", "absolute path") { $0.hasPrefix("/") },
        bool("oci.tty", "give the first process a terminal"),
        bool("oci.stdin", "keep the first process's standard input open"),
        bool("oci.stdin_once", "close standard input when the first attached client goes"),
        option("oci.runtime", "OCI runtime program", "name or absolute path", kinds: containers) {
            $0.utf8.allSatisfy { $0 > 32 && $0 < 127 } && !$0.hasPrefix("-") && !$0.isEmpty
        },
        option("logs.max_size", "bytes at which the log is rotated", "size") { (Units.bytes($0) ?? 0) >= 4096 },
        option("logs.files", "log files kept", "count") { Int($0).map { (1...100).contains($0) } ?? false },
        option(
            "machine.kernel", "version of the kernel for direct boot; unset: the newest fetched", "version",
            kinds: [.machine], accepts: anything),
        option("machine.firmware", "`bios` or `uefi` for a disk image", "firmware", kinds: [.machine]) {
            $0 == "bios" || $0 == "uefi"
        },
        bool(
            "security.secureboot", "firmware starts signed programs only; for UEFI", kinds: [.machine]),
        bool(
            "limits.memory.hugepages", "its memory is made of the host's huge pages, as many as it takes",
            kinds: [.machine]),
        option(
            "raw.qemu", "further arguments of QEMU's, after Isle's; what they do is not looked at", "words",
            kinds: [.machine]
        ) { CommandWords.split($0)?.isEmpty == false },
        option("machine.acceleration", "`auto`, `kvm` or `tcg`", "name", kinds: [.machine]) {
            ["auto", "kvm", "tcg"].contains($0)
        },
        bool(
            "migration.stateful", "kept: what a running machine is doing can always be saved", kinds: [.machine]),
        option("module.fuel", "instructions (wasmtime fuel units) until it is stopped", "count", kinds: [.module]) {
            (Int64($0) ?? 0) > 0
        },
        option(
            "module.timeout", "wall time until it is stopped, seconds", "seconds", kinds: [.module], accepts: bound),
        option(
            "module.cpu_time", "processor time until it is stopped, seconds", "seconds", kinds: [.module],
            accepts: bound),
        option("cloud-init.user-data", "cloud-init user data", "text", kinds: [.machine, .system], accepts: anything),
        option(
            "cloud-init.vendor-data", "cloud-init vendor data", "text", kinds: [.machine, .system], accepts: anything),
        option(
            "cloud-init.network-config", "cloud-init network configuration", "text", kinds: [.machine, .system],
            accepts: anything),
        option("limits.memory.reservation", "memory kept for it when the host runs short", "size", kinds: containers) {
            (Units.bytes($0) ?? 0) >= 1 << 20
        },
        option(
            "limits.memory.swap", "swap beside the memory limit: none, without bound, or a size",
            "true, false or size", kinds: containers
        ) { Units.bool($0) != nil || Units.bytes($0) != nil },
        option("limits.memory.swappiness", "how gladly its memory is swapped out", "0 to 100", kinds: containers) {
            Int($0).map { (0...100).contains($0) } ?? false
        },
        option("limits.cpu.shares", "weight against others; 1024 is the usual", "2 to 262144", kinds: containers) {
            Int($0).map { (2...262_144).contains($0) } ?? false
        },
        option("limits.cpu.nodes", "memory nodes (NUMA) it may use", "set", kinds: containers) { Units.isCPUSet($0) },
        option("limits.disk.weight", "weight of its disk traffic against others'", "10 to 1000", kinds: containers) {
            Int($0).map { (10...1000).contains($0) } ?? false
        },
        family(
            "limits.kernel.", "resource limit of setrlimit(2), as `nofile`, `nproc`, `memlock`", kinds: containers,
            live: false
        ) { OptionForms.limitPair($0) != nil },
        family(
            "linux.sysctl.", "kernel setting of the instance's own namespaces (`net.*`, …)", kinds: containers,
            live: false),
        option("oci.shm_size", "size of `/dev/shm`", "size", kinds: containers) { (Units.bytes($0) ?? 0) >= 4096 },
        option("oci.hosts", "further lines of `/etc/hosts`", "NAME=ADDRESS,…", kinds: [.application]) {
            OptionForms.hosts($0) != nil
        },
        option("oci.dns.servers", "name servers in place of the network's", "ADDRESS,…", kinds: containers) {
            OptionForms.list($0).allSatisfy { IPAddress($0) != nil }
        },
        option("oci.dns.search", "domains in which bare names are searched; `.` is none", "DOMAIN,…", kinds: containers)
        { OptionForms.list($0).allSatisfy { $0 == "." || OptionForms.isHostName($0) } },
        option("oci.dns.options", "options of resolv.conf(5)", "WORD,…", kinds: containers) {
            OptionForms.list($0).allSatisfy(OptionForms.isResolverOption)
        },
        option("oci.domainname", "NIS domain name inside", "name", kinds: containers, accepts: OptionForms.isHostName),
        bool("oci.init", "run a small init as process 1 that passes signals on and reaps", kinds: [.application]),
        option(
            "oci.groups", "further groups of the first process", "GROUP,…", kinds: [.application], accepts: anything),
        option("oci.userns", "`private` or `host`: ids inside are the host's", "word", kinds: containers) {
            $0 == "private" || $0 == "host"
        },
        option(
            "oci.pid", "`private`, `host` or `instance:NAME`: whose processes it sees", "word", kinds: [.application]
        ) {
            OptionForms.namespace($0, words: ["private", "host"])
        },
        option(
            "oci.ipc", "`private`, `shareable`, `none`, `host` or `instance:NAME`: shared memory and queues", "word",
            kinds: [.application]
        ) { OptionForms.namespace($0, words: ["private", "shareable", "none", "host"]) },
        option("oci.uts", "`private` or `host`: whose host name it has", "word", kinds: [.application]) {
            $0 == "private" || $0 == "host"
        },
        option(
            "oci.oom_score_adj", "how soon the kernel kills it when memory runs out", "-1000 to 1000", kinds: containers
        ) { Int($0).map { (-1000...1000).contains($0) } ?? false },
        option(
            "health.test", "command that tells whether it is well, in Docker's form; `[\"NONE\"]` is none",
            "JSON array", live: true
        ) { OptionForms.healthTest($0) != nil },
        option("health.interval", "time between two tests; 30 s", "duration", live: true, accepts: duration),
        option("health.timeout", "time that a test may take; 30 s", "duration", live: true, accepts: duration),
        option(
            "health.start_period", "time in which failures do not count; 0", "duration", live: true, accepts: duration),
        option(
            "health.start_interval", "time between two tests of the start period; 5 s", "duration", live: true,
            accepts: duration),
        option("health.retries", "failures in a row that make it unhealthy; 3", "count", live: true) {
            Int($0).map { (0...1000).contains($0) } ?? false
        },
        option("health.on_failure", "`none`, `restart`, `stop` or `kill` when it is unhealthy", "word", live: true) {
            ["none", "restart", "stop", "kill"].contains($0)
        },
        option("logs.driver", "`json-file` and `local` keep output, `none` keeps nothing", "word") {
            ["json-file", "local", "none"].contains($0)
        },
        family("environment.", "environment variable of the first process and of exec"),
        family("user.", "free for users: labels and notes"),
        family("image.", "properties of the image the instance was made from"),
        family("volatile.", "kept by Isle itself"),
    ]

    /// Checks keys and values for an instance of `kind` (nil: a profile). `volatile.` keys only when `trusted`.
    public static func check(_ config: [String: String], kind: InstanceKind?, trusted: Bool = false) throws {
        for (key, value) in config {
            guard let option = find(key) else {
                if let known = notOffered.first(where: { key.hasPrefix($0.prefix) }) {
                    throw EngineError(
                        .invalidArgument, "configuration key \(Names.quoted(key)) is not offered: \(known.reason)")
                }
                throw EngineError(
                    .invalidArgument, "unknown configuration key \(Names.quoted(key))", hint: suggestion(for: key))
            }
            if option.key == "volatile.", !trusted {
                throw EngineError(.invalidArgument, "configuration key \(Names.quoted(key)) is set by Isle alone")
            }
            if let kind, !option.kinds.contains(kind) {
                throw EngineError(
                    .invalidArgument,
                    "configuration key \(Names.quoted(key)) does not apply to the kind \(kind.rawValue)",
                    hint: "it is for: " + option.kinds.map(\.rawValue).sorted().joined(separator: ", "))
            }
            try checkFamily(option, key)
            guard value.utf8.count <= 1 << 20, !value.utf8.contains(0) else {
                throw EngineError(.invalidArgument, "the value of \(Names.quoted(key)) is too long or has a NUL byte")
            }
            // Says itself what is wrong with a line.
            switch option.key {
            case "raw.idmap": _ = try IDException.parse(value)
            case "raw.seccomp": _ = try SystemCallPolicy.parse(value, machine: Host.architecture)
            case "security.syscalls.allow": _ = try SystemCallPolicy.allowing(value)
            default: break
            }
            guard option.accepts(value) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(value)) is not a value of \(key)",
                    hint: "\(option.summary): \(option.form)")
            }
        }
    }

    /// Of some families only certain members exist.
    private static func checkFamily(_ option: Option, _ key: String) throws {
        let member = String(key.dropFirst(option.key.utf8.count))
        if option.key == "limits.kernel.", !OptionForms.kernelLimits.contains(member) {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(member)) is not a resource limit",
                hint: "limits: " + OptionForms.kernelLimits.sorted().joined(separator: ", "))
        }
        if option.key == "limits.hugepages.", !Limits.hugepageSizes.contains(member) {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(member)) is not a size of huge pages",
                hint: "sizes: " + Limits.hugepageSizes.joined(separator: ", "))
        }
        if option.key == "linux.sysctl.", !OptionForms.isOwnSysctl(member) {
            throw EngineError(
                .invalidArgument, "the kernel setting \(Names.quoted(member)) is the host's, not an instance's own",
                hint: "settable are net.*, fs.mqueue.*, kernel.shm*, kernel.msg*, kernel.sem and kernel.domainname")
        }
    }

    static func find(_ key: String) -> Option? {
        everything.first { $0.isPrefix ? key.hasPrefix($0.key) && key.utf8.count > $0.key.utf8.count : $0.key == key }
    }

    private static func suggestion(for key: String) -> String {
        let group = key.split(separator: ".").first.map { String($0) + "." } ?? ""
        let near = everything.filter { $0.key.hasPrefix(group) }.map(\.key)
        return near.isEmpty
            ? "own keys go below 'user.'" : "keys of this group: " + near.joined(separator: ", ")
    }

    static let containers: Set<InstanceKind> = [.application, .system]
    static let anything: @Sendable (String) -> Bool = { _ in true }
    static let seconds: @Sendable (String) -> Bool = { Double($0).map { $0 >= 0 && $0 <= 31_536_000 } ?? false }
    /// Seconds of which at least one thousandth is left after rounding down.
    private static let bound: @Sendable (String) -> Bool = {
        Double($0).map { $0 >= 0.001 && $0 <= 31_536_000 } ?? false
    }
    private static let duration: @Sendable (String) -> Bool = { OptionForms.duration($0) != nil }
    private static let words: @Sendable (String) -> Bool = { CommandLineText.parse($0) != nil }
    private static let capabilities: @Sendable (String) -> Bool = { text in
        text.split(separator: ",").allSatisfy { word in
            word == "ALL" || word.utf8.allSatisfy { (65...90).contains($0) || (97...122).contains($0) || $0 == 95 }
        }
    }

    static func option(
        _ key: String, _ summary: String, _ form: String, kinds: Set<InstanceKind> = Set(InstanceKind.allCases),
        live: Bool = false, accepts: @escaping @Sendable (String) -> Bool
    ) -> Option {
        Option(key: key, isPrefix: false, kinds: kinds, summary: summary, form: form, live: live, accepts: accepts)
    }

    static func bool(
        _ key: String, _ summary: String, kinds: Set<InstanceKind> = Set(InstanceKind.allCases)
    ) -> Option {
        option(key, summary, "true or false", kinds: kinds) { Units.bool($0) != nil }
    }

    static func family(
        _ prefix: String, _ summary: String, kinds: Set<InstanceKind> = Set(InstanceKind.allCases),
        live: Bool = true, form: String = "text", accepts: @escaping @Sendable (String) -> Bool = anything
    ) -> Option {
        Option(
            key: prefix, isPrefix: true, kinds: kinds, summary: summary, form: form, live: live, accepts: accepts)
    }
}

/// A command line in a configuration value: a JSON array of strings, or words as a shell splits them.
enum CommandLineText {
    static func parse(_ text: String) -> [String]? {
        if text.hasPrefix("[") { return try? JSONDecoder().decode([String].self, from: Data(text.utf8)) }
        return CommandWords.split(text)
    }
}
