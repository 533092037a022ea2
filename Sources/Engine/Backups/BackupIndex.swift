import FoundationEssentials
import Model

/// `backup/index.yaml` as LXD writes it, with a part of Isle's own (`isle`) that LXD passes over.
enum BackupIndex {
    /// What an instance is told as besides what LXD has a place for.
    struct Own: Codable {
        var kind: InstanceKind
        /// Digest of its image.
        var image: String?
        var imageReference: String?
        /// What the image says about running it, as keys.
        var imageConfig: [String: String]
        var metadata: InstanceMetadata?
        var templates: [String: String]
        /// Of a machine: what lies beside its disks and came along, by path in the archive.
        var companions: [String]?
    }

    static func instance(
        _ record: InstanceRecord, _ merged: MergedConfig, snapshots: [SnapshotRecord], pool: PoolRecord, own: Own,
        isOptimized: Bool = false
    ) throws -> Metadata {
        let type = record.kind == .machine ? "virtual-machine" : "container"
        return [
            "name": .string(record.name),
            // What is written so lies over an image's layers: no driver of LXD's can make use of it.
            "backend": .string(isOptimized ? Self.ownForm(pool.driver) : pool.driver), "pool": .string(pool.name),
            "snapshots": .array(snapshots.map { .string($0.name) }), "optimized": .bool(isOptimized),
            "optimized_header": false,
            "type": .string(type),
            "config": [
                "container": .object(
                    common(record).merging([
                        "name": .string(record.name), "type": .string(type), "project": .string(record.project),
                        "status": "Stopped", "status_code": 102, "location": "none",
                        "expanded_config": table(merged.config), "expanded_devices": tables(merged.devices),
                    ]) { $1 }),
                "snapshots": .array(
                    snapshots.map { snapshot in
                        .object(
                            common(snapshot.instance).merging([
                                "name": .string(snapshot.name), "created_at": time(snapshot.createdAt),
                                "expires_at": time(snapshot.expiresAt ?? 0), "size": 0,
                            ]) { $1 })
                    }),
                "pool": describe(pool),
                "volume": [
                    "name": .string(record.name), "type": .string(type), "description": "", "config": [:],
                    "content_type": record.kind == .machine ? "block" : "filesystem", "used_by": [], "location": "none",
                ],
                "volume_snapshots": .array(
                    snapshots.map {
                        [
                            "name": .string($0.name), "description": "", "config": [:],
                            "expires_at": time($0.expiresAt ?? 0), "content_type": "filesystem",
                        ]
                    }),
            ],
            "isle": try JSONDecoder().decode(Metadata.self, from: JSONEncoder().encode(own)),
        ]
    }

    /// Names the form in which the driver writes what is optimized.
    static func ownForm(_ driver: String) -> String { "isle-\(driver)" }

    static func volume(_ volume: VolumeRecord, snapshots: [VolumeSnapshotRecord], pool: PoolRecord) -> Metadata {
        [
            "name": .string(volume.name), "backend": .string(pool.driver), "pool": .string(pool.name),
            "snapshots": .array(snapshots.map { .string($0.name) }), "optimized": false, "optimized_header": false,
            "type": "custom",
            "config": [
                "pool": describe(pool),
                "volume": [
                    "name": .string(volume.name), "type": "custom", "description": .string(volume.description),
                    "config": table(volume.config), "content_type": .string(volume.contentType.rawValue), "used_by": [],
                    "location": "none", "project": .string(volume.project), "created_at": time(volume.createdAt),
                ],
                "volume_snapshots": .array(
                    snapshots.map {
                        [
                            "name": .string($0.name), "description": .string($0.description),
                            "config": table($0.config),
                            "expires_at": time($0.expiresAt ?? 0), "created_at": time($0.createdAt),
                            "content_type": .string(volume.contentType.rawValue),
                        ]
                    }),
            ],
        ]
    }

    private static func common(_ record: InstanceRecord) -> [String: Metadata] {
        [
            "architecture": .string(record.architecture), "config": table(record.config),
            "devices": tables(record.devices), "ephemeral": .bool(record.ephemeral),
            "profiles": .array(record.profiles.map { .string($0) }), "stateful": false,
            "description": .string(record.description), "created_at": time(record.createdAt),
            "last_used_at": time(record.lastUsedAt),
        ]
    }

    private static func describe(_ pool: PoolRecord) -> Metadata {
        [
            "name": .string(pool.name), "driver": .string(pool.driver), "description": .string(pool.description),
            "config": table(pool.config), "status": "Created", "locations": ["none"], "used_by": [],
        ]
    }

    private static func time(_ seconds: Double) -> Metadata {
        .string(seconds > 0 ? Timestamp.text(seconds) : "0001-01-01T00:00:00Z")
    }
    private static func table(_ values: [String: String]) -> Metadata { .object(values.mapValues { .string($0) }) }
    private static func tables(_ values: [String: [String: String]]) -> Metadata { .object(values.mapValues(table)) }
}

/// Reads what an index says, and refuses by name what it should not say.
struct BackupIndexReader {
    let index: Metadata

    /// The form of the storage driver's own that its files are in; nil: file by file.
    let form: String?

    /// - Throws: `invalidArgument` unless it is about one of `types` in a form that can be read.
    init(_ index: Metadata, types: [String]) throws {
        self.index = index
        let backend = index["backend"]?.string ?? "-"
        if case .bool(true)? = index["optimized"] { form = backend } else { form = nil }
        let type = index["type"]?.string ?? "container"
        guard types.contains(type) else {
            throw EngineError(
                .invalidArgument,
                "the backup is of the type \(Names.quoted(type)), not \(types.joined(separator: " or "))",
                hint: "instances and volumes are imported by commands of their own")
        }
        guard let form, !form.hasPrefix("isle-") else { return }
        throw EngineError(
            .unsupported,
            "the backup is in the form of LXD's storage driver \(Names.quoted(form))",
            hint: "export it again without --optimized-storage")
    }

    func section(_ names: String...) throws -> Metadata {
        for name in names { if let found = index["config"]?[name], case .object = found { return found } }
        throw EngineError(
            .invalidArgument, "the backup's index has no config.\(names[0])", hint: "it was made by a version too old")
    }

    /// Names of the snapshots, checked.
    func snapshotNames() throws -> [String] {
        guard case .array(let items)? = index["snapshots"] else { return [] }
        let names = items.compactMap { $0.string ?? $0["name"]?.string }
        guard names.count == items.count, Set(names).count == names.count else {
            throw EngineError(.invalidArgument, "the backup's index names a snapshot twice, or one without a name")
        }
        for name in names { try Names.checkSnapshot(name) }
        return names
    }

    /// The entry of a snapshot in `config`; empty if there is none.
    func snapshot(_ name: String, in section: String) -> Metadata {
        guard case .array(let items)? = index["config"]?[section] else { return [:] }
        // Older servers write INSTANCE/SNAPSHOT.
        return items.first { ($0["name"]?.string?.split(separator: "/").last).map(String.init) == name } ?? [:]
    }

    static func table(_ value: Metadata?, _ what: String) throws -> [String: String] {
        guard let value, value != .null else { return [:] }
        guard case .object(let members) = value else { throw EngineError(.invalidArgument, "\(what) is no table") }
        return try members.mapValues { member in
            switch member {
            case .string(let text): return text
            case .integer(let number): return String(number)
            case .bool(let flag): return flag ? "true" : "false"
            case .null: return ""
            default: throw EngineError(.invalidArgument, "\(what) holds what is no text")
            }
        }.filter { !$0.value.isEmpty }
    }

    static func tables(_ value: Metadata?, _ what: String) throws -> [String: [String: String]] {
        guard let value, value != .null else { return [:] }
        guard case .object(let members) = value else { throw EngineError(.invalidArgument, "\(what) is no table") }
        return try members.reduce(into: [:]) { $0[$1.key] = try table($1.value, "\(what).\($1.key)") }
    }

    static func texts(_ value: Metadata?) -> [String]? {
        guard case .array(let items)? = value else { return nil }
        return items.compactMap(\.string)
    }

    /// Seconds since 1970; nil for none.
    static func time(_ value: Metadata?) -> Double? {
        guard let text = value?.string, let seconds = Timestamp.seconds(text), seconds > 0 else { return nil }
        return seconds
    }
}
