public import DriverKit
public import Model
import Synchronization

/// A driver whose instances are nothing but their states: they end when a test, a signal or `delete` ends them.
public final class FakeInstanceDriver: InstanceDriver {
    private struct State {
        var handles: [InstanceID: [FakeHandle]] = [:]
        var found: [InstanceID: Reattached] = [:]
        var program: FakeProgram = .untilSignalled
    }
    public let kinds: Set<InstanceKind>
    /// Steps: `create`, `namespace`, `start`, `apply`, `delete`, `reattach`, `attach`.
    public let faults = Faults()
    private let state = Mutex(State())

    public init(kinds: Set<InstanceKind> = Set(InstanceKind.allCases)) { self.kinds = kinds }

    public func check() async -> [HostCheck] { [HostCheck("fake driver", .ok, "always works")] }

    public func create(_ plan: LaunchPlan) async throws -> any InstanceHandle {
        try faults.reach("create")
        let handle = FakeHandle(plan: plan, program: state.withLock { $0.program }, faults: faults)
        state.withLock { $0.handles[plan.id, default: []].append(handle) }
        return handle
    }

    public func reattach(_ id: InstanceID, kind: InstanceKind, runDirectory: String, stateDirectory: String)
        async throws -> Reattached
    {
        try faults.reach("reattach")
        if let found = state.withLock({ $0.found.removeValue(forKey: id) }) { return found }
        guard let handle = handles(of: id).last, !handle.isDeleted else { return .gone }
        if let exit = handle.exit {
            try await handle.delete()
            return .exited(exit)
        }
        return .running(handle)
    }

    /// What the programs of instances made from now on do.
    public func run(_ program: FakeProgram) { state.withLock { $0.program = program } }
    /// What the next `reattach` of the instance finds.
    public func leave(_ found: Reattached, of id: InstanceID) { state.withLock { $0.found[id] = found } }
    /// Every handle made for the instance, oldest first.
    public func handles(of id: InstanceID) -> [FakeHandle] { state.withLock { $0.handles[id] ?? [] } }
    /// Handles of all instances that were made and not deleted.
    public var living: [FakeHandle] { state.withLock { $0.handles.values.flatMap { $0 } }.filter { !$0.isDeleted } }
}

/// What the first process of a fake instance does.
public enum FakeProgram: Sendable, Hashable {
    /// Ends by SIGTERM or SIGKILL, or when the test says so.
    case untilSignalled
    /// Ends by SIGKILL alone.
    case ignoringTerm
    /// Writes `output` and ends at once.
    case ends(code: Int32, output: String = "")
}
