import DriverKit
import Model
import OCI
import Synchronization

/// Knows what must not be pruned although no record names it yet: what running work brings in, and what was handed to
/// the engine a moment ago.
final class PruneGuard: Sendable {
    private struct State {
        var running = 0
        var handed: [ContentDigest: ContinuousClock.Instant] = [:]
    }

    private let state = Mutex(State())
    /// Time that the engine has to record an image that it was given.
    private static let handOver = Duration.seconds(5)

    /// Runs a way to bring images in; until it ends nothing new is pruned.
    func sparing(_ body: () async throws -> [IncomingImage]) async throws -> [IncomingImage] {
        state.withLock { $0.running += 1 }
        do {
            let images = try await body()
            guard !images.isEmpty else { throw EngineError(.invalidArgument, "no image was found") }
            let digests = try images.map { try ContentDigest($0.digest) }
            state.withLock { state in
                state.running -= 1
                for digest in digests { state.handed[digest] = .now + Self.handOver }
            }
            return images
        } catch {
            state.withLock { $0.running -= 1 }
            throw error
        }
    }

    /// Further images to keep; nil while something is brought in, which may rest on any blob that it found.
    /// - Parameter recorded: images that the engine has records of, and that need no help any more.
    func forPrune(recorded: Set<ContentDigest>) -> Set<ContentDigest>? {
        state.withLock { state in
            let now = ContinuousClock.now
            state.handed = state.handed.filter { $0.value > now && !recorded.contains($0.key) }
            return state.running == 0 ? Set(state.handed.keys) : nil
        }
    }
}
