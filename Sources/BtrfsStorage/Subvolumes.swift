import CHost
import Glibc
import LinuxHost
import Model
import PoolTrees

/// Subvolumes by btrfs(8). A clone shares all blocks, whether somebody writes to its source or not.
struct Subvolumes: TreeMaker {
    /// A folder of the filesystem, for its quotas.
    let pool: String

    func make(_ path: String) async throws {
        try await ProcessRunner.check("btrfs", ["-q", "subvolume", "create", "--", path])
    }

    func clone(_ source: String, to copy: String) async throws {
        if try await Self.isSubvolume(source) {
            let result = try await ProcessRunner.run("btrfs", ["-q", "subvolume", "snapshot", "--", source, copy])
            if result.status.isSuccess { return }
            // Another filesystem, else it fails again below and says why.
        }
        try await make(copy)
        try await ProcessRunner.check(
            "cp", ["-a", "--reflink=auto", "--sparse=auto", "--", "\(source)/.", copy], timeout: .seconds(6 * 3600))
    }

    func remove(_ path: String) async throws {
        guard access(path, F_OK) == 0 else { return }
        if try await Self.isSubvolume(path) {
            let result = try await ProcessRunner.run("btrfs", ["-q", "subvolume", "delete", "--", path])
            if result.status.isSuccess { return }
        }
        // A guest may have made subvolumes in its own; rmdir(2) removes emptied ones.
        let names = path.split(separator: "/")
        let parent = "/" + names.dropLast().joined(separator: "/")
        try await runBlocking { try RootDirectory(path: parent).removeTree(String(names.last ?? "")) }
    }

    func limit(_ path: String, bytes: Int64?) async throws {
        if bytes == nil, try await !hasQuotas() { return }
        if try await !hasQuotas() { try await ProcessRunner.check("btrfs", ["-q", "quota", "enable", pool]) }
        try await ProcessRunner.check(
            "btrfs", ["-q", "qgroup", "limit", "--", bytes.map(String.init) ?? "none", path])
    }

    private func hasQuotas() async throws -> Bool {
        try await ProcessRunner.run("btrfs", ["-q", "qgroup", "show", "--", pool]).status.isSuccess
    }

    /// The root of a subvolume has the inode 256.
    static func isSubvolume(_ path: String) async throws -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        return isle_filesystem_type(path) == 0x9123_683E && status.st_ino == 256
    }
}
