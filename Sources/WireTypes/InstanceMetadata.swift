extension API {
    /// `GET`, `PUT` and `PATCH /1.0/instances/{name}/metadata`: what the content is and which files come from templates.
    public struct InstanceMetadata: Codable, Sendable, Hashable {
        @Zero public var architecture = ""
        /// Seconds since 1970.
        @Zero public var creationDate: Int64 = 0
        @Zero public var expiryDate: Int64 = 0
        @Zero public var properties: [String: String] = [:]
        /// By absolute path inside.
        @Zero public var templates: [String: Template] = [:]

        enum CodingKeys: String, CodingKey {
            case architecture, properties, templates
            case creationDate = "creation_date"
            case expiryDate = "expiry_date"
        }

        public init() {}

        /// One file that is made from a template.
        public struct Template: Codable, Sendable, Hashable {
            /// `create`, `copy`, `start`, `rename`.
            @Zero public var when: [String] = []
            /// Leave a file alone that is there already.
            @Zero public var createOnly = false
            /// Name of the template.
            @Zero public var template = ""
            @Zero public var properties: [String: String] = [:]

            enum CodingKeys: String, CodingKey {
                case when, template, properties
                case createOnly = "create_only"
            }

            public init() {}
        }
    }

    /// `PUT /1.0/instances`: a change of the state of every instance that it applies to.
    public struct InstancesPut: Codable, Sendable, Hashable {
        public var state: InstanceStatePut?
        public init() {}
    }

    /// `POST /1.0/instances/{name}/rebuild`: new files from an image, or none.
    public struct InstanceRebuildPost: Codable, Sendable, Hashable {
        @Zero public var source = InstanceSource()
        public init() {}
    }
}
