import Glibc
public import WireTypes

extension IsleClient {
    /// Waits until `operation` has ended, and gives it as it ended. A failed one is thrown as an error.
    ///
    /// `progress` is called now and then with the operation as it stands. With `signals`, the first signal cancels
    /// the operation where it may be cancelled, and the second one stops waiting.
    @discardableResult
    public func wait(
        for operation: API.Operation, signals: SignalSource? = nil, progress: ((API.Operation) -> Void)? = nil
    ) throws -> API.Operation {
        if API.StatusCode(rawValue: operation.statusCode)?.isFinal == true { return try outcome(operation) }
        let pending = try PendingOperation(self, operation.id)
        var interrupted = false
        while true {
            let tick = Deadline(seconds: progress == nil ? nil : 0.12)
            switch try Readiness.wait([pending.fileDescriptor] + (signals.map { [$0.fileDescriptor] } ?? []), tick) {
            case 0: return try outcome(pending.finish())
            case nil:
                progress?(try get(API.Operation.self, Endpoint(["operations", operation.id])))
            default:
                guard signals?.next() != nil else { continue }
                if interrupted { throw ClientError(.cancelled, "stopped waiting; the work goes on in the daemon") }
                interrupted = true
                try cancel(operation)
            }
        }
    }

    /// Asks the daemon to give up `operation`.
    public func cancel(_ operation: API.Operation) throws {
        do {
            try send("DELETE", Endpoint(["operations", operation.id]), nil as API.Empty?)
        } catch let error as ClientError where error.isNotFound {
            // It has ended meanwhile, which the waiting will show.
        }
    }

    func outcome(_ operation: API.Operation) throws -> API.Operation {
        switch API.StatusCode(rawValue: operation.statusCode) {
        case .failure?:
            throw ClientError(
                operation.errorCode.map { .refused(status: $0) } ?? .operationFailed,
                operation.err.isEmpty ? "\(operation.description) failed" : operation.err)
        case .cancelled?:
            throw ClientError(.cancelled, operation.err.isEmpty ? "cancelled" : operation.err)
        default: return operation
        }
    }
}

/// A long poll for the end of an operation, as a descriptor that becomes readable.
final class PendingOperation {
    private let client: IsleClient
    private let connection: HTTPConnection
    private let request: HTTPRequest

    init(_ client: IsleClient, _ id: String) throws {
        self.client = client
        connection = try client.takeConnection()
        request = HTTPRequest(
            "GET", client.scoped(Endpoint(["operations", id, "wait"], query: [("timeout", "-1")])).target)
        try connection.begin(request, Deadline(seconds: client.answerTimeout))
    }

    var fileDescriptor: Int32 { connection.socket.fileDescriptor }

    /// Reads the answer, after the descriptor became readable.
    func finish() throws -> API.Operation {
        let deadline = Deadline(seconds: client.answerTimeout)
        let response = try connection.finish(request, deadline)
        let body = try response.readAll(deadline)
        client.release(connection)
        let answer: API.Response<API.Operation> = try Envelope.decode(body, status: response.head.status)
        guard let operation = answer.metadata else {
            throw ClientError(.malformedAnswer, "the daemon named no operation")
        }
        return operation
    }
}
