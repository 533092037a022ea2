import Model

/// The configuration keys of projects: their meaning and form. The reference documentation is printed from this table.
public struct ProjectOptions: Sendable {
    /// One key, or with `isPrefix` a family of keys.
    public struct Option: Sendable {
        public let key: String
        public let isPrefix: Bool
        public let summary: String
        public let form: String
        /// What holds in a restricted project, or for a feature, when the key is not set; empty: nothing.
        public let standard: String
        let accepts: @Sendable (String) -> Bool
    }

    public static let options: [Option] = [
        feature(
            .images,
            "images and aliases of its own, or those of the project `default`; names of registries are everybody's"),
        feature(.networks, "networks of its own; those of the host are one set, so only `false` is taken"),
        feature(.profiles, "profiles of its own"),
        feature(.volumes, "kept for clients of LXD: volumes always belong to their project"),
        count("limits.instances", "instances"),
        count("limits.containers", "containers: applications, systems and modules"),
        count("limits.virtual-machines", "machines"),
        count("limits.networks", "networks"),
        count("limits.cpu", "processors of all instances together; each must then have a count in `limits.cpu`"),
        size("limits.memory", "memory of all instances together; each must then have a size in `limits.memory`"),
        count("limits.processes", "processes of all instances together; each must then have `limits.processes`"),
        size("limits.disk", "root disks and custom volumes together; each must then have a size"),
        Option(
            key: "restricted", isPrefix: false, summary: "whether the `restricted.` keys hold", form: "true or false",
            standard: "false", accepts: { Units.bool($0) != nil }),
        choice("restricted.backups", ["block", "allow"], "backups of instances and volumes"),
        choice("restricted.containers.interception", ["block", "allow", "full"], "`security.syscalls.intercept.`"),
        choice(
            "restricted.containers.lowlevel", ["block", "allow"],
            "`raw.`, `security.syscalls.`, `security.seccomp`, `security.capabilities.add`, `oci.runtime`, `volatile.`"),
        choice("restricted.containers.nesting", ["block", "allow"], "`security.nesting`"),
        choice(
            "restricted.containers.privilege", ["unprivileged", "isolated", "allow"],
            "`security.privileged`; `isolated` also demands `security.idmap.isolated`"),
        choice("restricted.virtual-machines.lowlevel", ["block", "allow"], "`raw.` of machines"),
        choice("restricted.devices.disk", ["managed", "block", "allow"], "disks: all, or only those of a pool"),
        Option(
            key: "restricted.devices.disk.paths", isPrefix: false,
            summary: "folders of the host below which disks may have their source, where all are allowed",
            form: "path,path", standard: "",
            accepts: { $0.split(separator: ",").allSatisfy { $0.hasPrefix("/") && !$0.contains("..") } }),
        choice("restricted.devices.gpu", ["block", "allow"], "devices of the type gpu"),
        choice("restricted.devices.infiniband", ["block", "allow"], "devices of the type infiniband"),
        choice(
            "restricted.devices.nic", ["managed", "block", "allow"], "nics: all, or only those on a network of ours"),
        choice("restricted.devices.pci", ["block", "allow"], "devices of the type pci"),
        choice("restricted.devices.proxy", ["block", "allow"], "devices of the type proxy: published ports"),
        choice("restricted.devices.unix-block", ["block", "allow"], "devices of the type unix-block"),
        choice("restricted.devices.unix-char", ["block", "allow"], "devices of the type unix-char, and tpm"),
        choice("restricted.devices.unix-hotplug", ["block", "allow"], "devices of the type unix-hotplug"),
        choice("restricted.devices.usb", ["block", "allow"], "devices of the type usb"),
        hostIDs(
            "restricted.idmap.uid", "user ids of the host that `raw.idmap` may give, lowlevel keys allowed or not",
            "FIRST-LAST,ID"),
        hostIDs(
            "restricted.idmap.gid", "group ids of the host that `raw.idmap` may give, lowlevel keys allowed or not",
            "FIRST-LAST,ID"),
        choice("restricted.snapshots", ["block", "allow"], "snapshots of instances and volumes"),
        Option(
            key: "restricted.networks.access", isPrefix: false, summary: "networks that may be used; unset: all",
            form: "name,name", standard: "", accepts: { $0.utf8.count <= 4096 }),
        Option(
            key: "user.", isPrefix: true, summary: "free for users", form: "text", standard: "",
            accepts: { $0.utf8.count <= 1 << 16 }),
    ]

    /// Checks keys and values; a value that is empty takes the key away and is always right.
    public static func check(_ config: [String: String]) throws {
        for (key, value) in config.sorted(by: { $0.key < $1.key }) {
            guard
                let option = options.first(where: {
                    $0.isPrefix ? key.hasPrefix($0.key) && key.utf8.count > $0.key.utf8.count : $0.key == key
                })
            else {
                let group = key.prefix { $0 != "." }
                let near = options.filter { $0.key.hasPrefix(group) }.map(\.key)
                throw EngineError(
                    .invalidArgument, "unknown project key \(Names.quoted(key))",
                    hint: near.isEmpty
                        ? "own keys go below 'user.'" : "keys of this group: \(near.joined(separator: ", "))")
            }
            guard value.isEmpty || (!value.utf8.contains(0) && option.accepts(value)) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(value)) is not a value of \(key)",
                    hint: "\(option.summary): \(option.form)")
            }
        }
    }

    /// What holds for the key: as it is set, else its standard.
    static func value(_ key: String, in config: [String: String]) -> String {
        if let set = config[key] { return set }
        return options.first { $0.key == key }?.standard ?? ""
    }

    private static func feature(_ feature: ProjectFeature, _ summary: String) -> Option {
        Option(
            key: feature.key, isPrefix: false, summary: summary, form: "true or false", standard: "false",
            accepts: { Units.bool($0) != nil && (feature != .networks || Units.bool($0) == false) })
    }

    private static func count(_ key: String, _ what: String) -> Option {
        Option(
            key: key, isPrefix: false, summary: "bound of \(what)", form: "count", standard: "",
            accepts: { Int64($0).map { (0...1 << 40).contains($0) } ?? false })
    }

    private static func size(_ key: String, _ what: String) -> Option {
        Option(
            key: key, isPrefix: false, summary: "bound of \(what)", form: "size", standard: "",
            accepts: { Units.bytes($0) != nil })
    }

    private static func hostIDs(_ key: String, _ summary: String, _ form: String) -> Option {
        Option(
            key: key, isPrefix: false, summary: summary, form: form, standard: "",
            accepts: { IDException.ranges($0) != nil })
    }

    /// - Parameter values: the first is the standard.
    private static func choice(_ key: String, _ values: [String], _ summary: String) -> Option {
        Option(
            key: key, isPrefix: false, summary: summary, form: values.joined(separator: ", "), standard: values[0],
            accepts: { values.contains($0) })
    }
}
