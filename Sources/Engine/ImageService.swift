import StateStore
public import DriverKit
import Logging
public import Model

/// An image with what is known about it here.
public struct ImageView: Sendable {
    public var record: ImageRecord
    /// Full references that point to it.
    public var references: [String]
    /// Names of the instances made from it.
    public var usedBy: [String]
}

/// Images by reference and digest: pull, push, import, bootstrap, tags, removal by reachability.
public actor ImageService {
    let parts: EngineParts
    let pools: PoolService
    /// Work on the same reference is done once.
    private let lock = KeyedLock<String>()
    /// Digests that somebody works with right now and that must not be removed, and names of what is coming in, whose
    /// digests are not known yet.
    private var leases: [String: Int] = [:]

    /// Digests whose records are being removed right now.
    private var removing: Set<String> = []
    /// The collection that runs now; nothing comes in meanwhile.
    private var collection: Task<Int64, any Error>?

    init(parts: EngineParts, pools: PoolService) {
        self.parts = parts
        self.pools = pools
    }

    public func list() async throws -> [ImageView] {
        let (records, _) = try await parts.store.images()
        let references = try await parts.store.imageReferences()
        let instances = try await parts.store.instances().records
        return records.map { view($0, references, instances) }
    }

    /// By full or short reference, digest or the first twelve and more digits of a digest. `notFound` if there is none.
    public func get(_ name: String) async throws -> ImageView {
        guard let record = try await find(name) else { throw Self.missing(name) }
        return view(record, try await parts.store.imageReferences(), try await parts.store.instances().records)
    }

    public func history(_ name: String) async throws -> [ImageHistoryEntry] {
        try await parts.source.history(try await get(name).record.digest)
    }

    /// The image as it is here, nothing fetched.
    func find(_ name: String) async throws -> ImageRecord? {
        if let digest = try await parts.store.imageDigest(reference: name) {
            return try await parts.store.image(digest: digest)
        }
        let hex = name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name
        if hex.utf8.count >= 12, hex.utf8.count <= 64,
            hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        {
            let matches = try await parts.store.images().records.filter { $0.digest.dropFirst(7).hasPrefix(hex) }
            if matches.count > 1 {
                throw EngineError(
                    .invalidArgument, "\(matches.count) images begin with the digest \(hex)", hint: "give more digits")
            }
            if let match = matches.first { return match }
        }
        if let base = BaseName(name), let digest = try await parts.store.imageDigest(reference: base.reference) {
            return try await parts.store.image(digest: digest)
        }
        for candidate in try candidates(name) {
            if let digest = try await parts.store.imageDigest(reference: candidate) {
                return try await parts.store.image(digest: digest)
            }
        }
        return nil
    }

    /// The image, fetched or bootstrapped if the policy says so.
    func resolve(
        _ name: String, pull policy: CreateRequest.PullPolicy, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        if policy != .always, let found = try await find(name) {
            if found.content == .rootFilesystem { try await unpack(found, progress: progress) }
            return found
        }
        guard policy != .never else { throw Self.missing(name) }
        if let base = BaseName(name) { return try await bootstrap(base, progress: progress) }
        return try await pull(name, progress: progress)
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
        let target = try reference.map { try localName($0) }
        return try await withLease(path) {
            let images = try await parts.source.importFile(path, architecture: Host.architecture, progress: progress)
            var records: [ImageRecord] = []
            for (index, image) in images.enumerated() {
                var references = image.names
                if index == 0, let target { references = [target] }
                records.append(try await add(image, references: references, progress: progress))
            }
            return records
        }
    }

    /// Makes an image of a distribution's suite from the machine's own package mirror.
    public func bootstrap(
        distribution: String, suite: String, variant: String, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let base = BaseName(distribution: distribution, suite: suite, variant: variant)
        return try await bootstrap(base, progress: progress)
    }

    private func bootstrap(_ base: BaseName, progress: @escaping @Sendable (TransferProgress) -> Void) async throws
        -> ImageRecord
    {
        try await withLease(base.reference) {
            try await lock.withLock(base.reference) {
                let stored = try await parts.source.bootstrap(
                    distribution: base.distribution, suite: base.suite, variant: base.variant,
                    architecture: Host.architecture, progress: progress)
                return try await add(stored, references: [base.reference], progress: progress)
            }
        }
    }

    public func tag(_ name: String, as reference: String) async throws {
        let record = try await get(name).record
        let target = try localName(reference)
        try await parts.store.tag(target, digest: record.digest)
        parts.events.lifecycle(
            "image-tagged", "/1.0/images/\(record.digest.dropFirst(7))", ["reference": .string(target)])
    }

    /// Removes a reference, and the image with its last one. `conflict` while an instance needs it, unless `force`,
    /// which removes the references only.
    @discardableResult
    public func remove(_ name: String, force: Bool = false) async throws -> (untagged: [String], deleted: String?) {
        let view = try await get(name)
        let isReference =
            view.references.contains { $0 == name }
            || !view.record.digest.dropFirst(7).hasPrefix(name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name)
        let full = isReference ? try reference(name, of: view) : nil
        if let full, view.references.count > 1 {
            _ = try await parts.store.untag(full)
            return ([full], nil)
        }
        guard view.usedBy.isEmpty || force else {
            throw EngineError(
                .conflict, "image \(Names.quoted(name)) is used by \(view.usedBy.joined(separator: ", "))",
                hint: "delete those instances first")
        }
        if !view.usedBy.isEmpty {
            for reference in view.references { _ = try await parts.store.untag(reference) }
            return (view.references, nil)
        }
        guard try await removeRecord(view.record.digest) else {
            throw EngineError(.busy, "image \(Names.quoted(name)) is being worked with", hint: "try again later")
        }
        parts.events.lifecycle("image-deleted", "/1.0/images/\(view.record.digest.dropFirst(7))")
        _ = try await collect()
        return (view.references, view.record.digest)
    }

    /// Removes images that no instance needs: those without a reference, or with `all` every one. Gives the digests
    /// and the bytes freed.
    public func prune(all: Bool) async throws -> (deleted: [String], freed: Int64) {
        var deleted: [String] = []
        for view in try await list() where view.usedBy.isEmpty && (all || view.references.isEmpty) {
            if try await removeRecord(view.record.digest) { deleted.append(view.record.digest) }
        }
        return (deleted, try await collect())
    }

    public func export(_ names: [String], format: ImageArchiveFormat, to path: String) async throws {
        var images: [(digest: String, names: [String])] = []
        for name in names {
            let view = try await get(name)
            let isDigest = view.record.digest.dropFirst(7).hasPrefix(name)
            images.append((view.record.digest, isDigest ? view.references : [try reference(name, of: view)]))
        }
        try await parts.source.export(images, format: format, to: path)
    }

    /// Bytes of blobs and of unpacked layers on disk.
    public func usage() async throws -> (blobs: Int64, layers: Int64) {
        (try await parts.source.usage(), try await parts.snapshotter.layers().values.reduce(0, +))
    }

    // MARK: -

    /// Unpacks and records a stored image, and points the references to it.
    private func add(
        _ stored: IncomingImage, references: [String], progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let now = Clock.now
        var record = ImageRecord(
            digest: stored.digest, content: stored.content, architecture: stored.architecture, config: stored.config,
            configDigest: stored.configDigest, manifestMediaType: stored.manifestMediaType, layers: stored.layers,
            hasInit: false, size: stored.size, createdAt: stored.createdAt, addedAt: now, lastUsedAt: now,
            properties: stored.properties)
        return try await withLease(record.digest) {
            if record.content == .rootFilesystem {
                try await unpack(record, progress: progress)
                let program = record.config.entrypoint.first ?? record.config.cmd.first
                if program == nil, try await hasInitFile(record) { record.config.cmd = ["/sbin/init"] }
                record.hasInit = KindChoice.isInit(record.config.entrypoint.first ?? record.config.cmd.first)
            }
            try await parts.store.save(record, references: references)
            parts.events.lifecycle(
                "image-created", "/1.0/images/\(record.digest.dropFirst(7))",
                ["references": .array(references.map { .string($0) })])
            return record
        }
    }

    private func hasInitFile(_ record: ImageRecord) async throws -> Bool {
        for layer in record.layers {
            if try await parts.snapshotter.has(path: "/sbin/init", layer: layer.diffID) { return true }
            if try await parts.snapshotter.has(path: "/usr/sbin/init", layer: layer.diffID) { return true }
        }
        return false
    }

    /// Makes sure that every layer is unpacked.
    private func unpack(_ record: ImageRecord, progress: @escaping @Sendable (TransferProgress) -> Void) async throws {
        for (index, layer) in record.layers.enumerated() {
            guard try await !parts.snapshotter.contains(layer: layer.diffID) else { continue }
            progress(
                TransferProgress(
                    stage: "unpacking layer \(index + 1) of \(record.layers.count)", done: 0, total: layer.size))
            try await parts.snapshotter.unpack(layer: layer.diffID, archive: try await parts.source.blob(layer.digest))
        }
    }

    /// Removes blobs, layers and base disks that no image needs. Does nothing while a record cannot be read: what it
    /// needs is not known.
    private func collect() async throws -> Int64 {
        while let collection { _ = await collection.result }
        guard leases.isEmpty else { return 0 }
        let task = Task {
            defer { collection = nil }
            return try await sweep()
        }
        collection = task
        return try await task.value
    }

    private func sweep() async throws -> Int64 {
        let (records, unreadable) = try await parts.store.images()
        guard unreadable.isEmpty else {
            parts.logger.warning(
                "nothing is removed while image records are unreadable", metadata: ["digests": "\(unreadable)"])
            return 0
        }
        var freed = try await parts.source.prune(keeping: Set(records.map(\.digest)))
        let needed = Set(records.filter { $0.content == .rootFilesystem }.flatMap { $0.layers.map(\.diffID) })
        for (layer, size) in try await parts.snapshotter.layers() where !needed.contains(layer) {
            try await parts.snapshotter.remove(layer: layer)
            freed += size
        }
        try await parts.disks.prune(keeping: records.map { $0.layers.map(\.diffID) })
        return freed
    }

    /// Runs `body` with the image as `resolve` gives it, which nobody removes meanwhile.
    func withImage<Result: Sendable>(
        _ name: String, pull policy: CreateRequest.PullPolicy,
        progress: @escaping @Sendable (TransferProgress) -> Void,
        _ body: @Sendable (ImageRecord) async throws -> Result
    ) async throws -> Result {
        // It may have been removed between the look-up and the lease.
        for _ in 0..<10 {
            let image = try await resolve(name, pull: policy, progress: progress)
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
    private func removeRecord(_ digest: String) async throws -> Bool {
        guard leases[digest] == nil, removing.insert(digest).inserted else { return false }
        defer { removing.remove(digest) }
        // Asked only now: before `removing` said so, instances could still be made of it.
        guard try await !parts.store.instances().records.contains(where: { $0.image == digest }),
            try await !parts.store.snapshots().records.contains(where: { $0.instance.image == digest })
        else { return false }
        try await parts.store.deleteImage(digest: digest)
        return true
    }

    private func withLease<Result: Sendable>(_ digest: String, _ body: () async throws -> Result) async throws -> Result
    {
        while let collection { _ = await collection.result }
        leases[digest, default: 0] += 1
        defer {
            leases[digest, default: 1] -= 1
            if leases[digest] == 0 { leases[digest] = nil }
        }
        return try await body()
    }

    private func view(_ record: ImageRecord, _ references: [String: String], _ instances: [InstanceRecord]) -> ImageView
    {
        ImageView(
            record: record, references: references.filter { $0.value == record.digest }.keys.sorted(),
            usedBy: instances.filter { $0.image == record.digest }.map(\.name))
    }

    /// The full reference that `name` means among those of an image.
    private func reference(_ name: String, of view: ImageView) throws -> String {
        if view.references.contains(name) { return name }
        if let base = BaseName(name), view.references.contains(base.reference) { return base.reference }
        let candidates = try candidates(name)
        guard let match = candidates.first(where: { view.references.contains($0) }) else { throw Self.missing(name) }
        return match
    }

    /// `localhost/name:tag` for a name without a registry, as Podman does for images that were not pulled.
    private func localName(_ name: String) throws -> String {
        let full = try parts.source.candidates(name).first ?? name
        let first = name.split(separator: "/", omittingEmptySubsequences: false).first.map(String.init) ?? ""
        let hasRegistry = name.contains("/") && (first.contains(".") || first.contains(":") || first == "localhost")
        guard !hasRegistry else { return full }
        let tagged = name.split(separator: "/").last.map { $0.contains(":") } == true
        return "localhost/" + name + (tagged ? "" : ":latest")
    }

    private func candidates(_ name: String) throws -> [String] {
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

/// A name of the form `debian/bookworm` or `debian/bookworm/minbase`: a suite bootstrapped from the mirror.
struct BaseName: Sendable, Hashable {
    var distribution: String
    var suite: String
    var variant: String

    /// What the image is stored under.
    var reference: String { "localhost/\(distribution)/\(suite):\(variant)" }

    init(distribution: String, suite: String, variant: String) {
        self.distribution = distribution
        self.suite = suite
        self.variant = variant
    }

    /// Nil unless the first word is a distribution that can be bootstrapped.
    init?(_ name: String) {
        let words = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(words.count), words[0] == "debian" || words[0] == "ubuntu",
            words[1...].allSatisfy({
                !$0.isEmpty && $0.utf8.allSatisfy { (97...122).contains($0) || $0 == 45 || (48...57).contains($0) }
            })
        else { return nil }
        distribution = words[0]
        suite = words[1]
        variant = words.count == 3 ? words[2] : "system"
    }
}
