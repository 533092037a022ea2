public import DriverKit
import Glibc
public import Model
import Synchronization

/// Images that a test put there; a pull finds them by their full reference.
public final class FakeImageSource: ImageSource {
    private struct State {
        var images: [String: IncomingImage] = [:]
        var pruned: [Set<String>] = []
        var stored: Set<String> = []
    }
    /// Steps: `pull`, `prune`, `import`.
    public let faults = Faults()
    /// Folder for the blobs.
    private let folder: String
    private let state = Mutex(State())

    public init(folder: String) { self.folder = folder }

    /// Digests of tars of one to four blocks of zeros, which are empty archives.
    private static let layers = [
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        "sha256:e5a00aa9991ac8a5ee3109844d84a55583bd20572ad3ffcd42792f3c36b183ad",
        "sha256:e80232b4d18d0bb7e794be263ba937626f383f9917d4b8a737ba893a8f752293",
        "sha256:ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7",
    ]

    /// Adds an image under `reference`; `number` (0 to 15) makes its digest, and its layer among four.
    public func add(
        _ reference: String, number: Int, content: ImageContent = .rootFilesystem,
        config: ImageConfig = ImageConfig(env: ["PATH=/usr/bin:/bin"], cmd: ["/bin/program"])
    ) {
        let layer = Self.layers[number % 4]
        let image = IncomingImage(
            digest: Self.digest(number), manifestMediaType: "application/vnd.oci.image.manifest.v1+json",
            configDigest: Self.digest(number), content: content, architecture: "", config: config,
            layers: [.init(digest: layer, diffID: layer, size: 1024, mediaType: "application/octet-stream")],
            size: 2048, createdAt: 1000)
        state.withLock { $0.images[reference] = image }
    }

    /// The digest of the image `number`.
    public static func digest(_ number: Int) -> String {
        "sha256:" + String(repeating: String(number & 15, radix: 16), count: 64)
    }

    /// What each `prune` was told to keep.
    public var pruned: [Set<String>] { state.withLock { $0.pruned } }
    /// Digests of the images in the store.
    public var stored: Set<String> { state.withLock { $0.stored } }

    public func candidates(_ text: String) throws -> [String] {
        guard !text.isEmpty, !text.contains(" ") else {
            throw EngineError(.invalidArgument, "\(Names.quoted(text)) is no reference")
        }
        return text.contains("/") ? [text] : ["docker.io/library/\(text):latest"]
    }

    public func pull(
        _ reference: String, architecture: String, credentials: RegistryCredentials?,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage {
        try faults.reach("pull")
        guard let image = state.withLock({ $0.images[reference] }) else {
            throw EngineError(.notFound, "image \(reference) does not exist")
        }
        state.withLock { _ = $0.stored.insert(image.digest) }
        progress(TransferProgress(stage: "pulling", done: 1, total: 1))
        return image
    }

    public func push(
        _ digest: String, to reference: String, credentials: RegistryCredentials?,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws {}

    /// The image whose reference is the path.
    public func importFile(
        _ path: String, architecture: String, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [IncomingImage] {
        try faults.reach("import")
        return [try await pull(path, architecture: architecture, credentials: nil, progress: progress)]
    }

    /// The image whose reference is the archive's name.
    public func importStream(
        _ descriptor: OwnedDescriptor, name: String, architecture: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [IncomingImage] {
        try await importFile(name, architecture: architecture, progress: progress)
    }

    public func bootstrap(
        distribution: String, suite: String, variant: String, architecture: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage {
        try await pull(
            "\(distribution)/\(suite)/\(variant)", architecture: architecture, credentials: nil, progress: progress)
    }

    public func export(_ images: [(digest: String, names: [String])], format: ImageArchiveFormat, to path: String)
        async throws
    {}

    public func history(_ digest: String) async throws -> [ImageHistoryEntry] { [] }

    public func blob(_ digest: String) async throws -> String {
        guard let index = Self.layers.firstIndex(of: digest) else {
            throw EngineError(.notFound, "blob \(digest) is not in the store")
        }
        let path = "\(folder)/blob-\(index)"
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0, ftruncate(file, off_t(1024 * (index + 1))) == 0, close(file) == 0 else {
            throw EngineError(.internal, "the blob \(path) cannot be written: errno \(errno)")
        }
        return path
    }

    public func prune(keeping: Set<String>) async throws -> Int64 {
        try faults.reach("prune")
        return state.withLock { state in
            state.pruned.append(keeping)
            let gone = state.stored.subtracting(keeping)
            state.stored.formIntersection(keeping)
            return Int64(gone.count) * 2048
        }
    }

    public func usage() async throws -> Int64 { 0 }
    public func recover() async throws {}
}
