import Glibc
import Model

/// The daemon's folders.
public enum Folders {
    /// Makes them with the modes they need: others may pass through the state folder, not read it.
    public static func make(_ layout: HostLayout) throws {
        for (path, mode) in [
            (layout.state, mode_t(0o711)), (layout.run, 0o711), (layout.run + "/instances", 0o711),
            (layout.images, 0o700), (layout.layers, 0o711), (layout.disks, 0o711), (layout.kernels, 0o755),
            (layout.modules, 0o700), (layout.volumes, 0o711), (layout.temporary, 0o700), (layout.instances, 0o711),
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
