import DriverKit
import Engine
import Model
import Synchronization

/// Commands that clients made with exec. They are the door's: they are forgotten with the daemon.
final class ExecRegistry: Sendable {
    struct Entry: Sendable {
        let id: String
        let container: InstanceID
        let process: ProcessSpec
        let terminal: Bool
        let opensInput: Bool
        let attachesOutput: Bool
        let attachesError: Bool
        let detachKeys: String
        var started = false
        var exitCode: Int32?
        var finishedAt: Double?
        var session: (any ExecSession)?
        /// On the host, also after its end; nil before its start and in a machine.
        var pid: Int32?

        var isRunning: Bool { started && exitCode == nil }
    }

    private let entries = Mutex<[String: Entry]>([:])
    /// Seconds that a finished command can still be asked for.
    private static let retention = 300.0

    func add(_ entry: Entry, now: Double) {
        entries.withLock { entries in
            entries = entries.filter { $0.value.finishedAt.map { now - $0 < Self.retention } ?? true }
            entries[entry.id] = entry
        }
    }

    /// By id or its beginning. `notFound` if there is none.
    func find(_ id: String) throws -> Entry {
        let found = entries.withLock { entries -> Entry? in
            if let exact = entries[id] { return exact }
            let matches = entries.values.filter { !id.isEmpty && $0.id.hasPrefix(id) }
            return matches.count == 1 ? matches.first : nil
        }
        guard let found else { throw EngineError(.notFound, "No such exec instance: \(id)") }
        return found
    }

    /// Ids of the commands of one container that have not ended.
    func ids(of container: InstanceID) -> [String] {
        entries.withLock { $0.values.filter { $0.container == container && $0.exitCode == nil }.map(\.id).sorted() }
    }

    /// Takes the right to start it; false if it was started before.
    func begin(_ id: String) -> Bool {
        entries.withLock { entries in
            guard entries[id]?.started == false else { return false }
            entries[id]?.started = true
            return true
        }
    }

    func set(_ session: any ExecSession, for id: String) {
        entries.withLock { entries in
            entries[id]?.session = session
            entries[id]?.pid = session.hostPID
        }
    }

    func finish(_ id: String, code: Int32, now: Double) {
        entries.withLock { entries in
            entries[id]?.exitCode = code
            entries[id]?.finishedAt = now
            entries[id]?.session = nil
        }
    }

    /// What a container's commands were is nothing to ask for once it is deleted.
    func forget(_ container: InstanceID) {
        entries.withLock { entries in entries = entries.filter { $0.value.container != container } }
    }
}

/// The terminals that clients are attached to, so that resize finds them.
final class TerminalRegistry: Sendable {
    private struct State {
        var next = 0
        var sessions: [InstanceID: [Int: any AttachSession]] = [:]
    }
    private let state = Mutex(State())

    func add(_ id: InstanceID, _ session: any AttachSession) -> Int {
        state.withLock { state in
            state.next += 1
            state.sessions[id, default: [:]][state.next] = session
            return state.next
        }
    }

    func remove(_ id: InstanceID, _ number: Int) {
        state.withLock { state in
            state.sessions[id]?[number] = nil
            if state.sessions[id]?.isEmpty == true { state.sessions[id] = nil }
        }
    }

    func find(_ id: InstanceID) -> (any AttachSession)? { state.withLock { $0.sessions[id]?.values.first } }
}
