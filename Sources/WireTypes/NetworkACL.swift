extension API {
    /// `GET /1.0/network-acls/{name}`.
    public struct NetworkACL: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        /// `user.*`.
        @Zero public var config: [String: String] = [:]
        @Zero public var ingress: [NetworkACLRule] = []
        @Zero public var egress: [NetworkACLRule] = []
        /// Networks that have it.
        @Zero public var usedBy: [String] = []

        enum CodingKeys: String, CodingKey {
            case name, description, config, ingress, egress
            case usedBy = "used_by"
        }

        public init() {}
    }

    /// A rule of an ACL.
    public struct NetworkACLRule: Codable, Sendable, Hashable {
        /// `allow`, `reject` or `drop`.
        @Zero public var action = ""
        /// Addresses, subnets and ranges, with commas between; empty: all.
        @Zero public var source = ""
        @Zero public var destination = ""
        /// `tcp`, `udp`, `icmp4`, `icmp6`; empty: all.
        @Zero public var `protocol` = ""
        /// As `80,90-99`.
        @Zero public var sourcePort = ""
        @Zero public var destinationPort = ""
        /// Numbers from 0 to 255.
        @Zero public var icmpType = ""
        @Zero public var icmpCode = ""
        @Zero public var description = ""
        /// `enabled`, `disabled` or `logged`.
        @Zero public var state = ""

        enum CodingKeys: String, CodingKey {
            case action, source, destination, `protocol`, description, state
            case sourcePort = "source_port"
            case destinationPort = "destination_port"
            case icmpType = "icmp_type"
            case icmpCode = "icmp_code"
        }

        public init() {}
    }

    /// `PUT` and `PATCH /1.0/network-acls/{name}`.
    public struct NetworkACLPut: Codable, Sendable, Hashable {
        public var description: String?
        public var config: [String: String]?
        public var ingress: [NetworkACLRule]?
        public var egress: [NetworkACLRule]?
        public init() {}
    }
}
