extension API {
    /// `PUT /1.0/instances/{name}/state`.
    public struct InstanceStatePut: Codable, Sendable, Hashable {
        /// `start`, `stop`, `restart`, `freeze` or `unfreeze`; Isle's: `kill`.
        @Zero public var action = ""
        /// Seconds before a stop is given up, or with `kill` becomes one; -1 is the instance's own bound.
        @Zero public var timeout = 0
        /// Kill at once.
        @Zero public var force = false
        @Zero public var stateful = false
        /// Isle's: the signal of `kill`, by name or number; nil is SIGKILL.
        public var signal: String?
        /// Isle's: what does not stop in time is killed; without it that is an error and it runs on, as with LXD.
        @Zero public var kill = false
        /// Isle's: an instance that is so already is no error.
        @Zero public var idempotent = false
        public init() {}
    }

    /// `GET /1.0/instances/{name}/state`.
    public struct InstanceState: Codable, Sendable, Hashable {
        @Zero public var status = ""
        @Zero public var statusCode = 0
        /// On the host; 0 if it does not run.
        @Zero public var pid: Int64 = 0
        /// -1 where it is not known.
        @Zero public var processes: Int64 = 0
        @Zero public var cpu = CPU()
        @Zero public var memory = Memory()
        /// By device; null while nothing is known, as in LXD.
        public var disk: [String: Disk]?
        /// By interface; null if it does not run.
        public var network: [String: Interface]?

        /// Isle's: what runs, since when; nil if it does not run.
        public var startedAt: String?

        enum CodingKeys: String, CodingKey {
            case status, pid, processes, cpu, memory, disk, network
            case statusCode = "status_code"
            case startedAt = "started_at"
        }

        public init() {}

        public struct CPU: Codable, Sendable, Hashable, HasZero {
            /// Nanoseconds since start.
            @Zero public var usage: Int64 = 0
            public init() {}
            public static var zero: CPU { CPU() }
        }

        /// Bytes.
        public struct Memory: Codable, Sendable, Hashable, HasZero {
            @Zero public var usage: Int64 = 0
            @Zero public var usagePeak: Int64 = 0
            @Zero public var swapUsage: Int64 = 0
            @Zero public var swapUsagePeak: Int64 = 0
            /// Isle's: the limit; nil is none.
            public var total: Int64?

            enum CodingKeys: String, CodingKey {
                case usage, total
                case usagePeak = "usage_peak"
                case swapUsage = "swap_usage"
                case swapUsagePeak = "swap_usage_peak"
            }

            public init() {}
            public static var zero: Memory { Memory() }
        }

        /// Bytes on disk.
        public struct Disk: Codable, Sendable, Hashable {
            @Zero public var usage: Int64 = 0
            public init() {}
        }

        /// One interface, as seen inside.
        public struct Interface: Codable, Sendable, Hashable {
            @Zero public var addresses: [Address] = []
            @Zero public var counters = Counters()
            @Zero public var hwaddr = ""
            /// The end on the host.
            @Zero public var hostName = ""
            @Zero public var mtu = 0
            /// `up` or `down`.
            @Zero public var state = ""
            /// `broadcast`, `loopback`, …
            @Zero public var type = ""

            enum CodingKeys: String, CodingKey {
                case addresses, counters, hwaddr, mtu, state, type
                case hostName = "host_name"
            }

            public init() {}
        }
    }

    /// One address of an interface.
    public struct Address: Codable, Sendable, Hashable {
        /// `inet` or `inet6`.
        @Zero public var family = ""
        @Zero public var address = ""
        /// Length of the prefix, as text.
        @Zero public var netmask = ""
        /// `global`, `link` or `local`.
        @Zero public var scope = ""
        public init() {}
    }

    /// Traffic of an interface.
    public struct Counters: Codable, Sendable, Hashable, HasZero {
        @Zero public var bytesReceived: Int64 = 0
        @Zero public var bytesSent: Int64 = 0
        @Zero public var packetsReceived: Int64 = 0
        @Zero public var packetsSent: Int64 = 0
        @Zero public var errorsReceived: Int64 = 0
        @Zero public var errorsSent: Int64 = 0
        @Zero public var droppedOutbound: Int64 = 0
        @Zero public var droppedInbound: Int64 = 0

        enum CodingKeys: String, CodingKey {
            case errorsReceived = "errors_received"
            case errorsSent = "errors_sent"
            case droppedOutbound = "packets_dropped_outbound"
            case droppedInbound = "packets_dropped_inbound"
            case bytesReceived = "bytes_received"
            case bytesSent = "bytes_sent"
            case packetsReceived = "packets_received"
            case packetsSent = "packets_sent"
        }

        public init() {}
        public static var zero: Counters { Counters() }
    }
}
