import CHost
import DriverKit
import Glibc
import LinuxHost
import Model

/// The files of one container below one root descriptor.
///
/// Every call runs on a thread of its own, with the file ids of the instance's root user: files that are made belong to
/// it, and a file system that never answers (FUSE, served from inside) keeps nobody else waiting.
final class ContainerFileTree: FileTree {
    private let root: RootDirectory
    private let owners: FileOwners
    private let gate: FileGate

    init(root: RootDirectory, identity: IDRange?, name: String) {
        self.root = root
        owners = FileOwners(identity: identity)
        gate = FileGate(name: name)
    }

    func facts(_ path: GuestPath, following: Bool) async throws -> FileFacts? {
        try await perform { root, owners in
            let path = path.host
            return try (following ? root.followedStatus(path) : root.status(path)).map(owners.facts)
        }
    }

    func list(_ path: GuestPath) async throws -> [(name: GuestPath, facts: FileFacts)] {
        let entries = try await perform { root, owners in
            let folder = try root.subdirectory(path.host)
            if let status = try folder.status() { try owners.check(status, allows: 4, path.text) }
            return try folder.list().compactMap { entry -> Entry? in
                // One that was removed meanwhile is left out.
                guard let status = try folder.status(entry.name) else { return nil }
                return Entry(name: GuestPath(bytes: entry.name.bytes), facts: owners.facts(status))
            }
        }
        return entries.map { ($0.name, $0.facts) }
    }

    private struct Entry: Sendable {
        let name: GuestPath
        let facts: FileFacts
    }

    func readLink(_ path: GuestPath) async throws -> GuestPath {
        try await perform { root, _ in GuestPath(bytes: try root.readLink(path.host).bytes) }
    }

    func open(_ path: GuestPath, _ opening: FileOpening) async throws -> any GuestFile {
        let descriptor = try await perform { root, owners in
            try FileOpener(root: root, owners: owners).open(path.host, opening)
        }
        gate.keep(descriptor)
        return ContainerFile(descriptor: descriptor, name: path.text, owners: owners, gate: gate)
    }

    func makeDirectory(_ path: GuestPath, _ attributes: FileChange) async throws {
        try await perform { root, owners in
            try Self.checkFolder(of: path, root, owners)
            try root.makeDirectory(path.host, mode: 0o755)
            try Self.apply(attributes, defaultMode: 0o755, to: path.host, root, owners)
        }
    }

    func makeLink(_ path: GuestPath, target: GuestPath, _ attributes: FileChange) async throws {
        try await perform { root, owners in
            try Self.checkFolder(of: path, root, owners)
            try root.makeSymbolicLink(path.host, target: target.host)
            var owner = attributes
            (owner.permissions, owner.size) = (nil, nil)
            try Self.apply(owner, defaultMode: nil, to: path.host, root, owners)
        }
    }

    func makeHardLink(_ path: GuestPath, to existing: GuestPath) async throws {
        try await perform { root, owners in
            try Self.checkFolder(of: path, root, owners)
            if let status = try root.status(existing.host) { try owners.check(status, allows: 6, existing.text) }
            try root.makeHardLink(path.host, to: existing.host)
        }
    }

    func remove(_ path: GuestPath) async throws {
        try await perform { root, owners in
            try Self.checkFolder(of: path, root, owners)
            guard let status = try root.status(path.host) else {
                throw EngineError(.notFound, "there is no file \(Names.quoted(path.text)) in the instance")
            }
            if status.kind == .directory {
                try root.removeDirectory(path.host)
            } else {
                try root.removeFile(path.host)
            }
        }
    }

    func rename(_ path: GuestPath, to newPath: GuestPath, replacing: Bool) async throws {
        try await perform { root, owners in
            try Self.checkFolder(of: path, root, owners)
            try Self.checkFolder(of: newPath, root, owners)
            try root.rename(path.host, to: newPath.host, replacing: replacing)
        }
    }

    func change(_ path: GuestPath, _ change: FileChange, following: Bool) async throws {
        try await perform { root, owners in
            if following {
                let file = try root.open(path.host, Int32(ISLE_O_PATH))
                try FileOpener(root: root, owners: owners).apply(change, to: file, name: path.text)
            } else {
                try Self.apply(change, defaultMode: nil, to: path.host, root, owners)
            }
        }
    }

    func close() async { await gate.close() }
    var isClosed: Bool { gate.isClosed }

    // MARK: -

    private func perform<T: Sendable>(
        _ body: @escaping @Sendable (RootDirectory, FileOwners) throws -> T
    ) async throws -> T {
        let (root, owners) = (root, owners)
        return try await gate.pass {
            try await runOnOwnThread { try owners.act { try body(root, owners) } }
        }
    }

    /// Refuses to add to, or take from, a folder of the host that is closed to the instance.
    private static func checkFolder(of path: GuestPath, _ root: RootDirectory, _ owners: FileOwners) throws {
        guard let status = try root.followedStatus(path.parent.host) else {
            throw EngineError(.notFound, "there is no folder \(Names.quoted(path.parent.text)) in the instance")
        }
        try owners.check(status, allows: 3, path.parent.text)
    }

    /// Changes what is at `path`, a link itself.
    private static func apply(
        _ change: FileChange, defaultMode: UInt32?, to path: HostPath, _ root: RootDirectory, _ owners: FileOwners
    ) throws {
        guard let status = try root.status(path) else {
            throw EngineError(.notFound, "there is no file \(Names.quoted(path.text)) in the instance")
        }
        if status.kind != .symbolicLink {
            var change = change
            change.permissions = change.permissions ?? defaultMode
            let file = try root.open(path, Int32(ISLE_O_PATH) | O_NOFOLLOW)
            return try FileOpener(root: root, owners: owners).apply(change, to: file, name: path.text)
        }
        try owners.check(status, allows: 2, path.text)
        if change.user != nil || change.group != nil {
            try root.setOwner(
                path, user: try change.user.map(owners.outside(user:)) ?? UInt32.max,
                group: try change.group.map(owners.outside(group:)) ?? UInt32.max)
        }
        if let time = change.modified { try root.setModified(path, FileTime(seconds: time)) }
    }
}

extension GuestPath {
    var host: HostPath { HostPath(bytes: bytes) }
}
