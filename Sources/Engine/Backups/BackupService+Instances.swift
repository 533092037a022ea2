import DriverKit
import FoundationEssentials
import Glibc
public import Model
import StateStore

extension BackupService {
    /// What `create` will make; `invalidArgument`, `alreadyExists` and the like are thrown here, before any work.
    public func prepare(_ request: BackupRequest, instance name: String, project: String = "default") async throws
        -> BackupRecord
    {
        try await checked(request, .instance(instances.find(name, project).id), project: project)
    }

    /// Writes the archive of an instance. One that runs stands still only while its files are cloned; no other change
    /// of it is made until the archive is written. `conflict` for a machine that runs.
    @discardableResult
    public func create(
        _ backup: BackupRecord, _ request: BackupRequest, instance name: String, project: String = "default"
    ) async throws -> BackupRecord {
        let actor = try await instances.find(name, project)
        return try await instances.locks.withLock(actor.id) {
            try await withPresent(of: actor) { root in
                let scratch = "\(parts.layout.temporary)/backup-\(backup.id.raw)"
                try Folders.make(scratch, mode: 0o700)
                do {
                    var backup = backup
                    var streaming: (any StreamingPool)?
                    let record = await actor.record
                    if request.isOptimized, record.kind != .module {
                        // Pools without a form of their own make what others make, as LXD does.
                        streaming = try await pools.pool(of: record) as? any StreamingPool
                        backup.isOptimized = streaming == nil ? nil : true
                    }
                    let content = try await content(
                        of: actor, present: root, backup.onlyPresent, scratch: scratch, streaming: streaming)
                    let kept = try await keep(backup, content, request)
                    try await parts.folders.remove(scratch)
                    return kept
                } catch {
                    try await parts.folders.remove(scratch)
                    throw error
                }
            }
        }
    }

    /// Runs `body` with a root that nobody writes to and that shows the instance's present.
    private func withPresent<T: Sendable>(of actor: InstanceActor, _ body: (RootName) async throws -> T) async throws
        -> T
    {
        let record = await actor.record
        if case .stopped = await actor.lifecycle { return try await body(.instance(actor.id)) }
        guard record.kind != .module else { return try await body(.instance(actor.id)) }
        guard record.kind != .machine else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running", hint: "stop a machine before its backup",
                resource: "instance \(record.name)")
        }
        let pool = try await pools.pool(of: record)
        let between = InstanceID.random()
        let entry = try await parts.store.begin(actor.id, step: "refresh", detail: between.raw)
        let result: Result<T, any Error>
        do {
            try await actor.whileStill { isBusy in
                try await pool.clone(.instance(actor.id), to: .snapshot(between), isBusy: isBusy)
            }
            result = .success(try await body(.snapshot(between)))
        } catch {
            result = .failure(error)
        }
        try await pool.discard(.snapshot(between))
        try await parts.store.finish(entry)
        return try result.get()
    }

    private func content(
        of actor: InstanceActor, present: RootName, _ onlyPresent: Bool, scratch: String,
        streaming: (any StreamingPool)?
    ) async throws -> BackupContent {
        let record = await actor.record
        let merged = await actor.merged()
        let snapshots = onlyPresent ? [] : await actor.snapshots
        let image: ImageRecord?
        if let digest = record.image { image = try await parts.store.image(digest: digest) } else { image = nil }
        let folder = actor.metadataFolder
        var own = BackupIndex.Own(
            kind: record.kind, image: record.image, imageReference: record.imageReference,
            imageConfig: Self.imageConfig(record, merged, image), metadata: try folder.read(), templates: [:])
        for name in try folder.list() {
            own.templates[name] = String(decoding: try folder.template(name), as: UTF8.self)
        }
        let isMachine = record.kind == .machine
        let type = isMachine ? "virtual-machine" : "container"
        var roots: [(root: RootName, record: InstanceRecord, place: String)] = snapshots.map { snapshot in
            let place = isMachine ? "backup/virtual-machine-snapshots" : "backup/snapshots"
            return (.snapshot(snapshot.id), snapshot.instance, "\(place)/\(snapshot.name)")
        }
        roots.append((present, record, "backup/\(type)"))
        let beside =
            isMachine && streaming == nil
            ? try await companions(roots.map { ($0.root, $0.place) }, pool: record.pool) : []
        own.companions = beside.isEmpty ? nil : beside.map(\.path)
        let index = try BackupIndex.instance(
            record, merged, snapshots: snapshots, pool: try await pools.get(record.pool ?? PoolRecord.standard),
            own: own, isOptimized: streaming != nil)
        var content = BackupContent(index: index, parts: [])
        guard record.kind != .module else { return content }
        if let streaming {
            let streams = roots.enumerated().map { RootStream($0.element.root, "\(scratch)/\($0.offset).bin") }
            try await streaming.send(streams)
            content.parts = zip(roots, streams).map { .init($0.place + ".bin", .file($1.path)) }
            if let config = index["config"] { content.files.append(("backup/\(type)/backup.yaml", .yaml(config))) }
            return content
        }
        for (root, then, place) in roots.dropLast() {
            content.parts.append(try await part(root, of: then, pool: record.pool, at: place, scratch))
        }
        if let config = index["config"] { content.files.append(("backup/\(type)/backup.yaml", .yaml(config))) }
        if !isMachine {
            // LXD reads what it tells about the instance from there.
            let said = own.metadata ?? InstanceMetadata(record)
            content.files.append(("backup/container/metadata.yaml", .yaml(said.document)))
            for (name, text) in own.templates.sorted(by: { $0.key < $1.key }) {
                content.files.append(("backup/container/templates/\(name)", .bytes(Array(text.utf8))))
            }
        }
        content.parts.append(try await part(present, of: record, pool: record.pool, at: "backup/\(type)", scratch))
        content.parts += beside
        return content
    }

    /// What lies beside the disks of a machine.
    private func companions(_ roots: [(root: RootName, place: String)], pool: String?) async throws
        -> [BackupContent.Part]
    {
        var parts: [BackupContent.Part] = []
        for (root, place) in roots {
            for path in try await pools.pool(pool ?? PoolRecord.standard).files(of: root).companions {
                let name = path.split(separator: "/").last.map(String.init) ?? ""
                parts.append(.init("\(place)/\(name)", name == RootFiles.tpm ? .folder(path) : .file(path)))
            }
        }
        return parts
    }

    private func part(
        _ root: RootName, of record: InstanceRecord, pool: String?, at place: String, _ scratch: String
    ) async throws -> BackupContent.Part {
        let files = try await pools.pool(pool ?? PoolRecord.standard).files(of: root)
        guard record.kind != .machine else {
            let copy = "\(scratch)/\(root.id.raw).qcow2"
            try await parts.imaging(\.disks, for: "make backups of machines").flatten(files, to: copy)
            return .init("\(place).qcow2", .file(copy))
        }
        var layers: [String] = []
        if let digest = record.image, let image = try await parts.store.image(digest: digest) {
            layers = image.layers.map(\.diffID)
        }
        return .init("\(place)/rootfs", .root(files, try await parts.snapshotter.stack(layers)))
    }

    /// Keys that say what the image said: an imported instance has its files without its image.
    private static func imageConfig(_ record: InstanceRecord, _ merged: MergedConfig, _ image: ImageRecord?)
        -> [String: String]
    {
        guard let config = image?.config, record.kind == .application || record.kind == .system else { return [:] }
        func words(_ list: [String]) -> String? {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .withoutEscapingSlashes
            guard !list.isEmpty, let data = try? encoder.encode(list) else { return nil }
            return String(decoding: data, as: UTF8.self)
        }
        var keys: [String: String] = [:]
        for entry in config.env {
            let pair = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2, !pair[1].isEmpty { keys["environment.\(pair[0])"] = String(pair[1]) }
        }
        keys["oci.cwd"] = config.workingDirectory.flatMap { $0.isEmpty ? nil : $0 }
        if record.kind == .application || image?.hasInit == true, merged.config["oci.entrypoint"] == nil {
            keys["oci.entrypoint"] = words(config.entrypoint)
            // A system's init is found without being named.
            let isUsual = record.kind == .system && config.cmd == ["/sbin/init"]
            if merged.config["oci.cmd"] == nil, !isUsual { keys["oci.cmd"] = words(config.cmd) }
        }
        if record.kind == .application {
            keys["oci.user"] = config.user.flatMap { $0.isEmpty ? nil : $0 }
            keys["stop.signal"] = config.stopSignal.flatMap { $0.isEmpty ? nil : $0 }
        }
        return keys.filter { merged.config[$0.key] == nil }
    }
}
