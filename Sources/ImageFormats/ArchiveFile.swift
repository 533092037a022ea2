import Archive
import ContentStore
import Glibc
import LinuxHost
import Model
import OCI
import Synchronization

/// Reads the members of one tar, one step at a time off the cooperative pool.
final class ArchiveFile: @unchecked Sendable {
    // Used by one task at a time; each step ends before the next begins.
    private let reader: TarReader
    private let progress: ImportProgress?
    private var reported: Int64 = 0
    /// Reading may wait for somebody who sends: such steps have threads of their own, since those of the pool are few.
    private let waits: Bool

    /// A tar, plain or compressed, as it arrives.
    static func arriving(
        _ descriptor: OwnedDescriptor, name: String, progress: ImportProgress?
    ) async throws -> ArchiveFile {
        try await runOnOwnThread {
            try ArchiveFile(DecompressedSource(descriptor, name: name), name, waits: true, progress)
        }
    }

    /// - Parameter path: a regular file, plain or compressed.
    convenience init(_ path: String, progress: ImportProgress?) throws {
        try self.init(DecompressedSource(Self.open(path), name: path), path, waits: false, progress)
    }

    private init(_ source: DecompressedSource, _ name: String, waits: Bool, _ progress: ImportProgress?) throws {
        reader = TarReader(source, name: name, limits: ArchiveLimits(entries: 200_000))
        self.waits = waits
        self.progress = progress
    }

    static func open(_ path: String) throws -> OwnedDescriptor {
        let raw = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard raw >= 0 else { throw EngineError.system(errno, "open \(Names.quoted(path))") }
        return OwnedDescriptor(raw)
    }

    /// The next member; nil at the end.
    func next() async throws -> TarEntry? {
        try Task.checkCancellation()
        return try await step { [self] in
            let entry = try reader.next()
            if reader.offset - reported > 8 << 20 {
                reported = reader.offset
                progress?(reported)
            }
            return entry
        }
    }

    /// The present member's bytes.
    func bytes(limit: Int) async throws -> [UInt8] {
        try await step { [self] in try reader.readAll(limit: limit) }
    }

    /// Writes the present member into `writer`; ends early with the task.
    func copy(to writer: any ContentWriter) async throws {
        let flag = CancelFlag()
        try await withTaskCancellationHandler {
            try await step { [self] in
                try reader.readData { piece in
                    if flag.isSet { throw CancellationError() }
                    try writer.append(piece)
                    if let progress, reader.offset - reported > 8 << 20 {
                        reported = reader.offset
                        progress(reported)
                    }
                }
            }
        } onCancel: {
            flag.set()
        }
    }

    private func step<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        waits ? try await runOnOwnThread(body) : try await runBlocking(body)
    }

    /// The path without `./`, empty components and a slash at its end; nil if it climbs.
    static func normalized(_ path: HostPath) -> String? {
        var parts: [Substring] = []
        for part in path.text.split(separator: "/") where part != "." {
            if part == ".." { return nil }
            parts.append(part)
        }
        return parts.joined(separator: "/")
    }
}

/// Tells work on a thread of its own that the task was cancelled.
final class CancelFlag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}
