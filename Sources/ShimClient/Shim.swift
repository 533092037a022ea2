import CHost
import Glibc
import LinuxHost
public import Model
public import ShimCore

/// Starts and finds shims: the small processes that own one running instance each and outlive the daemon.
public enum Shim {
    /// The environment of a shim, and so of the runtimes it executes.
    private static let environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]

    /// Starts a shim and returns when namespaces and mounts are ready; nothing of the user's runs yet.
    ///
    /// `spec.directory` exists and belongs to this instance alone. On error no process, mount or namespace is left.
    /// - Parameter executable: path of the `isle-shim` program.
    /// - Throws: an `EngineError` that names the step and the path that failed.
    public static func spawn(_ spec: ShimSpec, executable: String) async throws -> ShimConnection {
        let bytes = spec.encoded()
        return try await runBlocking {
            let directory = try openDirectory(spec.directory)
            let input = try memoryFile("isle-shim-spec", bytes)
            let (read, write) = try Spawn.pipe()
            // The shim forks and its first process ends at once, so that the shim is nobody's child to reap.
            let starter = try Spawn.start(
                executable, [spec.directory], environment: environment,
                streams: Spawn.Streams(input: input, output: write))
            write.close()
            let report = readToEnd(read, milliseconds: 60_000)
            if report == nil { kill(starter.pid, SIGKILL) }
            var status: Int32 = 0
            waitpid(starter.pid, &status, 0)
            guard let report else {
                throw EngineError(.timeout, "the shim in \(spec.directory) was not ready within 60 s")
            }
            switch try? ShimReply(decoding: report) {
            case .started(let pid):
                return ShimConnection(directory: directory, path: spec.directory, shimPID: pid)
            case .failed(let failure):
                throw failure.engineError
            default:
                throw EngineError(
                    .internal,
                    "the shim \(executable) for \(spec.directory) ended without a report (status \(status))")
            }
        }
    }

    /// Finds the shim that lives in an instance's run directory; nil if there is none.
    public static func connect(directory path: String) async throws -> ShimConnection? {
        let directory: OwnedDescriptor
        do {
            directory = try openDirectory(path)
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
        let probe = ShimConnection(directory: directory, path: path, shimPID: 0)
        guard let (reply, _) = try await probe.requestUnlessGone(.hello) else { return nil }
        guard case .state(let pid, _) = reply else { throw probe.unexpected(reply) }
        return ShimConnection(directory: directory, path: path, shimPID: pid)
    }

    /// What the shim wrote when the instance ended; nil if it did not (yet).
    public static func exitRecord(directory: String) throws -> ExitRecord? {
        do {
            return try exitRecord(reading: directory + "/exit")
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
    }

    /// The pid and start time (clock ticks since boot) that a file of the run directory holds: `shim.pid` of the shim,
    /// `pid` of the first process. Nil if there is no such file or it is not whole.
    ///
    /// For killing what a dead shim left: compare with `Pidfd.startTime(of:)`, so that no other process is hit.
    public static func recordedProcess(_ file: String, directory: String) -> (pid: Int32, startTime: UInt64)? {
        guard let bytes = try? readSmallFile(directory + "/" + file, limit: 100), bytes.last == 0x0A else { return nil }
        let fields = bytes.dropLast().split(separator: 0x20).map { parseDecimal($0) }
        guard fields.count == 2, let pid = fields[0].flatMap({ Int32(exactly: $0) }), pid > 1,
            let start = fields[1].flatMap({ UInt64(exactly: $0) })
        else { return nil }
        return (pid, start)
    }

    static func exitRecord(reading path: String) throws -> ExitRecord {
        let bytes = try readSmallFile(path, limit: 200)
        guard let exit = ShimExit(line: bytes) else {
            throw EngineError(.internal, "the exit record \(path) is damaged")
        }
        return ExitRecord(exit)
    }

    static func openDirectory(_ path: String) throws -> OwnedDescriptor {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let number = errno
            throw EngineError(
                number == ENOENT || number == ENOTDIR ? .notFound : .internal,
                "opening \(path): \(String(errno: number))")
        }
        return OwnedDescriptor(descriptor)
    }

    /// A file in memory with `bytes`, at its start.
    static func memoryFile(_ name: String, _ bytes: [UInt8]) throws -> OwnedDescriptor {
        let descriptor = isle_memfd(name)
        guard descriptor >= 0 else {
            throw EngineError(.resourceExhausted, "making a file in memory: \(String(errno: -descriptor))")
        }
        let file = OwnedDescriptor(descriptor)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { isle_write(file.raw, $0.baseAddress, $0.count) }
            guard count > 0 else {
                throw EngineError(.resourceExhausted, "filling a file in memory: \(String(errno: Int32(-count)))")
            }
            rest = rest.dropFirst(count)
        }
        _ = isle_seek_start(file.raw)
        return file
    }

    /// All that comes before end of file; nil when that takes longer.
    private static func readToEnd(_ descriptor: OwnedDescriptor, milliseconds: Int64) -> [UInt8]? {
        let end = isle_monotonic_ms() + milliseconds
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var poller = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
            let left = end - isle_monotonic_ms()
            guard left > 0 else { return nil }
            let ready = poll(&poller, 1, Int32(left))
            if ready < 0 { continue }
            if ready == 0 { return nil }
            let count = isle_read(descriptor.raw, &buffer, buffer.count)
            if count == -Int(EINTR) { continue }
            if count <= 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
    }
}

extension ShimFailure {
    /// The failure as the engine's error.
    var engineError: EngineError {
        let code: EngineError.Code =
            switch kind {
            case .invalid, .notExecutable: .invalidArgument
            case .notFound: .notFound
            case .conflict: .conflict
            case .busy: .busy
            case .runtime: .internal
            case .system:
                switch number {
                case ENOENT: .notFound
                case ENOSPC, ENOMEM, EMFILE, ENFILE, EAGAIN, EDQUOT: .resourceExhausted
                case EPERM, EACCES: .permissionDenied
                case ENOSYS, EOPNOTSUPP: .unsupported
                default: .internal
                }
            }
        return EngineError(code, text)
    }
}

extension ExitRecord {
    init(_ exit: ShimExit) {
        let status = WaitStatus(raw: exit.status)
        self.init(
            code: status.code, signal: status.signal, outOfMemory: exit.outOfMemory,
            finishedAt: Double(exit.seconds) + Double(exit.nanoseconds) / 1e9)
    }
}
