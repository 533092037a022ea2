import ContentStore
import Model
import NIOHTTP1
import OCI

/// Sends one blob from the store to a repository, unless it is there (distribution-spec v1.1, "Push").
struct BlobUpload: Sendable {
    var session: RepositorySession
    var store: any ContentStoring
    var progress: ProgressTracker
    /// Repositories of the same registry that may have the blob already.
    var mountFrom: [String]

    func run(_ blob: Descriptor) async throws {
        if try await exists(blob) {
            progress.finish(blob.digest, existed: true)
            return
        }
        for repository in mountFrom {
            if try await mount(blob, from: repository) {
                progress.finish(blob.digest, existed: true)
                return
            }
        }
        let attempts = session.shared.settings.retries.attempts
        for attempt in 1... {
            do {
                try await upload(blob)
                progress.finish(blob.digest, existed: false)
                return
            } catch let error as EngineError where error.code == .unavailable && attempt < attempts {
                // An upload that the registry lost is begun anew.
                progress.reach(blob.digest, 0)
                try await RetryPolicy.sleep(session.shared.settings.retries.pause(before: attempt + 1))
            }
        }
    }

    private func exists(_ blob: Descriptor) async throws -> Bool {
        let answer = try await session.perform(
            RegistryRequest(.HEAD, .repository("blobs/\(blob.digest)"), scopes: [session.scope("pull,push")]))
        await answer.discard()
        return answer.status == 200
    }

    /// Asks the registry to take the blob over from another repository; it may decline.
    private func mount(_ blob: Descriptor, from repository: String) async throws -> Bool {
        let target = "blobs/uploads/?mount=\(blob.digest)&from=\(TokenExchange.escaped(repository))"
        let answer = try await session.perform(
            RegistryRequest(
                .POST, .repository(target), body: .empty,
                scopes: [session.scope("pull,push"), "repository:\(repository):pull"]))
        await answer.discard()
        if answer.status == 201 { return true }
        if answer.status == 202, let location = answer.header("Location") {
            // An upload was begun instead; it is given up, so that the registry need not wait for it.
            let base = try await session.base()
            let target = try session.checkedRedirect(location, from: answer.location, base: base)
            let end = try await session.perform(
                RegistryRequest(.DELETE, .location(target), scopes: [session.scope("pull,push")]))
            await end.discard()
        }
        return false
    }

    private func upload(_ blob: Descriptor) async throws {
        let scopes = [session.scope("pull,push")]
        let start = try await session.perform(
            RegistryRequest(.POST, .repository("blobs/uploads/"), body: .empty, scopes: scopes))
        guard start.status == 202 else { throw await start.failure("the upload of blob \(blob.digest)") }
        var location = try await next(start)
        let chunk = session.shared.settings.uploadChunk
        var offset: Int64 = 0
        if blob.size > chunk {
            while offset < blob.size {
                let length = min(chunk, blob.size - offset)
                location = try await send(blob, .PATCH, location, offset, length, range: true).location
                offset += length
            }
        }
        let answer = try await send(
            blob, .PUT, location.adding(query: "digest=" + TokenExchange.escaped(blob.digest.description)), offset,
            blob.size - offset, range: false)
        if let text = answer.digest, let digest = try? ContentDigest(text), digest != blob.digest {
            throw EngineError(
                .unavailable, "registry \(session.endpoint.registry) stored blob \(blob.digest) as \(digest)")
        }
    }

    private func send(
        _ blob: Descriptor, _ method: HTTPMethod, _ location: WebLocation, _ offset: Int64, _ length: Int64,
        range: Bool
    ) async throws -> (location: WebLocation, digest: String?) {
        var headers: HTTPHeaders = ["Content-Type": "application/octet-stream"]
        if range { headers.add(name: "Content-Range", value: "\(offset)-\(offset + length - 1)") }
        let body: RegistryRequest.Body =
            length == 0
            ? .empty
            : .blob(store, blob.digest, offset: offset, length: length) { [progress] count in
                progress.advance(blob.digest, by: count)
            }
        let answer = try await session.perform(
            RegistryRequest(
                method, .location(location), headers: headers, body: body, scopes: [session.scope("pull,push")],
                isTransfer: true))
        guard answer.status == (method == .PATCH ? 202 : 201) else {
            throw await answer.failure("the upload of blob \(blob.digest)")
        }
        await answer.discard()
        return (method == .PATCH ? try await next(answer) : location, answer.header("Docker-Content-Digest"))
    }

    /// Where the upload goes on.
    private func next(_ answer: RegistryAnswer) async throws -> WebLocation {
        guard let text = answer.header("Location") else {
            throw EngineError(
                .unavailable, "registry \(session.endpoint.registry) does not say where the upload goes on")
        }
        return try session.checkedRedirect(text, from: answer.location, base: try await session.base())
    }
}
