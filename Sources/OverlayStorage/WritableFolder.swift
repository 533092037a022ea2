import LinuxHost
import Model

/// The folders that one instance writes into.
struct WritableFolder {
    static let staging = ".upper"

    /// Of the root, below `roots`.
    let name: String
    let roots: RootDirectory

    /// Makes `upper` and `work`; `upper` is the root folder that the instance sees, hence looks like `model`, the
    /// root folder of its topmost layer.
    func create(like model: RootDirectory) throws {
        guard try !roots.exists("\(name)/upper") else { throw taken }
        try roots.makeDirectories(name, mode: 0o700)
        let folder = try roots.subdirectory(name)
        try folder.removeTree("work")
        try folder.removeTree(Self.staging)
        try folder.makeDirectory("work", mode: 0o700)
        try folder.makeDirectory(Self.staging, mode: 0o755)
        if let status = try model.status() {
            try folder.setOwner(Self.staging, user: status.user, group: status.group)
            try folder.setPermissions(Self.staging, status.permissions)
        }
        // The name appears when all is there, so that a crash leaves either nothing or a whole one.
        do {
            try folder.rename(Self.staging, to: "upper", replacing: false)
        } catch let error as EngineError where error.code == .alreadyExists {
            throw taken
        }
    }

    private var taken: EngineError {
        EngineError(.alreadyExists, "there is a writable folder already: \(roots.path)/\(name)/upper")
    }
}
