import CHost
import Glibc
public import Model

/// A folder below which paths are resolved by the kernel, and which no path leaves.
///
/// Every path is resolved from this folder's descriptor by openat2(2): a leading `/` and a link that begins with `/`
/// mean this folder, `..` stops at it, and the links of /proc are refused. The last name of a path is never followed
/// where a call creates, removes or changes it. So a path that comes from an archive, an image or a guest cannot name
/// a file outside, whoever changes the tree at the same time.
///
/// Calls block; those that can take long belong on a thread that may (`runBlocking`). Errors name the path.
public final class RootDirectory: Sendable {
    /// What happens to a path that would leave the folder.
    public enum Confinement: Sendable {
        /// The folder is `/` to it, as after chroot(2) (`RESOLVE_IN_ROOT`).
        case inRoot
        /// It is refused, absolute paths and absolute links too (`RESOLVE_BENEATH`).
        case beneath
    }

    /// The folder's path on the host, for messages.
    public let path: String
    public let confinement: Confinement
    private let owned: OwnedDescriptor

    /// The folder at `path` on the host; `create` makes it and its parents (mode 0755) if it is not there.
    public convenience init(path: String, create: Bool = false, confinement: Confinement = .inRoot) throws {
        if create { try Self.makeHostDirectories(path) }
        let result = isle_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
        guard result >= 0 else { throw EngineError.system(-result, "open folder \(path)") }
        self.init(descriptor: OwnedDescriptor(result), path: path, confinement: confinement)
    }

    /// Takes over an open descriptor of a folder, not one opened with O_PATH.
    public init(descriptor: OwnedDescriptor, path: String, confinement: Confinement = .inRoot) {
        self.owned = descriptor
        self.path = path
        self.confinement = confinement
    }

    /// The same folder under another name in messages, as where its users do not know the path.
    public func shown(as path: String) -> RootDirectory {
        RootDirectory(descriptor: owned, path: path, confinement: confinement)
    }

    /// The folder's descriptor; valid while a reference to this object is kept.
    public var descriptor: Int32 { owned.raw }

    /// The folder at `path` as a root of its own: paths cannot climb back.
    public func subdirectory(_ path: some HostPathConvertible) throws -> RootDirectory {
        let descriptor = try open(path, O_RDONLY | O_DIRECTORY)
        return RootDirectory(descriptor: descriptor, path: name(of: path.hostPath), confinement: confinement)
    }

    /// Opens the file at `path` with open(2)'s `flags` (O_CLOEXEC is always added). Links are followed inside the
    /// folder unless `flags` has O_NOFOLLOW.
    public func open(_ path: some HostPathConvertible, _ flags: Int32, mode: UInt32 = 0) throws -> OwnedDescriptor {
        let path = path.hostPath
        let result = resolve(path, flags: flags, mode: mode)
        guard result >= 0 else { throw failure(-result, "open", path) }
        return OwnedDescriptor(result)
    }

    /// openat2(2) with this root's confinement; the descriptor or the negated errno.
    func resolve(_ path: HostPath, flags: Int32, mode: UInt32 = 0, extra: UInt64 = 0) -> Int32 {
        let how = confinement == .inRoot ? UInt64(ISLE_RESOLVE_IN_ROOT) : UInt64(ISLE_RESOLVE_BENEATH)
        let path = path.isEmpty ? HostPath.current : path
        return path.withCString {
            isle_openat2(
                owned.raw, $0, UInt64(UInt32(bitPattern: flags)), UInt64(mode),
                how | UInt64(ISLE_RESOLVE_NO_MAGICLINKS) | extra)
        }
    }

    /// The folder that holds the last name of `path`, and that name.
    func locate(_ path: HostPath, _ action: String) throws -> Location {
        var names = path.components
        guard let last = names.popLast() else {
            throw EngineError(.invalidArgument, "cannot \(action) \(name(of: path)): the path has no name")
        }
        guard last != .parent else {
            throw EngineError(.invalidArgument, "cannot \(action) \(name(of: path)): the path ends in '..'")
        }
        if names.isEmpty { return Location(folder: owned, name: last) }
        let parent = HostPath(bytes: Array(names.map(\.bytes).joined(separator: [UInt8(ascii: "/")])))
        let result = resolve(parent, flags: Int32(ISLE_O_PATH) | O_DIRECTORY)
        guard result >= 0 else { throw failure(-result, action, path) }
        return Location(folder: OwnedDescriptor(result), name: last)
    }

    /// One name in one open folder.
    struct Location {
        let folder: OwnedDescriptor
        let name: HostPath

        /// Runs `call` with the folder's descriptor and the name.
        func with<T>(_ call: (Int32, UnsafePointer<CChar>) throws -> T) rethrows -> T {
            try withExtendedLifetime(folder) { try name.withCString { try call(folder.raw, $0) } }
        }
    }

    /// Runs a call that gives back 0 or a negated errno on the last name of `path`.
    func perform(
        _ action: String, _ path: some HostPathConvertible, _ call: (Int32, UnsafePointer<CChar>) -> Int32
    ) throws {
        let path = path.hostPath
        let result = try locate(path, action).with(call)
        guard result >= 0 else { throw failure(-result, action, path) }
    }

    /// The full name of `path` for a message, control characters escaped.
    func name(of path: HostPath) -> String {
        let inner = path.text.drop { $0 == "/" }
        if inner.isEmpty { return self.path.isEmpty ? "/" : self.path }
        return Names.printable("\(self.path)/\(inner)")
    }

    func failure(_ number: Int32, _ action: String, _ path: HostPath) -> EngineError {
        if number == EXDEV && confinement == .beneath {
            return EngineError(
                .permissionDenied, "cannot \(action) \(name(of: path)): the path leads out of \(self.path)")
        }
        return .system(number, "\(action) \(name(of: path))")
    }

    private static func makeHostDirectories(_ path: String) throws {
        var partial = path.hasPrefix("/") ? "/" : ""
        for component in path.split(separator: "/") {
            partial += (partial.isEmpty || partial.hasSuffix("/") ? "" : "/") + component
            let result = isle_mkdirat(AT_FDCWD, partial, 0o755)
            guard result == 0 || result == -EEXIST else {
                throw EngineError.system(-result, "create folder \(partial)")
            }
        }
    }
}

extension Names {
    /// `text` with control characters escaped, safe to print on a terminal; cut after 4,096 characters.
    public static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }) else {
            return String(text.prefix(4096))
        }
        var out = ""
        for scalar in text.unicodeScalars.prefix(4096) {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            out += isControl ? scalar.escaped(asASCII: true) : String(scalar)
        }
        return out
    }
}
