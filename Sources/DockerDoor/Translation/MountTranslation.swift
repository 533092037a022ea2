import CHost
import Engine
import Glibc
import LinuxHost
import Model

/// `Binds`, `Mounts` and their like as disk devices.
struct MountTranslation {
    private(set) var devices: [String: [String: String]] = [:]
    /// Paths that get a volume that nobody named.
    private(set) var anonymous: [String] = []
    private let volumeOptions: [String: VolumeDriverOptions]

    /// - Parameter volumeOptions: of volumes that have such, by name.
    init(_ body: ContainerBody, peers: [String: InstanceView], volumeOptions: [String: VolumeDriverOptions]) throws {
        self.volumeOptions = volumeOptions
        for from in body.host.volumesFrom { try add(from: from, peers) }
        for bind in body.host.binds { try add(bind: bind) }
        for mount in body.host.mounts { try add(mount) }
        for path in body.volumes { try add(anonymous: path) }
        for (target, options) in body.host.tmpfs.sorted(by: { $0.key < $1.key }) { try add(tmpfs: target, options) }
        for device in body.host.devices { try add(device: device) }
    }

    /// Whether a volume would be made or used.
    var hasVolumes: Bool { !anonymous.isEmpty || devices.values.contains { $0["pool"] != nil } }

    /// Names of volumes in a create request.
    static func volumes(of body: ContainerBody) -> Set<String> {
        let bound = body.host.binds.compactMap { $0.split(separator: ":").first.map(String.init) }
        let mounted = body.host.mounts.filter { $0.type == "volume" }.compactMap(\.source)
        return Set(bound.filter { !$0.hasPrefix("/") } + mounted)
    }

    /// A named volume.
    private mutating func add(volume name: String, target: String, readOnly: Bool) throws {
        try Names.checkVolume(name)
        guard let options = volumeOptions[name] else {
            return add(target: target, ["source": name, "pool": "default", "create": "true"], readOnly: readOnly)
        }
        add(target: target, try options.device(of: name), readOnly: readOnly || options.isReadOnly)
    }

    /// `NAME[:ro|rw]`: the mounts of another container.
    private mutating func add(from text: String, _ peers: [String: InstanceView]) throws {
        let parts = text.split(separator: ":").map(String.init)
        guard let name = parts.first, let peer = peers[name] else { throw ContainerFinder.missing(text) }
        for (_, device) in peer.expanded.devices.sorted(by: { $0.key < $1.key })
        where device["type"] == "disk" && device["source"] != nil && device["path"] != "/" {
            var copy = device
            if parts.last == "ro", parts.count > 1 { copy["readonly"] = "true" }
            devices["from\(devices.count)"] = copy
        }
    }

    /// Options of mount(8) as `--tmpfs` has them.
    private mutating func add(tmpfs target: String, _ options: String) throws {
        var device = ["type": "disk", "source": "tmpfs:", "path": target]
        var words: [String] = []
        for option in options.split(separator: ",") {
            let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
            switch parts[0] {
            case "size", "mode", "uid", "gid": device[parts[0]] = parts.count > 1 ? parts[1] : ""
            default: words.append(String(option))
            }
        }
        // dockerd's default.
        if !words.contains("exec"), !words.contains("noexec") { words.append("noexec") }
        device["raw.mount.options"] = words.joined(separator: ",")
        devices["tmpfs\(devices.count)"] = device
    }

    private mutating func add(device: (host: String, container: String, permissions: String)) throws {
        var status = stat()
        guard device.host.hasPrefix("/"), stat(device.host, &status) == 0 else {
            throw EngineError(
                .invalidArgument,
                "error gathering device information while adding custom device \"\(device.host)\": no such file or directory"
            )
        }
        let type: String
        switch status.st_mode & S_IFMT {
        case S_IFCHR: type = "unix-char"
        case S_IFBLK: type = "unix-block"
        default:
            throw EngineError(.invalidArgument, "\(device.host) is not a device node")
        }
        devices["device\(devices.count)"] = [
            "type": type, "source": device.host, "path": device.container, "permissions": device.permissions,
        ]
    }

    private mutating func add(anonymous path: String) throws {
        guard path.hasPrefix("/"), path != "/", !path.split(separator: "/").contains("..") else {
            throw EngineError(
                .invalidArgument,
                "invalid volume specification: '\(path)': the destination must be an absolute path other than '/'")
        }
        anonymous.append(path)
    }

    private mutating func add(bind: String) throws {
        if bind.hasPrefix("/"), !bind.contains(":") { return try add(anonymous: bind) }
        let parts = bind.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
            throw EngineError(.invalidArgument, "invalid volume specification: '\(bind)'")
        }
        let options = parts.count == 3 ? parts[2].split(separator: ",").map(String.init) : []
        for option in options where !Self.bindOptions.contains(option) {
            throw EngineError(.invalidArgument, "invalid mode: \(option)")
        }
        let readOnly = options.contains("ro")
        guard parts[1].hasPrefix("/"), parts[1] != "/" else {
            throw EngineError(
                .invalidArgument,
                "invalid volume specification: '\(bind)': invalid mount config: the destination must be an absolute path other than '/'"
            )
        }
        if parts[0].hasPrefix("/") {
            try Self.makeFolder(parts[0])
            add(target: parts[1], ["source": parts[0], "shift": "true"], readOnly: readOnly)
        } else {
            try add(volume: parts[0], target: parts[1], readOnly: readOnly)
        }
    }

    /// Propagation and SELinux labels say nothing here; the rest is dockerd's list.
    private static let bindOptions: Set<String> = [
        "rw", "ro", "z", "Z", "nocopy", "rprivate", "private", "rslave", "slave", "rshared", "shared", "cached",
        "delegated", "consistent", "default",
    ]

    private mutating func add(_ mount: MountBody) throws {
        guard mount.target.hasPrefix("/"), mount.target != "/" else {
            throw EngineError(
                .invalidArgument,
                "invalid mount config for type \"\(mount.type)\": invalid mount path: '\(mount.target)' mount path must be absolute"
            )
        }
        switch mount.type {
        case "bind":
            guard let source = mount.source, source.hasPrefix("/") else {
                throw EngineError(
                    .invalidArgument,
                    "invalid mount config for type \"bind\": invalid mount path: '\(mount.source ?? "")' mount path must be absolute"
                )
            }
            if mount.createMountpoint { try Self.makeFolder(source) }
            guard access(source, F_OK) == 0 else {
                throw EngineError(
                    .invalidArgument,
                    "invalid mount config for type \"bind\": bind source path does not exist: \(source)")
            }
            add(target: mount.target, ["source": source, "shift": "true"], readOnly: mount.readOnly)
        case "tmpfs":
            var device = ["type": "disk", "source": "tmpfs:", "path": mount.target, "raw.mount.options": "noexec"]
            if let size = mount.tmpfsSize { device["size"] = "\(size)" }
            if let mode = mount.tmpfsMode { device["mode"] = String(mode, radix: 8) }
            if mount.readOnly { device["readonly"] = "true" }
            devices["tmpfs\(devices.count)"] = device
        case "volume":
            guard mount.subpath == nil else {
                throw EngineError(.unsupported, "VolumeOptions.Subpath is not offered by this engine")
            }
            guard let source = mount.source else { return try add(anonymous: mount.target) }
            try add(volume: source, target: mount.target, readOnly: mount.readOnly)
        default:
            throw EngineError(.unsupported, "mounts of the type '\(mount.type)' are not offered by this engine")
        }
    }

    private mutating func add(target: String, _ keys: [String: String], readOnly: Bool) {
        var device = keys
        device["type"] = "disk"
        device["path"] = target
        if readOnly { device["readonly"] = "true" }
        devices["mount\(devices.count)"] = device
    }

    /// As dockerd does for a bind whose source is missing.
    private static func makeFolder(_ path: String) throws {
        guard !path.split(separator: "/").contains("..") else {
            throw EngineError(.invalidArgument, "the path \(Names.quoted(path)) has '..' in it")
        }
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, 0o755) != 0, errno != EEXIST else { continue }
            throw EngineError(
                .invalidArgument, "error while creating mount source path '\(path)': \(String(errno: errno))")
        }
    }
}
