extension API {
    /// `GET /1.0/resources`: the parts of LXD's answer that the kernel tells without probing devices.
    public struct Resources: Codable, Sendable, Hashable {
        @Zero public var cpu = CPU()
        @Zero public var memory = Memory()
        @Zero public var system = System()
        public init() {}

        public struct CPU: Codable, Sendable, Hashable, HasZero {
            @Zero public var architecture = ""
            @Zero public var sockets: [Socket] = []
            /// Threads in all.
            @Zero public var total = 0
            public init() {}
            public static var zero: CPU { CPU() }
        }

        public struct Socket: Codable, Sendable, Hashable {
            @Zero public var name = ""
            @Zero public var vendor = ""
            @Zero public var socket = 0
            @Zero public var cores: [Core] = []
            public init() {}
        }

        public struct Core: Codable, Sendable, Hashable {
            @Zero public var core = 0
            @Zero public var threads: [Thread] = []
            public init() {}
        }

        public struct Thread: Codable, Sendable, Hashable {
            @Zero public var id = 0
            @Zero public var thread = 0
            @Zero public var online = true
            public init() {}
        }

        /// Bytes.
        public struct Memory: Codable, Sendable, Hashable, HasZero {
            @Zero public var used: Int64 = 0
            @Zero public var total: Int64 = 0
            public init() {}
            public static var zero: Memory { Memory() }
        }

        public struct System: Codable, Sendable, Hashable, HasZero {
            @Zero public var uuid = ""
            @Zero public var vendor = ""
            @Zero public var product = ""
            @Zero public var type = ""
            public init() {}
            public static var zero: System { System() }
        }
    }
}
