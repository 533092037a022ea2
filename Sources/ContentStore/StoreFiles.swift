import Glibc
import LinuxHost
import Model

/// File calls of the store, with errors that name the path.
enum StoreFiles {
    /// The error for a failed call on `path`.
    static func failure(_ doing: String, _ path: String, _ number: Int32 = errno) -> EngineError {
        let text = "\(doing) \(path): \(String(errno: number))"
        switch number {
        case ENOSPC, EDQUOT:
            return EngineError(.resourceExhausted, text, hint: "free disk space, for instance with 'isle image prune'")
        case ENOENT: return EngineError(.notFound, text)
        case EACCES, EPERM, EROFS: return EngineError(.permissionDenied, text)
        default: return EngineError(.internal, text)
        }
    }

    /// Makes a folder with its parents, for root alone.
    static func makeFolder(_ path: String) throws {
        var built = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            built += "/" + part
            if mkdir(built, 0o700) != 0, errno != EEXIST { throw failure("making folder", built) }
        }
    }

    static func open(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws -> OwnedDescriptor {
        let descriptor = Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure("opening", path) }
        return OwnedDescriptor(descriptor)
    }

    static func writeAll(_ file: OwnedDescriptor, _ bytes: UnsafeRawBufferPointer, _ path: String) throws {
        var done = 0
        while done < bytes.count {
            let count = write(file.raw, bytes.baseAddress?.advanced(by: done), bytes.count - done)
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("writing", path)
            }
            done += count
        }
    }

    /// Up to `count` bytes from the file's current position; empty at its end.
    static func read(_ file: OwnedDescriptor, _ count: Int, _ path: String) throws -> [UInt8] {
        while true {
            var got = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                got = Glibc.read(file.raw, buffer.baseAddress, count)
                filled = max(got, 0)
            }
            if got >= 0 { return bytes }
            if errno != EINTR { throw failure("reading", path) }
        }
    }

    /// Waits until the content of a file or the entries of a folder are on the disk.
    static func sync(_ file: OwnedDescriptor, _ path: String) throws {
        if fsync(file.raw) != 0 { throw failure("syncing", path) }
    }

    static func syncFolder(_ path: String) throws {
        try sync(open(path, O_RDONLY | O_DIRECTORY), path)
    }

    static func remove(_ path: String) throws {
        if unlink(path) != 0, errno != ENOENT { throw failure("removing", path) }
    }

    /// Names in a folder without `.` and `..`.
    static func names(_ path: String) throws -> [String] {
        guard let folder = opendir(path) else { throw failure("listing", path) }
        defer { closedir(folder) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(folder) else {
                if errno != 0 { throw failure("listing", path) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    /// Size, blocks and time of a regular file; nil if there is none.
    static func info(_ path: String) throws -> ContentInfo? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw failure("looking at", path)
        }
        guard status.st_mode & S_IFMT == S_IFREG else { return nil }
        return ContentInfo(
            size: Int64(status.st_size), diskUsage: Int64(status.st_blocks) * 512,
            createdAt: Double(status.st_ctim.tv_sec) + Double(status.st_ctim.tv_nsec) / 1e9)
    }
}
