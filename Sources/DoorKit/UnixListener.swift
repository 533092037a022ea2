import CHost
import Glibc
import LinuxHost
public import Model

/// Listening unix sockets: made with care, or inherited from the service manager.
public enum UnixListener {
    /// A listening socket at `path`, readable and writable by its owner and `group`.
    ///
    /// The file never has a wider mode than it ends up with. A socket that nobody answers is replaced; anything else
    /// at `path` is left alone.
    /// - Parameters:
    ///   - path: at most 107 bytes (unix(7)); its folder must exist, belong to root or to this user, and not be writable by others.
    ///   - group: a group's name; nil, or a group that does not exist, leaves the socket to this user.
    /// - Throws: `alreadyExists` when a daemon answers there or the path is not a socket; `permissionDenied` for a folder
    ///   that others can write; `invalidArgument` for the path.
    public static func open(path: String, mode: UInt32 = 0o660, group: String? = nil) throws -> OwnedDescriptor {
        var address = try SocketAddress(path: path)
        try checkFolder(of: path)
        try removeStale(path, &address)
        let descriptor = OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | cloexec | nonblock, 0))
        guard descriptor.raw >= 0 else { throw failure("socket(2)", path) }
        // The mode of the unbound socket is what bind(2) gives the file, less the umask.
        guard fchmod(descriptor.raw, 0o600) == 0 else { throw failure("fchmod(2)", path) }
        guard address.bind(descriptor.raw) == 0 else { throw failure("bind(2)", path) }
        do {
            if let group, let id = groupID(group) {
                guard lchown(path, uid_t.max, id) == 0 else { throw failure("chown(2)", path) }
                guard chmod(path, mode) == 0 else { throw failure("chmod(2)", path) }
            } else {
                guard chmod(path, mode & 0o600) == 0 else { throw failure("chmod(2)", path) }
            }
            guard listen(descriptor.raw, 1024) == 0 else { throw failure("listen(2)", path) }
        } catch {
            unlink(path)
            throw error
        }
        return descriptor
    }

    /// The sockets that the service manager listens on for this process (sd_listen_fds(3)); empty if there are none.
    /// The variables that name them are removed, so that children do not take them for theirs.
    public static func inherited() -> [OwnedDescriptor] {
        defer {
            unsetenv("LISTEN_PID")
            unsetenv("LISTEN_FDS")
            unsetenv("LISTEN_FDNAMES")
        }
        guard let pid = variable("LISTEN_PID"), pid == Int(getpid()), let count = variable("LISTEN_FDS"),
            (1...64).contains(count)
        else { return [] }
        return (3..<3 + Int32(count)).compactMap { number in
            guard isListening(number) else { return nil }
            _ = fcntl(number, F_SETFD, FD_CLOEXEC)
            return OwnedDescriptor(number)
        }
    }

    private static let cloexec = Int32(SOCK_CLOEXEC.rawValue)
    private static let nonblock = Int32(SOCK_NONBLOCK.rawValue)

    private static func variable(_ name: String) -> Int? {
        guard let value = getenv(name) else { return nil }
        return Int(String(cString: value))
    }

    private static func isListening(_ descriptor: Int32) -> Bool {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1
    }

    /// Who may write the folder can put another socket in our place.
    private static func checkFolder(of path: String) throws {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let folder = slash == path.startIndex ? "/" : String(path[..<slash])
        var (mode, owner): (UInt32, UInt32) = (0, 0)
        let result = isle_file_mode(folder, 1, &mode, &owner)
        guard result == 0 else { throw failure("the socket's folder", folder, -result) }
        guard mode & S_IFMT == S_IFDIR else {
            throw EngineError(.invalidArgument, "\(Names.quoted(folder)) is not a folder")
        }
        let othersWrite = mode & 0o022 != 0 && mode & S_ISVTX == 0
        guard owner == 0 || owner == geteuid(), !othersWrite else {
            throw EngineError(
                .permissionDenied, "others can write the folder \(Names.quoted(folder)) of the socket",
                hint: "chown root \(folder) && chmod go-w \(folder)")
        }
    }

    private static func removeStale(_ path: String, _ address: inout SocketAddress) throws {
        var (mode, owner): (UInt32, UInt32) = (0, 0)
        let result = isle_file_mode(path, 0, &mode, &owner)
        if result == -ENOENT { return }
        guard result == 0 else { throw failure("the socket", path, -result) }
        guard mode & S_IFMT == S_IFSOCK else {
            let what = mode & S_IFMT == S_IFLNK ? "a symbolic link" : "not a socket"
            throw EngineError(.alreadyExists, "\(Names.quoted(path)) is \(what)", hint: "remove it and start again")
        }
        let probe = OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | cloexec | nonblock, 0))
        guard probe.raw >= 0 else { throw failure("socket(2)", path) }
        // EAGAIN: somebody listens but is too busy to accept.
        if address.connect(probe.raw) == 0 || errno == EAGAIN {
            throw EngineError(
                .alreadyExists, "another daemon answers at \(Names.quoted(path))",
                hint: "stop it, or use another --run-dir")
        }
        guard errno == ECONNREFUSED else { throw failure("connect(2)", path) }
        guard unlink(path) == 0 else { throw failure("unlink(2)", path) }
    }

    private static func groupID(_ name: String) -> gid_t? {
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 65_536)
        guard getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return entry.gr_gid
    }

    private static func failure(_ what: String, _ path: String, _ number: Int32 = errno) -> EngineError {
        let code: EngineError.Code = number == EACCES || number == EPERM ? .permissionDenied : .internal
        return EngineError(code, "\(what) \(Names.quoted(path)): \(String(errno: number))")
    }
}

/// `sockaddr_un` with its length.
private struct SocketAddress {
    private var address = sockaddr_un()

    init(path: String) throws {
        let bytes = Array(path.utf8)
        guard (1...107).contains(bytes.count), !bytes.contains(0), bytes.first == UInt8(ascii: "/") else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(path)) cannot be a socket's path",
                hint: "give an absolute path of at most 107 bytes")
        }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    }

    mutating func bind(_ descriptor: Int32) -> Int32 { call { Glibc.bind(descriptor, $0, $1) } }
    mutating func connect(_ descriptor: Int32) -> Int32 { call { Glibc.connect(descriptor, $0, $1) } }

    private mutating func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafeBytes(of: &address) { raw in
            guard let base = raw.baseAddress else { return -1 }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }
}
