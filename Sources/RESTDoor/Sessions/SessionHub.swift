import Synchronization

/// The sessions whose streams clients may connect to, by the id of their operation.
final class SessionHub: Sendable {
    private let sessions = Mutex<[String: any ServedSession]>([:])

    func add(_ session: any ServedSession, _ id: String) { sessions.withLock { $0[id] = session } }
    func remove(_ id: String) { sessions.withLock { _ = $0.removeValue(forKey: id) } }
    func find(_ id: String) -> (any ServedSession)? { sessions.withLock { $0[id] } }
}
