import Logging
public import Model
import StateStore

/// What is not as it should be, kept until somebody has looked at it or it is over.
public actor WarningService {
    private let parts: EngineParts
    private var warnings: [String: WarningRecord] = [:]
    private static let collection = "warning"
    /// Seconds that a resolved one is kept.
    private static let retention = 86_400.0

    init(parts: EngineParts) { self.parts = parts }

    func load() async throws {
        let (records, unreadable) = try await parts.store.documents(Self.collection, WarningRecord.self)
        for name in unreadable {
            parts.logger.error("a warning's record cannot be read; it was left", metadata: ["name": "\(name)"])
        }
        for record in records {
            if record.status == .resolved, Clock.now - record.updatedAt > Self.retention {
                try await parts.store.deleteDocument(Self.collection, record.id)
            } else {
                warnings[record.id] = record
            }
        }
    }

    /// Those that the requestor may see, oldest first.
    public func list() -> [WarningRecord] {
        warnings.values.filter { Requestor.mayUse($0.project) }.sorted {
            ($0.firstSeenAt, $0.id) < ($1.firstSeenAt, $1.id)
        }
    }

    public func get(_ id: String) throws -> WarningRecord {
        guard let warning = warnings[id], Requestor.mayUse(warning.project) else {
            throw EngineError(.notFound, "warning \(Names.quoted(id)) does not exist")
        }
        return warning
    }

    /// Notes that something is wrong; the same kind of trouble with the same thing is counted up. What cannot be
    /// stored is logged: a warning is never the reason that other work fails.
    public func raise(
        _ kind: String, _ severity: WarningRecord.Severity, project: String = "", entity: String = "",
        _ message: String
    ) async {
        let now = Clock.now
        var warning: WarningRecord
        if let known = warnings.values.first(where: { $0.kind == kind && $0.entity == entity && $0.project == project })
        {
            warning = known
            warning.count += 1
            if warning.status == .resolved { warning.status = .new }
        } else {
            warning = WarningRecord(
                id: UUIDText.random(), kind: kind, severity: severity, project: project, entity: entity,
                message: message, firstSeenAt: now, lastSeenAt: now, updatedAt: now)
        }
        (warning.message, warning.lastSeenAt, warning.updatedAt) = (message, now, now)
        await keep(warning)
    }

    /// Notes that trouble of that kind with that thing is over.
    public func resolve(_ kind: String, project: String = "", entity: String = "") async {
        for known in warnings.values
        where known.kind == kind && known.entity == entity && known.project == project && known.status != .resolved {
            var warning = known
            (warning.status, warning.updatedAt) = (.resolved, Clock.now)
            await keep(warning)
        }
    }

    /// Marks it as looked at, or as new again.
    public func set(_ id: String, _ status: WarningRecord.Status) async throws {
        var warning = try get(id)
        guard status != .resolved else {
            throw EngineError(
                .invalidArgument, "a warning is resolved by its end alone", hint: "acknowledge or delete it")
        }
        (warning.status, warning.updatedAt) = (status, Clock.now)
        try await parts.store.saveDocument(Self.collection, warning.id, warning)
        warnings[id] = warning
        parts.events.lifecycle(
            status == .acknowledged ? "warning-acknowledged" : "warning-reset", "/1.0/warnings/\(id)")
    }

    public func delete(_ id: String) async throws {
        _ = try get(id)
        try await parts.store.deleteDocument(Self.collection, id)
        warnings[id] = nil
        parts.events.lifecycle("warning-deleted", "/1.0/warnings/\(id)")
    }

    private func keep(_ warning: WarningRecord) async {
        warnings[warning.id] = warning
        do { try await parts.store.saveDocument(Self.collection, warning.id, warning) } catch {
            parts.logger.warning("a warning could not be stored", metadata: ["error": "\(error)"])
        }
    }
}
