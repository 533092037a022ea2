/// An address of the host whose traffic leads to instances of a network.
public struct NetworkForward: Sendable, Hashable, Codable {
    /// Ports that lead to one instance.
    public struct Port: Sendable, Hashable, Codable {
        public var transport: PortMapping.Transport
        /// First and last port of the host.
        public var listen: ClosedRange<UInt16>
        /// First port of the instance; the others follow one by one. nil: the same as of the host.
        public var target: UInt16?
        public var targetAddress: String
        public var description: String

        public init(
            transport: PortMapping.Transport, listen: ClosedRange<UInt16>, target: UInt16?, targetAddress: String,
            description: String = ""
        ) {
            self.transport = transport
            self.listen = listen
            self.target = target
            self.targetAddress = targetAddress
            self.description = description
        }
    }

    /// Bare address of the host.
    public var listenAddress: String
    /// Where everything leads that no port decides; nil: nowhere.
    public var targetAddress: String?
    public var description: String
    public var userKeys: [String: String]
    public var ports: [Port]

    public init(
        listenAddress: String, targetAddress: String? = nil, description: String = "",
        userKeys: [String: String] = [:], ports: [Port] = []
    ) {
        self.listenAddress = listenAddress
        self.targetAddress = targetAddress
        self.description = description
        self.userKeys = userKeys
        self.ports = ports
    }
}
