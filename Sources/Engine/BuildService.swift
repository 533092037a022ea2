public import DriverKit
import Glibc
import Logging
public import Model
import StateStore

/// Builds images by Dockerfiles from the store's images into the store.
public struct BuildService: Sendable {
    let parts: EngineParts
    let images: ImageService

    /// What was built.
    public struct Outcome: Sendable {
        public var image: ImageRecord
        public var references: [String]
    }

    /// Builds and records the image.
    ///
    /// - Parameters:
    ///   - tags: references that it gets.
    ///   - credentials: by registry, for base images that have to be fetched.
    ///   - output: gets lines as Docker's classic builder prints them, the last two of which name the image.
    public func build(
        _ request: BuildRequest, tags: [String] = [], project: String = "default",
        credentials: [String: RegistryCredentials] = [:], output: @escaping @Sendable (String) -> Void
    ) async throws -> Outcome {
        guard let builder = parts.imaging.builder, let maker = parts.imaging.maker else {
            throw EngineError(.unsupported, "this daemon cannot build images")
        }
        let references = try await images.references(of: tags)
        let work = try await builder.prepare(request)
        do {
            let outcome = try await build(work, builder, maker, references, project, credentials, output)
            await builder.finish(work)
            return outcome
        } catch {
            await builder.finish(work)
            throw error
        }
    }

    private func build(
        _ work: BuildWork, _ builder: any ImageBuilder, _ maker: any ImageMaker, _ references: [String],
        _ project: String, _ credentials: [String: RegistryCredentials], _ output: @escaping @Sendable (String) -> Void
    ) async throws -> Outcome {
        var bases: [String: BuildBase] = [:]
        for name in work.bases {
            bases[name] = try await base(name, pull: work.request.pull, credentials, output)
        }
        let found = bases
        let digests = found.values.map(\.image.digest)
        return try await images.holding(digests) {
            let built = try await builder.build(work, bases: found, output: output)
            let known = Dictionary(
                found.values.flatMap { $0.image.layers.map { ($0.diffID, $0) } },
                uniquingKeysWith: { first, _ in first })
            let incoming = try await maker.assemble(
                config: built.config,
                layers: try built.layers.map { layer in
                    if let path = layer.path { return .tar(path: path, digest: layer.diffID) }
                    guard let stored = known[layer.diffID] else {
                        throw EngineError(.internal, "the layer \(layer.diffID) is in none of the base images")
                    }
                    return .stored(stored)
                })
            let record = try await images.add(
                incoming, references: references, ImageAddition(project: project), progress: { _ in })
            output("Successfully built \(record.digest.dropFirst("sha256:".utf8.count).prefix(12))")
            for reference in references { output("Successfully tagged \(reference)") }
            return Outcome(image: record, references: references)
        }
    }

    private func base(
        _ name: String, pull: Bool, _ credentials: [String: RegistryCredentials], _ output: @Sendable (String) -> Void
    ) async throws -> BuildBase {
        let registry = name.split(separator: "/").first.map(String.init) ?? ""
        var image = pull ? nil : try await images.find(name)
        if image == nil {
            output("Pulling \(name)")
            do {
                image = try await images.pull(name, credentials: credentials[registry], progress: { _ in })
            } catch let error as EngineError where pull {
                // One that was made here is in no registry.
                guard let local = try await images.find(name) else { throw error }
                image = local
            }
        }
        guard let image else { throw ImageService.missing(name) }
        guard image.content == .rootFilesystem else {
            throw EngineError(
                .invalidArgument,
                "image \(Names.quoted(name)) is a \(image.content.rawValue): nothing can be built on it")
        }
        var blobs: [String: String] = [:]
        for digest in [image.digest, image.configDigest] + image.layers.map(\.digest) {
            blobs[digest] = try await parts.source.blob(digest)
        }
        return BuildBase(image: image, blobs: blobs)
    }

    /// Bytes of what is kept between builds.
    public func usage() async throws -> Int64 { try await parts.imaging.builder?.usage() ?? 0 }

    /// Removes what is kept between builds; gives the bytes freed.
    public func prune() async throws -> Int64 { try await parts.imaging.builder?.prune() ?? 0 }
}

extension ImageService {
    /// Full references for names that new images get.
    func references(of tags: [String]) throws -> [String] { try tags.map { try localName($0) } }

    /// Runs `body` while nobody removes the images.
    func holding<Result: Sendable>(_ digests: [String], _ body: @Sendable () async throws -> Result) async throws
        -> Result
    {
        guard let first = digests.first else { return try await withLease("build") { try await body() } }
        return try await withLease(first) { try await holding(Array(digests.dropFirst()), body) }
    }
}
