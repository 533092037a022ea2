public import Model

/// What a project allows: its bounds and restrictions, held against final, merged configurations. Pure: whoever
/// changes something that is bounded asks before the change, with the configuration as it would be after it.
public struct ProjectPolicy: Sendable {
    /// An instance as the policy sees it.
    public struct Subject: Sendable {
        public var name: String
        public var kind: InstanceKind
        /// With profiles merged.
        public var config: [String: String]
        public var devices: [String: [String: String]]

        public init(
            name: String, kind: InstanceKind, config: [String: String], devices: [String: [String: String]]
        ) {
            self.name = name
            self.kind = kind
            self.config = config
            self.devices = devices
        }

        init(_ record: InstanceRecord, _ merged: MergedConfig) {
            self.init(name: record.name, kind: record.kind, config: merged.config, devices: merged.devices)
        }
    }

    public let project: ProjectRecord
    /// Bytes of memory of the host: what a percentage refers to.
    let hostMemory: Int64

    public init(project: ProjectRecord, hostMemory: Int64) {
        self.project = project
        self.hostMemory = hostMemory
    }

    /// Whether there is anything to hold against.
    public var isEmpty: Bool {
        Units.bool(project.config["restricted"] ?? "") != true
            && !project.config.keys.contains { $0.hasPrefix("limits.") }
    }

    /// `permissionDenied` when the instance has what the project does not allow, `resourceExhausted` when the
    /// instances would go over a bound together.
    /// - Parameters:
    ///   - others: the other instances of the project.
    ///   - volumes: bytes of its custom volumes together; nil if one has no size.
    public func check(_ subject: Subject, among others: [Subject], volumes: Int64? = 0) throws {
        try checkRestrictions(subject)
        try checkLimits(others + [subject], volumes: volumes)
    }

    // MARK: bounds

    /// `resourceExhausted` when these instances and volumes go over a bound together.
    public func checkLimits(_ all: [Subject], volumes: Int64? = 0) throws {
        let machines = all.filter { $0.kind == .machine }.count
        try bound("limits.instances", Int64(all.count), "instances")
        try bound("limits.virtual-machines", Int64(machines), "machines")
        try bound("limits.containers", Int64(all.count - machines), "containers")
        try sum("limits.cpu", all) { Int64($0.config["limits.cpu"] ?? "") }
        try sum("limits.processes", all) { Int64($0.config["limits.processes"] ?? "") }
        try sum("limits.memory", all) { subject in
            guard let text = subject.config["limits.memory"] else { return nil }
            if text.hasSuffix("%") { return Int64(text.dropLast()).map { hostMemory / 100 * $0 } }
            return Units.bytes(text)
        }
        guard project.config["limits.disk"] != nil else { return }
        guard let volumes else {
            throw EngineError(
                .invalidArgument,
                "a custom volume of project \(project.name) has no size, and its limits.disk needs one")
        }
        try sum("limits.disk", all, plus: volumes) { subject in
            subject.devices.values.first { $0["type"] == "disk" && $0["path"] == "/" }?["size"].flatMap(Units.bytes)
        }
    }

    private func bound(_ key: String, _ used: Int64, _ what: String) throws {
        guard let text = project.config[key], let limit = Units.bytes(text), used > limit else { return }
        throw EngineError(
            .resourceExhausted, "project \(Names.quoted(project.name)) allows \(text) \(what) (\(key)), not \(used)",
            hint: "delete what is not needed, or raise the project's limit", resource: "project \(project.name)")
    }

    private func sum(_ key: String, _ all: [Subject], plus start: Int64 = 0, _ value: (Subject) -> Int64?) throws {
        guard project.config[key] != nil else { return }
        var total = start
        for subject in all {
            guard let own = value(subject) else {
                throw EngineError(
                    .invalidArgument,
                    "instance \(Names.quoted(subject.name)) has no plain "
                        + (key == "limits.disk" ? "size of its root disk" : key)
                        + ", and project \(Names.quoted(project.name)) bounds \(key)",
                    hint: "set it on the instance or a profile")
            }
            let (next, overflow) = total.addingReportingOverflow(own)
            total = overflow ? .max : next
        }
        try bound(key, total, "in all")
    }

    // MARK: restrictions

    private func rule(_ key: String) -> String { ProjectOptions.value(key, in: project.config) }

    public func checkRestrictions(_ subject: Subject) throws {
        guard Units.bool(project.config["restricted"] ?? "") == true else { return }
        for (key, value) in subject.config.sorted(by: { $0.key < $1.key }) {
            if let rule = refusedBy(key, value, subject) { throw refusal("\(key)=\(value)", subject, rule) }
        }
        if subject.kind != .machine, rule("restricted.containers.privilege") == "isolated",
            Units.bool(subject.config["security.idmap.isolated"] ?? "") != true
        {
            throw refusal("missing security.idmap.isolated", subject, "restricted.containers.privilege")
        }
        for (name, keys) in subject.devices.sorted(by: { $0.key < $1.key }) {
            if let rule = refusedBy(keys) { throw refusal("device \(name)", subject, rule) }
        }
    }

    /// `permissionDenied` where the project does not allow snapshots.
    public func checkSnapshots() throws { try checkAction("restricted.snapshots", "snapshots") }
    /// `permissionDenied` where the project does not allow backups.
    public func checkBackups() throws { try checkAction("restricted.backups", "backups") }

    private func checkAction(_ key: String, _ what: String) throws {
        guard Units.bool(project.config["restricted"] ?? "") == true, rule(key) == "block" else { return }
        throw EngineError(
            .permissionDenied, "project \(Names.quoted(project.name)) does not allow \(what) (\(key))",
            resource: "project \(project.name)")
    }

    /// The project's key that forbids the instance's key; nil if none does.
    private func refusedBy(_ key: String, _ value: String, _ subject: Subject) -> String? {
        let lowlevel =
            subject.kind == .machine ? "restricted.virtual-machines.lowlevel" : "restricted.containers.lowlevel"
        switch key {
        case "security.nesting":
            guard Units.bool(value) == true, rule("restricted.containers.nesting") == "block" else { return nil }
            return "restricted.containers.nesting"
        case "security.privileged":
            guard Units.bool(value) == true, rule("restricted.containers.privilege") != "allow" else { return nil }
            return "restricted.containers.privilege"
        case "oci.userns":
            guard value == "host", rule("restricted.containers.privilege") != "allow" else { return nil }
            return "restricted.containers.privilege"
        case "oci.pid", "oci.ipc", "oci.uts":
            return value == "host" && rule(lowlevel) == "block" ? lowlevel : nil
        case "raw.idmap" where !allowedIDs(.user).isEmpty || !allowedIDs(.group).isEmpty:
            return refusedMapping(value)
        case _ where key.hasPrefix("security.syscalls.intercept."):
            return rule("restricted.containers.interception") == "block" ? "restricted.containers.interception" : nil
        case _ where Self.isLowlevel(key):
            return rule(lowlevel) == "block" ? lowlevel : nil
        case "security.seccomp":
            return value != "default" && rule(lowlevel) == "block" ? lowlevel : nil
        default: return nil
        }
    }

    /// The host's ids that `raw.idmap` may give.
    private func allowedIDs(_ kind: IDRange.Kind) -> [ClosedRange<UInt32>] {
        IDException.ranges(rule("restricted.idmap.\(kind.rawValue)")) ?? []
    }

    private func refusedMapping(_ text: String) -> String? {
        // What is no mapping is refused by its form.
        for exception in (try? IDException.parse(text)) ?? [] {
            let wanted = exception.outside...exception.outside + (exception.count - 1)
            for kind in exception.kinds
            where !allowedIDs(kind).contains(where: { $0.contains(wanted.lowerBound) && $0.contains(wanted.upperBound) }
            ) {
                return "restricted.idmap.\(kind.rawValue)"
            }
        }
        return nil
    }

    private static func isLowlevel(_ key: String) -> Bool {
        let prefixes = ["raw.", "security.syscalls.", "security.idmap.", "limits.kernel.", "linux.sysctl."]
        return ["security.capabilities.add", "oci.runtime", "oci.oom_score_adj", "linux.kernel_modules"].contains(key)
            || (key != "security.idmap.isolated" && prefixes.contains { key.hasPrefix($0) })
    }

    /// The project's key that forbids the device; nil if none does.
    private func refusedBy(_ keys: [String: String]) -> String? {
        let type = keys["type"] ?? ""
        switch type {
        case "none": return nil
        case "nic": return refusedNic(keys)
        case "disk": return refusedDisk(keys)
        case "tpm": return rule("restricted.devices.unix-char") == "block" ? "restricted.devices.unix-char" : nil
        default:
            let key = "restricted.devices.\(type)"
            return rule(key) == "allow" ? nil : key
        }
    }

    private func refusedNic(_ keys: [String: String]) -> String? {
        switch rule("restricted.devices.nic") {
        case "block": return "restricted.devices.nic"
        case "managed":
            // The network of another instance of the project; `network` names one of ours; a parent with another
            // nictype is an interface of the host.
            if keys["nictype"] == "instance" { return nil }
            guard keys["network"]?.isEmpty == false, keys["nictype"] ?? "bridged" == "bridged" else {
                return "restricted.devices.nic"
            }
        default: break
        }
        // A wire to the host leads to no network.
        guard keys["nictype"] != "p2p" else { return nil }
        let allowed = rule("restricted.networks.access")
        guard !allowed.isEmpty else { return nil }
        let names = allowed.split(separator: ",").map { $0.filter { $0 != " " } }
        return names.contains(keys["network"] ?? keys["parent"] ?? "") ? nil : "restricted.networks.access"
    }

    private func refusedDisk(_ keys: [String: String]) -> String? {
        // The root disk is what an instance is made of.
        if keys["path"] == "/", keys["source"]?.isEmpty ?? true { return nil }
        switch rule("restricted.devices.disk") {
        case "block": return "restricted.devices.disk"
        case "managed": return keys["pool"]?.isEmpty ?? true ? "restricted.devices.disk" : nil
        default:
            let paths = rule("restricted.devices.disk.paths").split(separator: ",").map(String.init)
            guard !paths.isEmpty, let source = keys["source"], source.hasPrefix("/"),
                keys["pool"]?.isEmpty ?? true
            else { return nil }
            let isBelow = paths.contains { source == $0 || source.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") }
            return isBelow && !source.split(separator: "/").contains("..") ? nil : "restricted.devices.disk.paths"
        }
    }

    private func refusal(_ what: String, _ subject: Subject, _ key: String) -> EngineError {
        EngineError(
            .permissionDenied,
            "project \(Names.quoted(project.name)) does not allow \(what) of instance \(Names.quoted(subject.name)) "
                + "(\(key))",
            hint: "change the instance, or the project's \(key)", resource: "project \(project.name)")
    }
}
