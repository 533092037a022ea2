import DriverKit
import Glibc
import Model

// Devices that only containers have: filesystems in memory and device files of the host.
extension Devices {
    /// A device file of the host.
    struct Node: Sendable, Hashable {
        var device: String
        var source: String
        var target: String
        var isBlock: Bool
        /// Nil: those of `source`, looked up at the start.
        var number: (major: UInt32, minor: UInt32)?
        var mode: UInt32?
        var uid: UInt32
        var gid: UInt32
        var access: String
        /// Without the device file on the host the instance starts without it.
        var isRequired: Bool

        static func == (left: Node, right: Node) -> Bool { left.device == right.device && left.source == right.source }
        func hash(into hasher: inout Hasher) { hasher.combine(device) }
    }

    /// `source=tmpfs:` with `size`, `mode`, `uid`, `gid` and `raw.mount.options`.
    mutating func addTmpfs(_ reader: inout KeyReader, _ target: String) throws {
        _ = reader.take("source")
        var options = ["nosuid", "nodev"]
        if let size = reader.take("size") {
            guard let bytes = Units.bytes(size), bytes >= 4096 else {
                throw reader.error("size", size, "a size, as 64MiB")
            }
            options.append("size=\(bytes)")
        }
        if let mode = reader.take("mode") {
            guard let bits = UInt32(mode, radix: 8), bits <= 0o7777 else { throw reader.error("mode", mode, "as 1777") }
            options.append("mode=\(String(bits, radix: 8))")
        }
        for key in ["uid", "gid"] {
            guard let text = reader.take(key) else { continue }
            guard let id = UInt32(text), id < 65536 else { throw reader.error(key, text, "an id below 65536") }
            options.append("\(key)=\(id)")
        }
        if try reader.bool("readonly") { options.append("ro") }
        if let text = reader.take("raw.mount.options") {
            for word in OptionForms.list(text) {
                guard Self.mountWords.contains(word) || Self.isInodeLimit(word) else {
                    throw reader.error(
                        "raw.mount.options", word, Self.mountWords.sorted().joined(separator: ", ") + ", nr_inodes=N")
                }
                // The later word of a pair counts.
                if let opposite = Self.opposites[word] { options.removeAll { $0 == opposite } }
                options.append(word)
            }
        }
        tmpfs.append(TmpfsMount(target: target, options: options))
    }

    private static let mountWords: Set<String> = [
        "rw", "ro", "exec", "noexec", "suid", "nosuid", "nodev", "sync", "noatime", "nodiratime", "relatime",
        "strictatime",
    ]
    private static let opposites = ["suid": "nosuid", "exec": "noexec", "noexec": "exec", "rw": "ro", "ro": "rw"]

    private static func isInodeLimit(_ word: String) -> Bool {
        guard word.hasPrefix("nr_inodes=") else { return false }
        return UInt32(word.dropFirst("nr_inodes=".count)) != nil
    }

    /// LXD's tpm: of machines, without keys; those of containers have a `path` and need a proxy of the host's kernel.
    mutating func addTPM(_ reader: inout KeyReader) throws {
        guard reader.take("path") == nil else {
            throw EngineError(
                .unsupported,
                "tpm device \(Names.quoted(reader.device)) with a 'path' is for containers, and not offered",
                hint: "leave 'path' out for a machine")
        }
        guard tpms.isEmpty else {
            throw EngineError(
                .invalidArgument,
                "device \(Names.quoted(reader.device)): a machine can have one TPM, and has \(tpms[0])")
        }
        tpms.append(reader.device)
    }

    /// LXD's unix-char and unix-block, with Isle's key `permissions`: `r`, `w` and `m` as of a control group.
    mutating func addNode(_ reader: inout KeyReader, isBlock: Bool) throws {
        let source = reader.take("source")
        guard let target = reader.take("path") ?? source, let source = source ?? Optional(target) else {
            throw EngineError(
                .invalidArgument, "device \(Names.quoted(reader.device)) has neither 'source' nor 'path'")
        }
        for (key, path) in [("source", source), ("path", target)] {
            guard path.hasPrefix("/"), !path.utf8.contains(0), !path.split(separator: "/").contains("..") else {
                throw reader.error(key, path, "an absolute path without '..'")
            }
        }
        func number(_ key: String, below limit: UInt32) throws -> UInt32? {
            guard let text = reader.take(key) else { return nil }
            guard let value = UInt32(text), value < limit else { throw reader.error(key, text, "a number") }
            return value
        }
        let (major, minor) = (try number("major", below: 4096), try number("minor", below: 1 << 20))
        let (uid, gid) = (try number("uid", below: 65536) ?? 0, try number("gid", below: 65536) ?? 0)
        var mode: UInt32?
        if let text = reader.take("mode") {
            guard let bits = UInt32(text, radix: 8), bits <= 0o777 else { throw reader.error("mode", text, "as 0660") }
            mode = bits
        }
        let access = reader.take("permissions") ?? "rwm"
        guard !access.isEmpty, access.allSatisfy({ "rwm".contains($0) }), Set(access).count == access.count else {
            throw reader.error("permissions", access, "some of r, w and m")
        }
        let required = reader.take("required").map { Units.bool($0) ?? true } ?? true
        let pair: (major: UInt32, minor: UInt32)? =
            if let major, let minor { (major, minor) } else { nil }
        nodes.append(
            Node(
                device: reader.device, source: source, target: target, isBlock: isBlock, number: pair, mode: mode,
                uid: uid, gid: gid, access: access, isRequired: required))
    }

    /// The device files with what the host says about them.
    /// - Throws: `notFound` for one that the host does not have, `invalidArgument` for a file that is of another type.
    /// - Parameter device: those of this device alone.
    func resolvedNodes(of device: String? = nil) throws -> [DeviceNode] {
        let found = try hardware.filter { device == nil || $0.key == device }.sorted { $0.key < $1.key }
            .flatMap { try $0.value.nodes() }
        return try found
            + nodes.filter { device == nil || $0.device == device }.compactMap { node in
                if let number = node.number {
                    return DeviceNode(
                        source: node.source, target: node.target, isBlock: node.isBlock, major: number.major,
                        minor: number.minor, mode: node.mode ?? 0o660, uid: node.uid, gid: node.gid, access: node.access
                    )
                }
                var status = stat()
                guard stat(node.source, &status) == 0 else {
                    if !node.isRequired { return nil }
                    throw EngineError(
                        .notFound, "device \(Names.quoted(node.device)): the host has no \(Names.quoted(node.source))")
                }
                guard status.st_mode & S_IFMT == (node.isBlock ? S_IFBLK : S_IFCHR) else {
                    throw EngineError(
                        .invalidArgument,
                        "device \(Names.quoted(node.device)): \(node.source) is no \(node.isBlock ? "block" : "character") device"
                    )
                }
                let (major, minor) = Self.numbers(UInt64(status.st_rdev))
                return DeviceNode(
                    source: node.source, target: node.target, isBlock: node.isBlock, major: major, minor: minor,
                    mode: node.mode ?? UInt32(status.st_mode) & 0o777, uid: node.uid, gid: node.gid, access: node.access
                )
            }
    }

    /// The two numbers of a device file (makedev(3)).
    static func numbers(_ raw: UInt64) -> (major: UInt32, minor: UInt32) {
        (
            UInt32(truncatingIfNeeded: (raw >> 8 & 0xfff) | (raw >> 32 & ~0xfff)),
            UInt32(truncatingIfNeeded: (raw & 0xff) | (raw >> 12 & ~0xff))
        )
    }
}
