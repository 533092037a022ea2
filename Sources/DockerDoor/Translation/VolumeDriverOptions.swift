import Engine
import Glibc
import Model

/// The options `type`, `o` and `device` of Docker's volume driver `local`: a mount in place of a folder of the driver's.
///
/// A folder of the host (`type=none,o=bind`) and memory (`type=tmpfs`) become such devices of the containers. Memory is
/// each container's own, where Docker's is shared for as long as a container uses it.
struct VolumeDriverOptions: Sendable {
    /// As the client gave them.
    let all: [String: String]
    private let words: [Substring]
    private let isMemory: Bool

    /// Names the volume in the device of a container.
    static let note = "user.docker.volume"
    private static let prefix = "volatile.docker."

    /// `unsupported` for other mounts, `invalidArgument` for what is none.
    init(_ options: [String: String]) throws {
        for key in options.keys.sorted() where !["type", "o", "device"].contains(key) {
            throw EngineError(.invalidArgument, "invalid option: \"\(key)\"")
        }
        all = options
        words = (options["o"] ?? "").split(separator: ",")
        let type = options["type"] ?? ""
        let device = options["device"] ?? ""
        isMemory = type == "tmpfs"
        if isMemory { return }
        guard ["", "none", "bind"].contains(type), words.contains("bind") || words.contains("rbind") else {
            throw EngineError(
                .unsupported, "volumes of the type '\(type)' with the options '\(options["o"] ?? "")' are not offered",
                hint: "mount it on the host, and bind that: type=none, o=bind, device=/path")
        }
        guard device.hasPrefix("/"), !device.split(separator: "/").contains("..") else {
            throw EngineError(.invalidArgument, "missing device in volume options: it is an absolute path")
        }
        let known: Set<Substring> = ["bind", "rbind", "ro", "rw", "private", "rprivate", "defaults"]
        if let odd = words.first(where: { !known.contains($0) }) {
            throw EngineError(.unsupported, "the mount option '\(odd)' of a volume is not offered")
        }
    }

    /// Those of a volume; nil if it has none.
    init?(of volume: VolumeRecord) throws {
        var options: [String: String] = [:]
        for (key, value) in volume.config where key.hasPrefix(Self.prefix) {
            options[String(key.dropFirst(Self.prefix.utf8.count))] = value
        }
        guard !options.isEmpty else { return nil }
        try self.init(options)
    }

    /// Keys by which the volume keeps them.
    var config: [String: String] { Dictionary(all.map { (Self.prefix + $0.key, $0.value) }) { $1 } }

    var isReadOnly: Bool { words.contains("ro") }

    /// Keys of a container's disk device, without type and path.
    func device(of volume: String) throws -> [String: String] {
        guard isMemory else {
            let source = all["device"] ?? ""
            guard access(source, F_OK) == 0 else {
                throw EngineError(
                    .invalidArgument,
                    "error while mounting volume '\(volume)': failed to mount local volume: no such file or directory: \(source)"
                )
            }
            return ["source": source, "shift": "true", Self.note: volume]
        }
        var device = ["source": "tmpfs:", Self.note: volume]
        var rest: [Substring] = []
        for word in words where word != "ro" && word != "rw" {
            let parts = word.split(separator: "=", maxSplits: 1)
            if parts.count == 2, ["size", "mode", "uid", "gid"].contains(parts[0]) {
                device[String(parts[0])] = String(parts[1])
            } else {
                rest.append(word)
            }
        }
        if !rest.isEmpty { device["raw.mount.options"] = rest.joined(separator: ",") }
        return device
    }
}
