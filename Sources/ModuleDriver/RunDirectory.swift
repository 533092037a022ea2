import Glibc
import LinuxHost
import Model

/// The folder below /run of one instance's run.
enum RunDirectory {
    static func make(_ path: String) throws {
        guard mkdir(path, 0o711) == 0 || errno == EEXIST else {
            throw EngineError(.internal, "the folder \(path) cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    /// No error if it is not there.
    static func remove(_ path: String) async throws {
        let parts = path.split(separator: "/")
        guard let name = parts.last, access(path, F_OK) == 0 else { return }
        let parent = "/" + parts.dropLast().joined(separator: "/")
        try await runBlocking { try RootDirectory(path: parent).removeTree(String(name)) }
    }
}
