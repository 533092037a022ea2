import DriverKit
import Glibc
import Model
import Synchronization

/// Runs one health test and reads what it writes.
///
/// The streams are read without blocking, a few times a second: a thread for each of hundreds of tests that take long
/// would cost more than these looks do.
struct HealthProbe: Sendable {
    /// Bytes of output that are kept.
    static let limit = 4096

    let timeout: Duration

    /// The result of `start`'s process; one that cannot be started or takes too long has failed.
    func run(_ start: @Sendable () async throws -> any ExecSession) async -> HealthResult {
        let began = Clock.now
        func result(_ code: Int32, _ output: String) -> HealthResult {
            HealthResult(startedAt: began, endedAt: Clock.now, exitCode: code, output: output)
        }
        let session: any ExecSession
        do { session = try await start() } catch { return result(-1, "\(error)") }
        session.streams.input?.close()
        let end = Mutex<Result<ExitRecord, any Error>?>(nil)
        let waiter = Task {
            do {
                let exit = try await session.wait()
                end.withLock { $0 = .success(exit) }
            } catch {
                end.withLock { $0 = .failure(error) }
            }
        }
        var reader = Reader(session.streams)
        let deadline = ContinuousClock.now + timeout
        var pause = Duration.milliseconds(5)
        while end.withLock({ $0 == nil }) {
            reader.read()
            if ContinuousClock.now >= deadline || Task.isCancelled {
                await kill(session, waiter)
                return result(-1, "Health check exceeded timeout (\(Self.text(timeout)))")
            }
            do { try await Task.sleep(for: pause) } catch { continue }
            pause = min(pause * 2, .milliseconds(50))
        }
        reader.read()
        switch end.withLock({ $0 }) {
        case .success(let exit)?: return result(exit.code, reader.text)
        case .failure(let error)?: return result(-1, "\(error)")
        case nil: return result(-1, "")
        }
    }

    /// Ends the test; it is waited for a little, so that the next one does not overlap with it.
    private func kill(_ session: any ExecSession, _ waiter: Task<Void, Never>) async {
        // It may have ended by now.
        try? await session.signal(9)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await waiter.value }
            group.addTask { try? await Task.sleep(for: .seconds(5)) }
            await group.next()
            group.cancelAll()
            waiter.cancel()
        }
    }

    /// Seconds as Docker writes them: `30s`, `500ms`.
    private static func text(_ duration: Duration) -> String {
        let parts = duration.components
        let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    /// The two output streams, read as far as they hold something.
    private struct Reader {
        private let streams: [OwnedDescriptor]
        private var bytes: [UInt8] = []

        init(_ streams: SessionStreams) {
            self.streams = [streams.output, streams.error].compactMap { $0 }
            for stream in self.streams { _ = fcntl(stream.raw, F_SETFL, fcntl(stream.raw, F_GETFL) | O_NONBLOCK) }
        }

        var text: String { String(decoding: bytes, as: UTF8.self) }

        /// What does not fit is read too: a test must not wait for a reader.
        mutating func read() {
            var buffer = [UInt8](repeating: 0, count: 4096)
            for stream in streams {
                for _ in 0..<64 {
                    let count = buffer.withUnsafeMutableBytes { Glibc.read(stream.raw, $0.baseAddress, $0.count) }
                    guard count > 0 else { break }
                    bytes += buffer.prefix(min(count, max(0, HealthProbe.limit - bytes.count)))
                }
            }
        }
    }
}
