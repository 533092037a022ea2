import DriverKit
import FoundationEssentials
import Glibc
public import Model
import StateStore

/// An instance that a backup can be made into: read and checked, nothing done yet.
public struct InstanceImport: Sendable {
    /// The archive, absolute.
    public var path: String
    public var record: InstanceRecord
    var snapshots: [SnapshotRecord]
    /// See `BackupIndexReader.form`.
    var form: String?
    var own: BackupIndex.Own
    /// Folder of the archive with the instance's own files.
    var place: String { record.kind == .machine ? "backup/virtual-machine" : "backup/container" }

    /// Names of what lies beside the disk that is at `place`; of those that there can be.
    func companions(at place: String) -> [String] {
        RootFiles.companionNames.filter { own.companions?.contains("\(place)/\($0)") == true }
    }

    func place(of snapshot: SnapshotRecord) -> String {
        record.kind == .machine
            ? "backup/virtual-machine-snapshots/\(snapshot.name)" : "backup/snapshots/\(snapshot.name)"
    }
}

extension BackupService {
    /// Reads and checks the archive at `path`.
    ///
    /// - Parameters:
    ///   - name: of the new instance; nil: as in the archive.
    ///   - pool: nil: that of the archive if there is one of its name, else the profiles'.
    /// - Throws: `invalidArgument` for what is no backup or says what is not allowed, `alreadyExists`, `notFound` for a
    ///   profile, network, pool or image that it needs.
    public func readInstance(_ path: String, name: String? = nil, pool: String? = nil, project: String = "default")
        async throws -> InstanceImport
    {
        _ = try await projects.get(project)
        let reader = try BackupIndexReader(
            await archiver.backupIndex(path), types: ["container", "virtual-machine"])
        let shown = try reader.section("container", "instance")
        let own = try Self.own(reader, shown)
        let name = name ?? reader.index["name"]?.string ?? shown["name"]?.string ?? ""
        try Names.checkInstance(name, own.kind == .application ? .relaxed : .label)
        guard await !instances.names(in: project).contains(name) else {
            throw EngineError(
                .alreadyExists, "an instance named \(Names.quoted(name)) exists already",
                hint: "give another name, or delete it first")
        }
        // What is not file by file lies over the image's layers.
        var record = try Self.record(
            shown, id: .random(), name: name, project: project, own, keepsImage: reader.form != nil)
        record.pool = try await place(&record, wanted: pool, said: reader.index["pool"]?.string)
        for profile in record.profiles { _ = try await instances.services.profiles.get(profile, project: project) }
        // A volume that is not here is for its user to bring.
        let volumes = Set(record.devices.values.compactMap { $0["source"] })
        try await instances.checkPlan(record, try await image(of: record), made: volumes)
        var snapshots: [SnapshotRecord] = []
        for snapshot in try reader.snapshotNames() {
            let said = reader.snapshot(snapshot, in: "snapshots")
            var then = try Self.record(
                said, id: record.id, name: name, project: project, own, keepsImage: reader.form != nil)
            then.pool = record.pool
            snapshots.append(
                SnapshotRecord(
                    id: .random(), name: snapshot, instance: then,
                    createdAt: BackupIndexReader.time(said["created_at"]) ?? Clock.now,
                    expiresAt: BackupIndexReader.time(said["expires_at"])))
        }
        if let form = reader.form { _ = try await streaming(form, record) }
        return InstanceImport(path: path, record: record, snapshots: snapshots, form: reader.form, own: own)
    }

    /// Makes the instance. On an error nothing of it stays.
    public func create(_ wanted: InstanceImport) async throws -> InstanceView {
        let snapshots = wanted.record.kind == .module ? [] : wanted.snapshots
        // Each snapshot is a root of its own first; a crash leaves none of them.
        var entries: [Int64] = []
        for snapshot in snapshots {
            entries.append(
                try await parts.store.begin(wanted.record.id, step: "import", detail: snapshot.id.raw))
        }
        let result: Result<InstanceView, any Error>
        do {
            result = .success(
                try await instances.insert(imported: wanted.record) { actor in
                    try await self.unpack(wanted, into: actor)
                })
        } catch {
            result = .failure(error)
        }
        for entry in entries { try await parts.store.finish(entry) }
        return try result.get()
    }

    private func unpack(_ wanted: InstanceImport, into actor: InstanceActor) async throws {
        let record = wanted.record
        if let metadata = wanted.own.metadata {
            try actor.metadataFolder.write(metadata)
            for (name, text) in wanted.own.templates { try actor.metadataFolder.setTemplate(name, Array(text.utf8)) }
        }
        guard record.kind != .module else {
            for snapshot in wanted.snapshots { try await parts.store.save(snapshot) }
            return await actor.take(wanted.snapshots)
        }
        let pool = try await pools.pool(of: record)
        let roots =
            wanted.snapshots.map { (id: $0.id, place: wanted.place(of: $0)) } + [(id: record.id, place: wanted.place)]
        if let form = wanted.form {
            try await receive(wanted, streaming(form, record))
            return try await finish(wanted, actor)
        }
        do {
            var targets: [String: BackupTarget] = [:]
            for root in roots {
                if record.kind == .machine {
                    let folder = try await pool.diskFolder(root.id)
                    targets[root.place + ".qcow2"] = .file("\(folder)/disk.qcow2")
                    for name in wanted.companions(at: root.place) {
                        // The state of a TPM is a folder; the firmware's settings are files.
                        if name == RootFiles.tpm { try Folders.make("\(folder)/\(name)", mode: 0o711) }
                        targets["\(root.place)/\(name)"] =
                            name == RootFiles.tpm ? .folder("\(folder)/\(name)") : .file("\(folder)/\(name)")
                    }
                } else {
                    let made = try await pool.prepare(root.id, over: parts.snapshotter.stack([]))
                    targets[root.place + "/rootfs"] = .folder("\(made.instanceDirectory)/upper")
                }
            }
            try await archiver.unpackBackup(wanted.path, into: targets)
            for snapshot in wanted.snapshots {
                try await pool.clone(.instance(snapshot.id), to: .snapshot(snapshot.id), isBusy: false)
                try await pool.discard(.instance(snapshot.id))
            }
            for snapshot in wanted.snapshots { try await parts.store.save(snapshot) }
        } catch {
            for snapshot in wanted.snapshots {
                try await pool.discard(.instance(snapshot.id))
                try await pool.discard(.snapshot(snapshot.id))
            }
            throw error
        }
        try await finish(wanted, actor)
    }

    private func finish(_ wanted: InstanceImport, _ actor: InstanceActor) async throws {
        await actor.take(wanted.snapshots)
        try await actor.limitRoot()
    }

    /// The record's pool, which must know the form.
    private func streaming(_ form: String, _ record: InstanceRecord) async throws -> any StreamingPool {
        let pool = try await pools.get(record.pool ?? PoolRecord.standard)
        guard BackupIndex.ownForm(pool.driver) == form,
            let streaming = try await pools.pool(of: record) as? any StreamingPool
        else {
            throw EngineError(
                .unsupported,
                "the backup is in the form of another storage driver (\(form)) than pool \(Names.quoted(pool.name)) has (\(pool.driver))",
                hint: "import it into a pool of that driver (--storage), or export it again without --optimized-storage"
            )
        }
        return streaming
    }

    private func receive(_ wanted: InstanceImport, _ pool: any StreamingPool) async throws {
        let scratch = "\(parts.layout.temporary)/import-\(wanted.record.id.raw)"
        try Folders.make(scratch, mode: 0o700)
        do {
            let roots =
                wanted.snapshots.map { (root: RootName.snapshot($0.id), place: wanted.place(of: $0)) }
                + [(root: .instance(wanted.record.id), place: wanted.place)]
            let streams = roots.enumerated().map { RootStream($0.element.root, "\(scratch)/\($0.offset).bin") }
            let targets = zip(roots, streams).map { ($0.place + ".bin", BackupTarget.file($1.path)) }
            try await archiver.unpackBackup(wanted.path, into: Dictionary(uniqueKeysWithValues: targets))
            try await pool.receive(streams)
            do {
                for snapshot in wanted.snapshots { try await parts.store.save(snapshot) }
            } catch {
                for stream in streams { try await pool.discard(stream.root) }
                throw error
            }
        } catch {
            try await parts.folders.remove(scratch)
            throw error
        }
        try await parts.folders.remove(scratch)
    }

    // MARK: reading

    private static func own(_ reader: BackupIndexReader, _ shown: Metadata) throws -> BackupIndex.Own {
        guard let said = reader.index["isle"] else {
            let isMachine = reader.index["type"]?.string == "virtual-machine"
            guard !isMachine else {
                throw EngineError(
                    .unsupported, "machines of LXD cannot be imported from their backups",
                    hint: "publish the machine there as an image, and import that")
            }
            return BackupIndex.Own(kind: .system, imageConfig: [:], templates: [:])
        }
        do {
            return try JSONDecoder().decode(BackupIndex.Own.self, from: JSONEncoder().encode(said))
        } catch is DecodingError {
            throw EngineError(.invalidArgument, "the part 'isle' of the backup's index is not what Isle writes")
        }
    }

    private static func record(
        _ said: Metadata, id: InstanceID, name: String, project: String, _ own: BackupIndex.Own, keepsImage: Bool
    ) throws -> InstanceRecord {
        let given = try BackupIndexReader.table(said["config"], "config").filter { !$0.key.hasPrefix("volatile.") }
        let config = keepsImage ? given : own.imageConfig.merging(given) { $1 }
        let devices = try BackupIndexReader.tables(said["devices"], "devices")
        try OptionCatalog.check(config, kind: own.kind)
        _ = try Devices(devices)
        let isEphemeral = if case .bool(true)? = said["ephemeral"] { true } else { false }
        // What has an image keeps it only where its files do not come along.
        let needsImage = own.kind == .machine || own.kind == .module || keepsImage
        return InstanceRecord(
            id: id, project: project, name: name, kind: own.kind,
            architecture: said["architecture"]?.string ?? Host.architecture,
            description: said["description"]?.string ?? "", config: config, devices: devices,
            profiles: BackupIndexReader.texts(said["profiles"]) ?? ["default"], ephemeral: isEphemeral,
            image: needsImage ? own.image : nil, imageReference: own.imageReference,
            createdAt: BackupIndexReader.time(said["created_at"]) ?? Clock.now)
    }

    private func image(of record: InstanceRecord) async throws -> ImageRecord? {
        guard let digest = record.image else { return nil }
        guard let image = try await parts.store.image(digest: digest) else {
            throw EngineError(
                .notFound, "the image \(digest) that a \(record.kind.rawValue) needs is not here",
                hint: "pull or import it first" + (record.imageReference.map { ": \($0)" } ?? ""))
        }
        return image
    }

    /// Gives the record's root disk the pool that is wanted; nil for the standard pool.
    private func place(_ record: inout InstanceRecord, wanted: String?, said: String?) async throws -> String? {
        if let wanted { _ = try await pools.get(wanted) }
        var pool = wanted
        if pool == nil, let said, (try? await pools.get(said)) != nil { pool = said }
        let own = record.devices.first { $0.value["type"] == "disk" && $0.value["path"] == "/" }
        if let pool {
            if own != nil || pool != PoolRecord.standard || wanted != nil {
                var device = own?.value ?? ["type": "disk", "path": "/"]
                device["pool"] = pool
                record.devices[own?.key ?? "root"] = device
            }
        } else if let own {
            record.devices[own.key]?["pool"] = PoolRecord.standard
        }
        return try await instances.choosePool(record)
    }
}

extension InstanceService {
    /// Takes in an instance whose files another service makes.
    func insert(imported record: InstanceRecord, makeFiles: @Sendable (InstanceActor) async throws -> Void) async throws
        -> InstanceView
    {
        try await insert(record) { actor in try await makeFiles(actor) }
    }
}
