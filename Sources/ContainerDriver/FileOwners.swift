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

    func inside(_ id: UInt32) -> UInt32 {
        guard let identity else { return id }
        return has(id) ? id - identity.base : Self.unknown
    }

    /// - Throws: `invalidArgument` for an id that the instance does not have.
    func outside(_ id: UInt32) throws -> UInt32 {
        guard let identity else { return id }
        guard id < identity.size else {
            throw EngineError(
                .invalidArgument, "the instance has no id \(id)", hint: "its ids are 0 to \(identity.size - 1)")
        }
        return identity.base + id
    }

    func facts(_ status: FileStatus) -> FileFacts {
        FileFacts(
            kind: Self.kind(status.kind), permissions: status.permissions, user: inside(status.user),
            group: inside(status.group), size: status.size, modified: status.modified.seconds)
    }

    /// The daemon may touch anything, the instance's root user only what belongs to the instance, and what all may
    /// touch: that is what counts, on folders of the host that the instance is shown.
    /// - Parameter bits: 4 read, 2 write, 1 search.
    func check(_ status: FileStatus, allows bits: UInt32, _ name: String) throws {
        guard identity != nil, !has(status.user), status.permissions & bits != bits else { return }
        throw EngineError(
            .permissionDenied, "\(Names.quoted(name)) belongs to the host and is closed to the instance",
            hint: "give the disk device 'shift=true', or change the file's owner on the host")
    }

    /// Runs on the calling thread as the instance's root user.
    func act<T>(_ body: () throws -> T) throws -> T {
        let base = identity?.base ?? 0
        let result = isle_act_for(base, base)
        guard result == 0 else { throw EngineError.system(-result, "take the ids of the instance") }
        defer { _ = isle_act_for(0, 0) }
        return try body()
    }

    private func has(_ id: UInt32) -> Bool {
        guard let identity else { return true }
        return id >= identity.base && id - identity.base < identity.size
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
