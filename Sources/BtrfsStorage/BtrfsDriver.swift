import CHost
public import DriverKit
import Glibc
import LinuxHost
import Model

/// Pools of the driver `btrfs`: a folder of a btrfs filesystem that is mounted, a block device that holds one or
/// nothing, or a file of the pool's own in which one is made.
public final class BtrfsDriver: StorageDriver {
    public let name = "btrfs"
    /// Where files for pools without a `source` are made, and where filesystems are mounted.
    private let images: String
    private let mounts: String
    static let smallest: Int64 = 256 << 20

    /// - Parameters:
    ///   - images: a folder that lasts, absolute.
    ///   - mounts: a folder that is gone after a reboot, absolute.
    public init(images: String, mounts: String) {
        self.images = images
        self.mounts = mounts
    }

    public var version: String {
        get async {
            guard let result = try? await ProcessRunner.run("btrfs", ["--version"]), result.status.isSuccess else {
                return ""
            }
            // btrfs-progs v6.2
            return String(result.outputText.split(separator: "\n").first?.split(separator: "v").last ?? "")
        }
    }

    public func check() async -> [HostCheck] {
        let name = "btrfs pools"
        guard await !version.isEmpty else {
            return [
                HostCheck(
                    name, .warning, "btrfs-progs is not installed",
                    advice: "apt-get install btrfs-progs; pools of the driver dir work without")
            ]
        }
        let filesystems = (try? readSmallFile("/proc/filesystems")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard filesystems.contains("\tbtrfs") || access("/sys/module/btrfs", F_OK) == 0 else {
            return [HostCheck(name, .warning, "the kernel has not loaded btrfs", advice: "modprobe btrfs")]
        }
        return [HostCheck(name, .ok, "btrfs-progs \(await version)")]
    }

    public func create(_ pool: String, config: [String: String]) async throws -> [String: String] {
        try Self.checkKeys(config)
        var config = config
        guard let source = config["source"], !source.isEmpty else { return try await makeImage(pool, config) }
        guard source.hasPrefix("/"), !source.split(separator: "/").contains(".."), !source.utf8.contains(0) else {
            throw EngineError(
                .invalidArgument, "source=\(Names.quoted(source)) is not an absolute path",
                hint: "a folder on btrfs, a block device, or nothing for a file of the pool's own")
        }
        var status = stat()
        guard stat(source, &status) == 0 else {
            throw EngineError(
                .notFound, "the source \(Names.quoted(source)) of pool \(Names.quoted(pool)) is not there")
        }
        if status.st_mode & S_IFMT == S_IFBLK {
            // Without -f it refuses a device on which there is something.
            try await ProcessRunner.check("mkfs.btrfs", ["-q", "-L", "isle-\(pool)", "--", source])
            try await mount(pool, source, isImage: false)
            return config
        }
        guard config["size"] == nil else {
            throw EngineError(
                .invalidArgument, "'size' is for a pool in a file of its own, and 'source' names a folder",
                hint: "leave one of the two out")
        }
        guard status.st_mode & S_IFMT == S_IFDIR, try RootDirectory(path: source).list().isEmpty else {
            throw EngineError(
                .invalidArgument, "the source \(source) is not an empty folder",
                hint: "make one on the btrfs filesystem")
        }
        config["source"] = source
        _ = try BtrfsPool(path: source)
        return config
    }

    public func open(_ pool: String, config: [String: String]) async throws -> any StoragePool {
        guard let source = config["source"] else { throw EngineError(.internal, "pool \(pool) has no source") }
        var status = stat()
        guard stat(source, &status) == 0 else {
            throw EngineError(
                .notFound, "the source \(Names.quoted(source)) of pool \(Names.quoted(pool)) is not there")
        }
        if status.st_mode & S_IFMT == S_IFDIR { return try BtrfsPool(path: source) }
        try await mount(pool, source, isImage: status.st_mode & S_IFMT == S_IFREG)
        return try BtrfsPool(path: mountPoint(pool))
    }

    public func update(_ pool: String, from old: [String: String], to new: [String: String]) async throws {
        try Self.checkKeys(new)
        guard new["source"] == old["source"] else {
            throw EngineError(.unsupported, "the source of pool \(Names.quoted(pool)) cannot change")
        }
        guard new["size"] != old["size"], let source = new["source"] else { return }
        guard old["size"] != nil, let size = new["size"].flatMap(StorageSize.bytes),
            let before = old["size"].flatMap(StorageSize.bytes)
        else {
            throw EngineError(.invalidArgument, "pool \(Names.quoted(pool)) has no size of its own")
        }
        guard size >= before else {
            throw EngineError(.unsupported, "pool \(Names.quoted(pool)) cannot become smaller")
        }
        guard truncate(source, off_t(size)) == 0 else { throw EngineError.system(errno, "make \(source) larger") }
        let devices = try await ProcessRunner.check("losetup", ["--noheadings", "--output", "NAME", "-j", source])
        for device in devices.outputText.split(separator: "\n") {
            let name = String(device.filter { $0 != " " })
            try await ProcessRunner.check("losetup", ["--set-capacity", name])
        }
        try await ProcessRunner.check("btrfs", ["-q", "filesystem", "resize", "max", mountPoint(pool)])
    }

    public func remove(_ pool: String, config: [String: String]) async throws {
        guard let source = config["source"] else { return }
        var status = stat()
        guard stat(source, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            let folder = try RootDirectory(path: source)
            for name in ["instances", "snapshots", "volumes", "volume-snapshots"] { try folder.removeTree(name) }
            return
        }
        if try isMounted(mountPoint(pool)) {
            let result = try await ProcessRunner.run("umount", ["--", mountPoint(pool)])
            guard result.status.isSuccess else {
                throw EngineError(
                    .busy, "the filesystem of pool \(Names.quoted(pool)) is in use: \(result.lastWords)",
                    hint: "stop what works in \(mountPoint(pool)) and try again")
            }
        }
        rmdir(mountPoint(pool))
        if source == image(pool) { unlink(source) }
    }

    // MARK: -

    private func image(_ pool: String) -> String { "\(images)/\(pool).img" }
    private func mountPoint(_ pool: String) -> String { "\(mounts)/\(pool)" }

    private func makeImage(_ pool: String, _ config: [String: String]) async throws -> [String: String] {
        let path = image(pool)
        let size: Int64
        if let text = config["size"] {
            guard let bytes = StorageSize.bytes(text), bytes >= Self.smallest else {
                throw EngineError(
                    .invalidArgument, "size=\(Names.quoted(text)) is not a size of a btrfs filesystem",
                    hint: "256MiB and more, as 20GiB")
            }
            size = bytes
        } else {
            // As LXD: a fifth of what is free, within bounds.
            let free = try PoolSpace.of(images).free
            size = min(max(free / 5, 5 << 30), 30 << 30)
        }
        let file = OwnedDescriptor(Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
        guard file.raw >= 0 else { throw EngineError.system(errno, "make \(path)") }
        do {
            guard ftruncate(file.raw, off_t(size)) == 0 else {
                throw EngineError.system(errno, "make \(path) \(size) bytes long")
            }
            try await ProcessRunner.check("mkfs.btrfs", ["-q", "-L", "isle-\(pool)", "--", path])
            try await mount(pool, path, isImage: true)
        } catch {
            unlink(path)
            throw error
        }
        return config.merging(["source": path, "size": config["size"] ?? String(size)]) { $1 }
    }

    /// Mounts the pool's filesystem unless it is: an earlier daemon's mount stays, and instances work in it.
    private func mount(_ pool: String, _ source: String, isImage: Bool) async throws {
        let target = mountPoint(pool)
        guard try !isMounted(target) else { return }
        for folder in [mounts, target] where mkdir(folder, 0o711) != 0 && errno != EEXIST {
            throw EngineError.system(errno, "make the folder \(folder)")
        }
        // The loop device goes with the mount.
        let options = "noatime,user_subvol_rm_allowed" + (isImage ? ",loop" : "")
        let result = try await ProcessRunner.run("mount", ["-t", "btrfs", "-o", options, "--", source, target])
        guard result.status.isSuccess else {
            rmdir(target)
            throw EngineError(.unavailable, "\(source) cannot be mounted: \(result.lastWords)")
        }
        guard chmod(target, 0o711) == 0 else { throw EngineError.system(errno, "set the mode of \(target)") }
    }

    private func isMounted(_ path: String) throws -> Bool {
        let text = String(decoding: try readSmallFile("/proc/self/mountinfo", limit: 16 << 20), as: UTF8.self)
        return text.split(separator: "\n").contains { line in
            let fields = line.split(separator: " ")
            return fields.count > 4 && fields[4] == path
        }
    }

    private static func checkKeys(_ config: [String: String]) throws {
        for key in config.keys.sorted()
        where ![
            "source", "size", "btrfs.mount_options", "rsync.bwlimit", "rsync.compression", "volatile.initial_source",
        ]
        .contains(key) && !key.hasPrefix("user.") && !key.hasPrefix("volume.") {
            throw EngineError(
                .invalidArgument, "a pool of the driver btrfs has no key \(Names.quoted(key))",
                hint: "keys: source, size, volume.*, user.*")
        }
        if let options = config["btrfs.mount_options"], !options.isEmpty {
            throw EngineError(
                .unsupported, "btrfs.mount_options cannot be set", hint: "mount it yourself and name the folder")
        }
    }
}
