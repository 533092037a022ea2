import CHost
import Glibc
public import Model

extension RootDirectory {
    /// Makes a new file for writing. `alreadyExists` if the name is taken, by a link too.
    public func createFile(_ path: some HostPathConvertible, mode: UInt32 = 0o644) throws -> OwnedDescriptor {
        let path = path.hostPath
        let location = try locate(path, "create")
        let result = location.with { isle_openat($0, $1, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode) }
        guard result >= 0 else { throw failure(-result, "create", path) }
        return OwnedDescriptor(result)
    }

    /// The content of a regular file of at most `limit` bytes; `resourceExhausted` if there is more. Anything but a
    /// regular file is refused without waiting for it.
    public func readFile(_ path: some HostPathConvertible, limit: Int = 16 << 20) throws -> [UInt8] {
        let path = path.hostPath
        let file = try open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw failure(errno, "read", path) }
        guard FileStatus.Kind(mode: status.st_mode) == .regular else {
            throw EngineError(.invalidArgument, "cannot read \(name(of: path)): it is not a regular file")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(max(Int(status.st_size) + 1, 512), 1 << 20))
        while true {
            let count = Glibc.read(file.raw, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure(errno, "read", path) }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= limit else {
                throw EngineError(
                    .resourceExhausted, "\(name(of: path)) is too large: at most \(limit) bytes are read from it")
            }
        }
    }

    /// Replaces the file at `path` by one that holds `bytes`, so that at every moment, after a crash too, either the
    /// old or the new content is there: temporary file, fsync, rename, fsync of the folder. `durable` false leaves out
    /// both fsync, for what need not outlive a reboot.
    public func writeFile(
        _ path: some HostPathConvertible, _ bytes: some Collection<UInt8>, mode: UInt32 = 0o644, durable: Bool = true
    ) throws {
        let path = path.hostPath
        let location = try locate(path, "write")
        let suffix = Array(".\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp".utf8)
        // Long names are cut: the temporary one must fit into the 255 bytes of a name too.
        let temporary = Location(
            folder: location.folder,
            name: HostPath(bytes: [UInt8(ascii: ".")] + location.name.bytes.prefix(200) + suffix))
        let created = temporary.with { isle_openat($0, $1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode) }
        guard created >= 0 else { throw failure(-created, "write", path) }
        let file = OwnedDescriptor(created)
        do {
            try Self.writeAll(file.raw, bytes) { failure($0, "write", path) }
            // The process's umask must not decide.
            try check(isle_fchmod(file.raw, mode), path)
            if durable { try check(isle_fsync(file.raw), path) }
            try check(
                location.with { folder, name in temporary.with { isle_renameat2($0, $1, folder, name, 0) } }, path)
        } catch {
            // The error that is being thrown matters, not whether the left-over could be removed.
            _ = temporary.with { isle_unlinkat($0, $1, 0) }
            throw error
        }
        if durable { try syncFolder(of: location, path) }
    }

    private func check(_ result: Int32, _ path: HostPath) throws {
        guard result >= 0 else { throw failure(-result, "write", path) }
    }

    private func syncFolder(of location: Location, _ path: HostPath) throws {
        // An O_PATH descriptor cannot be synced.
        let folder = isle_openat(location.folder.raw, ".", O_RDONLY | O_DIRECTORY, 0)
        guard folder >= 0 else { throw failure(-folder, "sync the folder of", path) }
        defer { Glibc.close(folder) }
        let result = isle_fsync(folder)
        guard result == 0 else { throw failure(-result, "sync the folder of", path) }
    }

    static func writeAll(
        _ descriptor: Int32, _ bytes: some Collection<UInt8>, failure: (Int32) -> EngineError
    ) throws {
        let contiguous = ContiguousArray(bytes)
        try contiguous.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw failure(errno)
                }
                rest = rest.dropFirst(count)
            }
        }
    }
}
