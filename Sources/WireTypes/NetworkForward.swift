extension API {
    /// `GET /1.0/networks/{network}/forwards/{address}`.
    public struct NetworkForward: Codable, Sendable, Hashable {
        @Zero public var listenAddress = ""
        @Zero public var description = ""
        /// `target_address`: where everything leads that no port decides; `user.*`.
        @Zero public var config: [String: String] = [:]
        @Zero public var ports: [NetworkForwardPort] = []
        @Zero public var location = ""

        enum CodingKeys: String, CodingKey {
            case description, config, ports, location
            case listenAddress = "listen_address"
        }

        public init() {}
    }

    /// Ports of a forward.
    public struct NetworkForwardPort: Codable, Sendable, Hashable {
        @Zero public var description = ""
        /// `tcp` or `udp`.
        @Zero public var `protocol` = ""
        /// As `80,90-99`.
        @Zero public var listenPort = ""
        /// Likewise, one or as many as `listen_port`; empty: the same.
        @Zero public var targetPort = ""
        @Zero public var targetAddress = ""

        enum CodingKeys: String, CodingKey {
            case description, `protocol`
            case listenPort = "listen_port"
            case targetPort = "target_port"
            case targetAddress = "target_address"
        }

        public init() {}
    }

    /// `PUT` and `PATCH /1.0/networks/{network}/forwards/{address}`.
    public struct NetworkForwardPut: Codable, Sendable, Hashable {
        public var description: String?
        public var config: [String: String]?
        public var ports: [NetworkForwardPort]?
        public init() {}
    }
}
