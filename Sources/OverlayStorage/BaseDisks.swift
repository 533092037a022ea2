import Archive
import DriverKit
import Glibc
import LinuxHost
import Model

/// Disks that hold the root filesystem made of an image's layers: one ext4 filesystem without partitions, labelled
/// `isle-root`, for machines that boot Isle's own kernel. Made once per list of layers, then shared and never written.
struct BaseDisks: Sendable {
    static let label = "isle-root"
    /// Part of a base's name: one made in another way is another base.
    private static let recipe = "ext4 1"
    private static let gibibyte: Int64 = 1 << 30

    let disks: RootDirectory
    let storage: OverlayStorage
    private let making = KeyedLock<String>()

    init(disks: RootDirectory, storage: OverlayStorage) {
        self.disks = disks
        self.storage = storage
    }

    /// The base for `layers` (lowest first), made if it is not there: its path and size in bytes.
    func base(for layers: [String]) async throws -> (path: String, size: UInt64) {
        let name = try Self.name(layers)
        return try await making.withLock(name) {
            if let status = try disks.status(name) { return ("\(disks.path)/\(name)", UInt64(status.size)) }
            try await make(name, layers)
            guard let status = try disks.status(name) else {
                throw EngineError(.internal, "base disk \(disks.path)/\(name) vanished")
            }
            return ("\(disks.path)/\(name)", UInt64(status.size))
        }
    }

    /// Removes bases that are for none of `lists`, and what interrupted work left.
    func prune(keeping lists: [[String]]) async throws {
        let kept = try Set(lists.map(Self.name))
        for entry in try disks.list() where !kept.contains(entry.name.text) {
            let name = entry.name.text
            guard name.hasSuffix(".raw") else { continue }
            try await making.withLock(name) { try disks.removeTree(name) }
        }
    }

    /// Removes what interrupted work left.
    func recover() throws {
        for entry in try disks.list() where entry.name.text.hasPrefix(".staging-") { try disks.removeTree(entry.name) }
    }

    static func name(_ layers: [String]) throws -> String {
        let names = try layers.map { try LayerName($0).digits }
        let text = ([recipe] + names).joined(separator: "\n")
        return try HashingSource(MemorySource(Array(text.utf8))).digest().dropFirst("sha256:".utf8.count) + ".raw"
    }

    private func make(_ name: String, _ layers: [String]) async throws {
        let staging = ".staging-" + String(UInt64.random(in: .min ... .max), radix: 16)
        try disks.makeDirectory(staging, mode: 0o700)
        do {
            try disks.makeDirectory("\(staging)/merged")
            let tree = try await LayerView.open(
                storage.lowerNames(layers), of: storage.layersRoot, at: "\(disks.path)/\(staging)/merged")
            let measure = try await runBlocking { try tree.measure() }
            let size = max(10 * Self.gibibyte, 2 * measure.bytes)
            try await fill("\(staging)/disk", from: tree, size: size, files: measure.files)
            try await runBlocking { [disks] in
                try disks.syncFile("\(staging)/disk")
                try disks.setPermissions("\(staging)/disk", 0o444)
                try disks.rename("\(staging)/disk", to: name)
                try disks.syncNames()
            }
        } catch {
            // The error that is being thrown matters more than what is left for `recover`.
            try? disks.removeTree(staging)
            throw error
        }
        try disks.removeTree(staging)
    }

    /// Makes the filesystem with all that `tree` holds, owners and attributes too. The file is sparse, so the size
    /// costs nothing.
    private func fill(_ path: String, from tree: RootDirectory, size: Int64, files: Int) async throws {
        let file = try disks.createFile(path, mode: 0o600)
        guard ftruncate(file.raw, off_t(size)) == 0 else {
            throw EngineError.system(errno, "make \(disks.path)/\(path) \(size) bytes long")
        }
        // As many inodes as mke2fs gives by itself, or enough for twice the files that are there.
        let inodes = max(Int(size / 16384), files * 2)
        func arguments(_ extended: String) -> [String] {
            [
                "-q", "-F", "-t", "ext4", "-L", Self.label, "-m", "0", "-N", String(inodes), "-E", extended, "-d", ".",
                "\(disks.path)/\(path)",
            ]
        }
        // The tree is no path on the host but a descriptor of ours, which the tool enters as its working folder.
        let folder = "/proc/\(getpid())/fd/\(tree.descriptor)"
        defer { withExtendedLifetime(tree) {} }
        // A new file reads as zeros: neither tables nor journal need writing, now or by the guest later.
        let result = try await ProcessRunner.run(
            "mke2fs", arguments("root_owner=0:0,nodiscard,lazy_itable_init=0,assume_storage_prezeroed=1"),
            workingDirectory: folder, timeout: .seconds(3600))
        if result.status.isSuccess { return }
        guard result.errorText.contains("assume_storage_prezeroed") else {
            throw EngineError(.internal, "mke2fs could not make base disk \(disks.path)/\(path): \(result.lastWords)")
        }
        // e2fsprogs before 1.47 does not know it.
        try await ProcessRunner.check(
            "mke2fs", arguments("root_owner=0:0,nodiscard,lazy_itable_init=1,lazy_journal_init=1"),
            workingDirectory: folder, timeout: .seconds(3600))
    }
}

extension RootDirectory {
    func syncFile(_ path: String) throws {
        let file = try open(path, O_RDONLY)
        guard fsync(file.raw) == 0 else { throw EngineError.system(errno, "sync \(self.path)/\(path)") }
    }
}
