extension API {
    /// `GET /1.0/resources`: what the kernel tells in /proc and /sys, without probing devices.
    public struct Resources: Codable, Sendable, Hashable {
        @Zero public var cpu = CPU()
        @Zero public var memory = Memory()
        @Zero public var system = System()
        @Zero public var gpu = Cards()
        @Zero public var network = Cards()
        @Zero public var storage = Storage()
        @Zero public var usb = Devices()
        @Zero public var pci = Devices()
        public init() {}

        /// Adapters of the network, or of graphics.
        public struct Cards: Codable, Sendable, Hashable, HasZero {
            @Zero public var cards: [Card] = []
            @Zero public var total = 0
            public init() {}
            public static var zero: Cards { Cards() }
        }

        public struct Card: Codable, Sendable, Hashable {
            @Zero public var driver = ""
            @Zero public var pciAddress = ""
            /// Hexadecimal digits.
            @Zero public var vendorID = ""
            @Zero public var productID = ""
            @Zero public var numaNode = 0
            /// Of the network: its interfaces.
            public var ports: [Port]?

            enum CodingKeys: String, CodingKey {
                case driver, ports
                case pciAddress = "pci_address"
                case vendorID = "vendor_id"
                case productID = "product_id"
                case numaNode = "numa_node"
            }

            public init() {}
        }

        public struct Port: Codable, Sendable, Hashable {
            /// Name of the interface.
            @Zero public var id = ""
            /// Hardware address.
            @Zero public var address = ""
            @Zero public var port = 0
            @Zero public var `protocol` = "ethernet"
            @Zero public var linkDetected = false
            /// Mbit/s; 0 is not known.
            @Zero public var linkSpeed = 0

            enum CodingKeys: String, CodingKey {
                case id, address, port, `protocol`
                case linkDetected = "link_detected"
                case linkSpeed = "link_speed"
            }

            public init() {}
        }

        public struct Storage: Codable, Sendable, Hashable, HasZero {
            @Zero public var disks: [Disk] = []
            @Zero public var total = 0
            public init() {}
            public static var zero: Storage { Storage() }
        }

        public struct Disk: Codable, Sendable, Hashable {
            /// Name of the block device.
            @Zero public var id = ""
            /// `MAJOR:MINOR`.
            @Zero public var device = ""
            @Zero public var model = ""
            @Zero public var type = ""
            @Zero public var readOnly = false
            @Zero public var removable = false
            /// Bytes.
            @Zero public var size: Int64 = 0
            @Zero public var partitions: [Partition] = []

            enum CodingKeys: String, CodingKey {
                case id, device, model, type, removable, size, partitions
                case readOnly = "read_only"
            }

            public init() {}
        }

        public struct Partition: Codable, Sendable, Hashable {
            @Zero public var id = ""
            @Zero public var device = ""
            @Zero public var readOnly = false
            @Zero public var size: Int64 = 0
            @Zero public var partition = 0

            enum CodingKeys: String, CodingKey {
                case id, device, size, partition
                case readOnly = "read_only"
            }

            public init() {}
        }

        public struct Devices: Codable, Sendable, Hashable, HasZero {
            @Zero public var devices: [Device] = []
            @Zero public var total = 0
            public init() {}
            public static var zero: Devices { Devices() }
        }

        /// On the PCI or USB bus.
        public struct Device: Codable, Sendable, Hashable {
            @Zero public var driver = ""
            @Zero public var vendorID = ""
            @Zero public var productID = ""
            @Zero public var vendor = ""
            @Zero public var product = ""
            public var pciAddress: String?
            public var busAddress: Int?
            public var deviceAddress: Int?

            enum CodingKeys: String, CodingKey {
                case driver, vendor, product
                case vendorID = "vendor_id"
                case productID = "product_id"
                case pciAddress = "pci_address"
                case busAddress = "bus_address"
                case deviceAddress = "device_address"
            }

            public init() {}
        }

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
