import CHost
import DriverKit
import Glibc
import LinuxHost
import Model

/// Translates between the ids inside an instance and those of the host, and says what may be touched for it.
struct FileOwners: Sendable {
    /// The ids of a running instance; nil where both are the same: a privileged instance, and files at rest, whose
    /// owners on disk are those inside.
    let identity: IDRange?

    /// What an id that the instance does not have is shown as (user_namespaces(7), overflow ids).
    static let unknown: UInt32 = 65534

    func inside(_ id: UInt32, _ kind: IDRange.Kind) -> UInt32 {
        guard let identity else { return id }
        return identity.inside(id, kind) ?? Self.unknown
    }

    /// - Throws: `invalidArgument` for an id that the instance does not have.
    func outside(_ id: UInt32, _ kind: IDRange.Kind) throws -> UInt32 {
        guard let identity else { return id }
        guard let outside = identity.outside(id, kind) else {
            throw EngineError(
                .invalidArgument, "the instance has no id \(id)", hint: "its ids are 0 to \(identity.size - 1)")
        }
        return outside
    }

    func outside(user id: UInt32) throws -> UInt32 { try outside(id, .user) }
    func outside(group id: UInt32) throws -> UInt32 { try outside(id, .group) }

    func facts(_ status: FileStatus) -> FileFacts {
        FileFacts(
            kind: Self.kind(status.kind), permissions: status.permissions, user: inside(status.user, .user),
            group: inside(status.group, .group), size: status.size, modified: status.modified.seconds)
    }

    /// The daemon may touch anything, the instance's root user only what belongs to the instance, and what all may
    /// touch: that is what counts, on folders of the host that the instance is shown.
    /// - Parameter bits: 4 read, 2 write, 1 search.
    func check(_ status: FileStatus, allows bits: UInt32, _ name: String) throws {
        guard let identity, identity.inside(status.user, .user) == nil, status.permissions & bits != bits else {
            return
        }
        throw EngineError(
            .permissionDenied, "\(Names.quoted(name)) belongs to the host and is closed to the instance",
            hint: "give the disk device 'shift=true', or change the file's owner on the host")
    }

    /// Runs on the calling thread as the instance's root user.
    func act<T>(_ body: () throws -> T) throws -> T {
        let root: (user: UInt32, group: UInt32) = identity?.root ?? (0, 0)
        let result = isle_act_for(root.user, root.group)
        guard result == 0 else { throw EngineError.system(-result, "take the ids of the instance") }
        defer { _ = isle_act_for(0, 0) }
        return try body()
    }

    private static func kind(_ kind: FileStatus.Kind) -> FileFacts.Kind {
        switch kind {
        case .regular: .regular
        case .directory: .directory
        case .symbolicLink: .symbolicLink
        case .characterDevice: .characterDevice
        case .blockDevice: .blockDevice
        case .fifo: .fifo
        case .socket: .socket
        case .unknown: .unknown
        }
    }
}
