import CHost
import DriverKit
import Glibc
import LinuxHost
import Model

/// Opens regular files of a container and nothing else, whatever its processes put in their place meanwhile. Works on
/// the calling thread, which acts for the instance (`FileOwners.act`).
struct FileOpener {
    let root: RootDirectory
    let owners: FileOwners

    func open(_ path: HostPath, _ opening: FileOpening) throws -> OwnedDescriptor {
        // The name may come and go meanwhile; a few rounds settle that.
        for _ in 0..<8 {
            do {
                let found = try root.open(path, Int32(ISLE_O_PATH))
                guard !(opening.creates && opening.exclusive) else {
                    throw EngineError(.alreadyExists, "\(Names.quoted(path.text)) is there already")
                }
                return try openFound(found, path, opening)
            } catch let error as EngineError where error.code == .notFound && opening.creates {
                if let made = try create(path, opening) { return made }
            }
        }
        throw EngineError(.busy, "\(Names.quoted(path.text)) is made and removed all the time")
    }

    private func openFound(_ found: OwnedDescriptor, _ path: HostPath, _ opening: FileOpening) throws -> OwnedDescriptor
    {
        let status = try RootDirectory.status(of: found)
        guard status.kind == .regular else {
            throw EngineError(
                .invalidArgument,
                "\(Names.quoted(path.text)) is \(Self.word(status.kind)), not a file that can be read or written")
        }
        try owners.check(status, allows: opening.writes ? 2 : 4, path.text)
        let flags = opening.writes ? O_RDWR | (opening.truncates ? O_TRUNC : 0) : O_RDONLY
        // By the descriptor: it is the file that was looked at, whatever its name leads to by now.
        return try RootDirectory.reopen(found, flags | O_NONBLOCK | O_NOCTTY, name: path.text)
    }

    /// nil: somebody else made it first.
    private func create(_ path: HostPath, _ opening: FileOpening) throws -> OwnedDescriptor? {
        let parent = GuestPath(bytes: path.bytes).parent
        guard let folder = try root.followedStatus(parent.host) else {
            throw EngineError(.notFound, "there is no folder \(Names.quoted(parent.text)) in the instance")
        }
        try owners.check(folder, allows: 3, parent.text)
        let isDanglingLink = try root.status(path)?.kind == .symbolicLink
        let file: OwnedDescriptor
        do {
            if isDanglingLink {
                file = try root.open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, mode: 0o644)
            } else {
                file = try root.createFile(path, mode: 0o644)
            }
        } catch let error as EngineError where error.code == .alreadyExists {
            return nil
        }
        let status = try RootDirectory.status(of: file)
        guard status.kind == .regular else { return nil }
        var attributes = opening.attributes
        attributes.permissions = attributes.permissions ?? 0o644
        try apply(attributes, to: file, name: path.text)
        return file
    }

    func apply(_ change: FileChange, to file: OwnedDescriptor, name: String) throws {
        try Self.apply(change, to: file, name: name, owners)
    }

    /// Changes an open file, O_PATH too; not a link.
    static func apply(_ change: FileChange, to file: OwnedDescriptor, name: String, _ owners: FileOwners) throws {
        let status = try RootDirectory.status(of: file)
        try owners.check(status, allows: 2, name)
        func check(_ result: Int32, _ action: String) throws {
            guard result == 0 else { throw EngineError.system(-result, "\(action) \(Names.printable(name))") }
        }
        if let size = change.size {
            guard status.kind == .regular else {
                throw EngineError(.invalidArgument, "\(Names.quoted(name)) is no file that has a size to be set")
            }
            let writable = try RootDirectory.reopen(file, O_WRONLY | O_NONBLOCK | O_NOCTTY, name: name)
            try check(isle_ftruncate(writable.raw, size), "set the size of")
        }
        if change.user != nil || change.group != nil {
            let user = try change.user.map(owners.outside(user:)) ?? UInt32.max
            let group = try change.group.map(owners.outside(group:)) ?? UInt32.max
            try check(isle_chown_path(file.raw, user, group), "set the owner of")
        }
        // After the owner: chown(2) clears set-user-id bits.
        if let mode = change.permissions { try check(isle_chmod_path(file.raw, mode & 0o7777), "set the mode of") }
        if let time = change.modified { try check(isle_utimens_path(file.raw, time), "set the time of") }
    }

    static func word(_ kind: FileStatus.Kind) -> String {
        switch kind {
        case .directory: "a folder"
        case .symbolicLink: "a link"
        case .characterDevice, .blockDevice: "a device"
        case .fifo: "a pipe"
        case .socket: "a socket"
        case .regular: "a file"
        case .unknown: "of an unknown kind"
        }
    }
}
