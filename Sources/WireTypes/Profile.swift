extension API {
    /// `GET /1.0/profiles/{name}`.
    public struct Profile: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        @Zero public var config: [String: String] = [:]
        @Zero public var devices: [String: [String: String]] = [:]
        /// Paths of instances.
        @Zero public var usedBy: [String] = []

        enum CodingKeys: String, CodingKey {
            case name, description, config, devices
            case usedBy = "used_by"
        }

        public init() {}
    }

    /// `POST /1.0/profiles`.
    public struct ProfilesPost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        @Zero public var config: [String: String] = [:]
        @Zero public var devices: [String: [String: String]] = [:]
        public init() {}
    }

    /// `PUT` and `PATCH /1.0/profiles/{name}`.
    public struct ProfilePut: Codable, Sendable, Hashable {
        public var description: String?
        public var config: [String: String]?
        public var devices: [String: [String: String]]?
        public init() {}
    }
}
