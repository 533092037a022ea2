public import Model
import Synchronization

/// Slow work with an id, progress, cancel and an outcome that can be asked for afterwards.
public struct OperationRecord: Sendable, Identifiable {
    public enum Class: String, Sendable { case task, websocket, token }
    public enum Status: String, Sendable {
        case pending = "Pending"
        case running = "Running"
        case cancelling = "Cancelling"
        case success = "Success"
        case failure = "Failure"
        case cancelled = "Cancelled"

        public var isFinal: Bool { self == .success || self == .failure || self == .cancelled }
    }

    /// A random UUID in lower case.
    public let id: String
    public let `class`: Class
    public let description: String
    public let project: String
    /// Seconds since 1970.
    public let createdAt: Double
    public var updatedAt: Double
    public var status: Status
    /// Paths of the native API by collection: `instances` → [`/1.0/instances/web`].
    public var resources: [String: [String]]
    public var metadata: [String: Metadata]
    public var mayCancel: Bool
    /// Set when the status is failure.
    public var error: EngineError?
}

/// What running work sees of its operation.
public struct OperationContext: Sendable {
    public let id: String
    let service: OperationService

    /// Merges `values` into the operation's metadata and tells listeners.
    public func update(_ values: [String: Metadata]) async {
        await service.update(id, values)
    }

    /// Metadata that tells the user of work that was done in a lesser way than asked for: `warnings`, a sentence each.
    public static func warnings(_ notices: [String]) -> [String: Metadata] {
        notices.isEmpty ? [:] : ["warnings": .array(notices.map { .string($0) })]
    }
}

/// Runs operations and keeps their outcome for a while after they ended.
public actor OperationService {
    private struct Entry {
        var record: OperationRecord
        var task: Task<Void, Never>?
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private var entries: [String: Entry] = [:]
    private let events: EventBus
    /// Seconds that a finished operation can still be asked for.
    private let retention: Duration

    public init(events: EventBus, retention: Duration = .seconds(30)) {
        self.events = events
        self.retention = retention
    }

    /// Starts `body` and returns at once. What `body` returns is merged into the metadata.
    public func start(
        _ description: String, project: String = "default", class kind: OperationRecord.Class = .task,
        resources: [String: [String]] = [:], metadata: [String: Metadata] = [:], mayCancel: Bool = false,
        body: @Sendable @escaping (OperationContext) async throws -> [String: Metadata]
    ) -> OperationRecord {
        let now = Clock.now
        let record = OperationRecord(
            id: UUIDText.random(), class: kind, description: description, project: project, createdAt: now,
            updatedAt: now, status: .running, resources: resources, metadata: metadata, mayCancel: mayCancel)
        entries[record.id] = Entry(record: record)
        publish(record)
        let context = OperationContext(id: record.id, service: self)
        entries[record.id]?.task = Task { [weak self] in
            let outcome: Result<[String: Metadata], any Error>
            do { outcome = .success(try await body(context)) } catch { outcome = .failure(error) }
            await self?.finish(record.id, outcome)
        }
        return record
    }

    /// Those that the requestor may see, oldest first.
    public func list(project: String? = nil) -> [OperationRecord] {
        entries.values.map(\.record).filter { Self.mayUse($0) && (project == nil || $0.project == project) }
            .sorted { $0.createdAt < $1.createdAt }
    }

    /// A token's secret is for those who are not confined to projects.
    private static func mayUse(_ record: OperationRecord) -> Bool {
        Requestor.mayUse(record.project) && (record.class != .token || Requestor.current?.projects == nil)
    }

    /// As for an unknown one: that it exists is nobody else's business.
    private func find(_ id: String) throws -> Entry {
        guard let entry = entries[id], Self.mayUse(entry.record) else {
            throw EngineError(.notFound, "operation \(Names.quoted(id)) does not exist")
        }
        return entry
    }

    /// `notFound` for an unknown id, also one whose outcome was forgotten.
    public func get(_ id: String) throws -> OperationRecord { try find(id).record }

    /// Waits until the operation has ended or `timeout` has passed (nil: without bound) and gives its state then.
    public func wait(_ id: String, timeout: Duration? = nil) async throws -> OperationRecord {
        let entry = try find(id)
        if entry.record.status.isFinal { return entry.record }
        let last = entry.record
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.suspendUntilFinal(id) }
            // Also without a bound: the sleep is what a waiter whose caller has gone wakes up by.
            group.addTask { try? await Task.sleep(for: timeout ?? .seconds(1 << 30)) }
            await group.next()
            group.cancelAll()
            wakeWaiters(id)
        }
        return entries[id]?.record ?? last
    }

    /// Asks the work to stop. `conflict` if it cannot be cancelled or has ended.
    public func cancel(_ id: String) throws {
        let entry = try find(id)
        guard !entry.record.status.isFinal else {
            throw EngineError(.conflict, "operation \(id) has ended already: \(entry.record.status.rawValue)")
        }
        guard entry.record.mayCancel else {
            throw EngineError(.conflict, "operation \(id) (\(entry.record.description)) cannot be cancelled")
        }
        entries[id]?.record.status = .cancelling
        entry.task?.cancel()
        if let record = entries[id]?.record { publish(record) }
    }

    /// Cancels what runs and waits for it, at the daemon's end.
    public func shutdown() async {
        let tasks = entries.values.compactMap(\.task)
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    func update(_ id: String, _ values: [String: Metadata]) {
        guard var record = entries[id]?.record, !record.status.isFinal else { return }
        record.metadata.merge(values) { $1 }
        record.updatedAt = Clock.now
        entries[id]?.record = record
        publish(record)
    }

    private func suspendUntilFinal(_ id: String) async {
        while !Task.isCancelled, let entry = entries[id], !entry.record.status.isFinal {
            await withCheckedContinuation { entries[id]?.waiters.append($0) }
        }
    }

    /// Waiters look at the state again by themselves, so waking one too early does no harm.
    private func wakeWaiters(_ id: String) {
        let waiters = entries[id]?.waiters ?? []
        entries[id]?.waiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func finish(_ id: String, _ outcome: Result<[String: Metadata], any Error>) {
        guard var record = entries[id]?.record else { return }
        switch outcome {
        case .success(let values):
            record.metadata.merge(values) { $1 }
            record.status = .success
        case .failure(let error) where error is CancellationError || record.status == .cancelling:
            record.status = .cancelled
            record.error = EngineError(.cancelled, "\(record.description) was cancelled")
        case .failure(let error as EngineError):
            record.status = .failure
            record.error = error
        case .failure(let error):
            record.status = .failure
            record.error = EngineError(.internal, "\(record.description) failed", cause: error)
        }
        record.updatedAt = Clock.now
        entries[id]?.record = record
        entries[id]?.task = nil
        publish(record)
        wakeWaiters(id)
        let retention = retention
        Task { [weak self] in
            try? await Task.sleep(for: retention)
            await self?.forget(id)
        }
    }

    private func forget(_ id: String) { entries[id] = nil }

    private func publish(_ record: OperationRecord) {
        events.publish(
            EngineEvent(
                topic: .operation, timestamp: record.updatedAt, project: record.project, action: record.id,
                source: "/1.0/operations/\(record.id)",
                context: ["status": .string(record.status.rawValue), "metadata": .object(record.metadata)]))
    }
}
