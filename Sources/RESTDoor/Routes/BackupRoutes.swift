import DoorKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// Backups of instances and custom volumes.
struct BackupRoutes: Sendable {
    let door: DoorParts
    private var backups: BackupService { door.engine.backups }

    func add(to table: RouteTable) {
        for root in ["instances", "containers", "virtual-machines"] {
            add(to: table, "/1.0/\(root)/:name/backups") { call in
                let name = try call.parameter("name")
                _ = try await door.engine.instances.get(name, project: call.project)
                return .instance(name, project: call.project)
            }
        }
        add(to: table, "/1.0/storage-pools/:pool/volumes/:type/:name/backups") { call in
            .volume(try await VolumeCall(door: door).volume(call))
        }
    }

    /// What the path names.
    private enum Owner: Sendable {
        case instance(String, project: String)
        case volume(VolumeRecord)

        var path: String {
            switch self {
            case .instance(let name, _): "/1.0/instances/\(name)"
            case .volume(let volume): "/1.0/storage-pools/\(volume.pool)/volumes/custom/\(volume.name)"
            }
        }
        var resources: [String: [String]] {
            switch self {
            case .instance: ["instances": [path], "containers": [path]]
            case .volume: ["storage_volumes": [path]]
            }
        }
        var isVolume: Bool { if case .volume = self { true } else { false } }
    }

    private func add(
        to table: RouteTable, _ path: String, _ owner: @escaping @Sendable (Call) async throws -> Owner
    ) {
        table.add(
            path,
            [.get: { try await list($0, try await owner($0)) }, .post: { try await create($0, try await owner($0)) }])
        table.add(
            "\(path)/:backup",
            [
                .get: { call in
                    let owner = try await owner(call)
                    return try Reply.sync(API.Backup(try await find(call, owner), isVolume: owner.isVolume))
                },
                .post: { try await rename($0, try await owner($0)) },
                .delete: { try await delete($0, try await owner($0)) },
            ])
        table.add("\(path)/:backup/export", [.get: { try await export($0, try await owner($0)) }])
    }

    private func tell(_ action: String, _ owner: Owner, _ name: String, _ context: [String: Metadata] = [:]) {
        let project: String
        switch owner {
        case .instance(_, let own): project = own
        case .volume(let volume): project = volume.project
        }
        door.engine.events.lifecycle(
            "\(owner.isVolume ? "storage-volume" : "instance")-backup-\(action)", "\(owner.path)/backups/\(name)",
            project: project, context)
    }

    private func list(_ call: Call, _ owner: Owner) async throws -> Response {
        let records: [BackupRecord]
        switch owner {
        case .instance(let name, let project): records = try await backups.list(instance: name, project: project)
        case .volume(let volume): records = try await backups.list(volume: volume)
        }
        if try call.recursion == 0 { return try Reply.sync(records.map { "\(owner.path)/backups/\($0.name)" }) }
        return try Reply.sync(records.map { API.Backup($0, isVolume: owner.isVolume) })
    }

    private func find(_ call: Call, _ owner: Owner) async throws -> BackupRecord {
        let backup = try call.parameter("backup")
        switch owner {
        case .instance(let name, let project):
            return try await backups.get(backup, instance: name, project: project)
        case .volume(let volume): return try await backups.get(backup, volume: volume)
        }
    }

    private func create(_ call: Call, _ owner: Owner) async throws -> Response {
        let post = try await call.decode(API.BackupsPost.self)
        let expiresAt = try post.expiresAt.flatMap { $0.isEmpty ? nil : $0 }.map { try Expiry.seconds($0) } ?? nil
        let request = BackupRequest(
            name: post.name.isEmpty ? nil : post.name, expiresAt: expiresAt,
            onlyPresent: post.instanceOnly || post.containerOnly || post.volumeOnly, isOptimized: post.optimizedStorage,
            compression: post.compressionAlgorithm)
        let backup: BackupRecord
        switch owner {
        case .instance(let name, let project):
            backup = try await backups.prepare(request, instance: name, project: project)
        case .volume(let volume): backup = try await backups.prepare(request, volume: volume)
        }
        let backups = backups
        return try await work("Backing up", call, owner, backup.name, mayCancel: true) {
            switch owner {
            case .instance(let name, let project):
                try await backups.create(backup, request, instance: name, project: project)
            case .volume(let volume): try await backups.create(backup, request, volume: volume)
            }
            tell("created", owner, backup.name)
        }
    }

    private func rename(_ call: Call, _ owner: Owner) async throws -> Response {
        let backup = try await find(call, owner)
        let post = try await call.decode(API.BackupPost.self)
        try Names.checkSnapshot(post.name, "backup")
        let backups = backups
        return try await work("Renaming backup", call, owner, post.name) {
            try await backups.rename(backup, to: post.name)
            tell("renamed", owner, post.name, ["old_name": .string(backup.name)])
        }
    }

    private func delete(_ call: Call, _ owner: Owner) async throws -> Response {
        let backup = try await find(call, owner)
        let backups = backups
        return try await work("Removing backup", call, owner, backup.name) {
            try await backups.delete(backup)
            tell("deleted", owner, backup.name)
        }
    }

    private func export(_ call: Call, _ owner: Owner) async throws -> Response {
        let backup = try await find(call, owner)
        let body = try FileBody.make([.file(backups.path(backup))]) {}
        tell("retrieved", owner, backup.name)
        return Response(status: .ok, headers: [.contentType: "application/octet-stream"], body: body)
    }

    private func work(
        _ description: String, _ call: Call, _ owner: Owner, _ backup: String, mayCancel: Bool = false,
        _ body: @Sendable @escaping () async throws -> Void
    ) async throws -> Response {
        var resources = owner.resources
        // LXD's clients take this beginning away to find the name.
        resources["backups"] = ["/1.0/backups/\(backup)"]
        return try await door.operation(
            description, project: call.project, resources: resources, mayCancel: mayCancel
        ) { _ in
            try await body()
            return [:]
        }
    }
}

/// Uploads that become instances and volumes.
struct BackupImport: Sendable {
    let door: DoorParts

    /// Whether the body of the request is such an archive.
    static func isAsked(_ call: Call) -> Bool {
        call.request.headers[.contentType]?.hasPrefix("application/octet-stream") == true
    }

    func instance(_ call: Call) async throws -> Response {
        let (name, pool) = (Self.header(call, API.BackupHeader.name), Self.header(call, API.BackupHeader.pool))
        let (backups, project) = (door.engine.backups, call.project)
        if let name { try Names.checkInstance(name, .relaxed) }
        return try await withUpload(call) { spool in
            let wanted = try await backups.readInstance(spool.path, name: name, pool: pool, project: project)
            let path = "/1.0/instances/\(wanted.record.name)"
            return try await door.operation(
                "Restoring backup", project: project, resources: ["instances": [path], "containers": [path]],
                mayCancel: true
            ) { _ in
                try await Self.ending(spool) { _ = try await backups.create(wanted) }
                return ["name": .string(wanted.record.name)]
            }
        }
    }

    func volume(_ call: Call, pool: String) async throws -> Response {
        let name = Self.header(call, API.BackupHeader.name)
        let (backups, project) = (door.engine.backups, call.project)
        return try await withUpload(call) { spool in
            let wanted = try await backups.readVolume(spool.path, name: name, pool: pool, project: project)
            let path = "/1.0/storage-pools/\(pool)/volumes/custom/\(wanted.volume.name)"
            return try await door.operation(
                "Restoring custom volume backup", project: project, resources: ["storage_volumes": [path]],
                mayCancel: true
            ) { _ in
                try await Self.ending(spool) { _ = try await backups.create(wanted) }
                return ["name": .string(wanted.volume.name)]
            }
        }
    }

    /// Whoever answers takes the file over; on an error it is removed here.
    private func withUpload(_ call: Call, _ body: (Spool) async throws -> Response) async throws -> Response {
        let spool = try Spool(directory: door.engine.layout.temporary, name: "backup", format: nil)
        do {
            try await spool.fill(call.request.body)
            return try await body(spool)
        } catch {
            await spool.remove()
            throw error
        }
    }

    private static func ending(_ spool: Spool, _ body: () async throws -> Void) async throws {
        do { try await body() } catch {
            await spool.remove()
            throw error
        }
        await spool.remove()
    }

    private static func header(_ call: Call, _ name: String) -> String? {
        HTTPField.Name(name).flatMap { call.request.headers[$0] }.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension API.Backup {
    init(_ backup: BackupRecord, isVolume: Bool) {
        self.init()
        name = backup.name
        createdAt = WireTypes.Timestamp.string(backup.createdAt)
        expiresAt = Expiry.text(backup.expiresAt)
        if isVolume {
            volumeOnly = backup.onlyPresent
        } else {
            instanceOnly = backup.onlyPresent
            containerOnly = backup.onlyPresent
        }
        size = backup.size
        optimizedStorage = backup.isOptimized == true
    }
}
