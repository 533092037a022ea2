import DoorKit
import DriverKit
import Glibc
import LinuxHost
import Model
import NIOCore

/// The output of a process that no client is connected to: kept in two files, or read and dropped.
struct RecordedExec: Sendable {
    /// Bytes of one stream that are kept; the rest is dropped.
    static let limit = 64 << 20
    /// How long output may go on after the process's end.
    private static let patience = Duration.seconds(1)

    /// Paths without their endings; nil drops everything.
    let path: String?

    /// Runs the process to its end.
    func run(_ process: SessionProcess) async throws -> ExitRecord? {
        try await withTaskCancellationHandler {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                var copies = 0
                for (stream, ending) in [(process.streams.output, "stdout"), (process.streams.error, "stderr")] {
                    guard let stream else { continue }
                    let file = try path.map { try Self.create("\($0).\(ending)") }
                    copies += 1
                    group.addTask {
                        try await Self.copy(stream, to: file)
                        return true
                    }
                }
                process.streams.input?.close()
                let exit = try await process.wait()
                // What it left in the background may hold the streams open for ever.
                group.addTask {
                    try await Task.sleep(for: Self.patience)
                    return false
                }
                while copies > 0, try await group.next() == true { copies -= 1 }
                group.cancelAll()
                return exit
            }
        } onCancel: {
            Task { try? await process.signal(9) }
        }
    }

    private static func create(_ path: String) throws -> OwnedDescriptor {
        let file = OwnedDescriptor(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600))
        guard file.raw >= 0 else {
            throw EngineError(.internal, "the file \(path) cannot be made: \(String(errno: errno))")
        }
        return file
    }

    private static func copy(_ stream: OwnedDescriptor, to file: OwnedDescriptor?) async throws {
        var reader = DescriptorReader(stream)
        var left = limit
        while let bytes = try await reader.next() {
            guard let file, left > 0 else { continue }
            let piece = bytes.getSlice(at: bytes.readerIndex, length: min(left, bytes.readableBytes)) ?? bytes
            left -= piece.readableBytes
            try await runBlocking {
                var rest = piece
                while rest.readableBytes > 0 {
                    let count = rest.readWithUnsafeReadableBytes { max(0, write(file.raw, $0.baseAddress, $0.count)) }
                    guard count > 0 || errno == EINTR else {
                        throw EngineError(
                            errno == ENOSPC ? .resourceExhausted : .internal,
                            "recording output: \(String(errno: errno))")
                    }
                }
            }
        }
    }
}
