extension API {
    /// Work that goes on in the background: `GET /1.0/operations/{id}`.
    public struct Operation: Codable, Sendable, Hashable {
        @Zero public var id = ""
        /// `task`, `websocket` or `token`.
        @Zero public var `class` = "task"
        @Zero public var description = ""
        @Zero public var createdAt = ""
        @Zero public var updatedAt = ""
        @Zero public var status = ""
        @Zero public var statusCode = 0
        /// Paths of what it works on, by plural (`instances`, `images`).
        @Zero public var resources: [String: [String]] = [:]
        /// What depends on the class: `SessionMetadata`, progress (`progress`: `stage`, `percent`, `speed`, …), results.
        public var metadata: [String: JSONValue]?
        @Zero public var mayCancel = false
        /// The sentence of the error, empty if there is none.
        @Zero public var err = ""
        @Zero public var location = "none"

        /// Isle's: the HTTP status that stands for the error, as a direct answer would have had it.
        public var errorCode: Int?

        enum CodingKeys: String, CodingKey {
            case id, `class`, description, status, resources, metadata, err, location
            case createdAt = "created_at"
            case updatedAt = "updated_at"
            case statusCode = "status_code"
            case mayCancel = "may_cancel"
            case errorCode = "error_code"
        }

        public init() {}

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(id, forKey: .id)
            try container.encode(`class`, forKey: .class)
            try container.encode(description, forKey: .description)
            try container.encode(createdAt, forKey: .createdAt)
            try container.encode(updatedAt, forKey: .updatedAt)
            try container.encode(status, forKey: .status)
            try container.encode(statusCode, forKey: .statusCode)
            try container.encode(resources, forKey: .resources)
            // Null and not absent when there is none, as in LXD.
            try container.encode(metadata, forKey: .metadata)
            try container.encode(mayCancel, forKey: .mayCancel)
            try container.encode(err, forKey: .err)
            try container.encode(location, forKey: .location)
            try container.encodeIfPresent(errorCode, forKey: .errorCode)
        }
    }

    /// How far an operation is: `progress` in its metadata.
    public struct OperationProgress: Codable, Sendable, Hashable {
        /// What it does, as `pull`, `unpack`, `convert`.
        @Zero public var stage = ""
        /// 0 to 100 as text, as in LXD; empty if the total is not known.
        @Zero public var percent = ""
        /// Bytes per second as text.
        @Zero public var speed = ""
        /// Isle's: bytes or steps done and in all.
        public var done: Int64?
        public var total: Int64?
        /// Isle's: what is worked on now, for people.
        public var text: String?
        public init() {}
    }

    /// One message of the `/1.0/events` websocket.
    public struct Event: Codable, Sendable, Hashable {
        /// `lifecycle`, `operation` or `logging`.
        @Zero public var type = ""
        @Zero public var timestamp = ""
        /// By type: `EventLifecycle`, `Operation`, `EventLogging`.
        public var metadata: JSONValue?
        @Zero public var project = "default"
        @Zero public var location = "none"
        public init() {}
    }

    /// Something happened to something.
    public struct EventLifecycle: Codable, Sendable, Hashable {
        /// As `instance-started`.
        @Zero public var action = ""
        /// Path of what it happened to.
        @Zero public var source = ""
        public var context: [String: JSONValue]?
        public var requestor: EventRequestor?
        @Zero public var name = ""
        @Zero public var project = "default"
        public init() {}
    }

    /// Who asked for it.
    public struct EventRequestor: Codable, Sendable, Hashable {
        @Zero public var username = ""
        @Zero public var `protocol` = ""
        @Zero public var address = ""
        public init() {}
    }

    /// A line of the server's log.
    public struct EventLogging: Codable, Sendable, Hashable {
        @Zero public var message = ""
        @Zero public var level = ""
        @Zero public var context: [String: String] = [:]
        public init() {}
    }
}
