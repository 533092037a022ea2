import FoundationEssentials
public import WireTypes

/// A client of the `/1.0` API over the daemon's unix socket. It blocks the calling thread and belongs to one thread.
public final class IsleClient {
    public let socketPath: String
    /// The project that requests are about.
    public let project: String
    /// Seconds that an ordinary answer may take.
    public var answerTimeout: Double = 120
    private var idle: [HTTPConnection] = []

    /// Where the daemon listens unless told otherwise.
    public static let defaultSocketPath = "/run/isle/isle.socket"

    public init(socketPath: String = IsleClient.defaultSocketPath, project: String = "default") {
        self.socketPath = socketPath
        self.project = project
    }

    // MARK: Answers

    /// The metadata of a sync answer. `patient` waits for ever, for answers that come when something happens.
    public func get<Value: Codable & Sendable>(
        _ type: Value.Type = Value.self, _ endpoint: Endpoint, patient: Bool = false
    ) throws -> Value {
        try value(of: perform(HTTPRequest("GET", endpoint.target), patient ? .never : nil), endpoint)
    }

    /// Sends `body` and gives the metadata of the sync answer.
    public func send<Value: Codable & Sendable>(
        _ method: String, _ endpoint: Endpoint, _ body: (some Encodable)?, as type: Value.Type
    ) throws -> Value {
        try value(of: perform(request(method, endpoint, body)), endpoint)
    }

    /// Sends `body` where the answer holds nothing of interest. An async answer is waited for.
    public func send(_ method: String, _ endpoint: Endpoint, _ body: (some Encodable)?) throws {
        let answer: API.Response<JSONValue> = try perform(request(method, endpoint, body))
        if answer.type == "async" { try wait(for: operation(of: answer)) }
    }

    /// Sends `body` to start work in the background. A sync answer is an operation that has ended. `patient` waits for
    /// ever for the answer, where the daemon does the slow part first.
    public func start(
        _ method: String, _ endpoint: Endpoint, _ body: (some Encodable)?, patient: Bool = false
    ) throws -> API.Operation {
        let answer: API.Response<JSONValue> = try perform(
            request(method, endpoint, body), patient ? .never : nil)
        return try operation(of: answer)
    }

    /// Uploads `body` and gives the operation that works on it.
    public func upload(
        _ endpoint: Endpoint, headers: [(name: String, value: String)], body: HTTPRequest.Body
    ) throws -> API.Operation {
        let all = [(name: "Content-Type", value: "application/octet-stream")] + headers
        let answer: API.Response<JSONValue> = try perform(
            HTTPRequest("POST", scoped(endpoint).target, headers: all, body: body), .never)
        return try operation(of: answer)
    }

    /// Reads a body that is not JSON piece by piece, such as a log that is followed, for as long as it takes.
    public func stream(
        _ endpoint: Endpoint, _ piece: ([UInt8]) throws -> Void
    ) throws {
        // The daemon may have to make the file first, as of an image.
        let response = try exchange(HTTPRequest("GET", scoped(endpoint).target), .never)
        if response.head.status >= 400 {
            let _: API.Response<JSONValue> = try decoded(response, Deadline(seconds: answerTimeout))
        }
        while let bytes = try response.next(.never) {
            try piece(bytes)
        }
        release(response.connection)
    }

    /// Uploads `body` and reads the lines of the answer as they come, blank ones left out.
    public func uploadForLines(
        _ endpoint: Endpoint, headers: [(name: String, value: String)], body: HTTPRequest.Body,
        _ line: ([UInt8]) throws -> Void
    ) throws {
        let all = [(name: "Content-Type", value: "application/octet-stream")] + headers
        let response = try exchange(
            HTTPRequest("POST", scoped(endpoint).target, headers: all, body: body), .never)
        if response.head.status >= 400 {
            let _: API.Response<JSONValue> = try decoded(response, Deadline(seconds: answerTimeout))
        }
        var pending: [UInt8] = []
        while let bytes = try response.next(.never) {
            pending += bytes
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let text = Array(pending[..<end])
                pending.removeFirst(end + 1)
                if !text.isEmpty { try line(text) }
            }
        }
        if !pending.isEmpty { try line(pending) }
        release(response.connection)
    }

    // MARK: Exchange

    private func request(_ method: String, _ endpoint: Endpoint, _ body: (some Encodable)?) throws -> HTTPRequest {
        guard let body else { return HTTPRequest(method, scoped(endpoint).target) }
        let bytes = try JSON.encode(body)
        return HTTPRequest(
            method, scoped(endpoint).target, headers: [(name: "Content-Type", value: "application/json")],
            body: .bytes(bytes))
    }

    private func perform<Value: Codable & Sendable>(
        _ request: HTTPRequest, _ limit: Deadline? = nil
    ) throws -> API.Response<Value> {
        let deadline = limit ?? Deadline(seconds: answerTimeout)
        var request = request
        if request.method == "GET" { request.target = scoped(Endpoint(path: request.target)).target }
        return try decoded(exchange(request, deadline), deadline)
    }

    private func decoded<Value: Codable & Sendable>(
        _ response: HTTPResponse, _ deadline: Deadline
    ) throws -> API.Response<Value> {
        let body = try response.readAll(deadline)
        release(response.connection)
        return try Envelope.decode(body, status: response.head.status)
    }

    /// Sends `request` over an idle connection or a new one. An idle one that the daemon has closed meanwhile is
    /// replaced, where repeating does no harm.
    func exchange(_ request: HTTPRequest, _ deadline: Deadline) throws -> HTTPResponse {
        let connection = try takeConnection()
        do {
            return try connection.send(request, deadline)
        } catch let error as ClientError where error.kind == .connectionLost {
            guard connection.wasUsed, request.method == "GET" else { throw error }
            return try HTTPConnection(Socket(path: socketPath)).send(request, deadline)
        }
    }

    /// An idle connection or a new one; the taker gives it back with `release`.
    func takeConnection() throws -> HTTPConnection { try idle.popLast() ?? HTTPConnection(Socket(path: socketPath)) }

    /// Keeps `connection` for the next request if its answer has been read whole.
    func release(_ connection: HTTPConnection) {
        if connection.isReusable && idle.count < 4 { idle.append(connection) }
    }

    /// Opens a websocket.
    func webSocket(_ endpoint: Endpoint) throws -> WebSocket { try webSockets([endpoint])[0].get() }

    /// Opens several websockets; all are asked for before the first answer is waited for. What the daemon says to one
    /// does not keep the others from being opened.
    func webSockets(_ endpoints: [Endpoint]) throws -> [Result<WebSocket, any Error>] {
        let deadline = Deadline(seconds: answerTimeout)
        let asked = try endpoints.map { endpoint in
            let handshake = WebSocketHandshake.request()
            let request = HTTPRequest("GET", scoped(endpoint).target, headers: handshake.headers)
            let connection = try HTTPConnection(Socket(path: socketPath))
            try connection.begin(request, deadline)
            return (connection, request, handshake.accept)
        }
        return asked.map { connection, request, accept in
            Result {
                let response = try connection.finish(request, deadline)
                guard response.head.status == 101 else {
                    let _: API.Response<JSONValue> = try decoded(response, deadline)
                    throw ClientError(
                        .malformedAnswer, "the daemon answered \(response.head.status) instead of a websocket")
                }
                guard response.head.headers["sec-websocket-accept"] == accept else {
                    throw ClientError(.malformedAnswer, "the daemon agreed to a websocket that was not asked for")
                }
                return WebSocket(response.connection.socket)
            }
        }
    }

    /// `endpoint` with the project, unless it is the default one.
    func scoped(_ endpoint: Endpoint) -> Endpoint {
        guard project != "default", !endpoint.target.contains("project=") else { return endpoint }
        var endpoint = endpoint
        endpoint.append("project", project)
        return endpoint
    }

    private func value<Value>(of answer: API.Response<Value>, _ endpoint: Endpoint) throws -> Value {
        guard let value = answer.metadata else {
            throw ClientError(.malformedAnswer, "the daemon's answer to \(endpoint.target) is empty")
        }
        return value
    }

    private func operation(of answer: API.Response<JSONValue>) throws -> API.Operation {
        guard answer.type == "async" else {
            var done = API.Operation()
            done.statusCode = API.StatusCode.success.rawValue
            done.metadata = answer.metadata?.objectValue
            return done
        }
        guard let metadata = answer.metadata else {
            throw ClientError(.malformedAnswer, "the daemon named no operation")
        }
        return try JSON.decode(API.Operation.self, from: JSON.encode(metadata))
    }
}
