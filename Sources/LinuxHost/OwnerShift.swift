import CHost
import Glibc
import Model
import Synchronization

/// Whether files of the host can be shown with shifted owners (idmapped mounts, mount_setattr(2)), found out by
/// trying: which file systems can do it differs from kernel to kernel.
public enum OwnerShift {
    /// The namespace of the trials, made with the first of them.
    private static let namespace = Mutex<OwnedDescriptor?>(nil)

    /// Nil if what is mounted at `path` and below it can be shown shifted; else why not, in a few words. Device files
    /// are shown as they are: through a shifted mount they would be dead.
    public static func obstacle(_ path: String) async throws -> String? {
        try await runBlocking {
            var status = stat()
            guard stat(path, &status) == 0 else {
                throw EngineError.system(errno, "look at \(path)")
            }
            let kind = status.st_mode & S_IFMT
            if kind == S_IFCHR || kind == S_IFBLK { return "it is a device" }
            let result = try namespace.withLock { namespace in
                let descriptor = try namespace ?? makeNamespace()
                namespace = descriptor
                return isle_idmap_try(path, descriptor.raw)
            }
            switch -result {
            case 0: return nil
            case EINVAL, EPERM: return "its file system, or one mounted below it, cannot do that"
            case ENOSYS: return "the kernel cannot do that (Linux 5.12 or newer can)"
            case let number: throw EngineError.system(number, "try a mount of \(path) with shifted owners")
            }
        }
    }

    private static func makeNamespace() throws -> OwnedDescriptor {
        // Any range does for a trial.
        let result = isle_idmap_namespace(0x7000_0000)
        guard result >= 0 else { throw EngineError.system(-result, "make a user namespace") }
        return OwnedDescriptor(result)
    }
}
