extension API {
    /// `GET /1.0/instances?recursion=1&summary=1` (Isle's): of each instance what a table shows of it. A list of hundreds
    /// is a fifth as long as with everything, and takes as much less time on both sides. What an older server sends
    /// beyond it is passed over.
    public struct InstanceSummary: Codable, Sendable, Hashable {
        /// The instance; fields that are not part of the summary are empty.
        public var instance: Instance

        private enum CodingKeys: String, CodingKey {
            case name, status, type, kind, exit, addresses, ports, health
            case createdAt = "created_at"
            case imageReference = "image_reference"
        }

        public init(_ instance: Instance) { self.instance = instance }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            var instance = Instance()
            instance.name = try container.decodeIfPresent(String.self, forKey: .name) ?? ""
            instance.status = try container.decodeIfPresent(String.self, forKey: .status) ?? ""
            instance.type = try container.decodeIfPresent(String.self, forKey: .type) ?? ""
            instance.createdAt = try container.decodeIfPresent(String.self, forKey: .createdAt) ?? ""
            instance.kind = try container.decodeIfPresent(String.self, forKey: .kind)
            instance.imageReference = try container.decodeIfPresent(String.self, forKey: .imageReference)
            instance.exit = try container.decodeIfPresent(InstanceExit.self, forKey: .exit)
            instance.addresses = try container.decodeIfPresent([String].self, forKey: .addresses)
            instance.ports = try container.decodeIfPresent([PublishedPort].self, forKey: .ports)
            instance.health = try container.decodeIfPresent(InstanceHealth.self, forKey: .health)
            self.instance = instance
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(instance.name, forKey: .name)
            try container.encode(instance.status, forKey: .status)
            try container.encode(instance.type, forKey: .type)
            try container.encode(instance.createdAt, forKey: .createdAt)
            try container.encodeIfPresent(instance.kind, forKey: .kind)
            try container.encodeIfPresent(instance.imageReference, forKey: .imageReference)
            try container.encodeIfPresent(instance.exit, forKey: .exit)
            try container.encodeIfPresent(instance.addresses, forKey: .addresses)
            try container.encodeIfPresent(instance.ports, forKey: .ports)
            // The results of the tests are no part of a table.
            var health = instance.health
            health?.log = []
            try container.encodeIfPresent(health, forKey: .health)
        }
    }
}
