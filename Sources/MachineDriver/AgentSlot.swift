import Model

/// The connection to Isle's agent of one machine: made when it is first needed, made again after it broke.
actor AgentSlot {
    private let path: String
    private var connection: AgentConnection?
    private var connecting: Task<AgentConnection, any Error>?

    init(path: String) { self.path = path }

    /// The connection; waits up to `timeout` for an agent that is not there yet (the guest boots).
    func get(timeout: Duration = .seconds(90)) async throws -> AgentConnection {
        if let connection, connection.isOpen { return connection }
        return try await begin(timeout: timeout).value
    }

    /// Looks for the agent from now on, without waiting for it.
    @discardableResult
    func begin(timeout: Duration = .seconds(90)) -> Task<AgentConnection, any Error> {
        if let connecting { return connecting }
        let task = Task { [path] in
            defer { connecting = nil }
            let made = try await AgentConnection.connect(path, timeout: timeout)
            connection = made
            return made
        }
        connecting = task
        return task
    }

    /// The connection if it stands.
    var current: AgentConnection? { connection.flatMap { $0.isOpen ? $0 : nil } }

    /// The guest boots again: what stood is worth nothing.
    func reset() {
        connection?.close()
        connection = nil
        connecting?.cancel()
    }
}
