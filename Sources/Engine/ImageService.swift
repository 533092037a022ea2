import StateStore
public import DriverKit
import Logging
public import Model

/// An image with what is known about it here.
public struct ImageView: Sendable {
    public var record: ImageRecord
    /// Full references that point to it.
    public var references: [String]
    /// Its aliases in the project that was asked for.
    public var aliases: [ImageAlias]
    /// Names of the instances made from it.
    public var usedBy: [String]
}

/// Images by reference and digest: pull, push, import, bootstrap, tags, removal by reachability.
public actor ImageService {
    let parts: EngineParts
    let pools: PoolService
    /// Work on the same reference is done once.
    let lock = KeyedLock<String>()
    /// Digests that somebody works with right now and that must not be removed, and names of what is coming in, whose
    /// digests are not known yet.
    private var leases: [String: Int] = [:]

    /// Who may fetch a private image once, and until when.
    var secrets: [String: (digest: String, until: Double)] = [:]
    /// Looks after expiry and updates while the daemon runs.
    var upkeep: Task<Void, Never>?

    /// Digests whose records are being removed right now.
    private var removing: Set<String> = []
    /// The collection that runs now; nothing comes in meanwhile.
    private var collection: Task<Int64, any Error>?

    init(parts: EngineParts, pools: PoolService) {
        self.parts = parts
        self.pools = pools
    }

    /// - Parameter project: whose images are shown; nil: those of all.
    public func list(project: String? = nil) async throws -> [ImageView] {
        let (records, _) = try await parts.store.images()
        let names = try await names(project)
        return records.filter { $0.isShown(in: project) }.map { view($0, names) }
    }

    /// By alias, full or short reference, digest, fingerprint or the first digits of one. `notFound` if there is none.
    public func get(_ name: String, project: String = "default") async throws -> ImageView {
        guard let record = try await find(name, project: project) else { throw Self.missing(name) }
        return view(record, try await names(project))
    }

    public func history(_ name: String) async throws -> [ImageHistoryEntry] {
        try await parts.source.history(try await get(name).record.digest)
    }

    /// The digest that a name of the form `content:sha256:…` holds: that of the one file that a module or a disk image
    /// consists of, for a client that has the file and asks whether it is here.
    static func content(of name: String) -> String? {
        name.hasPrefix("content:sha256:") ? String(name.dropFirst("content:".count)) : nil
    }

    /// The image, fetched or bootstrapped if the policy says so.
    func resolve(
        _ name: String, project: String = "default", pull policy: CreateRequest.PullPolicy,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        if policy != .always, let found = try await find(name, project: project) {
            if found.content == .rootFilesystem { try await unpack(found, progress: progress) }
            return found
        }
        guard policy != .never, Self.content(of: name) == nil else { throw Self.missing(name) }
        if let base = BaseName(name) { return try await bootstrap(base, progress: progress) }
        return try await pull(name, progress: progress)
    }

    /// Checks that a registry takes the credentials. `permissionDenied` if it does not.
    public func checkCredentials(_ credentials: RegistryCredentials, at registry: String) async throws {
        try await parts.imaging(\.registry, for: "ask registries").check(registry, credentials: credentials)
    }

    /// What a registry has under a name (full) now; nothing is fetched. `notFound` if it has nothing.
    public func resolve(_ reference: String, credentials: RegistryCredentials? = nil) async throws -> RegistryEntry {
        try await parts.imaging(\.registry, for: "ask registries").resolve(reference, credentials: credentials)
    }

    /// Repositories of a registry (`docker.io`, `host:port`) whose names hold `term`, at most `limit`.
    public func search(
        _ registry: String, term: String, limit: Int, credentials: RegistryCredentials? = nil
    ) async throws -> [RegistryMatch] {
        try await parts.imaging(\.registry, for: "ask registries").search(
            registry, term: term, limit: limit, credentials: credentials)
    }

    /// Fetches an image from its registry, also when an older one of that reference is here.
    public func pull(
        _ name: String, credentials: RegistryCredentials? = nil,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        if let base = BaseName(name) { return try await bootstrap(base, progress: progress) }
        var failure: EngineError?
        for reference in try parts.source.candidates(name) {
            do {
                return try await withLease(reference) {
                    try await lock.withLock(reference) {
                        let stored = try await parts.source.pull(
                            reference, architecture: Host.architecture, credentials: credentials, progress: progress)
                        return try await add(stored, references: [reference], progress: progress)
                    }
                }
            } catch let error as EngineError where [.notFound, .unavailable, .permissionDenied].contains(error.code) {
                // Some registries answer an unknown repository with 401.
                failure = failure ?? error
            }
        }
        guard let failure else { throw Self.missing(name) }
        throw EngineError(
            failure.code, "image \(Names.quoted(name)) is not here and cannot be pulled",
            hint: failure.hint ?? "isle image list shows those that are here", resource: "image \(name)",
            cause: failure)
    }

    public func push(
        _ name: String, to reference: String?, credentials: RegistryCredentials? = nil,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws {
        let record = try await get(name).record
        guard let target = try parts.source.candidates(reference ?? name).first else { throw Self.missing(name) }
        try await withLease(record.digest) {
            try await parts.source.push(record.digest, to: target, credentials: credentials, progress: progress)
        }
        parts.events.lifecycle(
            "image-pushed", "/1.0/images/\(record.digest.dropFirst(7))", ["reference": .string(target)])
    }

    /// Brings in a file.
    ///
    /// - Parameter reference: name for it; nil: the archive's own names.
    public func importFile(
        _ path: String, reference: String?, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [ImageRecord] {
        try await importArchive(path, reference: reference, progress: progress).map(\.image)
    }

    /// Likewise, with the names that each image got of the archive.
    ///
    /// - Parameter adjust: changes how the first image is to be run.
    public func importArchive(
        _ path: String, reference: String? = nil, adjust: (@Sendable (inout ImageConfig) -> Void)? = nil,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [(image: ImageRecord, names: [String])] {
        let target = try reference.map { try localName($0) }
        return try await withLease(path) {
            let images = try await parts.source.importFile(path, architecture: Host.architecture, progress: progress)
            return try await keep(images, named: target, adjust: adjust, progress: progress)
        }
    }

    /// Brings in an image archive while it arrives at a pipe or socket, with the archive's own names.
    ///
    /// - Parameter name: what messages call the archive.
    public func importArchive(
        from descriptor: OwnedDescriptor, name: String, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [(image: ImageRecord, names: [String])] {
        try await withLease("\(name) \(UInt64.random(in: .min ... .max))") {
            let images = try await parts.source.importStream(
                descriptor, name: name, architecture: Host.architecture, progress: progress)
            return try await keep(images, named: nil, adjust: nil, progress: progress)
        }
    }

    private func keep(
        _ images: [IncomingImage], named target: String?, adjust: (@Sendable (inout ImageConfig) -> Void)?,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [(image: ImageRecord, names: [String])] {
        var records: [(image: ImageRecord, names: [String])] = []
        for (index, image) in images.enumerated() {
            var references = image.names
            if index == 0, let target { references = [target] }
            var image = image
            if index == 0, let adjust { image = try await adjusted(image, adjust) }
            records.append((try await add(image, references: references, progress: progress), references))
        }
        return records
    }

    /// The same layers with another configuration.
    private func adjusted(_ image: IncomingImage, _ adjust: @Sendable (inout ImageConfig) -> Void) async throws
        -> IncomingImage
    {
        let maker = try parts.imaging(\.maker, for: "change an image")
        var config = image.config
        adjust(&config)
        return try await maker.makeImage(
            over: image.digest, layer: nil, at: nil,
            ImageChange(
                config: config, architecture: image.architecture, author: nil, comment: nil, createdBy: "",
                createdAt: Clock.now))
    }

    /// Makes an image of a distribution's suite from the machine's own package mirror.
    public func bootstrap(
        distribution: String, suite: String, variant: String, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let base = BaseName(distribution: distribution, suite: suite, variant: variant)
        return try await bootstrap(base, progress: progress)
    }

    /// Runs the one sweep at a time; nothing comes in meanwhile.
    func collect() async throws -> Int64 {
        while let collection { _ = await collection.result }
        guard leases.isEmpty else { return 0 }
        let task = Task {
            defer { collection = nil }
            return try await sweep()
        }
        collection = task
        return try await task.value
    }

    private func bootstrap(_ base: BaseName, progress: @escaping @Sendable (TransferProgress) -> Void) async throws
        -> ImageRecord
    {
        try await withLease(base.reference) {
            try await lock.withLock(base.reference) {
                let stored = try await parts.source.bootstrap(
                    distribution: base.distribution, suite: base.suite, variant: base.variant,
                    architecture: Host.architecture, progress: progress)
                let record = try await add(stored, references: [base.reference], progress: progress)
                return parts.imaging.bundles == nil
                    ? record : try await makeBundle(record, from: nil, progress: progress)
            }
        }
    }

    /// Writes images into one archive at `path`.
    ///
    /// - Parameter namesDigests: images that are named by their digest go with all their names, else without any.
    public func export(
        _ names: [String], format: ImageArchiveFormat, to path: String, namesDigests: Bool = true
    ) async throws {
        var images: [(digest: String, names: [String])] = []
        for name in names {
            let view = try await get(name)
            let isDigest = view.record.digest.hasPrefix(name) || view.record.digest.dropFirst(7).hasPrefix(name)
            let all = namesDigests ? view.references : []
            images.append((view.record.digest, isDigest ? all : [try reference(name, of: view)]))
        }
        try await parts.source.export(images, format: format, to: path)
    }

    /// Bytes of blobs and of unpacked layers on disk.
    public func usage() async throws -> (blobs: Int64, layers: Int64) {
        (try await parts.source.usage(), try await parts.snapshotter.layers().values.reduce(0, +))
    }

    /// Runs `body` with the image as `resolve` gives it, which nobody removes meanwhile.
    func withImage<Result: Sendable>(
        _ name: String, project: String = "default", pull policy: CreateRequest.PullPolicy,
        progress: @escaping @Sendable (TransferProgress) -> Void,
        _ body: @Sendable (ImageRecord) async throws -> Result
    ) async throws -> Result {
        // It may have been removed between the look-up and the lease.
        for _ in 0..<10 {
            let image = try await resolve(name, project: project, pull: policy, progress: progress)
            let result: Result? = try await withLease(image.digest) {
                guard !removing.contains(image.digest),
                    try await parts.store.image(digest: image.digest) != nil
                else { return nil }
                return try await body(image)
            }
            if let result { return result }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw EngineError(
            .busy, "image \(Names.quoted(name)) is being removed", hint: "try again later", resource: "image \(name)")
    }

    /// Removes the image's record unless somebody works with it or an instance was made of it; true if it did.
    func removeRecord(_ digest: String) async throws -> Bool {
        guard leases[digest] == nil, removing.insert(digest).inserted else { return false }
        defer { removing.remove(digest) }
        // Asked only now: before `removing` said so, instances could still be made of it.
        let (instances, snapshots) = (try await parts.store.instances(), try await parts.store.snapshots())
        guard instances.unreadable.isEmpty, snapshots.unreadable.isEmpty else {
            parts.logger.warning(
                "an image is kept: a record that cannot be read may need it",
                metadata: ["image": "\(digest)", "ids": "\(instances.unreadable + snapshots.unreadable)"])
            return false
        }
        guard !instances.records.contains(where: { $0.image == digest }),
            !snapshots.records.contains(where: { $0.instance.image == digest })
        else { return false }
        try await parts.store.deleteImage(digest: digest)
        return true
    }

    func withLease<Result: Sendable>(_ digest: String, _ body: () async throws -> Result) async throws -> Result {
        while let collection { _ = await collection.result }
        leases[digest, default: 0] += 1
        defer {
            leases[digest, default: 1] -= 1
            if leases[digest] == 0 { leases[digest] = nil }
        }
        return try await body()
    }

    /// What is needed to show images with their names and users.
    private struct NameTable {
        var references: [String: [String]]
        var aliases: [String: [ImageAlias]]
        var users: [String: [String]]
    }

    private func names(_ project: String?) async throws -> NameTable {
        let references = Dictionary(grouping: try await parts.store.imageReferences()) { $0.value }
        let aliases = try await parts.store.imageAliases().filter { project == nil || $0.project == project }
        let users = Dictionary(grouping: try await parts.store.instances().records) { $0.image ?? "" }
        return NameTable(
            references: references.mapValues { $0.map(\.key).sorted() },
            aliases: Dictionary(grouping: aliases) { $0.digest }, users: users.mapValues { $0.map(\.name) })
    }

    private func view(_ record: ImageRecord, _ names: NameTable) -> ImageView {
        let digest = record.digest
        return ImageView(
            record: record, references: names.references[digest] ?? [], aliases: names.aliases[digest] ?? [],
            usedBy: names.users[digest] ?? [])
    }

    /// The full reference that `name` means among those of an image.
    func reference(_ name: String, of view: ImageView) throws -> String {
        if view.references.contains(name) { return name }
        if let base = BaseName(name), view.references.contains(base.reference) { return base.reference }
        let candidates = try candidates(name)
        guard let match = candidates.first(where: { view.references.contains($0) }) else { throw Self.missing(name) }
        return match
    }

    /// `localhost/name:tag` for a name without a registry, as Podman does for images that were not pulled.
    func localName(_ name: String) throws -> String {
        let full = try parts.source.candidates(name).first ?? name
        let first = name.split(separator: "/", omittingEmptySubsequences: false).first.map(String.init) ?? ""
        let hasRegistry = name.contains("/") && (first.contains(".") || first.contains(":") || first == "localhost")
        guard !hasRegistry else { return full }
        let tagged = name.split(separator: "/").last.map { $0.contains(":") } == true
        return "localhost/" + name + (tagged ? "" : ":latest")
    }

    func candidates(_ name: String) throws -> [String] {
        let local = (try? localName(name)).map { [$0] } ?? []
        return local + (try parts.source.candidates(name))
    }

    static func missing(_ name: String) -> EngineError {
        EngineError(
            .notFound, "image \(Names.quoted(name)) is not here",
            hint: "isle image list shows those that are; isle image pull fetches one",
            resource: "image \(name)")
    }
}
