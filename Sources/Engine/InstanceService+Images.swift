public import DriverKit
import Glibc
import Logging
public import Model
import StateStore

/// A wish for an image of an instance.
public struct CommitRequest: Sendable {
    /// Name of the image; nil: none.
    public var reference: String?
    /// How the image is to be run; nil: as the instance is.
    public var config: ImageConfig?
    /// Changes how the image is to be run, after `config`.
    public var adjust: (@Sendable (inout ImageConfig) -> Void)?
    public var author: String?
    public var comment: String?
    /// Pause a running instance meanwhile, so that all of the image is of one moment.
    public var pause: Bool
    /// False: a running instance is refused.
    public var mayRun: Bool
    /// Make it an image that LXD's clients can export: it gets a fingerprint of its whole content.
    public var isBundle: Bool
    public var addition: ImageAddition

    public init(
        reference: String? = nil, config: ImageConfig? = nil, author: String? = nil, comment: String? = nil,
        pause: Bool = true, mayRun: Bool = true, isBundle: Bool = false, addition: ImageAddition = ImageAddition()
    ) {
        self.reference = reference
        self.config = config
        self.author = author
        self.comment = comment
        self.pause = pause
        self.mayRun = mayRun
        self.isBundle = isBundle
        self.addition = addition
    }
}

// Images and archives of instances.
extension InstanceService {
    /// Makes an image of what the instance is now: the layers of its image and one of what it changed, or a copy of a
    /// machine's disk.
    public func commit(
        _ name: String, project: String = "default", _ request: CommitRequest,
        progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) async throws -> ImageRecord {
        let actor = try find(name, project)
        try await services.images.checkFree(request.addition.aliases, project: request.addition.project)
        return try await locks.withLock(actor.id) {
            let source = try await actor.imageSource(mayRun: request.mayRun)
            let paused = request.pause ? try await actor.pauseForCopy() : false
            do {
                let image = try await services.images.make(from: source, request, progress: progress)
                if paused { try await actor.resume() }
                return image
            } catch {
                guard paused else { throw error }
                do { try await actor.resume() } catch let second {
                    await actor.logger.error(
                        "the instance stays paused after its image could not be made", metadata: ["error": "\(second)"])
                }
                throw error
            }
        }
    }

    /// Makes an image of a snapshot.
    public func commit(
        _ name: String, snapshot: String, project: String = "default", _ request: CommitRequest,
        progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) async throws -> ImageRecord {
        let actor = try find(name, project)
        try await services.images.checkFree(request.addition.aliases, project: request.addition.project)
        return try await locks.withLock(actor.id) {
            let record = try await actor.snapshot(named: snapshot)
            guard let digest = record.instance.image else { throw CommitSource.noImage(name) }
            let source = CommitSource(
                record: record.instance, image: try await services.images.record(digest: digest, for: name),
                merged: await expanded(record), root: .snapshot(record.id))
            return try await services.images.make(from: source, request, progress: progress)
        }
    }

    /// What the instance added, changed and deleted. `unsupported` for machines and modules.
    public func changes(_ name: String, project: String = "default") async throws -> [PathChange] {
        let archiver = try parts.imaging(\.archiver, for: "compare an instance with its image")
        let source = try await find(name, project).imageSource(mayRun: true)
        let (files, layers) = try await services.images.files(of: source)
        return try await archiver.changes(files, over: layers, placeholders: source.placeholders)
    }

    /// Writes the whole tree of the instance to a new tar file at `path`. `unsupported` for machines and modules.
    public func export(_ name: String, project: String = "default", to path: String) async throws {
        let archiver = try parts.imaging(\.archiver, for: "export an instance's files")
        let source = try await find(name, project).imageSource(mayRun: true)
        let (files, layers) = try await services.images.files(of: source)
        _ = try await archiver.packRoot(files, over: layers, form: .init(), to: path)
    }
}

/// An instance, or a snapshot of one, as the source of an image.
struct CommitSource: Sendable {
    var record: InstanceRecord
    var image: ImageRecord
    var merged: MergedConfig
    var root: RootName

    static func noImage(_ name: String) -> EngineError {
        EngineError(.unsupported, "instance \(Names.quoted(name)) was made without an image")
    }

    /// Where runtimes make empty files and folders only to mount something there.
    var placeholders: [String] {
        let own = merged.devices.values.compactMap { $0["type"] == "disk" ? $0["path"] : nil }.filter { $0 != "/" }
        return own
            + [
                "/dev", "/proc", "/sys", "/run", "/run/lock", "/tmp", "/dev/pts", "/dev/shm", "/dev/mqueue",
                "/dev/console", "/etc", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab",
            ]
    }

    /// The image's configuration with what the instance says in place of it.
    func config() throws -> ImageConfig {
        var config = image.config
        if let words = merged.config["oci.entrypoint"].flatMap(CommandLineText.parse) {
            config.entrypoint = words
            config.cmd = []
        }
        if let words = merged.config["oci.cmd"].flatMap(CommandLineText.parse) { config.cmd = words }
        if let user = merged.config["oci.user"] { config.user = user }
        if let folder = merged.config["oci.cwd"] { config.workingDirectory = folder }
        let environment = merged.config.filter { $0.key.hasPrefix("environment.") }.sorted { $0.key < $1.key }
            .map { "\($0.key.dropFirst("environment.".utf8.count))=\($0.value)" }
        config.env = PlanBuilder.lastWins(config.env + environment)
        return config
    }
}

extension InstanceActor {
    /// `conflict` if it runs and may not.
    func imageSource(mayRun: Bool) async throws -> CommitSource {
        guard let digest = record.image else {
            throw CommitSource.noImage(record.name)
        }
        let isIdle = if case .stopped = lifecycle { true } else { false }
        guard isIdle || (mayRun && record.kind != .machine) else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running", hint: "stop it first, or use --force",
                resource: "instance \(record.name)")
        }
        return CommitSource(
            record: record, image: try await services.images.record(digest: digest, for: record.name),
            merged: await merged(), root: .instance(id))
    }

    /// True if it ran and is paused now.
    func pauseForCopy() async throws -> Bool {
        guard case .running(let run) = lifecycle, let facet = run.handle.pause, try await !facet.isPaused else {
            return false
        }
        try await facet.pause()
        return true
    }
}
