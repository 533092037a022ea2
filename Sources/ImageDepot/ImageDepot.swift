import ContentStore
public import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model
import OCI
import Registry

/// The engine's image source: registries, files and package mirrors on one side, the content store on the other.
public struct ImageDepot: ImageSource, RegistryFacet {
    let client: RegistryClient
    let store: DiskContentStore
    let root: String
    /// A folder for work in progress, emptied at each start.
    let temporary: String
    let guarded = PruneGuard()

    /// - Parameters:
    ///   - root: folder of the content store.
    ///   - environment: of the daemon; says where registry credentials are kept.
    public init(root: String, temporary: String, environment: [String: String]) throws {
        client = RegistryClient(settings: .system(environment: environment))
        store = try DiskContentStore(root: root)
        self.root = root
        self.temporary = temporary
    }

    /// Closes connections to registries.
    public func shutdown() async throws { try await client.shutdown() }

    public func candidates(_ text: String) throws -> [String] {
        try client.candidates(for: text).map(\.description)
    }

    public func pull(
        _ reference: String, architecture: String, credentials: DriverKit.RegistryCredentials?,
        progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> IncomingImage {
        let transfer = ImageTransfer(client: client, store: store)
        let reference = try ImageReference(parsing: reference)
        let platform = try Platform(parsing: architecture)
        return try await guarded.sparing {
            let image = try await transfer.pull(
                reference, platform: platform, credentials: credentials.map(Self.credentials),
                progress: { progress(Self.report("pulling", $0)) })
            return [incoming(image)]
        }[0]
    }

    public func push(
        _ digest: String, to reference: String, credentials: DriverKit.RegistryCredentials?,
        progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws {
        try await ImageTransfer(client: client, store: store).push(
            try ContentDigest(digest), to: try ImageReference(parsing: reference),
            credentials: credentials.map(Self.credentials), progress: { progress(Self.report("pushing", $0)) })
    }

    public func check(_ registry: String, credentials: DriverKit.RegistryCredentials?) async throws {
        try await client.ping(registry, credentials: credentials.map(Self.credentials))
    }

    public func resolve(_ reference: String, credentials: DriverKit.RegistryCredentials?) async throws -> RegistryEntry
    {
        let found = try await client.resolve(
            try ImageReference(parsing: reference), credentials: credentials.map(Self.credentials))
        return RegistryEntry(digest: found.digest.description, mediaType: found.mediaType, size: Int64(found.size))
    }

    public func search(
        _ registry: String, term: String, limit: Int, credentials: DriverKit.RegistryCredentials?
    ) async throws -> [RegistryMatch] {
        try await client.search(registry, term: term, limit: limit, credentials: credentials.map(Self.credentials)).map
        {
            RegistryMatch(
                name: $0.name, description: $0.description, isOfficial: $0.isOfficial, stars: $0.starCount)
        }
    }

    public func history(_ digest: String) async throws -> [ImageHistoryEntry] {
        let image = try await store.image(try ContentDigest(digest))
        var sizes = image.layers.map(\.size)[...]
        return image.history.map { step in
            let isEmpty = step.emptyLayer ?? false
            return ImageHistoryEntry(
                created: step.created, createdBy: step.createdBy ?? "", comment: step.comment ?? "",
                size: isEmpty ? 0 : sizes.popFirst() ?? 0)
        }
    }

    public func blob(_ digest: String) async throws -> String {
        try await store.path(try ContentDigest(digest))
    }

    public func prune(keeping: Set<String>) async throws -> Int64 {
        let roots = try Set(keeping.map { try ContentDigest($0) })
        guard let recent = guarded.forPrune(recorded: roots) else { return 0 }
        let needed = try await store.reachable(from: roots.union(recent))
        return try await store.prune(keeping: needed, grace: .zero).values.reduce(0) { $0 + $1.diskUsage }
    }

    public func usage() async throws -> Int64 {
        let root = root
        return try await runBlocking { try RootDirectory(path: root).diskUsage() }
    }

    public func recover() async throws { try await store.recover() }

    /// What the engine is told of an image in the store.
    func incoming(_ image: StoredImage, names: [String] = [], properties: [String: String] = [:]) -> IncomingImage {
        var properties = properties
        if let author = image.author, !author.isEmpty { properties["author"] = author }
        if let firmware = image.disk?.firmware { properties["firmware"] = firmware }
        return IncomingImage(
            digest: image.manifest.description, manifestMediaType: image.mediaType,
            configDigest: image.config.description, content: image.content,
            architecture: image.content == .module ? "" : image.platform.machine, config: image.imageConfig,
            layers: image.layers.map {
                ImageRecord.Layer(
                    digest: $0.digest.description, diffID: ($0.diffID ?? $0.digest).description, size: $0.size,
                    mediaType: $0.mediaType)
            }, size: image.size, createdAt: image.created.flatMap(Self.seconds), names: names, properties: properties)
    }

    private static func seconds(_ text: String) -> Double? {
        let whole = String(text.prefix(19)) + "Z"
        return (try? Date(whole, strategy: .iso8601))?.timeIntervalSince1970
    }

    private static func credentials(_ credentials: DriverKit.RegistryCredentials) -> Registry.RegistryCredentials {
        Registry.RegistryCredentials(username: credentials.username, password: credentials.password)
    }

    private static func report(_ verb: String, _ progress: Registry.TransferProgress) -> DriverKit.TransferProgress {
        DriverKit.TransferProgress(
            stage: "\(verb) \(progress.blobsDone) of \(progress.blobsTotal) blobs", done: progress.allDone,
            total: progress.allTotal,
            part: .init(
                digest: progress.blob.description, state: state(progress.state), done: progress.done,
                total: progress.total))
    }

    private static func state(_ state: Registry.TransferProgress.State) -> DriverKit.TransferProgress.Part.State {
        switch state {
        case .waiting: .waiting
        case .transferring: .transferring
        case .done: .transferred
        case .exists: .exists
        }
    }
}
