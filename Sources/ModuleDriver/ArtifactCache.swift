import Crypto
import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// Modules compiled to native code, each made once per content, engine and settings.
///
/// An artifact is native code that will be run: the cache is a folder that only root can enter, every file in it must
/// be root's own and not writable by others, and its digest, kept in a file beside it, is checked before each use.
struct ArtifactCache: Sendable {
    let directory: String
    let programs: ModulePrograms
    /// User id that the compiler runs as.
    static let compilerUser: UInt32 = 65534
    private let lock = KeyedLock<String>()
    private let verified = VerifiedFiles()

    /// A compiled module, ready to be loaded.
    struct Artifact: Sendable {
        var path: String
        var isComponent: Bool
    }

    init(directory: String, programs: ModulePrograms) {
        self.directory = directory
        self.programs = programs
    }

    /// The artifact of the module at `path`, whose content has the digest `digest`; compiles it if that was not done.
    func artifact(path: String, digest: String, usesFuel: Bool) async throws -> Artifact {
        guard digest.hasPrefix("sha256:"), digest.utf8.dropFirst(7).allSatisfy({ $0 > 47 && $0 < 103 }) else {
            throw EngineError(.invalidArgument, "\(Names.quoted(digest)) is not the digest of a module")
        }
        let isComponent = try Self.isComponent(path)
        let name = "\(digest.dropFirst(7))-\(try engineTag())\(usesFuel ? "-fuel" : "")"
        let file = "\(directory)/\(name).cwasm"
        if try await isGenuine(file) { return Artifact(path: file, isComponent: isComponent) }
        return try await lock.withLock(name) {
            if try await isGenuine(file) { return Artifact(path: file, isComponent: isComponent) }
            try await compile(path, to: file, usesFuel: usesFuel)
            return Artifact(path: file, isComponent: isComponent)
        }
    }

    private func compile(_ module: String, to file: String, usesFuel: Bool) async throws {
        let staging = "\(directory)/.staging-\(UInt64.random(in: .min ... .max))"
        defer { unlink(staging) }
        let options = usesFuel ? ["--fuel"] : []
        let result = try await ProcessRunner.run(
            programs.runner,
            [
                "compile", "--library", programs.library, "--module", module, "--output", staging, "--user",
                "\(Self.compilerUser)",
            ] + options, environment: ["SWIFT_ROOT=/"], timeout: .seconds(600))
        guard result.status.isSuccess else {
            throw EngineError(
                result.status.code == 2 ? .invalidArgument : .internal,
                "the module cannot be compiled: \(result.lastWords)",
                hint: result.status.code == 2 ? "is it a whole WebAssembly file for WASI?" : nil)
        }
        let digest = try await runBlocking { try Self.digest(of: staging) }
        try await runBlocking {
            let folder = try RootDirectory(path: directory)
            try folder.writeFile(Self.name(of: file) + ".sha256", Array(digest.utf8), mode: 0o600)
            guard rename(staging, file) == 0 else {
                throw EngineError(.internal, "\(file) cannot be made: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Whether the artifact is there, is root's alone and has the digest it was made with. One that is not so is
    /// removed, to be made anew.
    ///
    /// The digest is taken again only when the file is not the very one it was taken of: whatever writes to a file, or
    /// puts another in its place, changes its inode or the time of its last change, which nobody can set.
    private func isGenuine(_ file: String) async throws -> Bool {
        var now = stat()
        guard lstat(file, &now) == 0 else { return false }
        if verified.contains(file, FileStamp(now)) { return true }
        return try await runBlocking { [verified] in
            var status = stat()
            guard lstat(file, &status) == 0 else { return false }
            let isOurs =
                status.st_mode & S_IFMT == S_IFREG && status.st_uid == geteuid() && status.st_mode & 0o022 == 0
            let stamp = file + ".sha256"
            if isOurs, let known = try? readSmallFile(stamp, limit: 100),
                try Self.digest(of: file) == String(decoding: known, as: UTF8.self)
            {
                verified.insert(file, FileStamp(status))
                return true
            }
            unlink(file)
            unlink(stamp)
            return false
        }
    }

    private static func name(of path: String) -> String { String(path.split(separator: "/").last ?? "") }

    private static func digest(of path: String) throws -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else {
            throw EngineError(.internal, "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            buffer.withUnsafeBytes { hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Something that differs between builds of the engine: artifacts of another one are never loaded.
    private func engineTag() throws -> String {
        var status = stat()
        guard stat(programs.library, &status) == 0 else {
            throw EngineError(
                .unsupported, "libwasmtime is not at \(programs.library), so modules cannot run",
                hint: "make setup fetches it; isle doctor shows where it is looked for")
        }
        return String(UInt64(status.st_size) ^ UInt64(bitPattern: Int64(status.st_mtim.tv_sec)) << 20, radix: 36)
    }

    /// Told by the header: `\0asm` and then version 1 for a core module, layer 1 for a component.
    private static func isComponent(_ path: String) throws -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw EngineError(.notFound, "the module \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var header = [UInt8](repeating: 0, count: 8)
        guard read(file, &header, 8) == 8, header[..<4] == [0, 0x61, 0x73, 0x6d] else {
            throw EngineError(.invalidArgument, "the module \(path) is not WebAssembly")
        }
        return header[6] == 1
    }
}
