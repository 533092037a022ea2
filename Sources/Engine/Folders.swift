import Glibc
import Model

/// The daemon's folders.
public enum Folders {
    /// Makes them with the modes they need. The state folder is root's alone: layers, instances and volumes hold files
    /// with the owners and setuid bits that guests gave them, which users of the host must not reach. Unprivileged
    /// processes of Isle's own pass through the run folder.
    public static func make(_ layout: HostLayout) throws {
        for (path, mode) in [
            (layout.state, mode_t(0o700)), (layout.run, 0o711), (layout.run + "/instances", 0o711),
            (layout.images, 0o700), (layout.layers, 0o700), (layout.disks, 0o700), (layout.kernels, 0o755),
            (layout.modules, 0o700), (layout.volumes, 0o700), (layout.temporary, 0o700), (layout.instances, 0o700),
            (layout.pools, 0o700), (layout.backups, 0o700),
        ] {
            try make(path, mode: mode)
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() else {
                throw EngineError(.permissionDenied, "\(path) is not a folder of this user's own", hint: "move it away")
            }
            guard chmod(path, mode) == 0 else {
                throw EngineError(
                    .internal, "the mode of \(path) cannot be set: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// A folder of the host that a user named, with those above it that are missing.
    static func makeWithParents(_ path: String, mode: mode_t) throws {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/" + part
            guard mkdir(current, mode) != 0, errno != EEXIST else { continue }
            throw EngineError(
                errno == ENOSPC ? .resourceExhausted : .invalidArgument,
                "the folder \(Names.quoted(current)) cannot be made: \(String(cString: strerror(errno)))",
                hint: "make it yourself, or name another one")
        }
    }

    static func isEmpty(_ path: String) throws -> Bool {
        guard let folder = opendir(path) else {
            throw EngineError(.internal, "the folder \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [46], name != [46, 46] { return false }
        }
        return true
    }

    /// One folder; nothing if it is there. Its parent must exist.
    static func make(_ path: String, mode: mode_t) throws {
        if mkdir(path, mode) != 0, errno != EEXIST {
            throw EngineError(
                errno == ENOSPC ? .resourceExhausted : .internal,
                "the folder \(path) cannot be made: \(String(cString: strerror(errno)))",
                hint: "isled runs as root; --state-dir and --run-dir choose other folders")
        }
    }
}
