public import DriverKit
import LinuxHost
import Model

/// Folders of the host below one state or run folder, removed and measured by descriptors.
public struct HostFolders: FolderStore {
    public init() {}

    public func remove(_ path: String) async throws {
        let (parent, name) = try Self.split(path)
        try await runBlocking {
            do {
                try RootDirectory(path: parent).removeTree(name)
            } catch let error as EngineError where error.code == .notFound {
                return
            }
        }
    }

    public func usage(_ path: String) async throws -> Int64 {
        let (parent, name) = try Self.split(path)
        return try await runBlocking { try RootDirectory(path: parent).diskUsage(name) }
    }

    private static func split(_ path: String) throws -> (parent: String, name: String) {
        let names = path.split(separator: "/")
        guard path.hasPrefix("/"), let last = names.last, names.count > 1, !names.contains("..") else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(path)) is not the absolute path of a folder that Isle may remove")
        }
        return ("/" + names.dropLast().joined(separator: "/"), String(last))
    }
}
