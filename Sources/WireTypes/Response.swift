extension API {
    /// The numbers of states and outcomes, as in `status_code`.
    public enum StatusCode: Int, Sendable, Codable, CaseIterable {
        case operationCreated = 100
        case started = 101
        case stopped = 102
        case running = 103
        case cancelling = 104
        case pending = 105
        case starting = 106
        case stopping = 107
        case aborting = 108
        case freezing = 109
        case frozen = 110
        case thawed = 111
        case error = 112
        case ready = 113
        case success = 200
        case failure = 400
        case cancelled = 401

        /// The word that stands in `status`.
        public var text: String {
            switch self {
            case .operationCreated: "Operation created"
            case .started: "Started"
            case .stopped: "Stopped"
            case .running: "Running"
            case .cancelling: "Cancelling"
            case .pending: "Pending"
            case .starting: "Starting"
            case .stopping: "Stopping"
            case .aborting: "Aborting"
            case .freezing: "Freezing"
            case .frozen: "Frozen"
            case .thawed: "Thawed"
            case .error: "Error"
            case .ready: "Ready"
            case .success: "Success"
            case .failure: "Failure"
            case .cancelled: "Cancelled"
            }
        }

        /// The state is an end: nothing follows it.
        public var isFinal: Bool { rawValue >= 200 }
    }

    /// What stands around every answer.
    ///
    /// `type` is `sync` (metadata is the answer), `async` (metadata is the operation, `operation` its path) or
    /// `error` (`error_code` is the HTTP status, `error` the sentence).
    public struct Response<Metadata: Codable & Sendable>: Codable, Sendable {
        @Zero public var type = "sync"
        @Zero public var status = "Success"
        @Zero public var statusCode = 200
        @Zero public var operation = ""
        @Zero public var errorCode = 0
        @Zero public var error = ""
        public var metadata: Metadata?

        enum CodingKeys: String, CodingKey {
            case type, status, operation, error, metadata
            case statusCode = "status_code"
            case errorCode = "error_code"
        }

        /// A sync answer.
        public init(_ metadata: Metadata?) { self.metadata = metadata }

        /// An error with its HTTP status.
        public init(error: String, code: Int) {
            (type, status, statusCode) = ("error", "", 0)
            (self.error, errorCode) = (error, code)
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(type, forKey: .type)
            try container.encode(status, forKey: .status)
            try container.encode(statusCode, forKey: .statusCode)
            try container.encode(operation, forKey: .operation)
            try container.encode(errorCode, forKey: .errorCode)
            try container.encode(error, forKey: .error)
            // Always there, null if there is none: clients of LXD look it up without asking.
            try container.encode(metadata, forKey: .metadata)
        }
    }

    /// Metadata of an answer that has none: `{}`.
    public struct Empty: Codable, Sendable, Hashable {
        public init() {}
        public init(from decoder: any Decoder) throws {}
    }
}

extension API.Response where Metadata == API.Operation {
    /// The 202 answer that hands out an operation.
    public init(created operation: API.Operation) {
        self.init(operation)
        type = "async"
        status = API.StatusCode.operationCreated.text
        statusCode = API.StatusCode.operationCreated.rawValue
        self.operation = "/1.0/operations/\(operation.id)"
    }
}
