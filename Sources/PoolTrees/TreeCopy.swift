import Glibc
import LinuxHost
import Model

/// cp(1): owners, attributes, links, holes and overlayfs's marks too, and without copying blocks where the filesystem
/// can share them.
public enum TreeCopy {
    /// Copies the file or tree at `source` to `target`, which is not there yet.
    public static func copy(_ source: String, to target: String) async throws {
        try await ProcessRunner.check(
            "cp", ["-a", "--reflink=auto", "--sparse=auto", "--no-target-directory", "--", source, target],
            timeout: .seconds(6 * 3600))
    }

    /// The last name of a path.
    public static func name(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
}

/// Plain folders; clones are copies.
public struct FolderTrees: TreeMaker {
    public init() {}

    public func make(_ path: String) async throws {
        let (parent, name) = Self.split(path)
        try RootDirectory(path: parent).makeDirectory(name, mode: 0o711)
    }

    public func clone(_ source: String, to copy: String) async throws { try await TreeCopy.copy(source, to: copy) }

    public func remove(_ path: String) async throws {
        let (parent, name) = Self.split(path)
        guard access(parent, F_OK) == 0 else { return }
        try await runBlocking { try RootDirectory(path: parent).removeTree(name) }
    }

    public func limit(_ path: String, bytes: Int64?) async throws {
        guard bytes != nil else { return }
        throw EngineError(
            .unsupported,
            "a size cannot be enforced in a pool of the driver dir: its filesystem bounds folders by nothing",
            hint: "leave 'size' out, or use a pool of the driver btrfs")
    }

    static func split(_ path: String) -> (parent: String, name: String) {
        let names = path.split(separator: "/")
        return ("/" + names.dropLast().joined(separator: "/"), names.last.map(String.init) ?? "")
    }
}
