import AsyncHTTPClient
import ContentStore
import Model
import NIOCore
import NIOHTTP1
import OCI

/// Fetches one blob into the store: goes on where a former attempt ended, checks size and digest.
struct BlobDownload: Sendable {
    var session: RepositorySession
    var store: any ContentStoring
    var progress: ProgressTracker

    /// What one attempt ran into.
    private enum Interruption: Error {
        /// The transfer broke off; what came is kept.
        case broken(EngineError)
    }

    func run(_ blob: Descriptor) async throws {
        guard let writer = try await store.writer(for: blob.digest, size: blob.size) else {
            progress.finish(blob.digest, existed: true)
            return
        }
        defer { writer.release() }
        let policy = session.shared.settings.retries
        var startedOver = false
        // Attempts in a row that brought nothing, and attempts in all.
        var barren = 0
        var attempts = 0
        while true {
            let before = await writer.offset
            do {
                if before < blob.size { try await fetch(blob, into: writer, from: before) }
                try await writer.commit()
                progress.finish(blob.digest, existed: false)
                return
            } catch Interruption.broken(let error) {
                attempts += 1
                barren = await writer.offset > before ? 1 : barren + 1
                guard case .again(let pause) = policy.decide(after: barren, retryAfter: nil), attempts < 50 else {
                    throw error
                }
                try await RetryPolicy.sleep(pause)
            } catch let error as EngineError where error.code == .invalidArgument {
                // A blob glued together from several attempts may be wrong without the peer's fault (a crash of the
                // machine in between); one that came in one piece is the peer's word.
                guard before > 0, !startedOver else {
                    throw EngineError(
                        .unavailable, "registry \(session.endpoint.registry) delivers wrong content", cause: error)
                }
                startedOver = true
                try await writer.restart()
            }
        }
    }

    private func fetch(_ blob: Descriptor, into writer: any ContentWriter, from start: Int64) async throws {
        var headers = HTTPHeaders()
        if start > 0 { headers.add(name: "Range", value: "bytes=\(start)-") }
        let answer = try await session.perform(
            RegistryRequest(
                .GET, .repository("blobs/\(blob.digest)"), headers: headers, scopes: [session.scope("pull")],
                isTransfer: true))
        var expected = blob.size
        switch answer.status {
        case 200:
            if start > 0 { try await writer.restart() }
        case 206 where Self.firstByte(answer.header("Content-Range")) == start && start > 0:
            expected = blob.size - start
        case 206, 416:
            try await writer.restart()
            throw Interruption.broken(
                EngineError(.unavailable, "registry \(session.endpoint.registry) answers a range with another one"))
        default:
            throw await answer.failure("the request for blob \(blob.digest)")
        }
        if let length = answer.header("Content-Length").flatMap({ Int64($0) }), length != expected {
            throw EngineError(
                .unavailable,
                "registry \(session.endpoint.registry) delivers \(length) bytes of blob \(blob.digest) where \(expected) are due"
            )
        }
        try await receive(answer, blob, into: writer)
    }

    private func receive(_ answer: RegistryAnswer, _ blob: Descriptor, into writer: any ContentWriter) async throws {
        // Small parts are gathered, since each write is a hop to another thread.
        var gathered: [UInt8] = []
        var reached = await writer.offset
        var failure: (any Error)?
        do {
            for try await part in answer.response.body {
                gathered.append(contentsOf: part.readableBytesView)
                guard gathered.count >= 1 << 18 else { continue }
                try await writer.write(gathered)
                reached += Int64(gathered.count)
                gathered.removeAll(keepingCapacity: true)
                progress.reach(blob.digest, reached)
            }
        } catch let error as EngineError {
            throw error
        } catch {
            failure = error
        }
        if !gathered.isEmpty {
            try await writer.write(gathered)
            reached += Int64(gathered.count)
        }
        if let failure { throw Interruption.broken(try WebTransport.failure(failure, answer.location).error) }
        if reached < blob.size {
            throw Interruption.broken(
                EngineError(
                    .unavailable,
                    "registry \(session.endpoint.registry) ended blob \(blob.digest) after \(reached) of \(blob.size) bytes"
                ))
        }
    }

    /// The first number of `bytes 100-199/200`.
    static func firstByte(_ header: String?) -> Int64? {
        guard let header, header.lowercased().hasPrefix("bytes ") else { return nil }
        return header.dropFirst(6).split(separator: "-").first.flatMap { Int64($0) }
    }
}
